"""Sets of voices, made ready: split by speaker, pooled, their labels counted.

A model that is to invent voices is judged by voices it has never met, so a set is
divided by speaker, and never a speaker's rows.
"""

import warnings

import numpy as np

from diffusion.speakers.scaling import has_unit_norm
from timbre.corpora.embeddings import EmbeddingSet

LEVELS = ("utterance", "speaker")


def split_by_speaker(voices, held=0.2, seed=0, *, level="utterance", blocks=()):
    """Splits a set in two that share no speaker.

    Who is held out depends on the names and the seed, and not on the order of rows.

    Args:
        voices: An `EmbeddingSet` whose speakers are known.
        held: Share of the speakers to hold out, in (0, 1); at least one, and not all.
            Defaults to `0.2`.
        seed: Of the draw. Defaults to `0`.
        level: `"utterance"` keeps the rows, `"speaker"` makes one of each speaker (see
            `mean_per_speaker`). Defaults to `"utterance"`.
        blocks: See `mean_per_speaker`. Defaults to one part.

    Returns:
        Two `EmbeddingSet`s, to train on and held out.

    Raises:
        ValueError: If there are fewer than two speakers, rows without a speaker, or
            rows that hold one number over and over.

    Warns:
        UserWarning: If there are fewer rows to train on than dimensions.
    """
    if not 0 < held < 1:
        raise ValueError(f"`held` must be between 0 and 1. Received: {held}")
    if level not in LEVELS:
        raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
    speaker = np.asarray(voices.speaker, str)
    _check(voices.embeddings, speaker)
    names = np.unique(speaker)
    if len(names) < 2:
        raise ValueError(
            "A set is divided by speaker and needs two or more. "
            f"Received: {len(voices)} rows of {len(names)} speaker"
        )
    count = min(max(round(held * len(names)), 1), len(names) - 1)
    chosen = np.random.default_rng(seed).permutation(names)[:count]
    if level == "speaker":
        voices = mean_per_speaker(voices, blocks)
    out = np.isin(voices.speaker, chosen)
    train, rest = voices.subset(~out), voices.subset(out)
    num, dim = np.shape(train.embeddings)
    if num < dim:
        warnings.warn(
            f"{num} rows to train on have fewer than {dim} dimensions: they span "
            "a part of the space only, and so will the voices learned from them",
            UserWarning,
            stacklevel=2,
        )
    return train, rest


def mean_per_speaker(voices, blocks=()):
    """One row of each speaker, speakers sorted: the mean of the speaker's rows.

    Where all rows have length 1, the mean is brought to length 1 too. A speaker keeps
    a label that no row contradicts; `segment` says how many rows were pooled.

    Args:
        voices: An `EmbeddingSet`.
        blocks: Dimensions of the parts of a concatenation, each with a sphere of its
            own. Defaults to one part.
    """
    points = np.asarray(voices.embeddings, np.float64)
    names, row, counts = np.unique(
        np.asarray(voices.speaker, str), return_inverse=True, return_counts=True
    )
    means = np.zeros((len(names), points.shape[1]))
    np.add.at(means, row, points)
    means /= counts[:, None]
    if has_unit_norm(points, blocks):
        ends = np.cumsum(blocks)[:-1]
        parts = np.split(means, ends, axis=1)
        lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        if min(length.min() for length in lengths) < 1e-6:
            raise ValueError(
                "Rows of a speaker must not cancel out. Received: a mean of 0"
            )
        means = np.concatenate([p / n for p, n in zip(parts, lengths, strict=True)], 1)
    return EmbeddingSet(
        means.astype(np.float32),
        names,
        np.array([f"mean of {count}" for count in counts]),
        {**voices.about, "level": "speaker"},
        {k: _agreed(v, row, len(names)) for k, v in voices.labels.items()},
    )


def build_vocabularies(voices, columns):
    """What values labels take, in the order of their codes.

    Args:
        voices: An `EmbeddingSet`, by custom the part to train on.
        columns: Names of labels.

    Returns:
        Dict, name to a tuple of values, sorted.

    Raises:
        ValueError: If there is no such label, or nothing known by it.
    """
    for name in columns:
        if name not in voices.labels or not any(voices.labels[name]):
            raise ValueError(
                "Labels must be known of some rows. Received: "
                f"{name!r}, where there are {sorted(voices.labels)}"
            )
    return {
        name: tuple(sorted({str(value) for value in voices.labels[name]} - {""}))
        for name in columns
    }


def class_indices(voices, vocabulary):
    """Labels as numbers.

    Args:
        voices: An `EmbeddingSet`; a label it does not have is unknown.
        vocabulary: What `build_vocabularies` gives.

    Returns:
        int32 `[n, len(vocabulary)]`, the place of each value in its vocabulary, and -1
        where it is unknown or none of them.
    """
    found = np.full((len(voices), len(vocabulary)), -1, np.int32)
    for column, (name, values) in enumerate(vocabulary.items()):
        place = {value: code for code, value in enumerate(values)}
        if name in voices.labels:
            found[:, column] = [place.get(str(v), -1) for v in voices.labels[name]]
    return found


def _check(points, speaker):
    """Refuses rows that can not be learned from, or not be divided by speaker."""
    unnamed = int((speaker == "").sum())
    if unnamed:
        raise ValueError(
            "Every row needs its speaker, or a voice could be on both sides. "
            f"Received: {unnamed} of {len(speaker)} rows without"
        )
    points = np.asarray(points)
    constant = np.flatnonzero((points == points[:, :1]).all(axis=1))
    if points.shape[1] != 1 and len(constant):
        raise ValueError(
            "A row must be a voice, not one number over and over. Received: "
            f"{len(constant)} such rows, the first is row {constant[0]}"
        )


def _agreed(column, row, num):
    """The one label of each of `num` groups of rows, `""` if there is none or two."""
    found = [set() for _ in range(num)]
    for group, value in zip(row, column, strict=True):
        found[group].add(str(value))
    known = [values - {""} for values in found]
    return np.array([v.pop() if len(v) == 1 else "" for v in known], str)
