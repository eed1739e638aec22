"""Bijectors: invertible maps with a tractable log-determinant of the Jacobian.

`z = forward(x)`, `x = inverse(z)`, `log_det = log |det dz / dx|`, one number for each
row of the batch. Forward is the normalising direction: from data to latent. Events
have any rank, `[batch, ..., channels]`; maps that mix numbers mix channels, and the
log-determinant sums over the whole event. The inverse has that of forward, negated:
`inverse_and_log_det(z)` gives `x` and `log |det dx / dz|`.
"""

import keras
import numpy as np
from keras import ops

from flows.batching import BLOCK
from timbre.training.networks import ConfiguredByArguments


class ConfigurableLayer(ConfiguredByArguments, keras.layers.Layer):
    """A layer whose arguments are attributes and so its config; they may be layers."""

    def get_config(self):
        return keras.saving.serialize_keras_object(super().get_config())

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))


class Bijector(ConfigurableLayer):
    """The base of all bijectors; a member writes `_forward` and `_inverse`.

    Args:
        dtype: Of weights and results, a float type. Defaults to `"float32"`, whatever
            the global policy: a log-determinant needs its digits.

    Call arguments:
        x: `[batch, ..., channels]`.
        context: What the map may depend on, `[batch, ..., context_dim]` with as many
            axes as `x`, for members that have a `context_dim`; others ignore it.

    Returns:
        `z`, shaped as the event is mapped, and `log_det`, `[batch]`.
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, autocast=False, **kwargs)

    def forward_and_log_det(self, x, context=None):
        """Data to latent: `z`, and `log |det dz / dx|` of each row, `[batch]`."""
        return self._forward(*self._as_tensors(x, context))

    def inverse_and_log_det(self, z, context=None):
        """Latent to data: `x`, and `log |det dx / dz|` of each row, `[batch]`."""
        return self._inverse(*self._as_tensors(z, context))

    def forward(self, x, context=None):
        """Data to latent."""
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, z, context=None):
        """Latent to data."""
        return self.inverse_and_log_det(z, context)[0]

    def adapt(self, x, context=None, labels=None):
        """Data-dependent initialisation of this and all inner bijectors.

        Args:
            x, context: As for `forward`.
            labels: Class indices, int NumPy `[batch, factors]`, -1 where missing, for
                members that depend on classes.

        Returns:
            `z`, as `forward` gives it from then on.
        """
        x, context = self._as_tensors(x, context)
        z = []
        is_per_row = context is not None and len(context) == len(x)
        for start in range(0, max(len(x), 1), BLOCK):
            rows = slice(start, start + BLOCK)
            z.append(self.forward(x[rows], context[rows] if is_per_row else context))
        return ops.concatenate(z)

    def call(self, x, context=None):
        return self.forward_and_log_det(x, context)

    def compute_output_shape(self, input_shape):
        return input_shape

    def _forward(self, x, context):
        raise NotImplementedError

    def _inverse(self, z, context):
        raise NotImplementedError

    def _as_tensors(self, x, context):
        """Inputs as tensors of the bijector's dtype; builds the bijector if needed."""
        x = ops.convert_to_tensor(x, self.compute_dtype)
        if context is not None:
            context = ops.convert_to_tensor(context, self.compute_dtype)
        if not self.built:
            self.build(x.shape)
        return x, context


@keras.saving.register_keras_serializable(package="flows")
class Chain(Bijector):
    """The composition of bijectors: `log_det` is the sum of theirs.

    `forward` goes from first to last, `inverse` from last to first, all with the same
    context. An empty chain is the identity.

    Args:
        bijectors: Bijectors or chains, all of one dtype, which is the chain's.
        dtype: Of an empty chain. Defaults to `"float32"`.
    """

    def __init__(self, bijectors=(), dtype=None, **kwargs):
        bijectors = list(bijectors)
        super().__init__(dtype=_shared_dtype(bijectors, dtype), **kwargs)
        self.bijectors = bijectors

    def build(self, input_shape):
        for bijector in self.bijectors:
            if not bijector.built:
                bijector.build(input_shape)
            input_shape = bijector.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        for bijector in self.bijectors:
            input_shape = bijector.compute_output_shape(input_shape)
        return input_shape

    def adapt(self, x, context=None, labels=None):
        x, context = self._as_tensors(x, context)
        for bijector in self.bijectors:
            x = bijector.adapt(x, context, labels)
        return x

    def _forward(self, x, context):
        log_det = event_sum(ops.zeros_like(x))
        for bijector in self.bijectors:
            x, change = bijector.forward_and_log_det(x, context)
            log_det = log_det + change
        return x, log_det

    def _inverse(self, z, context):
        log_det = event_sum(ops.zeros_like(z))
        for bijector in reversed(self.bijectors):
            z, change = bijector.inverse_and_log_det(z, context)
            log_det = log_det + change
        return z, log_det


