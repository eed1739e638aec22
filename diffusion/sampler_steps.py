"""One step of a sampler, from time `t` to an earlier time `s`.

`x_s = keep * x_t + (alpha_s - keep * alpha_t) * x_0 + std * z'`,  `z' ~ N(0, 1)` anew

The papers' symbols: `alpha_t = signal[t]` (DDPM and DDIM write its square, `alpha_bar`
and `alpha`), `sigma_t = noise[t]` (DPM-Solver; EDM's sigma is `noise[t] / signal[t]`),
`lambda_t = log(alpha_t / sigma_t)`, half the log SNR. `x_0` is the clean estimate, and
`keep` the coefficient of `x_t`: with any, `alpha_t * x_0` goes to `alpha_s * x_0`.

Levels are float64 scalars, so that differences of near ones stay exact; they meet the
samples, of any rank and dtype, in a product only.
"""

from typing import NamedTuple

import tensorflow as tf

from diffusion.linear_sde import normal


class Level(NamedTuple):
    """A time, int32, and its signal and noise, float64; all scalars."""

    time: tf.Tensor
    signal: tf.Tensor
    noise: tf.Tensor

    @property
    def log_ratio(self):
        """`lambda_t = log(signal / noise)`."""
        return tf.math.log(self.signal / self.noise)


def level_function(schedule):
    """The function from a time, an int32 scalar, to its `Level`."""
    signal, noise = tf.constant(schedule.signal), tf.constant(schedule.noise)
    return lambda t: Level(t, tf.gather(signal, t), tf.gather(noise, t))


def scale(factor, x):
    """`factor * x` in the dtype of `x`."""
    return tf.cast(factor, x.dtype) * x


def estimate_noise(x, clean, t):
    """`z = (x_t - signal[t] * x_0) / noise[t]`."""
    return scale(1 / t.noise, x - scale(t.signal, clean))


def sample_noise(x, std, seed):
    """New noise shaped as `x`; a row's depends on later rows under XLA only."""
    return scale(std, normal(tf.shape(x), seed, dtype=x.dtype))


def beta_between(t, s):
    """The share of noise that came in from s to t: `1 - alpha_bar[t] / alpha_bar[s]`.

    As `noise[t]**2 - (signal[t] / signal[s] * noise[s])**2`, exact at small noise too.
    """
    return t.noise**2 - (t.signal / s.signal * s.noise) ** 2


def mean_step(x, clean, t, s, keep):
    """The step without new noise: the mean of `x_s`."""
    return scale(keep, x) + scale(s.signal - keep * t.signal, clean)


def flow_step(x, clean, t, s):
    """The step along the probability flow, `clean` held constant over it.

    `x_s / sigma_s = x_t / sigma_t + (exp(lambda_s) - exp(lambda_t)) * x_0`, that is
    `x_s = alpha_s * x_0 + sigma_s * z`.
    """
    return mean_step(x, clean, t, s, s.noise / t.noise)


class Sampler:
    """How to get from one time to the next: a member defines `step`.

    Where a step needs a state, `start` and `step` return it: any structure of tensors
    whose shapes stay.
    """

    def start(self, x, t):
        """The state before the first step, from `x` `[batch, ...]` at the `Level` t."""
        return ()

    def step(self, denoise, x, t, s, *, seed, state):
        """Moves samples from `t` to `s < t`; returns them and the next state.

        Args:
            denoise: Maps `x` and a `Level` to the clean estimate, shaped as `x`.
            x: Samples at `t`, `[batch, ...]`.
            t, s: The present and the next `Level`.
            seed: Of this step alone, int32 `[2]`.
            state: What `start` or the step before returned.
        """
        raise NotImplementedError

    def num_calls(self, steps):
        """Calls of the network in `steps` steps, the last of which ends at 0."""
        return steps
