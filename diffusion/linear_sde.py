"""Linear SDEs: transitions, marginals and reverse drifts in closed form.

`dx = drift(x, t) dt + diffusion(t) dw`, `drift(x, t) = reversion_rate(t) * (mean - x)`

reverts `x` to `mean`, the condition of the processes that are `conditional`, else 0.
From time `s` to `t > s`, with `keep = exp(-integrated_rate(s, t))` and noise of
variance `std**2 = variance(s, t)`:

`x_t = keep * x_s + (1 - keep) * mean + std * z`, with `z ~ N(0, 1)`.

`1 - exp(-a)` is always `-expm1(-a)`, so float32 is exact at small times too.

Back in time (Song et al. 2021, eq. 6 and 13), given the score `d log p_t(x) / dx`:

`dx = (drift - diffusion**2 * score) dt + diffusion dw`, or, the same distributions
without noise, `dx = (drift - diffusion**2 * score / 2) dt`.

Reference:
    Score-Based Generative Modeling through Stochastic Differential Equations (Song et
    al., 2021), https://arxiv.org/abs/2011.13456
"""

from typing import ClassVar

import tensorflow as tf


class LinearSDE:
    """The base of all processes.

    A member adds four functions of tensors: `reversion_rate(t)` and its integral
    `integrated_rate(s, t)`, `squared_diffusion(t)` and `variance(s, t)`.

    Times are floats, scalar or `[batch]`; samples `[batch, ...]` of any rank, float32
    or float64, and results have their dtype. `mean` is the condition, shaped as `x` or
    broadcast to it: needed where `conditional`, refused elsewhere (`ValueError`).

    Attributes:
        conditional: Whether samples revert to a `mean` instead of to 0.
        T: The last time.
    """

    conditional: ClassVar[bool] = False
    T: float

    def drift(self, x, t, mean=None):
        """`reversion_rate(t) * (mean - x)`, shaped as `x`."""
        x = tf.convert_to_tensor(x)
        rate = match_rank(self.reversion_rate(_floats(t, x.dtype)), x)
        return rate * (self._centre(mean, x.dtype) - x)

    def diffusion(self, t):
        """The factor of `dw` at time `t`, shaped as `t`."""
        return tf.sqrt(self.squared_diffusion(_floats(t)))

    def std(self, t):
        """Standard deviation of the noise in `x_t`, shaped as `t`."""
        t = _floats(t)
        return tf.sqrt(self.variance(tf.zeros_like(t), t))

    def transition(self, x, s, t, mean=None):
        """Mean and standard deviation of `x_t` for samples `x` at an earlier time `s`.

        The mean is shaped as `x`, the deviation scalar or `[batch, 1, ...]`.
        """
        x = tf.convert_to_tensor(x)
        s, t = _floats(s, x.dtype), _floats(t, x.dtype)
        rate = match_rank(self.integrated_rate(s, t), x)
        reverted = -tf.math.expm1(-rate) * self._centre(mean, x.dtype)
        return tf.exp(-rate) * x + reverted, match_rank(tf.sqrt(self.variance(s, t)), x)

    def marginal(self, x_0, t, mean=None):
        """Distribution of `x_t` for clean samples: `transition` from time 0."""
        return self.transition(x_0, 0.0, t, mean)

    def perturb(self, x_0, t, seed, mean=None):
        """Noise clean samples up to times `t` above 0, for denoising score matching.

        Returns `x_t` and its noise `z`, shaped as `x_0`, and `std` as from `marginal`.
        The score at `x_t` is, on average, `-z / std`, so `(std * score + z)**2` is a
        loss of bounded size, 1 for a network that is 0. `seed` is stateless, int `[2]`.
        """
        centre, std = self.marginal(x_0, t, mean)
        z = normal(tf.shape(centre), seed, dtype=centre.dtype)
        return centre + std * z, z, std

    def prior(self, shape, seed, mean=None, *, temperature=1.0, dtype=tf.float32):
        """Samples at time `T`, the start of the reverse process: `mean + std(T) * z`.

        The true mean at `T` is that of `mean + gap * (x_0 - mean)`, with
        `gap = exp(-integrated_rate(0, T))`, stated at each member: the prior's bias.

        Args:
            shape: `[batch, ...]`.
            seed: Stateless seed, int `[2]`.
            mean: The condition.
            temperature: Divides the noise, as in Grad-TTS: above 1, samples are
                smoother and less varied. Defaults to `1.0`.
            dtype: Defaults to float32.
        """
        dtype = tf.as_dtype(dtype)
        std = self.std(_floats(self.T, dtype)) / temperature
        return self._centre(mean, dtype) + std * normal(shape, seed, dtype=dtype)

    def reverse_drift(self, x, t, score, mean=None):
        """Drift of the reverse-time SDE: `drift - diffusion**2 * score`."""
        return self._subtract_score(1.0, x, t, score, mean)

    def flow_drift(self, x, t, score, mean=None):
        """Drift of the probability flow: `drift - diffusion**2 * score / 2`."""
        return self._subtract_score(0.5, x, t, score, mean)

    def denoise(self, x, t, score, mean=None):
        """The expected `x_0` given `x` at a time `t` above 0: Tweedie's formula.

        `x + std**2 * score` is the expected mean of `x_t`; `marginal` is solved for the
        `x_0` in it. Exact for the exact score.
        """
        rest, std = self.marginal(tf.zeros_like(x), t, mean)
        rate = self.integrated_rate(0.0, _floats(t, rest.dtype))
        return match_rank(tf.exp(rate), rest) * (x + std**2 * score - rest)

    def _subtract_score(self, share, x, t, score, mean):
        x = tf.convert_to_tensor(x)
        rate = match_rank(self.squared_diffusion(_floats(t, x.dtype)), x)
        return self.drift(x, t, mean) - share * rate * score

    def _centre(self, mean, dtype):
        if (mean is not None) != self.conditional:
            rule = "needs a" if self.conditional else "reverts to 0 and takes no"
            received = None if mean is None else f"one of shape {_floats(mean).shape}"
            raise ValueError(
                f"{type(self).__name__} {rule} `mean`. Received: {received}"
            )
        return _floats(0.0 if mean is None else mean, dtype)


def match_rank(level, x):
    """A level, scalar or `[batch]`, to broadcast with samples `x` of known rank."""
    if level.shape.rank == 0:
        return level
    if level.shape.rank != 1:
        raise ValueError(f"A time must be scalar or [batch]. Received: {level.shape}")
    return tf.reshape(level, [-1] + [1] * (x.shape.rank - 1))


def normal(shape, seed, *, dtype):
    """Standard normal noise, a function of `seed`; XLA draws others than plain TF."""
    return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox")


def _floats(t, dtype=None):
    """A float tensor; Python and NumPy numbers are rounded once, to this dtype."""
    if dtype is None:
        dtype = getattr(t, "dtype", tf.float32)
        dtype = dtype if tf.as_dtype(dtype).is_floating else tf.float32
    return tf.cast(t, dtype) if tf.is_tensor(t) else tf.convert_to_tensor(t, dtype)
