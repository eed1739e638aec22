"""Samplers: from noise back to a clean sample, in few calls of the network.

All of them work on clean estimates: `denoise(x, t)` predicts the `x_0` of `x_t`. A step
from time t to an earlier time s is, for every member, of one form:

`x_s = keep * x_t + (signal[s] - keep * signal[t]) * x_0 + std * new noise`.

Members differ in how much of the noise in `x_t` they keep, how much new noise they add,
and whether they take `x_0` from this call alone or from several. At `s = 0` no noise is
kept or added: a sample ends as its last clean estimate.

The deterministic ones follow the probability flow: in `sigma = noise / signal`,
`d(x / signal) / d sigma = z` and `d(x / noise) / d(1 / sigma) = x_0`. The second has no
infinity where no signal is left, so they all work with `signal[T] = 0`.

Reference:
    Denoising Diffusion Implicit Models (Song et al., 2021), equations 12 to 14,
    https://arxiv.org/abs/2010.02502
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from diffusion.multistep_samplers import DPMSolverSampler, UniPCSampler
from diffusion.sampler_steps import (
    Sampler,
    beta_between,
    estimate_noise,
    flow_step,
    level_function,
    mean_step,
    sample_noise,
    scale,
)
from timbre.training.networks import check_choice


@dataclass(frozen=True)
class DDPMSampler(Sampler):
    """Ancestral sampling: samples `x_s` from its posterior given `x_t` and `x_0`.

    With `beta = noise[t]**2 - (signal[t] / signal[s] * noise[s])**2`, the noise that
    came in between s and t, and `ratio = signal[t] / signal[s]`:

    `keep = ratio * noise[s]**2 / noise[t]**2`,
    `std**2 = beta * noise[s]**2 / noise[t]**2` (`"posterior"`, right if the data were
    one point) or `beta` (`"beta"`, right if the data were normal of unit variance).

    Args:
        variance: `"posterior"` or `"beta"`. Defaults to `"posterior"`.

    Reference:
        Denoising Diffusion Probabilistic Models (Ho et al., 2020), equations 6, 7 and
        algorithm 2, https://arxiv.org/abs/2006.11239
    """

    variance: str = "posterior"

    def __post_init__(self):
        check_choice("variance", self.variance, ("posterior", "beta"))

    def step(self, denoise, x, t, s, *, seed, state):
        share = (s.noise / t.noise) ** 2
        keep = t.signal / s.signal * share
        factor = share if self.variance == "posterior" else tf.sign(share)  # 0 at s = 0
        std = tf.sqrt(factor * beta_between(t, s))
        mean = mean_step(x, denoise(x, t), t, s, keep)
        return mean + sample_noise(x, std, seed), state


@dataclass(frozen=True)
class DDIMSampler(Sampler):
    """Keeps the noise in `x_t`, or replaces a share of it by new noise.

    `std = eta * noise[s] / noise[t] * sqrt(beta)`, `beta` as in `DDPMSampler`, and
    `x_s = signal[s] * x_0 + sqrt(noise[s]**2 - std**2) * z + std * new noise`.

    `eta = 1` is `DDPMSampler("posterior")`. `eta = 0` is Euler's method on the
    probability flow in `sigma`, of order 1.

    Args:
        eta: Float from 0 to 1. Defaults to `0`.

    Reference:
        Denoising Diffusion Implicit Models (Song et al., 2021), equations 12 and 16,
        https://arxiv.org/abs/2010.02502
    """

    eta: float = 0.0

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise ValueError(f"`eta` must be from 0 to 1. Received: eta={self.eta}")

    def step(self, denoise, x, t, s, *, seed, state):
        new = (self.eta / t.noise) ** 2 * beta_between(t, s)  # share of the variance
        keep = s.noise / t.noise * tf.sqrt(tf.maximum(1 - new, 0))
        x = mean_step(x, denoise(x, t), t, s, keep)
        if self.eta:
            x = x + sample_noise(x, s.noise * tf.sqrt(new), seed)
        return x, state


@dataclass(frozen=True)
class HeunSampler(Sampler):
    """Heun's method: an Euler step, a second estimate at its end, and their mean.

    `average="clean"` takes the mean of both clean estimates, the trapezoid in
    `1 / sigma`, bounded however wide a step is. `average="noise"` takes the mean of
    both noises, the trapezoid in `sigma`, which is EDM's: often the smaller error in
    narrow steps, but far off where `sigma` falls from thousands in one step, as at the
    end of the cosine schedule (ten trailing steps of 1,000 give data of unit variance a
    deviation of 39, `"clean"` .97). The last step, to 0, is Euler's; so is, for
    `"noise"`, one from where no signal is left. Of order 2, with two calls a step.

    Args:
        average: `"clean"` or `"noise"`. Defaults to `"clean"`.

    Reference:
        Elucidating the Design Space of Diffusion-Based Generative Models (Karras et
        al., 2022), algorithm 1, https://arxiv.org/abs/2206.00364
    """

    average: str = "clean"

    def __post_init__(self):
        check_choice("average", self.average, ("clean", "noise"))

    def step(self, denoise, x, t, s, *, seed, state):
        clean = denoise(x, t)
        euler = flow_step(x, clean, t, s)

        def trapezoid():
            again = denoise(euler, s)
            if self.average == "clean":
                return flow_step(x, (clean + again) / 2, t, s)
            width = s.noise - t.noise * s.signal / t.signal
            width = tf.where(t.signal > 0, width, 0)
            change = estimate_noise(euler, again, s) - estimate_noise(x, clean, t)
            return euler + scale(width / 2, change)

        return tf.cond(s.noise > 0, trapezoid, lambda: euler), state

    def num_calls(self, steps):
        return 2 * steps - 1


SAMPLERS = {
    "ddpm": DDPMSampler,
    "ddim": DDIMSampler,
    "heun": HeunSampler,
    "dpm_solver": DPMSolverSampler,
    "unipc": UniPCSampler,
}


def build(name="ddim", **options) -> Sampler:
    """The sampler of a name in `SAMPLERS`, with the arguments of its class."""
    check_choice("name", name, [*SAMPLERS])
    return SAMPLERS[name](**options)


def sample(denoise, x, *, schedule, times, sampler, seed=(0, 0), clip=None):
    """Takes samples from `times[0]`, noise, to `times[-1]`, clean.

    In one loop, in which the network stands once (twice for Heun): call it inside a
    `tf.function`. The same seed gives the same bits, and a sample does not depend on
    those after it in the batch (under XLA its new noise does, and has other bits).

    Args:
        denoise: Maps `(x, t)`, `x` as below and `t` an int32 scalar tensor in
            1, ..., T, to the clean estimate, shaped as `x`.
        x: The start at `times[0]`, floating, `[batch, ...]` of any rank.
        schedule: The `schedules.Schedule` that the network was trained on.
        times: Falling times, int `[steps + 1]`, as `spacing.sampling_times` gives them;
            usually they end with 0, but need not.
        sampler: A `Sampler`.
        seed: Int `[2]`, of all new noise. Defaults to `(0, 0)`.
        clip: Float > 0 or `None`: the bound on the clean estimate's values, and with
            it on those of samples at time 0. Defaults to `None`.

    Returns:
        Samples at `times[-1]`, shaped as `x`.

    Raises:
        ValueError: If `times` do not fall within the schedule, or `clip` is no bound.
    """
    x, level = tf.convert_to_tensor(x), level_function(schedule)
    times = _check_times(times, schedule.steps)
    denoise = _clipped_denoise(denoise, x, clip)

    def step(i, x, state):
        t, s = level(times[i]), level(times[i + 1])
        new = tf.random.experimental.stateless_fold_in(seed, i, alg="philox")
        return i + 1, *sampler.step(denoise, x, t, s, seed=new, state=state)

    start = tf.constant(0), x, sampler.start(x, level(times[0]))
    last = tf.size(times) - 1
    return tf.while_loop(lambda i, *_: i < last, step, start, parallel_iterations=1)[1]


def invert(denoise, x, *, schedule, times):
    """Takes clean samples to the noise that `DDIMSampler()` makes them of (inversion).

    Its steps backwards, each with the clean estimate at its clean end; the first, from
    time 0 where there is no noise to estimate, with that of `signal[t] * x_0` at its
    noisy end. There and back has an error of order 1.

    Args:
        denoise, schedule, times: As in `sample`; `times` end with 0.
        x: Samples at time 0, `[batch, ...]`; the noise at `times[0]` is shaped as it.
    """
    x, level = tf.convert_to_tensor(x), level_function(schedule)
    times = _check_times(times, schedule.steps)
    denoise = _clipped_denoise(denoise, x, None)

    def step(i, x):
        t, s = level(times[i - 1]), level(times[i])
        seen = level(tf.where(times[i] > 0, times[i], times[i - 1]))
        x_seen = scale(seen.signal / s.signal, x)
        z = estimate_noise(x_seen, denoise(x_seen, seen), seen)
        clean = scale(1 / s.signal, x - scale(s.noise, z))
        return i - 1, scale(t.signal, clean) + scale(t.noise, z)

    start = tf.size(times) - 1, x
    return tf.while_loop(lambda i, _: i > 0, step, start, parallel_iterations=1)[1]


def _clipped_denoise(denoise, x, clip):
    """`denoise` of a `Level`, with the shape and dtype of `x`, within the bound."""
    if clip is not None and not tf.is_tensor(clip) and not clip > 0:
        raise ValueError(f"`clip` must be above 0 or None. Received: clip={clip}")

    def estimate(x_t, t):
        clean = tf.cast(denoise(x_t, t.time), x.dtype)
        clean = tf.ensure_shape(clean, x.shape)
        return clean if clip is None else tf.clip_by_value(clean, -clip, clip)

    return estimate


def _check_times(times, last):
    """`times` as int32, refused where they are known and do not fall from `last`."""
    times = tf.convert_to_tensor(times, tf.int32)
    known = tf.get_static_value(times)
    if known is not None:
        falls = known.ndim == 1 and len(known) > 1 and (np.diff(known) < 0).all()
        if not falls or known[0] > last or known[-1] < 0:
            raise ValueError(
                f"`times` must fall within {last} and 0, at least one step. "
                f"Received: {known}"
            )
    return times
