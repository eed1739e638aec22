"""One step from time t to an earlier s, and what samplers may make it of.

`x_s = keep * x_t + (signal[s] - keep * signal[t]) * x_0 + std * new noise`

Levels are float64 scalars, so that differences of near ones stay exact; they meet the
samples, of any rank and dtype, in a product only.
"""

from typing import NamedTuple

import tensorflow as tf


class Level(NamedTuple):
    """A time, int32, and the signal and noise left at it, float64; all scalars."""

    time: tf.Tensor
    signal: tf.Tensor
    noise: tf.Tensor

    @property
    def log_ratio(self):
        """`log(signal / noise)`, half the log SNR; rises as the sample clears."""
        return tf.math.log(self.signal / self.noise)


def levels(schedule):
    """The function from a time, an int32 scalar, to its `Level`."""
    signal, noise = tf.constant(schedule.signal), tf.constant(schedule.noise)
    return lambda t: Level(t, tf.gather(signal, t), tf.gather(noise, t))


def scaled(scale, x):
    """`scale * x` in the dtype of `x`."""
    return tf.cast(scale, x.dtype) * x


def noise_in(x, clean, t):
    """`z = (x_t - signal[t] * x_0) / noise[t]`."""
    return scaled(1 / t.noise, x - scaled(t.signal, clean))


def draw(x, std, seed):
    """New noise shaped as `x`.

    That of a row does not depend on the rows after it, except under XLA, which fills
    the whole in an order of its own.
    """
    z = tf.random.stateless_normal(tf.shape(x), seed, dtype=x.dtype, alg="philox")
    return scaled(std, z)


def beta_between(t, s):
    """The share of noise that came in from s to t: `1 - alpha_bar[t] / alpha_bar[s]`.

    Written as `noise[t]**2 - (signal[t] / signal[s] * noise[s])**2`, which stays exact
    where both are nearly clean.
    """
    return t.noise**2 - (t.signal / s.signal * s.noise) ** 2


def move(x, clean, t, s, keep):
    """The step without new noise; its mean is right whatever `keep` is."""
    return scaled(keep, x) + scaled(s.signal - keep * t.signal, clean)


def flow(x, clean, t, s):
    """The step along the probability flow, as if `clean` held all the way.

    `x_s / noise[s] = x_t / noise[t] + (1 / sigma_s - 1 / sigma_t) * x_0`, that is
    `x_s = signal[s] * x_0 + noise[s] * z`.
    """
    return move(x, clean, t, s, s.noise / t.noise)


class Sampler:
    """How to get from one time to the next; `start` and `step` are a member's whole.

    What a member must remember between steps it returns from `start` and from `step`,
    as any structure of tensors whose shapes stay.
    """

    def start(self, x, t):
        """What is remembered before the first step.

        Args:
            x: The start, `[batch, ...]`.
            t: Its `Level`.
        """
        return ()

    def step(self, denoise, x, t, s, *, seed, memory):
        """Moves samples from `t` to `s < t`.

        Args:
            denoise: Maps `x` and a `Level` to the clean estimate, shaped as `x`.
            x: Samples at `t`, `[batch, ...]`.
            t, s: The present and the next `Level`.
            seed: Of this step alone, int32 `[2]`.
            memory: What `start` or the step before returned.

        Returns:
            Samples at `s`, and what to remember.
        """
        raise NotImplementedError

    def num_calls(self, steps):
        """How often `steps` steps, the last of which ends at 0, call the network."""
        return steps
