"""Noise schedules of the forward process `x_t = signal[t] * x_0 + noise[t] * z`.

`z ~ N(0, 1)` and `t = 0, ..., T`. Every schedule is variance preserving,
`signal[t]**2 + noise[t]**2 = 1`, starts without noise (`signal[0] = 1`), and `noise`
increases strictly. Most are defined by the share `beta[t]` of noise that step t adds:

`alpha_bar[t] = (1 - beta[1]) * ... * (1 - beta[t])`, `signal = sqrt(alpha_bar)`.

A sampler starts from pure noise, which a network never sees in training whose schedule
ends with `alpha_bar` far from 0: such a schedule warns when it is made.

Reference:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), equation 4,
    https://arxiv.org/abs/2006.11239
"""

import warnings

import numpy as np

from timbre.training.networks import check_choice

MAX_TERMINAL_ALPHA_BAR = 1e-2  # an `alpha_bar[T]` above it makes a schedule warn


class Schedule:
    """The levels of signal and noise at the times 0 (clean) to T (noise).

    All tables are float64, read-only and `[T + 1]`, indexed by `t`.

    Args:
        signal: Decreases from exactly 1; may end at exactly 0.
        noise: Increases from exactly 0. Where it is so near to 1 that float64 can not
            resolve its values, it may be constant as long as `signal` decreases.

    Raises:
        ValueError: If the tables break one of the laws above.
    """

    def __init__(self, signal, noise):
        self.signal, self.noise = _read_only(signal), _read_only(noise)
        _check(self.signal, self.noise)
        if self.alpha_bar[-1] > MAX_TERMINAL_ALPHA_BAR:
            warnings.warn(
                f"at its last time the schedule still keeps alpha_bar[T] = "
                f"{self.alpha_bar[-1]:.4g} of the signal's power (more than "
                f"{MAX_TERMINAL_ALPHA_BAR:g}), so samples that start from pure noise "
                "come out wrong: take more steps, a larger `end`, the cosine schedule, "
                "or `rescale_zero_terminal_snr()` (`zero_terminal_snr=True`) with a "
                "network that does not predict noise",
                UserWarning,
                stacklevel=4,
            )

    @property
    def steps(self) -> int:
        """T, the number of steps from clean to noise."""
        return len(self.signal) - 1

    @property
    def alpha_bar(self) -> np.ndarray:
        """`signal**2`, the power of the signal."""
        return _read_only(self.signal**2)

    @property
    def beta(self) -> np.ndarray:
        """`1 - alpha_bar[t] / alpha_bar[t - 1]`, the noise that step t adds."""
        kept = np.concatenate([[1.0], self.signal[1:] / self.signal[:-1]])
        before = np.concatenate([[0.0], self.noise[:-1]])
        return _read_only(self.noise**2 - before**2 * kept**2)  # exact for small betas

    @property
    def log_snr(self) -> np.ndarray:
        """`log(signal**2 / noise**2)`: infinite at 0, decreasing to `log_snr[T]`."""
        with np.errstate(divide="ignore"):
            return _read_only(2 * (np.log(self.signal) - np.log(self.noise)))

    def rescale_zero_terminal_snr(self) -> "Schedule":
        """The same schedule with no signal left at T (zero terminal SNR).

        `signal'[t] = (signal[t] - signal[T]) * signal[1] / (signal[1] - signal[T])`

        for `t >= 1`: time 1 stays and time T becomes pure noise, from which `x_0` does
        not follow: the network must predict `x_0` or the velocity.

        Reference:
            Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al.,
            2023), algorithm 1, https://arxiv.org/abs/2305.08891
        """
        signal = self.signal.copy()
        first, last = signal[1], signal[-1]
        if self.steps > 1:
            signal[1:] = (signal[1:] - last) * (first / (first - last))
        signal[-1] = 0.0
        return Schedule(signal, np.sqrt((1 - signal) * (1 + signal)))

    def __repr__(self):
        return f"Schedule(steps={self.steps}, alpha_bar[T]={self.alpha_bar[-1]:.3g})"


def linear(steps, start=1e-4, end=0.02) -> Schedule:
    """`beta` increases linearly from `start` to `end`.

    Args:
        steps: T, an int of at least 1. A single step has `beta = end`.
        start, end: The first and the last `beta`, between 0 and 1.

    Reference:
        Denoising Diffusion Probabilistic Models (Ho et al., 2020), section 4,
        https://arxiv.org/abs/2006.11239
    """
    return _from_betas(start + (end - start) * _ramp(steps))


def quad(steps, start=1e-4, end=0.02) -> Schedule:
    """`sqrt(beta)` increases linearly; arguments as for `linear`."""
    low, high = np.sqrt(start), np.sqrt(end)
    return _from_betas((low + (high - low) * _ramp(steps)) ** 2)


def sigmoid(steps, start=1e-4, end=0.02, span=6.0) -> Schedule:
    """`beta = start + (end - start) / (1 + exp(-u))`, `u` from `-span` to `span`.

    Args:
        steps: T, an int of at least 1. A single step has `u = span`.
        start, end: The asymptotes of `beta`, between 0 and 1.
        span: Float > 0, half the width of the sigmoid. Defaults to `6`.
    """
    if span <= 0:
        raise ValueError(f"`span` must be above 0. Received: span={span}")
    rise = 1 / (1 + np.exp(-span * (2 * _ramp(steps) - 1)))
    return _from_betas(start + (end - start) * rise)


