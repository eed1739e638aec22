"""ECAPA-TDNN: convolutions over time whose channels attend to the whole utterance.

`embedding = affine(norm(attentive_statistics(relu(conv([y_1, y_2, y_3])))))`, where
`y_i` is the i-th block of `x + y_1 + ... + y_(i-1)` and `x` a first convolution.

Every convolution keeps the number of frames. Under a mask padding is zero before each
convolution that looks sideways, as if the utterance ended there: in inference it has no
say at all.

Reference:
    ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN Based
    Speaker Verification (Desplanques et al., 2020), https://arxiv.org/abs/2005.07143
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments
from voiceemb.networks.base import SpeakerNetwork
from voiceemb.networks.layers import mask_frames, masked_mean
from voiceemb.networks.pooling import AttentiveStatisticsPooling

DILATIONS = (2, 3, 4)  # of the three blocks


@keras.saving.register_keras_serializable(package="voiceemb")
class TimeConvolution(ConfiguredByArguments, layers.Layer):
    """Convolution over time, ReLU, batch normalisation.

    Args:
        filters: Number of filters.
        kernel: Size of the kernel, in frames. Defaults to `1`.
        dilation: Frames from one tap of the kernel to the next. Defaults to `1`.
        weight_decay: L2 penalty on the kernel. Defaults to `0.0`.

    Call arguments:
        x: `[batch, time, channels]`.
    """

    def __init__(self, filters, kernel=1, dilation=1, weight_decay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel = kernel
        self.dilation = dilation
        self.weight_decay = weight_decay
        self.convolution = layers.Conv1D(
            filters,
            kernel,
            dilation_rate=dilation,
            padding="same",
            activation="relu",
            kernel_regularizer=keras.regularizers.L2(weight_decay),
        )
        self.normalisation = layers.BatchNormalization()

    def build(self, shape):
        self.convolution.build(shape)
        self.normalisation.build((*shape[:-1], self.filters))

    def call(self, x, training=None):
        return self.normalisation(self.convolution(x), training=training)


@keras.saving.register_keras_serializable(package="voiceemb")
class SERes2Block(ConfiguredByArguments, layers.Layer):
    """`x + gate * narrow_to_wide(x)`: the SE-Res2Block of the paper's figure 1.

    Between two pointwise convolutions the channels are split into `scale` groups; the
    first passes, each other one is convolved together with the result of the group
    before it. The gate, in (0, 1) for each channel, comes from the means over time.

    Args:
        channels: Channels that come in and go out, a multiple of `scale`.
        dilation: Of the grouped convolutions, in frames. Defaults to `2`.
        scale: Number of groups, at least 2. Defaults to `8`.
        squeeze: Width between means and gate. Defaults to `128`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `0.0`.

    Call arguments:
        x: `[batch, time, channels]`.
        mask: `None`, or bool `[batch, time]`, true where a frame is not padding.

    Reference:
        - Res2Net (Gao et al., 2019), https://arxiv.org/abs/1904.01169
        - Squeeze-and-Excitation Networks (Hu et al., 2018), eq. 2 to 4,
          https://arxiv.org/abs/1709.01507
    """

    def __init__(
        self, channels, dilation=2, scale=8, squeeze=128, weight_decay=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        if scale < 2 or channels % scale:
            raise ValueError(
                "`channels` must be a multiple of `scale`, and `scale` at least 2. "
                f"Received: channels={channels}, scale={scale}"
            )
        self.supports_masking = True
        self.channels = channels
        self.dilation = dilation
        self.scale = scale
        self.squeeze = squeeze
        self.weight_decay = weight_decay
        self.enter = TimeConvolution(channels, weight_decay=weight_decay)
        self.groups = [
            TimeConvolution(channels // scale, 3, dilation, weight_decay)
            for _ in range(scale - 1)
        ]
        self.leave = TimeConvolution(channels, weight_decay=weight_decay)
        self.narrow = layers.Dense(squeeze, activation="relu", name="narrow")
        self.gate = layers.Dense(channels, activation="sigmoid", name="gate")

    def build(self, shape):
        batch, time, _ = shape
        for layer in (self.enter, self.leave):
            layer.build(shape)
        for layer in self.groups:
            layer.build((batch, time, self.channels // self.scale))
        self.narrow.build((batch, self.channels))
        self.gate.build((batch, self.squeeze))

    def call(self, x, mask=None, training=None):
        first, *rest = ops.split(self.enter(x, training=training), self.scale, axis=-1)
        done = [first]
        for part, convolve in zip(rest, self.groups, strict=True):
            part = part if len(done) == 1 else part + done[-1]
            done.append(convolve(mask_frames(part, mask), training=training))
        y = self.leave(ops.concatenate(done, axis=-1), training=training)
        gate = self.gate(self.narrow(masked_mean(y, mask)))
        return x + ops.expand_dims(gate, axis=1) * y


@keras.saving.register_keras_serializable(package="voiceemb")
class ECAPATDNN(SpeakerNetwork):
    """ECAPA-TDNN of any width.

    With 80 bands and the defaults it has 6,190,720 trainable parameters, the paper's
    6.2 M (table 1), and with `channels=1024` 14,657,088, the paper's 14.7 M; WeSpeaker
    states 6.19 M and 14.65 M. There is no batch normalisation behind the affine layer,
    where the paper's figure 2 has one (384 parameters).

    Args:
        channels: Channels of the first convolution and of the blocks, a multiple of
            `scale`. Defaults to `512`.
        aggregation: Channels that are pooled. Defaults to three times `channels`, at
            most 1536, which are the published sizes.
        scale: Groups of a block's convolutions. Defaults to `8`.
        squeeze: Width of a block's gate. Defaults to `128`.
        attention: Width of the pooling's attention. Defaults to `128`.
        embedding_dim: Size of the output. Defaults to `192`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features, mask: See `SpeakerNetwork`.

    Reference:
        - ECAPA-TDNN (Desplanques et al., 2020), https://arxiv.org/abs/2005.07143
        - WeSpeaker's table of sizes,
          https://github.com/wenet-e2e/wespeaker/tree/master/examples/voxceleb/v2
    """

    def __init__(
        self,
        channels=512,
        aggregation=None,
        scale=8,
        squeeze=128,
        attention=128,
        embedding_dim=192,
        **kwargs,
    ):
        super().__init__(embedding_dim=embedding_dim, **kwargs)
        self.channels = channels
        self.aggregation = aggregation
        self.scale = scale
        self.squeeze = squeeze
        self.attention = attention
        self.check_min(channels=1, aggregation=1, squeeze=1, attention=1)
        decay = self.weight_decay
        self.first = TimeConvolution(channels, 5, weight_decay=decay)
        self.blocks = [
            SERes2Block(channels, dilation, scale, squeeze, decay)
            for dilation in DILATIONS
        ]
        self.aggregate = layers.Conv1D(
            aggregation or min(3 * channels, 1536),
            1,
            activation="relu",
            kernel_regularizer=keras.regularizers.L2(decay),
            name="aggregate",
        )
        self.pooling = AttentiveStatisticsPooling(attention)
        self.normalisation = layers.BatchNormalization(dtype="float32")

    def call(self, features, mask=None, training=None):
        x = self.first(mask_frames(features, mask), training=training)
        outputs = []
        for block in self.blocks:
            outputs.append(block(x, mask=mask, training=training))
            x = x + outputs[-1]
        x = self.pooling(self.aggregate(ops.concatenate(outputs, axis=-1)), mask=mask)
        return self.affine(self.normalisation(x, training=training))
