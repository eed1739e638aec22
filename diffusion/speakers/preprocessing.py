"""Embedding sets for training: split by speaker, averaged, their labels indexed."""

import warnings

import numpy as np

from diffusion.speakers.scaling import has_unit_norm
from timbre.corpora.embeddings import EmbeddingSet
from timbre.training.networks import check_choice

LEVELS = ("utterance", "speaker")


def split_by_speaker(embeddings, held_out=0.2, seed=0, *, level="utterance", blocks=()):
    """Splits a set in two that share no speaker: one to train on, one held out.

    Who is held out depends on the names and the seed, and not on the order of rows.

    Args:
        embeddings: An `EmbeddingSet` whose speakers are known.
        held_out: Share of the speakers to hold out, in (0, 1); at least one, and not
            all. Defaults to `0.2`.
        seed: Of the split. Defaults to `0`.
        level: `"utterance"` keeps the rows, `"speaker"` takes the mean of each speaker
            (see `mean_per_speaker`). Defaults to `"utterance"`.
        blocks: See `mean_per_speaker`. Defaults to one part.

    Raises:
        ValueError: If there are fewer than two speakers, rows without a speaker, or
            rows of one number repeated.

    Warns:
        UserWarning: If there are fewer rows to train on than dimensions.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"`held_out` must be between 0 and 1. Received: {held_out}")
    check_choice("level", level, LEVELS)
    speaker = np.asarray(embeddings.speaker, str)
    _check(embeddings.embeddings, speaker)
    names = np.unique(speaker)
    if len(names) < 2:
        raise ValueError(
            "A set is split by speaker and needs two or more. "
            f"Received: {len(speaker)} rows of {len(names)} speaker"
        )
    count = min(max(round(held_out * len(names)), 1), len(names) - 1)
    chosen = np.random.default_rng(seed).permutation(names)[:count]
    if level == "speaker":
        embeddings = mean_per_speaker(embeddings, blocks)
    out = np.isin(embeddings.speaker, chosen)
    train, rest = embeddings.subset(~out), embeddings.subset(out)
    num, dim = np.shape(train.embeddings)
    if num < dim:
        warnings.warn(
            f"{num} rows to train on have fewer than {dim} dimensions: they span "
            "a subspace only, and so will the embeddings generated from them",
            UserWarning,
            stacklevel=2,
        )
    return train, rest


def mean_per_speaker(embeddings, blocks=()):
    """One row of each speaker, speakers sorted: the mean of the speaker's rows.

    Where all rows have length 1, so have the means, and a mean of 0 is refused. A
    speaker keeps a label that no row contradicts; `segment` has the number of rows.

    Args:
        embeddings: An `EmbeddingSet`.
        blocks: Dimensions of the parts of a concatenation, each with a length of its
            own. Defaults to one part.
    """
    rows = np.asarray(embeddings.embeddings, np.float64)
    names, index, counts = np.unique(
        np.asarray(embeddings.speaker, str), return_inverse=True, return_counts=True
    )
    means = np.zeros((len(names), rows.shape[1]))
    np.add.at(means, index, rows)
    means /= counts[:, None]
    if has_unit_norm(rows, blocks):
        parts = np.split(means, np.cumsum(blocks)[:-1], axis=1)
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
        {**embeddings.about, "level": "speaker"},
        {k: _common_label(v, index, len(names)) for k, v in embeddings.labels.items()},
    )


def build_vocabularies(embeddings, columns):
    """Dict of labels to tuples of their values, sorted, in the order of class indices.

    Args:
        embeddings: An `EmbeddingSet`, by custom the training split.
        columns: Names of labels.

    Raises:
        ValueError: If there is no such label, or no row has it.
    """
    for name in columns:
        if name not in embeddings.labels or not any(embeddings.labels[name]):
            raise ValueError(
                "Labels must be known of some rows. Received: "
                f"{name!r}, where there are {sorted(embeddings.labels)}"
            )
    return {
        name: tuple(sorted({str(value) for value in embeddings.labels[name]} - {""}))
        for name in columns
    }


def class_indices(embeddings, vocabulary):
    """Labels as class indices, int32 `[n, len(vocabulary)]`, -1 where unknown.

    Args:
        embeddings: An `EmbeddingSet`; a label it does not have is unknown, and so is a
            value that its vocabulary does not have.
        vocabulary: What `build_vocabularies` gives.
    """
    indices = np.full((len(embeddings), len(vocabulary)), -1, np.int32)
    for column, (name, values) in enumerate(vocabulary.items()):
        index = {value: i for i, value in enumerate(values)}
        if name in embeddings.labels:
            found = [index.get(str(value), -1) for value in embeddings.labels[name]]
            indices[:, column] = found
    return indices


def _check(rows, speaker):
    """Refuses rows that can not be learned from, or not be split by speaker."""
    unnamed = int((speaker == "").sum())
    if unnamed:
        raise ValueError(
            "Every row needs its speaker, or a speaker could be in both splits. "
            f"Received: {unnamed} of {len(speaker)} rows without"
        )
    rows = np.asarray(rows)
    constant = np.flatnonzero((rows == rows[:, :1]).all(axis=1))
    if rows.shape[1] != 1 and len(constant):
        raise ValueError(
            "A row must be an embedding, not one number repeated. Received: "
            f"{len(constant)} constant rows, the first is row {constant[0]}"
        )


def _common_label(column, index, num):
    """The one label of each of `num` groups of rows, `""` if there is none or two."""
    groups = [set() for _ in range(num)]
    for group, value in zip(index, column, strict=True):
        groups[group].add(str(value))
    known = [values - {""} for values in groups]
    return np.array([v.pop() if len(v) == 1 else "" for v in known], str)
