"""The default network: a residual MLP, each block conditioned on time and labels.

`x <- x + MLP(FiLM(LayerNorm(x), condition))`

The last layer is initialised to zero, the best velocity for white data.
"""

import keras
from keras import layers, ops

from diffusion.networks.base import DenoisingNetwork
from diffusion.networks.conditioning import Conditioning, FiLM
from timbre.training.networks import ConfiguredByArguments

MAX_CONDITION = 128  # units of the condition


@keras.saving.register_keras_serializable(package="diffusion")
class ResidualBlock(ConfiguredByArguments, layers.Layer):
    """`x + dense(dropout(silu(dense(FiLM(LayerNorm(x))))))`.

    Args:
        expansion: Width of the hidden layer, in widths of `x`. Defaults to `1`.
        dropout: Dropout rate of the hidden layer. Defaults to `0`.
        seed: Seed of the dropout. Defaults to `0`.

    Call arguments:
        x: `[batch, width]`.
        condition: `[batch, size]`.
    """

    def __init__(self, expansion=1, dropout=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.expansion = expansion
        self.dropout = dropout
        self.seed = seed
        self.drop = layers.Dropout(dropout, seed=seed)

    def build(self, x_shape, condition_shape):
        width = x_shape[-1]
        hidden = self.expansion * width
        policy = {"dtype": self.dtype_policy}
        self.norm = layers.LayerNormalization(**policy)
        self.film = FiLM(**policy)
        self.first = layers.Dense(hidden, "silu", **policy)
        self.second = layers.Dense(width, **policy)
        self.norm.build(x_shape)
        self.film.build(x_shape, condition_shape)
        self.first.build(x_shape)
        self.second.build((*x_shape[:-1], hidden))

    def call(self, x, condition, training=None):
        h = self.first(self.film(self.norm(x), condition))
        return x + self.second(self.drop(h, training=training))


@keras.saving.register_keras_serializable(package="diffusion")
class ResMLP(DenoisingNetwork):
    """A stack of conditioned residual blocks.

    Args:
        dim, steps, classes: See `DenoisingNetwork`.
        width: Units of the residual stream. Defaults to `512`.
        num_blocks: Defaults to `4`.
        expansion: Width of a block's hidden layer, in `width`. Defaults to `1`.
        dropout: Dropout rate of the hidden layers. Defaults to `0`.
        seed: Seed of the dropout. Defaults to `0`.
    """

    def __init__(
        self,
        dim,
        steps,
        classes=(),
        width=512,
        num_blocks=4,
        expansion=1,
        dropout=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(dim, steps, classes, **kwargs)
        self.width = width
        self.num_blocks = num_blocks
        self.expansion = expansion
        self.dropout = dropout
        self.seed = seed
        self.check_min(width=1, num_blocks=1, expansion=1, dropout=0)
        size = min(width, MAX_CONDITION)
        self.conditioning = Conditioning(steps, self.classes, size, name="condition")
        self.enter = layers.Dense(width, name="enter")
        self.blocks = [
            ResidualBlock(expansion, dropout, seed + i, name=f"block_{i}")
            for i in range(num_blocks)
        ]
        self.norm = layers.LayerNormalization(name="norm")
        self.leave = layers.Dense(
            dim, kernel_initializer="zeros", dtype="float32", name="leave"
        )
        self.build_weights()

    def call(self, inputs, training=None):
        x, t, labels = inputs
        condition = ops.silu(self.conditioning(t, labels))
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, condition, training=training)
        return self.leave(self.norm(x))
