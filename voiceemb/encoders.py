"""Speaker encoders: a stretch of speech becomes a point on the unit sphere.

`embedding = unit(affine(mean_over_time(network(normalise(energies)))))`

A `SpeakerEncoder` joins the three parts that must never be parted: the filterbank
that hears, the normalisation that makes loudness irrelevant, and the network. All
networks here map normalised features `[batch, frames, bands]` of any length to an
affine output `[batch, dim]`; only the encoder takes the last step onto the sphere.

Reference:
    Deep Speaker: an End-to-End Neural Speaker Embedding System (Li et al., 2017),
    https://arxiv.org/abs/1705.02304
"""

import keras
from keras import layers, ops

from audio.fbank import FeatureNormalisation, Filterbank
from voiceemb.blocks import ConvNorm, ResidualBlock, masked_mean


class Network(keras.Model):
    """What all speaker networks share: input checks and the affine layer at the end.

    Args:
        embedding_dim: Size of the output. Defaults to `512`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.
            Padding has no say in the average but is still seen by convolutions at its
            edge: the output is near that of the frames alone, not equal to it.
    """

    def __init__(self, embedding_dim=512, weight_decay=1e-5, **kwargs):
        super().__init__(**kwargs)
        if embedding_dim < 1:
            raise ValueError(
                f"`embedding_dim` must be at least 1. Received: {embedding_dim}"
            )
        self.supports_masking = True
        self.embedding_dim = embedding_dim
        self.weight_decay = weight_decay
        # Half precision would round embeddings before they are compared.
        self.affine = layers.Dense(embedding_dim, dtype="float32", name="affine")

    def compute_mask(self, inputs, mask=None):
        return None  # the average over time has used it up

    def get_config(self):
        return {
            "embedding_dim": self.embedding_dim,
            "weight_decay": self.weight_decay,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="voiceemb")
class ResCNN(Network):
    """Residual convolutional network over a spectrogram, averaged over time.

    Each stage halves time and frequency by a 5x5 convolution and follows it by
    residual blocks. With 64 bands, `stages=(64, 128, 256)` of `"simple"` blocks has
    4,935,616 parameters and `stages=(64, 128, 256, 512)` of `"basic"` ones, the
    paper's, has 24,185,728.

    Args:
        stages: Filters of each stage. Defaults to `(64, 128, 256)`.
        block: `"simple"` or `"basic"`, see `ResidualBlock`. Defaults to `"simple"`.
        num_blocks: Residual blocks in a stage. Defaults to `3`.
        embedding_dim: Size of the output. Defaults to `512`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.

    Reference:
        Deep Speaker (Li et al., 2017), section 2.2.1,
        https://arxiv.org/abs/1705.02304
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

    def get_config(self):
        return {
            **super().get_config(),
            "stages": self.stages,
            "block": self.block,
            "num_blocks": self.num_blocks,
        }


@keras.saving.register_keras_serializable(package="voiceemb")
class GRUNetwork(Network):
    """One strided convolution, then recurrent layers, averaged over time.

    With 64 bands and the defaults it has 22,565,248 parameters.

    Args:
        filters: Filters of the convolution. Defaults to `64`.
        units: Width of each recurrent layer. Defaults to `(1024, 1024, 1024)`.
        embedding_dim: Size of the output. Defaults to `512`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.

    Reference:
        Deep Speaker (Li et al., 2017), section 2.2.2,
        https://arxiv.org/abs/1705.02304
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

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "units": self.units,
        }


@keras.saving.register_keras_serializable(package="voiceemb")
class SpeakerEncoder(keras.Model):
    """A voice's way onto the sphere: filterbank, normalisation, network, unit length.

    Calling it maps filterbank energies to embeddings; `features` maps waveforms to
    those energies, so that a cache may hold the energies and every normalisation
    still belongs to the model.

    Args:
        filterbank: An `audio.fbank.Filterbank`.
        normalisation: An `audio.fbank.FeatureNormalisation`.
        network: A network of this module.

    Call arguments:
        features: Filterbank energies, `[batch, frames, bands]`, not logarithmic.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.

    Example:
        ```python
        encoder = build("rescnn", stages=(16, 32, 64), embedding_dim=64)
        embedding = encoder(encoder.features(waveform))     # [batch, 64]
        ```
    """

    def __init__(self, filterbank, normalisation, network, **kwargs):
        # Half precision must not round energies before their logarithm is taken.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.filterbank = filterbank
        self.normalisation = normalisation
        self.network = network
        filterbank.build((None, None))  # `call` begins behind it

    @property
    def embedding_dim(self):
        """Size of an embedding."""
        return self.network.embedding_dim

    def features(self, waveform):
        """Filterbank energies `[batch, frames, bands]` of `[batch, samples]`."""
        return self.filterbank(waveform)

    def before_sphere(self, features, mask=None, training=None):
        """The network's affine output `[batch, dim]`, before it gets unit length."""
        x = self.normalisation(features, mask=mask)
        return self.network(x, mask=mask, training=training)

    def call(self, features, mask=None, training=None):
        return ops.normalize(self.before_sphere(features, mask, training), axis=-1)

    def compute_mask(self, inputs, mask=None):
        return None  # an embedding has no time axis

    def get_config(self):
        save = keras.saving.serialize_keras_object
        return {
            "filterbank": save(self.filterbank),
            "normalisation": save(self.normalisation),
            "network": save(self.network),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        parts = ("filterbank", "normalisation", "network")
        return cls(**{**config, **{name: load(config[name]) for name in parts}})


NETWORKS = {"rescnn": ResCNN, "gru": GRUNetwork}


def build(
    network="rescnn",
    *,
    stages=(64, 128, 256),
    block="simple",
    num_blocks=3,
    filters=64,
    units=(1024, 1024, 1024),
    embedding_dim=512,
    weight_decay=1e-5,
    log=True,
    norm="frame",
    front_end=None,
):
    """Builds a speaker encoder, ready to be called, from names and numbers only.

    Args:
        network: `"rescnn"` or `"gru"`; no other class can be named.
        stages, block, num_blocks: Arguments of `ResCNN`.
        filters, units: Arguments of `GRUNetwork`.
        embedding_dim, weight_decay: Arguments of both.
        log, norm: Arguments of `audio.fbank.FeatureNormalisation`.
        front_end: Dict of `audio.fbank.Filterbank` arguments. Defaults to 64 bands
            at 16 kHz.

    Returns:
        A built `SpeakerEncoder`.

    Raises:
        ValueError: If `network` is not known.
    """
    if network not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {sorted(NETWORKS)}. Received: {network!r}"
        )
    shape = {
        "rescnn": {"stages": stages, "block": block, "num_blocks": num_blocks},
        "gru": {"filters": filters, "units": units},
    }[network]
    filterbank = Filterbank(**(front_end or {}))
    encoder = SpeakerEncoder(
        filterbank,
        FeatureNormalisation(log=log, norm=norm),
        NETWORKS[network](
            embedding_dim=embedding_dim,
            weight_decay=weight_decay,
            name=network,
            **shape,
        ),
        name="speaker_encoder",
    )
    encoder(ops.ones((1, 32, filterbank.num_bands)))
    return encoder
