"""The two networks of Deep Speaker, whose output over time is averaged.

`embedding = affine(mean_over_time(network(features)))`

Padding under a mask has no say in the average but is seen by convolutions at its edge:
the output is near that of the frames alone, not equal to it.

Reference:
    Deep Speaker: an End-to-End Neural Speaker Embedding System (Li et al., 2017),
    https://arxiv.org/abs/1705.02304
"""

import keras
from keras import layers, ops

from voiceemb.networks.base import SpeakerNetwork
from voiceemb.networks.layers import ConvNorm, ResidualBlock, masked_mean


@keras.saving.register_keras_serializable(package="voiceemb")
class ResCNN(SpeakerNetwork):
    """Residual convolutional network over a spectrogram, averaged over time.

    Each stage halves time and frequency by a 5x5 convolution and follows it by
    residual blocks. With 64 bands, `stages=(64, 128, 256)` of `"simple"` blocks has
    4,935,616 parameters and `stages=(64, 128, 256, 512)` of `"basic"` ones, the
    paper's, has 24,185,728.

    Args:
        stages: Filters of each stage. Defaults to `(64, 128, 256)`.
        block: `"simple"` or `"basic"`, see `ResidualBlock`. Defaults to `"simple"`.
        num_blocks: Residual blocks in a stage. Defaults to `3`.
        embedding_dim, weight_decay: See `SpeakerNetwork`.

    Call arguments:
        features, mask: See `SpeakerNetwork`.

    Reference:
        Deep Speaker (Li et al., 2017), section 2.2.1, https://arxiv.org/abs/1705.02304
    """

    def __init__(self, stages=(64, 128, 256), block="simple", num_blocks=3, **kwargs):
        super().__init__(**kwargs)
        if not stages or min(stages) < 1:
            raise ValueError(
                f"`stages` must name filters of at least one stage. Received: {stages}"
            )
        self.stages = tuple(stages)
        self.block = block
        self.num_blocks = num_blocks
        decay = self.weight_decay
        self.stage_layers = [
            [
                ConvNorm(filters, 5, stride=2, weight_decay=decay),
                *(ResidualBlock(filters, block, decay) for _ in range(num_blocks)),
            ]
            for filters in self.stages
        ]

    def call(self, features, mask=None, training=None):
        x = ops.expand_dims(features, axis=-1)
        for stage in self.stage_layers:
            for layer in stage:
                x = layer(x, training=training)
            mask = None if mask is None else mask[:, ::2]
        x = ops.reshape(x, (-1, ops.shape(x)[1], x.shape[2] * x.shape[3]))
        return self.affine(masked_mean(x, mask))


@keras.saving.register_keras_serializable(package="voiceemb")
class GRUNetwork(SpeakerNetwork):
    """One strided convolution, then recurrent layers, averaged over time.

    With 64 bands and the defaults it has 22,565,248 parameters.

    Args:
        filters: Filters of the convolution. Defaults to `64`.
        units: Width of each recurrent layer. Defaults to `(1024, 1024, 1024)`.
        embedding_dim, weight_decay: See `SpeakerNetwork`.

    Call arguments:
        features, mask: See `SpeakerNetwork`.

    Reference:
        Deep Speaker (Li et al., 2017), section 2.2.2, https://arxiv.org/abs/1705.02304
    """

    def __init__(self, filters=64, units=(1024, 1024, 1024), **kwargs):
        super().__init__(**kwargs)
        if not units or min(units) < 1:
            raise ValueError(
                f"`units` must name the width of at least one layer. Received: {units}"
            )
        self.filters = filters
        self.units = tuple(units)
        self.convolution = ConvNorm(filters, 5, 2, self.weight_decay)
        self.recurrent = [layers.GRU(n, return_sequences=True) for n in self.units]

    def call(self, features, mask=None, training=None):
        x = self.convolution(ops.expand_dims(features, axis=-1), training=training)
        x = ops.reshape(x, (-1, ops.shape(x)[1], x.shape[2] * x.shape[3]))
        mask = None if mask is None else mask[:, ::2]
        for layer in self.recurrent:
            x = layer(x, mask=mask, training=training)
        return self.affine(masked_mean(x, mask))
