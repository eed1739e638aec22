"""A one-dimensional U-Net: the vector as a signal of one channel.

The axes of an embedding have no order, so convolutions have no useful inductive bias
here: it is kept for parity with the original.
"""

import functools

import keras
from keras import layers, ops

from diffusion.networks.base import DenoisingNetwork
from diffusion.networks.conditioning import Conditioning, FiLM
from timbre.training.networks import ConfiguredByArguments


@keras.saving.register_keras_serializable(package="diffusion")
class ConvolutionBlock(ConfiguredByArguments, layers.Layer):
    """`skip(x) + gate * conv(silu(FiLM(norm(conv(silu(norm(x)))))))`.

    `skip` is the identity, or a convolution of size 1 where the channels change; `gate`
    scales the channels by their means over the signal (squeeze and excitation).

    Args:
        channels: Channels of the output.
        groups: Groups of the normalisations; divides the channels of input and output.
        kernel_size: Of the convolutions. Defaults to `3`.
        squeeze_excitation: Whether there is a gate. Defaults to `False`.

    Call arguments:
        x: `[batch, length, channels]`.
        condition: `[batch, size]`.

    Reference:
        Squeeze-and-excitation networks (Hu et al., 2018),
        https://arxiv.org/abs/1709.01507
    """

    def __init__(
        self, channels, groups, kernel_size=3, squeeze_excitation=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.groups = groups
        self.kernel_size = kernel_size
        self.squeeze_excitation = squeeze_excitation

    def build(self, x_shape, condition_shape):
        inner = (*x_shape[:-1], self.channels)
        policy = {"dtype": self.dtype_policy}
        self.norms = [layers.GroupNormalization(self.groups, **policy) for _ in "12"]
        self.convolutions = [
            layers.Conv1D(self.channels, self.kernel_size, padding="same", **policy)
            for _ in "12"
        ]
        for i, shape in enumerate((x_shape, inner)):
            self.norms[i].build(shape)
            self.convolutions[i].build(shape)
        self.film = FiLM(**policy)
        self.film.build(inner, condition_shape)
        if x_shape[-1] != self.channels:
            self.skip = layers.Conv1D(self.channels, 1, **policy)
            self.skip.build(x_shape)
        if self.squeeze_excitation:
            squeezed = max(1, self.channels // 4)
            self.squeeze = layers.Dense(squeezed, "silu", **policy)
            self.excite = layers.Dense(self.channels, "sigmoid", **policy)
            self.squeeze.build(inner)
            self.excite.build((*inner[:-1], squeezed))

    def call(self, x, condition):
        h = self.convolutions[0](ops.silu(self.norms[0](x)))
        h = self.film(self.norms[1](h), condition)
        h = self.convolutions[1](ops.silu(h))
        if self.squeeze_excitation:
            means = ops.mean(h, axis=1, keepdims=True)
            h = h * self.excite(self.squeeze(means))
        return h + (x if x.shape[-1] == self.channels else self.skip(x))


@keras.saving.register_keras_serializable(package="diffusion")
class UNet1D(DenoisingNetwork):
    """Blocks at half the length each, then back up, with skip connections.

    A length that the halvings do not divide is padded with zeros and cropped again.

    Args:
        dim, steps, classes: See `DenoisingNetwork`.
        channels: Channels at each length. Defaults to `(32, 64, 128, 128)`: lengths
            `dim`, `dim / 2`, `dim / 4`, `dim / 8`.
        groups: Groups of the normalisations. Defaults to `8`.
        kernel_size: Of the convolutions. Defaults to `3`.
        squeeze_excitation: Whether blocks have a gate. Defaults to `False`.
    """

    def __init__(
        self,
        dim,
        steps,
        classes=(),
        channels=(32, 64, 128, 128),
        groups=8,
        kernel_size=3,
        squeeze_excitation=False,
        **kwargs,
    ):
        super().__init__(dim, steps, classes, **kwargs)
        self.channels = tuple(channels)
        self.groups = groups
        self.kernel_size = kernel_size
        self.squeeze_excitation = squeeze_excitation
        self.check_min(channels=1, groups=1, kernel_size=1)
        if not channels or any(count % groups for count in channels):
            raise ValueError(
                "`channels` must hold multiples of `groups`. "
                f"Received: channels={channels}, groups={groups}"
            )
        size = 4 * self.channels[0]
        self.conditioning = Conditioning(steps, self.classes, size, name="condition")
        convolution = functools.partial(
            layers.Conv1D, kernel_size=kernel_size, padding="same"
        )
        self.enter = convolution(self.channels[0])
        self.down = self._blocks("down", self.channels)
        self.shrink = [convolution(count, strides=2) for count in self.channels[:-1]]
        self.up = self._blocks("up", self.channels[-2::-1])
        self.norm = layers.GroupNormalization(groups, name="norm")
        self.leave = convolution(
            1, kernel_initializer="zeros", dtype="float32", name="leave"
        )
        self.build_weights()

    def _blocks(self, name, channels):
        own = (self.groups, self.kernel_size, self.squeeze_excitation)
        return [
            ConvolutionBlock(count, *own, name=f"{name}_{i}")
            for i, count in enumerate(channels)
        ]

    def call(self, inputs):
        x, t, labels = inputs
        condition = ops.silu(self.conditioning(t, labels))
        missing = -self.dim % 2 ** len(self.shrink)
        x = ops.pad(ops.expand_dims(x, -1), ((0, 0), (0, missing), (0, 0)))
        x, skips = self.enter(x), []
        for block, shrink in zip(self.down, self.shrink, strict=False):
            skips.append(block(x, condition))
            x = shrink(skips[-1])
        x = self.down[-1](x, condition)
        for block in self.up:
            x = ops.concatenate([ops.repeat(x, 2, axis=1), skips.pop()], axis=-1)
            x = block(x, condition)
        x = self.leave(ops.silu(self.norm(x)))
        return x[:, : self.dim, 0]
