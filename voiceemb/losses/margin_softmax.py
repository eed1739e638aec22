"""Margin softmax: AM-softmax (CosFace) and AAM-softmax (ArcFace), with sub-centres.

`logit[c] = scale * cos(embedding, class c)`; in the loss, and only there, the cosine of
the true class is reduced by a margin:

`additive`: `cos(angle) - margin`, `additive_angular`: `cos(angle + margin)`.

Without a margin both are the softmax over cosines.

Reference:
    Additive margin softmax (Wang et al., 2018), https://arxiv.org/abs/1801.05599;
    ArcFace (Deng et al., 2019), https://arxiv.org/abs/1801.07698;
    Sub-center ArcFace (Deng et al., 2020), https://doi.org/10.1007/978-3-030-58621-8_43
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments
from voiceemb.losses.triplet import direction


def additive(cosine, margin):
    """`cos(angle) - margin`, of any shape."""
    return cosine - margin


def additive_angular(cosine, margin):
    """`cos(angle + margin)` as long as that falls with the angle, else a line.

    Beyond `angle = pi - margin` it would rise again and reward the worst. From there on
    the line `cos(angle) - (1 - cos(margin))` follows, which meets it at -1. (In the
    published code `cos(angle) - margin * sin(margin)` does, after a small jump.)

    The gradient is finite at a cosine of 1 and of -1, where that of the angle is not.

    Args:
        cosine: Of any shape, float32.
        margin: In radians, at least 0 and below `pi / 2`.
    """
    cos, sin = ops.cos(margin), ops.sin(margin)
    sine = ops.sqrt(ops.maximum((1 - cosine) * (1 + cosine), 1e-12))
    line = cosine - (1 - cos)
    return ops.where(cosine > -cos, cosine * cos - sine * sin, line)


MARGINS = {"am": additive, "aam": additive_angular}


def with_margin(logits, labels, *, head, margin, scale):
    """Logits with the margin subtracted from the true class.

    Args:
        logits: `scale * cosine`, float32 `[batch, classes]`.
        labels: The true classes, int `[batch]`.
        head: `"am"` or `"aam"`.
        margin: Float, or a scalar tensor.
        scale: That of the logits.
    """
    true = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    cosine = ops.sum(true * logits, axis=-1, keepdims=True) / scale
    margin = ops.cast(margin, logits.dtype)
    return logits + true * scale * (MARGINS[head](cosine, margin) - cosine)


@keras.saving.register_keras_serializable(package="voiceemb")
class CosineClasses(ConfiguredByArguments, layers.Layer):
    """Scaled cosines of vectors and classes; a class may have several centres.

    `logit[c] = scale * max over k of cos(x, centre[c, k])`

    Atypical utterances and wrong labels may take a centre of their own.

    Args:
        num_classes: Number of classes.
        sub_centres: Centres of each class. Defaults to `1`.
        scale: Float > 0; the logits lie within `-scale` and `scale`. Defaults to `30`.

    Call arguments:
        x: Vectors of any length, `[batch, dim]`.
    """

    def __init__(
        self, num_classes, sub_centres=1, scale=30.0, dtype="float32", **kwargs
    ):
        # Half precision would round cosines to steps as large as a margin's tenth.
        super().__init__(dtype=dtype, **kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be greater than 0. Received: {scale}")
        self.num_classes = num_classes
        self.sub_centres = sub_centres
        self.scale = scale
        self.check_min(sub_centres=1)

    def build(self, shape):
        self.centres = self.add_weight(
            name="centres",
            shape=(shape[-1], self.num_classes * self.sub_centres),
            initializer="lecun_normal",  # of about unit length, however many there are
        )

    def call(self, x):
        cosine = direction(x) @ direction(self.centres, axis=0)
        if self.sub_centres > 1:
            shape = (-1, self.num_classes, self.sub_centres)
            cosine = ops.max(ops.reshape(cosine, shape), axis=-1)
        return self.scale * cosine
