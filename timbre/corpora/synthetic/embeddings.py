"""Synthetic speaker embeddings, for models that need no sound.

`x = unit(tanh(u) @ W + .05 * e @ V + .15 * n)`

with `u ~ N(0, 1)` in 12 dimensions, `e` and `n` in `dim`. The first coordinate of `u`
is shifted by +-2.2 with equal chance: the label `mode`, bimodal as `gender` is. So
speakers lie near a curved manifold of 12 dimensions. `W` `[12, dim]` and `V`
`[dim, dim]` are standard normal and fixed, whatever the seed.
"""

import dataclasses

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet

RANK = 12  # dimensions of the manifold
MODE_SHIFT = 2.2  # half the distance of the modes, in deviations of `u`
WITHIN = 0.0225  # within-speaker deviation of each dimension, of unit vectors
WORLD = 2_718_281  # seeds W and V
MODES = np.array(["low", "high"])


def sample_speakers(count: int, seed: int = 0, dim: int = 64) -> EmbeddingSet:
    """Sample speakers, one embedding each; the first of more are those of fewer.

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
    place[:, 0] += MODE_SHIFT * (2 * mode - 1)
    noise = 0.05 * e.normal(size=(count, dim)) @ blur
    noise += 0.15 * n.normal(size=(count, dim))
    names = np.array([f"voice{i:06d}" for i in range(count)])
    about = {"extractor": "synthetic points", "dim": int(dim)}
    about |= {"normalisation": "unit length", "seed": int(seed)}
    embeddings, labels = _unit(np.tanh(place) @ sheet + noise), {"mode": MODES[mode]}
    return EmbeddingSet(embeddings, names, names.copy(), about, labels)


def sample_utterances(
    num_speakers: int = 250,
    each: int = 20,
    seed: int = 0,
    dim: int = 64,
    within: float = WITHIN,
) -> EmbeddingSet:
    """Sample utterances around speakers: `unit(speaker + within * z)`, `z ~ N(0, 1)`.

    Args:
        num_speakers: Defaults to `250`.
        each: Utterances of each speaker. Defaults to `20`.
        seed, dim: As for `sample_speakers`.
        within: Within-speaker deviation of each dimension. Defaults to `WITHIN`, for
            which the nearest of a speaker's 20 utterances has a cosine of about .977.

    Returns:
        A set of unit vectors `[num_speakers * each, dim]`, speaker by speaker, with
        the label `mode`.
    """
    if each < 1 or within < 0:
        raise ValueError(
            "`each` must be at least 1 and `within` at least 0. "
            f"Received: {each} and {within}"
        )
    one = sample_speakers(num_speakers, seed, dim)
    many = one.subset(np.repeat(np.arange(num_speakers), each))
    z = np.random.default_rng([seed, 4]).normal(size=many.embeddings.shape)
    names = [f"{name}/{i % each:03d}" for i, name in enumerate(many.speaker)]
    embeddings = _unit(many.embeddings + within * z)
    return dataclasses.replace(many, embeddings=embeddings, segment=np.array(names))


def _unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
