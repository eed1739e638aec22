"""The default conditioner of couplings: a multilayer perceptron at each place."""

import keras
import numpy as np
from keras import layers, ops

from flows.bijectors.base import ConfigurableLayer


@keras.saving.register_keras_serializable(package="flows")
class Conditioner(ConfigurableLayer):
    """Hidden ReLU layers, then a linear one that begins at zero; each place by itself.

    Args:
        hidden: Widths of the hidden layers, a tuple of ints.
        outputs: Numbers that come out for each place.
        context_dim: Channels of the context, 0 for none. Defaults to `0`.
        seed: Of the hidden layers' first weights, Glorot uniform.
            Defaults to `0`.

    Call arguments:
        x: `[batch, ..., channels]`.
        context: `[batch, ..., context_dim]` with as many axes as `x`, each as long or
            1; only with a `context_dim`.

    Returns:
        `[batch, ..., outputs]`.
    """

    def __init__(
        self, hidden, outputs, context_dim=0, seed=0, dtype="float32", **kwargs
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.hidden = tuple(hidden)
        self.outputs = outputs
        self.context_dim = context_dim
        self.seed = seed
        if min(*self.hidden, outputs, 1) < 1 or context_dim < 0:
            raise ValueError(
                "`hidden` and `outputs` must be at least 1, `context_dim` at least 0. "
                f"Received: hidden={self.hidden}, outputs={outputs}, "
                f"context_dim={context_dim}"
            )

    def build(self, input_shape):
        seeds = np.random.default_rng(self.seed).integers(2**31, size=len(self.hidden))
        self.dense = [
            layers.Dense(
                width,
                "relu",
                kernel_initializer=keras.initializers.GlorotUniform(int(seed)),
                dtype=self.dtype_policy,
            )
            for width, seed in zip(self.hidden, seeds, strict=True)
        ]
        self.dense.append(
            layers.Dense(
                self.outputs, kernel_initializer="zeros", dtype=self.dtype_policy
            )
        )
        width = input_shape[-1] + self.context_dim
        for dense in self.dense:
            dense.build((*input_shape[:-1], width))
            width = dense.units

    def call(self, x, context=None):
        if self.context_dim:
            x = ops.concatenate([x, self._broadcast(x, context)], axis=-1)
        for dense in self.dense:
            x = dense(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def _broadcast(self, x, context):
        """The context at every place of `x`."""
        expected = (len(x.shape), self.context_dim)
        found = None if context is None else (len(context.shape), context.shape[-1])
        if found != expected:
            raise ValueError(
                "A conditioner with a `context_dim` needs a `context` of as many axes "
                f"as `x`, the last of {self.context_dim}. Received: "
                f"x.shape={tuple(x.shape)}, context.shape="
                f"{context if context is None else tuple(context.shape)}"
            )
        return context + ops.zeros_like(x[..., :1])
