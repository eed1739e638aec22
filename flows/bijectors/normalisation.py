"""Standardisation of channels (ActNorm) or of whole events (Scaler) as bijectors.

`z = (x - mean) / deviation`, where `adapt` estimates mean and deviation in float64.
The deviation of what is constant in the data, or nearly, is raised to a hundredth of
the root mean square of all, or to 1 where all are constant.
"""

import math

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import Bijector, add_constant, event_sum

MIN_DEVIATION = 0.01  # in root mean squares of all deviations
ROUNDING = 1e-12  # deviation, in means, that equal numbers have by rounding alone


@keras.saving.register_keras_serializable(package="flows")
class ActNorm(Bijector):
    """Shifts and scales each channel: `z = (x - mean) * exp(log_scale)`.

    The identity until `adapt` gives every channel of its batch mean 0 and variance 1,
    over all other axes; trained from there.

    Reference:
        Glow: Generative Flow with Invertible 1x1 Convolutions (Kingma & Dhariwal,
        2018), section 3.1. https://arxiv.org/abs/1807.03039
    """

    def build(self, input_shape):
        zeros = np.zeros(input_shape[-1])
        self.mean = add_constant(self, "mean", zeros, trainable=True)
        self.log_scale = add_constant(self, "log_scale", zeros, trainable=True)

    def adapt(self, x, context=None, labels=None):
        """Sets mean and scale by two or more finite rows, `[batch, ...]`."""
        x, _ = self._as_tensors(x, None)
        mean, deviation = _moments(x, axis=tuple(range(len(x.shape) - 1)))
        self.mean.assign(mean)
        self.log_scale.assign(-np.log(deviation))
        return self.forward(x)

    def _forward(self, x, context):
        return (x - self.mean) * ops.exp(self.log_scale), self._log_det(x)

    def _inverse(self, z, context):
        return z * ops.exp(-self.log_scale) + self.mean, -self._log_det(z)

    def _log_det(self, x):
        return event_sum(ops.zeros_like(x) + self.log_scale)


@keras.saving.register_keras_serializable(package="flows")
class Scaler(Bijector):
    """Flattens events and standardises each number of them; not trained.

    `z = (flat(x) - mean) / scale`, `[batch, D]`, and `log_det = -sum(log(scale))`:
    densities stay densities of the features, in their own units. Before `adapt`, `mean`
    is 0 and `scale` 1.

    Args:
        shape: Of an event, a tuple of ints, `D` numbers in all.

    Call arguments:
        x: `[batch, *shape]`.
    """

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"`shape` must have axes of 1 or more. Received: {shape}")

    def build(self, input_shape=None):
        dim = math.prod(self.shape)
        self.mean = add_constant(self, "mean", np.zeros(dim))
        self.scale = add_constant(self, "scale", np.ones(dim))

    def compute_output_shape(self, input_shape):
        self._check(tuple(input_shape[1:]), self.shape)
        return (input_shape[0], math.prod(self.shape))

    def adapt(self, x, context=None, labels=None):
        """Sets mean and scale by two or more finite rows, `[batch, *shape]`."""
        x, _ = self._as_tensors(x, None)
        self._check(tuple(x.shape[1:]), self.shape)
        mean, deviation = _moments(ops.reshape(x, (len(x), -1)), axis=0)
        self.mean.assign(mean)
        self.scale.assign(deviation)
        return self.forward(x)

    def _forward(self, x, context):
        self._check(tuple(x.shape[1:]), self.shape)
        x = ops.reshape(x, (-1, math.prod(self.shape)))
        return (x - self.mean) / self.scale, -self._log_scale(x)

    def _inverse(self, z, context):
        self._check(tuple(z.shape[1:]), (math.prod(self.shape),))
        x = z * self.scale + self.mean
        return ops.reshape(x, (-1, *self.shape)), self._log_scale(z)

    def _log_scale(self, z):
        return event_sum(ops.zeros_like(z) + ops.log(self.scale))

    def _check(self, shape, expected):
        if shape != expected:
            raise ValueError(
                f"Events must have the shape {expected}. Received: {shape}"
            )


def _moments(x, axis):
    """Mean and deviation over `axis`, float64, of two finite rows or more."""
    x = ops.convert_to_numpy(x)
    if len(x) < 2:
        raise ValueError(
            f"`adapt` needs at least two rows to estimate a scale. Received: {len(x)}"
        )
    if not np.isfinite(x).all():
        bad = x.size - np.isfinite(x).sum()
        raise ValueError(
            f"`adapt` needs finite numbers. Received: {bad} that are not, of {x.size}"
        )
    mean = np.mean(x, axis=axis, dtype="float64")
    deviation = np.std(x, axis=axis, dtype="float64")
    typical = np.sqrt(np.mean(deviation**2))
    if typical <= ROUNDING * np.abs(mean).max():
        return mean, np.ones_like(deviation)
    return mean, np.maximum(deviation, MIN_DEVIATION * typical)
