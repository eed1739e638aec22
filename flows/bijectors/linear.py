"""Invertible linear maps of the channels (invertible 1x1 convolution)."""

import keras
import numpy as np
import scipy.linalg
from keras import ops

from flows.bijectors.base import Bijector, add_constant, event_sum
from timbre.training.networks import check_choice

STARTS = ("identity", "rotation")


@keras.saving.register_keras_serializable(package="flows")
class InvertibleLinear(Bijector):
    """A trained matrix in LU factors mixes the channels of every place.

    `z = W x` with `W = P L (U + diag(s))`: `P` a fixed permutation, `L` unit lower and
    `U` strictly upper triangular, `s = sign * exp(log_scale)` with fixed signs, never
    zero. `log_det = places * sum(log |s|)`; the inverse solves two triangular systems.

    Args:
        seed: Of the rotation, an int. Defaults to `0`.
        start: `W` at first, `"identity"` or `"rotation"`, a random orthogonal matrix.
            Defaults to `"identity"`.

    Reference:
        Glow: Generative Flow with Invertible 1x1 Convolutions (Kingma & Dhariwal,
        2018), equations 10 and 11. https://arxiv.org/abs/1807.03039
    """

    def __init__(self, seed=0, start="identity", **kwargs):
        super().__init__(**kwargs)
        check_choice("start", start, STARTS)
        self.seed = seed
        self.start = start

    def build(self, input_shape):
        channels = input_shape[-1]
        order, lower, upper, scale = self._factors(channels)
        self.order = add_constant(self, "order", order, dtype="int32")
        self.sign = add_constant(self, "sign", np.sign(scale))
        self.lower = add_constant(self, "lower", lower, trainable=True)
        self.upper = add_constant(self, "upper", upper, trainable=True)
        log_scale = np.log(np.abs(scale))
        self.log_scale = add_constant(self, "log_scale", log_scale, trainable=True)

    def _factors(self, channels):
        """The order `P` puts rows in, `L` and `U` without diagonals, and `s`."""
        matrix = np.eye(channels)
        if self.start == "rotation":
            noise = np.random.default_rng(self.seed).normal(size=matrix.shape)
            matrix = np.linalg.qr(noise)[0]
        permutation, lower, upper = scipy.linalg.lu(matrix)
        order = np.argmax(permutation, axis=1)
        return order, np.tril(lower, -1), np.triu(upper, 1), np.diag(upper)

    def _triangles(self):
        """`L` and `U + diag(s)`, `[channels, channels]`."""
        identity = ops.eye(self.lower.shape[0], dtype=self.compute_dtype)
        lower = ops.tril(self.lower, -1) + identity
        scale = self.sign * ops.exp(self.log_scale)
        return lower, ops.triu(self.upper, 1) + ops.diag(scale)

    def _forward(self, x, context):
        lower, upper = self._triangles()
        z = ops.matmul(ops.matmul(x, ops.transpose(upper)), ops.transpose(lower))
        return ops.take(z, self.order, axis=-1), self._log_det(x)

    def _inverse(self, z, context):
        lower, upper = self._triangles()
        x = ops.take(z, ops.argsort(self.order), axis=-1)
        columns = ops.transpose(ops.reshape(x, (-1, x.shape[-1])))
        columns = ops.solve_triangular(lower, columns, lower=True)
        columns = ops.solve_triangular(upper, columns, lower=False)
        return ops.reshape(ops.transpose(columns), ops.shape(z)), -self._log_det(z)

    def _log_det(self, x):
        return event_sum(ops.zeros_like(x) + self.log_scale)
