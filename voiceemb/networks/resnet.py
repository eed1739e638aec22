"""ResNet for speakers: residual convolutions over a spectrogram, then its statistics.

`embedding = affine(mean_and_std_over_time(blocks(spectrogram)))`

The first stage keeps time and frequency; each later one halves both and is wider.
Convolutions are padded alike on both sides, so that step `t` of a stage stands over
frame `t * stride` whatever the length. Masked padding is zero before each of them, as
if the utterance ended there: in inference it has no say at all.

Reference:
    - Deep Residual Learning for Image Recognition (He et al., 2016),
      https://arxiv.org/abs/1512.03385
    - BUT System Description to VoxCeleb Speaker Recognition Challenge 2019 (Zeinali et
      al., 2019), table 2, https://arxiv.org/abs/1910.12592
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments
from voiceemb.networks.base import SpeakerNetwork
from voiceemb.networks.layers import mask_frames
from voiceemb.networks.pooling import StatisticsPooling


@keras.saving.register_keras_serializable(package="voiceemb")
class Convolution(ConfiguredByArguments, layers.Layer):
    """Convolution without a bias, padded alike on both sides, and batch normalisation.

    Args:
        filters: Number of filters.
        kernel: Size of the square kernel, odd. Defaults to `3`.
        stride: Stride on both axes. Defaults to `1`.
        weight_decay: L2 penalty on the kernel. Defaults to `0.0`.

    Call arguments:
        x: `[batch, time, frequency, channels]`.

    Returns:
        `[batch, ceil(time / stride), ceil(frequency / stride), filters]`.
    """

    def __init__(self, filters, kernel=3, stride=1, weight_decay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel = kernel
        self.stride = stride
        self.weight_decay = weight_decay
        self.convolution = layers.Conv2D(
            filters,
            kernel,
            strides=stride if kernel > 1 else 1,
            padding="same" if stride == 1 else "valid",  # "same" leans to one side
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(weight_decay),
        )
        self.normalisation = layers.BatchNormalization()

    def build(self, shape):
        self.convolution.build((None, None, None, shape[-1]))  # padding comes before it
        self.normalisation.build((*shape[:-1], self.filters))

    def call(self, x, training=None):
        if self.stride > 1 and self.kernel > 1:
            sides = [self.kernel // 2] * 2
            x = ops.pad(x, [[0, 0], sides, sides, [0, 0]])
        elif self.stride > 1:
            # A stride beyond the kernel: oneDNN's gradient writes outside its memory.
            x = x[:, :: self.stride, :: self.stride]
        return self.normalisation(self.convolution(x), training=training)


@keras.saving.register_keras_serializable(package="voiceemb")
class BasicBlock(ConfiguredByArguments, layers.Layer):
    """`relu(shortcut(x) + convolution(relu(convolution(x))))`, both of 3x3.

    The shortcut is the identity, or a 1x1 convolution where the shape changes.

    Args:
        filters: Number of filters.
        stride: Stride of the first convolution on both axes. Defaults to `1`.
        weight_decay: L2 penalty on the kernels. Defaults to `0.0`.

    Call arguments:
        x: `[batch, time, frequency, channels]`.
        mask: `None`, or bool `[batch, time]`, true where a frame is not padding.

    Reference:
        Deep Residual Learning for Image Recognition (He et al., 2016), figure 5, left,
        https://arxiv.org/abs/1512.03385
    """

    def __init__(self, filters, stride=1, weight_decay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride
        self.weight_decay = weight_decay
        self.first = Convolution(filters, 3, stride, weight_decay)
        self.second = Convolution(filters, 3, 1, weight_decay)
        self.shortcut = None
        self.supports_masking = True

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.filters))
        if self.stride > 1 or shape[-1] != self.filters:
            kernel = (self.filters, 1, self.stride, self.weight_decay)
            policy = self.dtype_policy
            self.shortcut = Convolution(*kernel, dtype=policy, name="shortcut")
            self.shortcut.build(shape)

    def call(self, x, mask=None, training=None):
        x = mask_frames(x, mask)
        y = ops.relu(self.first(x, training=training))
        y = self.second(mask_frames(y, self.compute_mask(x, mask)), training=training)
        short = self.shortcut(x, training=training) if self.shortcut else x
        return ops.relu(short + y)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[:, :: self.stride]


@keras.saving.register_keras_serializable(package="voiceemb")
class ResNet(SpeakerNetwork):
    """Residual network of basic blocks with statistics pooling, of any width and depth.

    With 80 bands and the defaults it is the ResNet34 of WeSpeaker, with the 6.63 M
    parameters stated there: 6,634,336 trainable ones. `widths=(16, 32, 64, 128)` and
    `depths=(2, 2, 2, 2)` make a thin ResNet18 of 1,355,504.

    Args:
        widths: Filters of each stage. Defaults to `(32, 64, 128, 256)`.
        depths: Blocks in each stage. Defaults to `(3, 4, 6, 3)`.
        first_stride: Stride of the first convolution on both axes; 2 makes the network
            about four times as quick. Defaults to `1`.
        embedding_dim: Size of the output. Defaults to `256`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features, mask: See `SpeakerNetwork`.

    Reference:
        WeSpeaker: A Research and Production oriented Speaker Embedding Learning Toolkit
        (Wang et al., 2023), https://arxiv.org/abs/2210.17016, and its table of sizes,
        https://github.com/wenet-e2e/wespeaker/tree/master/examples/voxceleb/v2
    """

    def __init__(
        self,
        widths=(32, 64, 128, 256),
        depths=(3, 4, 6, 3),
        first_stride=1,
        embedding_dim=256,
        **kwargs,
    ):
        super().__init__(embedding_dim=embedding_dim, **kwargs)
        self.widths = tuple(widths)
        self.depths = tuple(depths)
        self.first_stride = first_stride
        if not widths or len(widths) != len(depths):
            raise ValueError(
                "`widths` and `depths` must have one number for each stage, of at "
                f"least one. Received: widths={widths}, depths={depths}"
            )
        self.check_min(widths=1, depths=1, first_stride=1)
        decay = self.weight_decay
        self.first = Convolution(self.widths[0], 3, first_stride, decay)
        self.blocks = [
            BasicBlock(filters, 2 if stage and not n else 1, decay)
            for stage, filters in enumerate(self.widths)
            for n in range(self.depths[stage])
        ]
        self.pooling = StatisticsPooling()

    def call(self, features, mask=None, training=None):
        x = ops.expand_dims(mask_frames(features, mask), axis=-1)
        x = ops.relu(self.first(x, training=training))
        mask = None if mask is None else mask[:, :: self.first_stride]
        for block in self.blocks:
            x = block(x, mask=mask, training=training)
            mask = block.compute_mask(x, mask)
        x = ops.reshape(x, (-1, ops.shape(x)[1], x.shape[2] * x.shape[3]))
        return self.affine(self.pooling(x, mask=mask))
