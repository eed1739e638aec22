"""The original network of SpeakerDiff: dense layers whose units have gains by time.

`x <- softplus(gain[t] * (x @ kernel + bias))`, four times, then one plain dense layer.

Every time has its own learned gains, so times share nothing: kept for comparison.
"""

import keras
from keras import layers, ops

from diffusion.networks.base import DenoisingNetwork
from diffusion.networks.conditioning import LabelEmbeddings

HIDDEN = (128, 264, 128, 100)  # of the original, whose samples had 128 dimensions


@keras.saving.register_keras_serializable(package="diffusion")
class Linear(DenoisingNetwork):
    """Dense layers with gains by time; labels are embedded and added in the first.

    Args:
        dim, steps, classes: See `DenoisingNetwork`.
        hidden: Widths of the hidden layers. Defaults to those of the original,
            `(128, 264, 128, 100)`, which grow with `dim / 128` above 128 dimensions;
            at 64 dimensions and 100 steps the network has 157,660 weights.
    """

    def __init__(self, dim, steps, classes=(), hidden=None, **kwargs):
        super().__init__(dim, steps, classes, **kwargs)
        if hidden is None:
            hidden = [round(width * max(1, dim / 128)) for width in HIDDEN]
        self.hidden = tuple(hidden)
        self.check_min(hidden=1)
        uniform = keras.initializers.RandomUniform
        self.kernels = [layers.Dense(width) for width in self.hidden]
        self.gains = [
            layers.Embedding(steps, width, uniform(0.0, 1.0)) for width in self.hidden
        ]
        if self.classes:
            self.label = LabelEmbeddings(self.classes, self.hidden[0], name="label")
        self.leave = layers.Dense(dim, dtype="float32", name="leave")
        self.build_weights()

    def call(self, inputs):
        x, t, labels = inputs
        for i, (kernel, gain) in enumerate(zip(self.kernels, self.gains, strict=True)):
            x = kernel(x)
            if self.classes and not i:
                x = x + self.label(labels)
            x = ops.softplus(gain(t - 1) * x)  # times begin at 1, rows at 0
        return self.leave(x)
