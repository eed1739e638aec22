"""Layers of speaker networks: masks, convolutions, residual blocks.

Every convolution here is followed by batch normalisation and the clipped ReLU,
`min(max(x, 0), 20)`, of Deep Speaker.
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments, check_choice

CLIP = 20.0  # of the clipped ReLU


def mask_frames(x, mask=None):
    """Sets the frames of `x`, `[batch, time, ...]`, that are padding to zero.

    A mask is `None`, or bool `[batch, time]`, true where a frame counts.
    """
    if mask is None:
        return x
    mask = ops.reshape(mask, (*ops.shape(mask), *[1] * (len(x.shape) - 2)))
    return ops.where(mask, x, ops.zeros_like(x))


def masked_mean(x, mask=None):
    """Average of `[batch, time, dim]` over the frames that are no padding, in float32.

    It is zero for a row without any valid frame. A mask is as for `mask_frames`.
    """
    x = ops.cast(x, "float32")  # a sum of many frames overflows half precision
    if mask is None:
        return ops.mean(x, axis=1)
    weight = ops.expand_dims(ops.cast(mask, x.dtype), axis=-1)
    return ops.sum(x * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1.0)


@keras.saving.register_keras_serializable(package="voiceemb")
class ConvNorm(ConfiguredByArguments, layers.Layer):
    """Convolution, batch normalisation and, by default, a clipped ReLU.

    Args:
        filters: Number of filters.
        kernel: Size of the square kernel.
        stride: Stride on both axes. Defaults to `1`.
        weight_decay: L2 penalty on the kernel. Defaults to `0.0`.
        activate: Whether the clipped ReLU follows. Defaults to `True`.

    Call arguments:
        x: `[batch, time, frequency, channels]`.
    """

    def __init__(
        self, filters, kernel, stride=1, weight_decay=0.0, activate=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel = kernel
        self.stride = stride
        self.weight_decay = weight_decay
        self.activate = activate
        self.convolution = layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            kernel_regularizer=keras.regularizers.L2(weight_decay),
        )
        self.normalisation = layers.BatchNormalization()

    def build(self, shape):
        self.convolution.build(shape)
        self.normalisation.build(self.convolution.compute_output_shape(shape))

    def call(self, x, training=None):
        x = self.normalisation(self.convolution(x), training=training)
        return ops.clip(x, 0.0, CLIP) if self.activate else x


@keras.saving.register_keras_serializable(package="voiceemb")
class ResidualBlock(ConfiguredByArguments, layers.Layer):
    """`x -> clipped_relu(x + convolutions(x))`, of two shapes.

    Args:
        filters: Number of filters, equal to the channels that come in.
        shape: `"basic"`, 3x3 then 3x3 (the paper), or `"simple"`, 1x1, 3x3, 1x1.
        weight_decay: L2 penalty on the kernels. Defaults to `0.0`.

    Call arguments:
        x: `[batch, time, frequency, filters]`.
    """

    KERNELS = {"basic": (3, 3), "simple": (1, 3, 1)}

    def __init__(self, filters, shape="basic", weight_decay=0.0, **kwargs):
        super().__init__(**kwargs)
        check_choice("shape", shape, sorted(self.KERNELS))
        self.filters = filters
        self.shape = shape
        self.weight_decay = weight_decay
        *first, last = self.KERNELS[shape]
        self.convolutions = [
            *(ConvNorm(filters, kernel, 1, weight_decay) for kernel in first),
            ConvNorm(filters, last, 1, weight_decay, activate=False),
        ]

    def build(self, shape):
        for convolution in self.convolutions:
            convolution.build(shape)

    def call(self, x, training=None):
        y = x
        for convolution in self.convolutions:
            y = convolution(y, training=training)
        return ops.clip(x + y, 0.0, CLIP)
