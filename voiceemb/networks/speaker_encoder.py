"""Speaker encoder model: filterbank, feature normalisation, network, unit length.

`embedding = unit(network(normalise(energies)))`

All networks map normalised features `[batch, frames, bands]` of any length to an affine
output `[batch, dim]`; the encoder brings it to unit length.
"""

import keras
from keras import ops

from timbre.audio.filterbank import Filterbank
from timbre.audio.normalisation import FeatureNormalisation
from timbre.training import networks
from voiceemb.networks.deep_speaker import GRUNetwork, ResCNN
from voiceemb.networks.ecapa import ECAPATDNN
from voiceemb.networks.ensemble import Fusion
from voiceemb.networks.resnet import ResNet

# The closed registry: no other class can be named by a config.
NETWORKS = {
    "rescnn": ResCNN,
    "gru": GRUNetwork,
    "ecapa": ECAPATDNN,
    "resnet": ResNet,
    "fusion": Fusion,
}


@keras.saving.register_keras_serializable(package="voiceemb")
class SpeakerEncoder(keras.Model):
    """From filterbank energies to embeddings of unit length.

    `features` maps waveforms to those energies, which a cache may hold.

    Args:
        filterbank: A `timbre.audio.filterbank.Filterbank`.
        normalisation: A `timbre.audio.normalisation.FeatureNormalisation`.
        network: One of `NETWORKS`.

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

    def build(self, features_shape):
        self.normalisation.build(features_shape)
        self.network.build(features_shape)

    @property
    def embedding_dim(self):
        """Size of an embedding."""
        return self.network.embedding_dim

    def features(self, waveform):
        """Filterbank energies `[batch, frames, bands]` of `[batch, samples]`."""
        return self.filterbank(waveform)

    def affine_output(self, features, mask=None, training=None):
        """The network's affine output `[batch, dim]`, before it gets unit length."""
        x = self.normalisation(features, mask=mask)
        return self.network(x, mask=mask, training=training)

    def call(self, features, mask=None, training=None):
        return ops.normalize(self.affine_output(features, mask, training), axis=-1)

    def compute_mask(self, inputs, mask=None):
        return None  # an embedding has no time axis

    def get_config(self):
        names = ("filterbank", "normalisation", "network", "name")
        own = {name: getattr(self, name) for name in names}
        return keras.saving.serialize_keras_object(own)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))


def build(network="rescnn", *, log=True, norm="frame", front_end=None, **arguments):
    """Builds a speaker encoder, ready to be called, from names and numbers only.

    Args:
        network: `"rescnn"`, `"gru"`, `"ecapa"`, `"resnet"` or `"fusion"`.
        log, norm: Arguments of `timbre.audio.normalisation.FeatureNormalisation`.
        front_end: Dict of arguments of `timbre.audio.filterbank.Filterbank`. Defaults
            to 64 bands at 16 kHz.
        **arguments: Those of any of the networks, which takes the ones it knows; for a
            fusion `members`, a list of dicts of `network` and its arguments.

    Raises:
        ValueError: If `network` is not known, or a value is not possible.
        TypeError: If no network has an argument of that name.

    Example:
        ```python
        encoder = build("ecapa", channels=128, front_end={"num_bands": 80})
        ```
    """
    own = _build_network(network, arguments)
    filterbank = Filterbank(**(front_end or {}))
    encoder = SpeakerEncoder(
        filterbank,
        FeatureNormalisation(log=log, norm=norm),
        own,
        name="speaker_encoder",
    )
    encoder.build((None, None, filterbank.num_bands))
    return encoder


def _build_network(network, arguments, name=None):
    kind, own = networks.select(NETWORKS, network, arguments)
    if network == "fusion":
        members = [dict(member) for member in own.get("members", ())]
        own["members"] = [
            _build_network(member.pop("network", None), member, f"member_{i}")
            for i, member in enumerate(members)
        ]
    return kind(**own, name=name or network)
