"""Voices as points: speakers on a curved sheet, for models that hear no sound.

`x = unit(tanh(u) @ W + .05 * e @ V + .15 * n)`

with `u ~ N(0, 1)` in 12 dimensions, `e` and `n` in `dim`. The first coordinate of `u`
is moved by +-2.2, as a fair coin falls: the label `mode`, two ways to be a voice as
`gender` is. `W` `[12, dim]` and `V` `[dim, dim]` are standard normal and the same for
ever: every seed draws other voices of one world.
"""

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet

RANK = 12  # dimensions that tell most of a voice
APART = 2.2  # half the way between the modes, in deviations of `u`
WITHIN = 0.0225  # noise of an utterance, each dimension, about a speaker of length 1
WORLD = 2_718_281  # seeds W and V
MODES = np.array(["low", "high"])


def speakers(count, seed=0, dim=64) -> EmbeddingSet:
    """Draws speakers, one point each.

    The first speakers of a larger set are those of a smaller one.

    Args:
        count: How many, at least 1.
        seed: Which. Defaults to `0`.
        dim: Length of an embedding. Defaults to `64`.

    Returns:
        A set of unit vectors `[count, dim]` with the label `mode`.
    """
    if count < 1 or dim < 1:
        raise ValueError(
            f"`count` and `dim` must be at least 1. Received: {count} and {dim}"
        )
    coin, u, e, n = (np.random.default_rng([seed, i]) for i in range(4))
    world = np.random.default_rng(WORLD)
    sheet, blur = world.normal(size=(RANK, dim)), world.normal(size=(dim, dim))
    mode = coin.integers(2, size=count)
    place = u.normal(size=(count, RANK))
    place[:, 0] += APART * (2 * mode - 1)
    noise = 0.05 * e.normal(size=(count, dim)) @ blur
    noise += 0.15 * n.normal(size=(count, dim))
    names = np.array([f"voice{i:06d}" for i in range(count)])
    return EmbeddingSet(
        _unit(np.tanh(place) @ sheet + noise),
        names,
        names.copy(),
        _about(seed, dim),
        {"mode": MODES[mode]},
    )


def utterances(num_speakers=250, each=20, seed=0, dim=64, within=WITHIN):
    """Draws utterances that lie about their speakers: `unit(speaker + within * z)`.

    Args:
        num_speakers: Defaults to `250`.
        each: Utterances of each speaker. Defaults to `20`.
        seed: Which. Defaults to `0`.
        dim: Length of an embedding. Defaults to `64`.
        within: Deviation of each dimension; the speaker's point has length 1.
            Defaults to `WITHIN`, by which the nearest of 20 of one's own utterances
            is at a cosine of about .977.

    Returns:
        An `EmbeddingSet` of unit vectors `[num_speakers * each, dim]`, speaker by
        speaker, with the label `mode`.
    """
    if each < 1 or within < 0:
        raise ValueError(
            "`each` must be at least 1 and `within` at least 0. "
            f"Received: {each} and {within}"
        )
    one = speakers(num_speakers, seed, dim)
    many = one.subset(np.repeat(np.arange(num_speakers), each))
    z = np.random.default_rng([seed, 4]).normal(size=many.embeddings.shape)
    segment = [f"{name}/{i % each:03d}" for i, name in enumerate(many.speaker)]
    points = _unit(many.embeddings + within * z)
    return EmbeddingSet(
        points, many.speaker, np.array(segment), many.about, many.labels
    )


def _about(seed, dim):
    return {
        "extractor": "synthetic points",
        "dim": int(dim),
        "normalisation": "unit length",
        "seed": int(seed),
    }


def _unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
