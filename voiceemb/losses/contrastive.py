"""Contrasts: an utterance must find its speaker among all others of the batch.

A batch holds `[speakers, utterances, dim]` unit embeddings, one speaker in each row and
no speaker in two. Every contrast is the cross entropy of a choice by scaled cosines,

`loss = log(sum over k of exp(scale * cos[k])) - scale * cos[true]`,

and they differ in who is asked and who can be chosen. An encoder that maps all voices
to one point chooses at random: it scores the logarithm of the number of choices.

The papers write `w * cos + b` with learnt `w > 0` and `b`. Here `w` is `scale`, and `b`
is left out: it is the same for every choice, so it cancels in the cross entropy.
"""

import math

import keras
from keras import ops

from voiceemb.losses import mining
from voiceemb.losses.triplet import direction, scaled, weighted_mean
from voiceemb.training.trainers import DistanceLearner


def ge2e(embedding, labels, *, scale):
    """Every utterance chooses among the centroids of the speakers.

    An utterance is left out of its own speaker's centroid, or it would find itself
    there. One point for all voices scores `log(speakers)`.

    Args:
        embedding: Unit vectors, `[speakers, utterances, dim]`, two utterances or more.
        labels: Unused: the rows are the speakers.
        scale: `w`, greater than 0.

    Returns:
        The mean over utterances, a scalar (the paper takes the sum).

    Reference:
        Generalized End-to-End Loss (Wan et al., 2018), equations 5, 6, 8 and 9,
        https://arxiv.org/abs/1710.10467
    """
    total = ops.sum(embedding, axis=1, keepdims=True)  # [speakers, 1, dim]
    cosine = embedding @ ops.transpose(direction(total[:, 0]))
    own = ops.sum(embedding * direction(total - embedding), axis=-1, keepdims=True)
    true = ops.eye(ops.shape(embedding)[0], dtype="bool")[:, None]
    logits = scale * ops.where(true, own, cosine)  # [speakers, utterances, speakers]
    return ops.mean(ops.logsumexp(logits, axis=-1) - scale * own[..., 0])


def prototypical(embedding, labels, *, scale):
    """The last utterance of each speaker chooses among the means of the others.

    One point for all voices scores `log(speakers)`.

    Args:
        embedding: Unit vectors, `[speakers, utterances, dim]`, two utterances or more.
        labels: Unused: the rows are the speakers.
        scale: `w`, greater than 0.

    Returns:
        The mean over speakers, a scalar.

    Reference:
        Prototypical networks (Snell et al., 2017), https://arxiv.org/abs/1703.05175;
        the angular form: In defence of metric learning for speaker recognition (Chung
        et al., 2020), section 2.2, https://arxiv.org/abs/2003.11982
    """
    query = direction(embedding[:, -1])
    prototype = direction(ops.sum(embedding[:, :-1], axis=1))
    logits = scale * query @ ops.transpose(prototype)  # [speakers, speakers]
    own = scale * ops.sum(query * prototype, axis=-1)
    return ops.mean(ops.logsumexp(logits, axis=-1) - own)


def supcon(embedding, labels, *, scale):
    """Every utterance chooses among all other utterances; each of its own is right.

    One point for all voices scores `log(rows - 1)`.

    Args:
        embedding: Unit vectors, `[speakers, utterances, dim]`.
        labels: Speakers, int `[speakers, utterances]`; any row may hold any speaker.
        scale: One over the temperature.

    Returns:
        The mean over utterances whose speaker has another one, a scalar (the paper
        takes the sum).

    Reference:
        Supervised contrastive learning (Khosla et al., 2020), equation 2,
        https://arxiv.org/abs/2004.11362
    """
    rows = ops.reshape(embedding, (-1, embedding.shape[-1]))
    positive, negative = mining.relations(ops.reshape(labels, (-1,)))
    logits = scale * rows @ ops.transpose(rows)
    others = ops.logical_or(positive, negative)
    chosen = ops.logsumexp(ops.where(others, logits, -1e9), axis=-1)
    positive = ops.cast(positive, "float32")
    count = ops.sum(positive, axis=-1)
    own = ops.sum(positive * logits, axis=-1) / ops.maximum(count, 1.0)
    return weighted_mean(chosen - own, ops.cast(count > 0, "float32"))


CONTRASTS = {contrast.__name__: contrast for contrast in (ge2e, prototypical, supcon)}


@keras.saving.register_keras_serializable(package="voiceemb")
class ContrastLearner(DistanceLearner):
    """Learns distances by choosing speakers in a batch `[speakers, utterances, ...]`.

    A contrast couples all rows of its batch: more speakers make a harder choice. Over
    replicas each chooses among its own speakers, and the losses are averaged.

    Args:
        encoder: A `SpeakerEncoder`.
        contrast: `"ge2e"`, `"prototypical"` or `"supcon"`. Defaults to `"ge2e"`.
        temperature: Float > 0, one over the scale of the cosines. `"ge2e"` and
            `"prototypical"` begin with it and learn their own. Defaults to `0.1`.

    Call arguments:
        features: Energies, `[speakers, utterances, frames, bands]`.
    """

    SETTINGS = ("contrast", "temperature")

    def __init__(self, encoder, contrast="ge2e", temperature=0.1, **kwargs):
        super().__init__(encoder, **kwargs)
        if contrast not in CONTRASTS:
            raise ValueError(
                f"`contrast` must be one of {sorted(CONTRASTS)}. Received: {contrast!r}"
            )
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be greater than 0. Received: {temperature}"
            )
        self.contrast = contrast
        self.temperature = temperature
        if contrast != "supcon":
            self.log_scale = self.add_weight(
                name="log_scale",  # its exponential is positive whatever is learnt
                shape=(),
                initializer=keras.initializers.Constant(-math.log(temperature)),
                dtype="float32",
            )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The contrast of embeddings `y_pred` of speakers `y`, and weight decay.

        Args:
            x, sample_weight, training: Unused.
            y: Speakers, int `[speakers, utterances]`.
            y_pred: Unit embeddings, `[speakers, utterances, dim]`.
        """
        loss = CONTRASTS[self.contrast](y_pred, y, scale=self.scale())
        return scaled(loss) + self.penalty()

    def scale(self):
        """What cosines are multiplied by."""
        if self.contrast == "supcon":
            return 1 / self.temperature
        return ops.exp(self.log_scale)
