"""The base of networks over vectors: checks, config, and weights from the start."""

import keras
from keras import ops

from timbre.training.networks import ConfiguredByArguments


class DenoisingNetwork(ConfiguredByArguments, keras.Model):
    """A denoising network over vectors: the prediction that `Denoiser` trains.

    A subclass keeps each argument of its constructor as the attribute of its name, and
    calls `build_weights` last.

    Args:
        dim: Size of a sample.
        steps: T, the time of pure noise.
        classes: Number of classes of each label attribute. Defaults to none.

    Call arguments:
        inputs: `(x, t, labels)`: `x` `[batch, dim]`; `t` int `[batch]` in 1, ..., T;
            `labels` int `[batch, attributes]`, -1 where unknown. The last two may have
            one row that is meant for all.
    """

    def __init__(self, dim, steps, classes=(), **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.steps = steps
        self.classes = tuple(classes)
        self.check_min(dim=1, steps=1, classes=1)

    def build_weights(self):
        """Makes all weights at once: their shapes follow from the arguments."""
        labels = ops.zeros((1, len(self.classes)), "int32")
        self((ops.zeros((1, self.dim)), ops.ones((1,), "int32"), labels))
