"""Base class of speaker networks.

A network maps normalised features `[batch, frames, bands]` of any length to an affine
output `[batch, dim]`; `networks.speaker_encoder` brings it to unit length.
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments


class SpeakerNetwork(ConfiguredByArguments, keras.Model):
    """A speaker network; a subclass calls `affine` last.

    Args:
        embedding_dim: Size of the output. Defaults to `512`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.
    """

    def __init__(self, embedding_dim=512, weight_decay=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.embedding_dim = embedding_dim
        self.weight_decay = weight_decay
        self.check_min(embedding_dim=1)
        # Half precision would round embeddings before they are compared.
        self.affine = layers.Dense(embedding_dim, dtype="float32", name="affine")

    def build(self, features_shape):
        """Builds all layers by one eager call; Keras would trace each level twice."""
        self.call(ops.ones((1, 32, features_shape[-1])))

    def compute_mask(self, inputs, mask=None):
        return None  # time is pooled away
