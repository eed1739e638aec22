"""What all speaker networks share.

A network maps normalised features `[batch, frames, bands]` of any length to an affine
output `[batch, dim]`; `voiceemb.networks.speaker_encoder` takes the last step, onto the sphere.
"""

import keras
from keras import layers, ops


class Network(keras.Model):
    """A speaker network: input checks, its config, and the affine layer at the end.

    A subclass names its own arguments in `ARGUMENTS`, keeps each as the attribute of
    its name, and calls `affine` last.

    Args:
        embedding_dim: Size of the output. Defaults to `512`.
        weight_decay: L2 penalty on convolution kernels. Defaults to `1e-5`.

    Call arguments:
        features: Normalised features, `[batch, frames, bands]`.
        mask: `None`, or bool `[batch, frames]`, true where a frame is not padding.

    Attributes:
        ARGUMENTS: Names of the arguments that only this network has.
    """

    ARGUMENTS = ()

    @classmethod
    def arguments(cls):
        """Names of the arguments it is built from, see `voiceemb.networks.speaker_encoder.build`."""
        return {*cls.ARGUMENTS, "embedding_dim", "weight_decay"}

    def __init__(self, embedding_dim=512, weight_decay=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.embedding_dim = embedding_dim
        self.weight_decay = weight_decay
        self.check_least(embedding_dim=1)
        # Half precision would round embeddings before they are compared.
        self.affine = layers.Dense(embedding_dim, dtype="float32", name="affine")

    def check_least(self, **limits):
        """Refuses arguments, numbers or tuples of them, below their limits."""
        for name, limit in limits.items():
            value = getattr(self, name)
            least = min(value) if isinstance(value, tuple) else value
            if least is not None and least < limit:
                raise ValueError(
                    f"`{name}` must be at least {limit}. Received: {value}"
                )

    def build(self, features_shape):
        """Builds all layers by one eager call: Keras would trace twice at each level.

        Args:
            features_shape: `(batch, frames, bands)`.
        """
        self.call(ops.ones((1, 32, features_shape[-1])))

    def compute_mask(self, inputs, mask=None):
        return None  # pooling over time has used it up

    def get_config(self):
        names = (*self.ARGUMENTS, "embedding_dim", "weight_decay", "name")
        return {name: getattr(self, name) for name in names}
