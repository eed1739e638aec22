"""Contrastive losses: GE2E, angular prototypical, supervised contrastive (SupCon).

A batch holds `[speakers, utterances, dim]` unit embeddings, one speaker in each row and
no speaker in two. Every loss is a softmax cross entropy over scaled cosines,

`loss = log(sum over k of exp(scale * cos[k])) - scale * cos[true]`,

and they differ in the queries and in the candidates `k`. An encoder that maps all
voices to one point scores the logarithm of the number of candidates.

The papers write `w * cos + b` with learnt `w > 0` and `b`. Here `w` is `scale`, and `b`
is left out: it is the same for every candidate, so it cancels in the cross entropy.
"""

from keras import ops

from voiceemb.losses import mining
from voiceemb.losses.triplet import direction, weighted_mean


def ge2e(embedding, labels, *, scale):
    """Generalized end-to-end loss: utterances against the centroids of the speakers.

    An utterance is left out of its own speaker's centroid. One point for all voices
    scores `log(speakers)`.

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
    """Angular prototypical loss: the last utterance of each speaker is the query, the
    means of the other utterances are the prototypes.

    One point for all voices scores `log(speakers)`.

    Args:
        embedding, labels, scale: As for `ge2e`.

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
    """Supervised contrastive loss: all other utterances of a speaker are positives.

    One point for all voices scores `log(rows - 1)`.

    Args:
        embedding: Unit vectors, `[speakers, utterances, dim]`.
        labels: Speakers, int `[speakers, utterances]`; any row may hold any speaker.
        scale: One over the temperature.

    Returns:
        The mean over utterances whose speaker has another one (the paper's is the sum).

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


CONTRASTIVE_LOSSES = {loss.__name__: loss for loss in (ge2e, prototypical, supcon)}