@keras.saving.register_keras_serializable(package="flows")
class Inverse(Bijector):
    """The inverse of a bijector: its `forward` is the other's `inverse`.

    `adapt` sets nothing: the inner bijector's input is not known before.

    Args:
        bijector: A bijector that keeps the shape of events; the inverse has its dtype.
    """

    def __init__(self, bijector, dtype=None, **kwargs):
        super().__init__(dtype=_shared_dtype([bijector], dtype), **kwargs)
        self.bijector = bijector

    def build(self, input_shape):
        if not self.bijector.built:
            self.bijector.build(input_shape)
        shape = tuple(self.bijector.compute_output_shape(input_shape))
        if shape != tuple(input_shape):
            raise ValueError(
                "`Inverse` takes bijectors that keep the shape of events. Received: "
                f"{self.bijector.name}, which maps {tuple(input_shape)} to {shape}"
            )

    def _forward(self, x, context):
        return self.bijector.inverse_and_log_det(x, context)

    def _inverse(self, z, context):
        return self.bijector.forward_and_log_det(z, context)


@keras.saving.register_keras_serializable(package="flows")
class Permutation(Bijector):
    """A random permutation: `z[..., i] = x[..., order[i]]`, and `log_det = 0`.

    The order is sampled once, by NumPy, and saved with the weights.

    Args:
        seed: Of the order, an int. Defaults to `0`.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        order = np.random.default_rng(self.seed).permutation(input_shape[-1])
        self.order = add_constant(self, "order", order, dtype="int32")

    def _forward(self, x, context):
        return ops.take(x, self.order, axis=-1), event_sum(ops.zeros_like(x))

    def _inverse(self, z, context):
        x = ops.take(z, ops.argsort(self.order), axis=-1)
        return x, event_sum(ops.zeros_like(z))


@keras.saving.register_keras_serializable(package="flows")
class Reverse(Bijector):
    """Reverses the order of the channels: `log_det = 0`."""

    def build(self, input_shape):
        """There is nothing to build."""

    def _forward(self, x, context):
        return ops.flip(x, axis=-1), event_sum(ops.zeros_like(x))

    def _inverse(self, z, context):
        return self._forward(z, context)


def event_sum(x):
    """The sum of all numbers of each row: `[batch, ...]` to `[batch]`."""
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


def add_constant(layer, name, value, dtype=None, trainable=False):
    """Adds a weight to `layer` that begins as `value`, fixed unless `trainable`."""
    return layer.add_weight(
        shape=np.shape(value),
        initializer=lambda shape, dtype=None: ops.convert_to_tensor(value, dtype),
        dtype=dtype,
        trainable=trainable,
        name=name,
    )


def check_context(context, rank, context_dim):
    """Refuses a context of another number of axes or another width, or none."""
    shape = None if context is None else tuple(context.shape)
    if shape is None or len(shape) != rank or shape[-1] != context_dim:
        raise ValueError(
            "A map with a `context_dim` needs a `context` of as many axes as `x`, "
            f"{rank}, the last of {context_dim}. Received: {shape}"
        )


def _shared_dtype(bijectors, dtype):
    """The one dtype of all; `dtype`, or float32, where there are none."""
    for bijector in bijectors:
        if not isinstance(bijector, Bijector):
            raise TypeError(
                f"Only bijectors can be chained or inverted. Received: {bijector!r}"
            )
    found = {bijector.compute_dtype for bijector in bijectors}
    if len(found) > 1:
        raise ValueError(
            f"Bijectors of a chain must have one dtype. Received: {sorted(found)}"
        )
    return found.pop() if found else dtype or "float32"
