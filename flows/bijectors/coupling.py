"""Coupling bijectors: one part of the channels conditions the map of the other.

The input is split by a mask into `x_a` and `x_b`. With an elementwise `f` whose
parameters `theta` a conditioner predicts:

    forward            `z_a = x_a`, `z_b = f(x_b; theta(x_a, context))`
    its log-det        `sum(log |f'(x_b)|)`
    inverse            `x_a = z_a`, `x_b = f^-1(z_b; theta(z_a, context))`
    its log-det        `-sum(log |f'(x_b)|)`

The Jacobian is triangular and the conditioner is never inverted: it may be any network.
One whose output begins at zero, such as `Conditioner`, begins as the identity.

Reference:
    Density estimation using Real NVP (Dinh et al., 2016), section 3.2.
    https://arxiv.org/abs/1605.08803
"""

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import Bijector, event_sum
from timbre.training.networks import check_choice

MASKS = ("first", "second")


def conditioning_mask(mask, channels) -> np.ndarray:
    """Which channels condition, bool `[channels]`; the others are transformed.

    Args:
        mask: `"first"`, the first half, of an odd number the smaller one; `"second"`,
            the other half; or a bool for each channel, in any order.
        channels: Number of channels.

    Raises:
        ValueError: If there is no such mask, or not a channel of each kind.
    """
    if isinstance(mask, str):
        check_choice("mask", mask, MASKS)
        first = np.arange(channels) < channels // 2
        found = first if mask == "first" else ~first
    else:
        found = np.array(mask, bool)
    if found.shape != (channels,) or found.all() or not found.any():
        raise ValueError(
            "A coupling needs two channels or more and a mask by which some condition "
            f"and some are transformed. Received: {channels} channels, mask={mask}"
        )
    return found


class Coupling(Bijector):
    """What couplings share; a member writes `num_parameters` and both transforms.

    Args:
        conditioner: A layer from `x_a`, `[batch, ..., conditioning]`, to
            `[batch, ..., transformed * num_parameters]`; one with a `context_dim` above
            0 is called with the context too. Its dtype is the coupling's.
        mask: See `conditioning_mask`. Defaults to `"first"`.

    Call arguments:
        x: `[batch, ..., channels]`, two channels or more.
        context: `[batch, ..., context_dim]`, axes as `x` has, or of length 1.

    Raises:
        ValueError: If mask, context, or the conditioner's outputs do not fit.
    """

    def __init__(self, conditioner, mask="first", dtype=None, **kwargs):
        super().__init__(dtype=dtype or conditioner.compute_dtype, **kwargs)
        self.conditioner = conditioner
        self.mask = mask if isinstance(mask, str) else tuple(map(bool, mask))

    @property
    def num_parameters(self):
        """How many parameters the map of one number has."""
        raise NotImplementedError

    def _transform(self, x, parameters):
        """`f(x)` and `log |f'(x)|`, shaped as `x`; `f` is the identity for zeros."""
        raise NotImplementedError

    def _inverse_transform(self, z, parameters):
        """`x = f^-1(z)` and `-log |f'(x)|`, shaped as `z`."""
        raise NotImplementedError

    def build(self, input_shape):
        conditions = conditioning_mask(self.mask, input_shape[-1])
        self._order = np.argsort(~conditions, kind="stable")  # `x_a`, then `x_b`
        self._num_conditioning = int(conditions.sum())
        self._swaps = not conditions[0]
        edges = np.flatnonzero(np.diff(conditions)) + 1
        self._edge = int(edges[0]) if len(edges) == 1 else None  # of two blocks
        shape = (*input_shape[:-1], self._num_conditioning)
        if not self.conditioner.built:
            self.conditioner.build(shape)
        outputs = (len(conditions) - self._num_conditioning) * self.num_parameters
        found = self.conditioner.compute_output_shape(shape)[-1]
        if found != outputs:
            raise ValueError(
                f"The conditioner must give {self.num_parameters} parameters for each "
                f"transformed channel, {outputs}. Received: {found}"
            )

    def _forward(self, x, context):
        x_a, x_b = self._split(x)
        z_b, log_slope = self._transform(x_b, self._parameters(x_a, x_b, context))
        return self._join(x_a, z_b), event_sum(log_slope)

    def _inverse(self, z, context):
        z_a, z_b = self._split(z)
        parameters = self._parameters(z_a, z_b, context)
        x_b, log_slope = self._inverse_transform(z_b, parameters)
        return self._join(z_a, x_b), event_sum(log_slope)

    def _parameters(self, x_a, x_b, context):
        """`theta(x_a, context)`, `[..., transformed, num_parameters]`."""
        if getattr(self.conditioner, "context_dim", 0):
            theta = self.conditioner(x_a, context)
        else:
            theta = self.conditioner(x_a)
        return ops.reshape(theta, (*ops.shape(x_b), self.num_parameters))

    def _split(self, x):
        """`x_a`, which conditions, and `x_b`, which is transformed."""
        if self._edge is None:
            x, edge = ops.take(x, self._order, axis=-1), self._num_conditioning
            return x[..., :edge], x[..., edge:]
        first, second = x[..., : self._edge], x[..., self._edge :]
        return (second, first) if self._swaps else (first, second)

    def _join(self, x_a, x_b):
        """Undoes `_split`."""
        if self._edge is None:
            x = ops.concatenate([x_a, x_b], axis=-1)
            return ops.take(x, np.argsort(self._order), axis=-1)
        return ops.concatenate([x_b, x_a] if self._swaps else [x_a, x_b], axis=-1)


@keras.saving.register_keras_serializable(package="flows")
class AffineCoupling(Coupling):
    """Scales and shifts: `z_b = x_b * exp(log_scale) + shift`, `log |f'| = log_scale`.

    `log_scale = bound * tanh(raw / bound)`: no number grows or shrinks by more than
    `exp(bound)`. Inverse: `x_b = (z_b - shift) * exp(-log_scale)`.

    Args:
        conditioner, mask: See `Coupling`; two parameters for each number.
        bound: Largest log-scale, a float > 0. Defaults to `2.0`.
    """

    num_parameters = 2

    def __init__(self, conditioner, mask="first", bound=2.0, **kwargs):
        super().__init__(conditioner, mask, **kwargs)
        if not bound > 0:
            raise ValueError(f"`bound` must be above 0. Received: bound={bound}")
        self.bound = bound

    def _transform(self, x, parameters):
        log_scale = self._log_scale(parameters)
        return x * ops.exp(log_scale) + parameters[..., 1], log_scale

    def _inverse_transform(self, z, parameters):
        log_scale = self._log_scale(parameters)
        return (z - parameters[..., 1]) * ops.exp(-log_scale), -log_scale

    def _log_scale(self, parameters):
        return self.bound * ops.tanh(parameters[..., 0] / self.bound)
