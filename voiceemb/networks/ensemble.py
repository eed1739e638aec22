"""Embedding-level fusion: an ensemble of speaker networks as one model.

`embedding = concatenate(unit(unit(network(features)) - centre) for each network)
             / sqrt(networks)`

The centre of a network is the mean of its embeddings of the training speakers: what all
speakers share does not discriminate. It is zero until `bundle.fuse` sets it.

So the cosine of two fused embeddings is the mean of the networks' cosines, as score
fusion of several systems. It helps most where their errors are independent: with other
losses or other training data.
"""

import keras
from keras import ops

from timbre.training.networks import ConfiguredByArguments


@keras.saving.register_keras_serializable(package="voiceemb")
class Fusion(ConfiguredByArguments, keras.Model):
    """Several networks over the same normalised features.

    Args:
        members: Networks of `voiceemb.networks.speaker_encoder`, at least two.

    Call arguments:
        features, mask: See `voiceemb.networks.base.SpeakerNetwork`.

    Returns:
        `[batch, embedding_dim]`, of unit length.
    """

    def __init__(self, members, **kwargs):
        super().__init__(**kwargs)
        if len(members) < 2:
            raise ValueError(
                f"`members` must be at least two networks. Received: {len(members)}"
            )
        self.supports_masking = True
        self.members = list(members)
        self.centres = [
            self.add_weight(
                name=f"centre_{i}",
                shape=(member.embedding_dim,),
                initializer="zeros",
                trainable=False,
            )
            for i, member in enumerate(self.members)
        ]

    @property
    def embedding_dim(self):
        """Size of the output: all members' together."""
        return sum(member.embedding_dim for member in self.members)

    def build(self, features_shape):
        for member in self.members:
            member.build(features_shape)

    def call(self, features, mask=None, training=None):
        embeddings = []
        for member, centre in zip(self.members, self.centres, strict=True):
            x = ops.normalize(member(features, mask=mask, training=training), axis=-1)
            embeddings.append(ops.normalize(x - centre, axis=-1))
        return ops.concatenate(embeddings, axis=-1) / len(embeddings) ** 0.5

    def compute_mask(self, inputs, mask=None):
        return None  # pooled away by every member

    def get_config(self):
        return keras.saving.serialize_keras_object(super().get_config())

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))
