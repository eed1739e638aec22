"""The default conditioner of couplings: a multilayer perceptron at each place."""

import keras
import numpy as np
from keras import layers, ops

from flows.bijectors.base import ConfigurableLayer, check_context


@keras.saving.register_keras_serializable(package="flows")
class Conditioner(ConfigurableLayer):
    """Hidden ReLU layers, then a linear one that begins at zero; each place by itself.

    Args:
        hidden: Widths of the hidden layers, a tuple of ints.
        outputs: Numbers that come out for each place.
        context_dim: Channels of the context, 0 for none. Defaults to `0`.
        seed: Of the hidden layers' first weights, Glorot uniform. Defaults to `0`.

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
        self.check_min(hidden=1, outputs=1, context_dim=0)

    def build(self, input_shape):
        seeds = np.random.default_rng(self.seed).integers(2**31, size=len(self.hidden))
        starts = [keras.initializers.GlorotUniform(int(seed)) for seed in seeds]
        dtype = self.dtype_policy
        self.dense = [
            layers.Dense(width, "relu", kernel_initializer=start, dtype=dtype)
            for width, start in zip(self.hidden, starts, strict=True)
        ]
        last = layers.Dense(self.outputs, kernel_initializer="zeros", dtype=dtype)
        self.dense.append(last)
        width = input_shape[-1] + self.context_dim
        for dense in self.dense:
            dense.build((*input_shape[:-1], width))
            width = dense.units

    def call(self, x, context=None):
        if self.context_dim:
            check_context(context, len(x.shape), self.context_dim)
            everywhere = context + ops.zeros_like(x[..., :1])
            x = ops.concatenate([x, everywhere], axis=-1)
        for dense in self.dense:
            x = dense(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)
