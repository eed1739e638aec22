"""Fusion: several networks that listen together, in one model.

`embedding = concatenate(unit(unit(network(features)) - centre) for each network)
             / sqrt(networks)`

The centre of a network is the mean of what it says of the speakers it has learned from:
what all voices share is no part of a voice. It is zero until `packing.fuse` sets it.

So the cosine of two fused embeddings is the mean of the networks' cosines: what score
fusion does with several systems, at the price of a longer vector. Networks err apart
when they learned from other losses or other voices; then the mean errs less than each.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="voiceemb")
class Fusion(keras.Model):
    """Several networks over the same normalised features.

    Args:
        members: Networks of `voiceemb.networks.speaker_encoder`, at least two.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.

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

    @classmethod
    def arguments(cls):
        """Names of the arguments it is built from, see `voiceemb.networks.speaker_encoder.build`."""
        return {"members"}

    @property
    def embedding_dim(self):
        """Size of the output: all members' together."""
        return sum(member.embedding_dim for member in self.members)

    def build(self, features_shape):
        for member in self.members:
            member.build(features_shape)

    def call(self, features, mask=None, training=None):
        points = []
        for member, centre in zip(self.members, self.centres, strict=True):
            said = member(features, mask=mask, training=training)
            points.append(ops.normalize(ops.normalize(said, axis=-1) - centre, axis=-1))
        return ops.concatenate(points, axis=-1) / len(points) ** 0.5

    def compute_mask(self, inputs, mask=None):
        return None  # every member has used it up

    def get_config(self):
        save = keras.saving.serialize_keras_object
        return {"members": [save(member) for member in self.members], "name": self.name}

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls(**{**config, "members": [load(m) for m in config["members"]]})