def cosine(steps, offset=0.008) -> Schedule:
    """`alpha_bar[t]` decreases like `cos((t / T + offset) / (1 + offset) * pi / 2)**2`.

    Each `beta` is at most .999, which leaves a trace of signal at T.

    Args:
        steps: T, an int of at least 1.
        offset: Float > 0, keeps the first betas from vanishing. Defaults to `0.008`.

    Reference:
        Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
        equation 17, https://arxiv.org/abs/2102.09672
    """
    if offset <= 0:
        raise ValueError(f"`offset` must be above 0. Received: offset={offset}")
    t = np.linspace(0, 1, _count(steps) + 1)
    angle = (t + offset) / (1 + offset) * np.pi / 2
    a, b = angle[:-1], angle[1:]
    beta = np.sin(b - a) * np.sin(b + a) / np.cos(a) ** 2  # 1 - cos(b)**2 / cos(a)**2
    return _from_betas(np.minimum(beta, 0.999))


def constant(steps, beta) -> Schedule:
    """A `beta` in (0, 1), the same at all steps: `alpha_bar[t] = (1 - beta)**t`."""
    return _from_betas(np.full(_count(steps), beta, np.float64))


def karras(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0) -> Schedule:
    """`sigma**(1 / rho)` increases linearly, where `sigma = noise / signal`.

    The original's signal of level 1 and noise of deviation `sigma` are both divided by
    `sqrt(1 + sigma**2)`, which makes them variance preserving.

    Args:
        steps: T, an int of at least 1. A single step has `sigma_max`.
        sigma_min, sigma_max: `sigma` at the times 1 and T, for data of deviation
            about 1. Defaults to `0.002` and `80`.
        rho: Float > 0; the larger, the denser the times where little noise is left.
            Defaults to `7`.

    Reference:
        Elucidating the Design Space of Diffusion-Based Generative Models (Karras et
        al., 2022), equation 5, https://arxiv.org/abs/2206.00364
    """
    if not 0 < sigma_min < sigma_max < np.inf or rho <= 0:
        raise ValueError(
            "`0 < sigma_min < sigma_max` and `rho > 0` must hold. Received: "
            f"sigma_min={sigma_min}, sigma_max={sigma_max}, rho={rho}"
        )
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigma = np.concatenate([[0.0], (low + (high - low) * _ramp(steps)) ** rho])
    return Schedule(1 / np.hypot(1, sigma), sigma / np.hypot(1, sigma))


SCHEDULES = {
    "linear": linear,
    "quad": quad,
    "sigmoid": sigmoid,
    "cosine": cosine,
    "constant": constant,
    "karras": karras,
}


def build(name="cosine", steps=1000, zero_terminal_snr=False, **options) -> Schedule:
    """The schedule of a name in `SCHEDULES`.

    Args:
        name: Defaults to `"cosine"`.
        steps: T. Defaults to `1000`.
        zero_terminal_snr: Whether to `rescale_zero_terminal_snr`. Defaults to `False`.
        **options: Further arguments of the builder of that name.
    """
    check_choice("name", name, [*SCHEDULES])
    if not zero_terminal_snr:
        return SCHEDULES[name](steps, **options)
    with warnings.catch_warnings():  # the signal left at T is about to be removed
        warnings.simplefilter("ignore", UserWarning)
        schedule = SCHEDULES[name](steps, **options)
    return schedule.rescale_zero_terminal_snr()


def _count(steps):
    """`steps` as an int, if it is a count."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"`steps` must be an int of at least 1. Received: {steps!r}")
    return int(steps)


def _ramp(steps):
    """From 0 to 1 in equal steps, float64 `[steps]`; a single step is at 1."""
    return np.linspace(1, 0, _count(steps))[::-1]


def _from_betas(beta):
    """The schedule of `beta`, `[T]`; exact however small the betas are."""
    if not ((beta > 0) & (beta < 1)).all():
        raise ValueError(
            "every `beta` must lie between 0 and 1. "
            f"Received: betas from {beta.min():g} to {beta.max():g}"
        )
    log_alpha_bar = np.concatenate([[0.0], np.cumsum(np.log1p(-beta))])
    return Schedule(np.exp(log_alpha_bar / 2), np.sqrt(0 - np.expm1(log_alpha_bar)))


def _read_only(table):
    table = np.array(table, np.float64)
    table.setflags(write=False)
    return table


def _check(signal, noise):
    """Refuses tables that break a law of the module."""
    rule = None
    if signal.ndim != 1 or signal.shape != noise.shape or len(signal) < 2:
        rule = "`signal` and `noise` must be vectors of one length, at least 2"
    elif (signal[0], noise[0]) != (1, 0):
        rule = "a schedule must start at signal 1 and noise 0"
    elif not np.allclose(signal**2 + noise**2, 1, rtol=0, atol=1e-9):
        rule = "`signal**2 + noise**2` must be 1"
    else:
        changes = np.stack([-np.diff(signal), np.diff(noise)])
        strict = (changes >= 0).all() and (changes.max(axis=0) > 0).all()
        if signal[-1] < 0 or not strict:
            rule = "`signal` must decrease, not below 0, and `noise` increase"
    if rule:
        raise ValueError(f"{rule}. Received: signal={signal}, noise={noise}")
