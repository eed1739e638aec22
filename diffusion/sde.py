"""Forward processes in continuous time: stochastic differential equations (SDEs).

`dx = drift(x, t) dt + diffusion(t) dw`, from `t = 0` (clean) to `t = T` (noise).

Four linear processes, on the base of `LinearSDE`: `VPSDE` and `VESDE` diffuse data to
noise, `MeanRevertingVPSDE` (Grad-TTS) and `OUVESDE` (SGMSE) to noise about a condition
`mean`. `T` ends the time and nothing else: with a smaller `T` the same process is
stopped earlier.

Complex spectra have two real components. Their papers' noise has `E|z|**2 = 1`, half
the variance in each: `components=2`. Score, noise and std are those of a component: the
score is twice the published one, the samples equal.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from diffusion.linear_sde import LinearSDE
from timbre.training.networks import check_choice


@dataclass(frozen=True)
class VPSDE(LinearSDE):
    """Variance preserving: reverts to 0 as fast as noise is added.

    `dx = -beta(t) / 2 * x dt + sqrt(beta(t)) dw`,
    `beta(t) = beta_min + (beta_max - beta_min) * t`.

    Data of variance 1 keeps it. The limit of DDPM's linear schedule: with `N` steps and
    `T = 1`, `beta[i] = beta(i / N) / N`. The prior's gap is `exp(-5.025) = .0066` by
    default, and its std `.99998`.

    Args:
        beta_min, beta_max: `beta` at times 0 and 1, at least 0 and above it. Default to
            `0.1` and `20.0`.
        T: The last time. Defaults to `1.0`.

    Reference:
        Song et al. (2021), eq. 11 and 33, https://arxiv.org/abs/2011.13456
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    T: float = 1.0

    def __post_init__(self):
        _check_end(self.T)
        if not 0 <= self.beta_min <= self.beta_max or self.beta_max == 0:
            raise ValueError(
                "`beta_min` must be at least 0, `beta_max` at least that and above 0. "
                f"Received: beta_min={self.beta_min}, beta_max={self.beta_max}"
            )

    def reversion_rate(self, t):
        return self.squared_diffusion(t) / 2

    def squared_diffusion(self, t):
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integrated_rate(self, s, t):
        return (t - s) * self.squared_diffusion((s + t) / 2) / 2

    def variance(self, s, t):
        return -tf.math.expm1(-2 * self.integrated_rate(s, t))


@dataclass(frozen=True)
class MeanRevertingVPSDE(VPSDE):
    """Grad-TTS: variance preserving about a coarse estimate instead of about 0.

    `dx = beta(t) / 2 * (mean - x) dt + sqrt(beta(t)) dw`.

    The prior's gap is `exp(-5.0125) = .00665` by default, and its std `.99998`.

    Args:
        beta_min, beta_max, T: As of `VPSDE`. Default to `0.05`, `20.0` and `1.0`.

    Reference:
        Grad-TTS (Popov et al., 2021), section 3, https://arxiv.org/abs/2105.06337
    """

    conditional: ClassVar[bool] = True
    beta_min: float = 0.05


class _GeometricSDE(LinearSDE):
    """Geometric noise levels: `sigma(t) = sigma_min * (sigma_max / sigma_min)**t`.

    With the constant reversion rate `theta` and `growth = log(sigma_max / sigma_min)`,
    `variance(s, t) = sigma(t)**2 * growth / (theta + growth)
    * (1 - exp(-2 * (theta + growth) * (t - s)))`.
    """

    def __post_init__(self):
        _check_end(self.T)
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                "`sigma_min` must be above 0 and `sigma_max` above `sigma_min`. "
                f"Received: sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"
            )
        if self.components < 1:
            raise ValueError(
                f"`components` must be at least 1. Received: {self.components}"
            )
        if not 0 <= self.theta < math.inf:
            raise ValueError(f"`theta` must be at least 0. Received: {self.theta}")

    @property
    def growth(self):
        """`log(sigma_max / sigma_min)`."""
        return math.log(self.sigma_max / self.sigma_min)

    def reversion_rate(self, t):
        return self.theta * tf.ones_like(t)

    def squared_diffusion(self, t):
        return 2 * self.growth * self._power(t)

    def integrated_rate(self, s, t):
        return self.theta * (t - s)

    def variance(self, s, t):
        total = self.theta + self.growth
        relaxed = -tf.math.expm1(-2 * total * (t - s))
        return self._power(t) * relaxed * (self.growth / total)

    def _power(self, t):
        """`sigma(t)**2`, shared by the components."""
        return self.sigma_min**2 / self.components * tf.exp(2 * self.growth * t)


@dataclass(frozen=True)
class VESDE(_GeometricSDE):
    """Variance exploding: the signal stays, the noise outgrows it.

    `dx = sigma(t) * sqrt(2 log(sigma_max / sigma_min)) dw`, so that
    `std(t)**2 = sigma(t)**2 - sigma_min**2`, which is 0 at time 0.

    The prior's gap is 1: choose `sigma_max` as large as the largest distance in the
    data.

    Args:
        sigma_min, sigma_max: `sigma` at times 0 and 1. Default to `0.01` and `50.0`.
        T: The last time. Defaults to `1.0`.
        components: Real components that share the noise; 2 for complex spectra whose
            noise has `E|z|**2 = 1`. Defaults to `1`.

    Reference:
        Song et al. (2021), eq. 9 and 30, https://arxiv.org/abs/2011.13456
    """

    theta: ClassVar[float] = 0.0
    sigma_min: float = 0.01
    sigma_max: float = 50.0
    T: float = 1.0
    components: int = 1


@dataclass(frozen=True)
class OUVESDE(_GeometricSDE):
    """SGMSE: reverts to the noisy recording while the noise of `VESDE` is added.

    `dx = theta * (mean - x) dt + sigma(t) * sqrt(2 log(sigma_max / sigma_min)) dw`.

    The prior's gap is `exp(-theta * T) = .223` by default, a bias that a corrector at
    `T` or a larger `theta` reduces.

    Args:
        theta: The reversion rate (stiffness), at least 0. Defaults to `1.5`.
        sigma_min, sigma_max, T: As of `VESDE`. Default to `0.05`, `0.5` and `1.0`.
        components: As of `VESDE`; SGMSE has 2. Defaults to `1`.

    Reference:
        Speech Enhancement and Dereverberation with Diffusion-based Generative Models
        (Richter et al., 2023), section III, https://arxiv.org/abs/2208.05830
    """

    conditional: ClassVar[bool] = True
    theta: float = 1.5
    sigma_min: float = 0.05
    sigma_max: float = 0.5
    T: float = 1.0
    components: int = 1


SDES = {
    "vp": VPSDE,
    "ve": VESDE,
    "ouve": OUVESDE,
    "mean_reverting_vp": MeanRevertingVPSDE,
}


def build(name="vp", **arguments):
    """The SDE of this name, a key of `SDES`, with the arguments of its class."""
    check_choice("name", name, sorted(SDES))
    return SDES[name](**arguments)


def _check_end(end):
    if not 0 < end < math.inf:
        raise ValueError(f"`T` must be above 0 and finite. Received: T={end}")
