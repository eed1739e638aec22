"""Trial scoring: domain centring, cosine scores, adaptive score normalisation.

    embeddings -> `centre` -> `cosine_scores` -> `as_norm` -> scores

The distribution of cosines depends on the voice, the channel and the language. `centre`
subtracts what all recordings of a domain share, `as_norm` normalises a score by those
of both sides with an impostor cohort. Neither needs speaker labels. All work in blocks
of bounded memory.
"""

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.trials import Trials

BLOCK_BYTES = 2**21  # fits a processor's cache: four times as fast as 2**25


def centre(embeddings: ArrayLike, *, mean: ArrayLike | None = None) -> np.ndarray:
    """Subtract a domain's mean embedding and scale every row back to unit length.

    Channel and language shift the mean of a domain. It needs no labels, but many
    speakers: of a few, it contains their voices. Computed from the trials themselves,
    it is fitted to the test set without labels; say so beside the figure.

    Args:
        embeddings: `[utterances, dim]`.
        mean: The domain's mean embedding, `[dim]`, as `others.mean(axis=0)` gives it.
            Defaults to the mean of `embeddings`.

    Returns:
        float64 `[utterances, dim]`, unit vectors; a row that equals the mean is zero.
    """
    embeddings = _finite(embeddings, "embeddings").astype(np.float64)
    if mean is None:
        mean = embeddings.mean(axis=0)
    mean = np.asarray(mean, np.float64)
    if mean.shape != embeddings.shape[1:] or not np.isfinite(mean).all():
        raise ValueError(
            "`mean` must be a finite vector as long as an embedding. "
            f"Received: shape {mean.shape} for embeddings {embeddings.shape}"
        )
    embeddings -= mean
    return embeddings / _lengths(embeddings)[:, None]


def cosine_scores(
    embeddings: ArrayLike, trials: Trials, *, block_bytes: int = BLOCK_BYTES
) -> np.ndarray:
    """Cosine of both sides of every trial, in blocks of bounded memory.

    Products and sums are float64 whatever the embeddings are, and the score of a
    trial does not depend on the trials beside it.

    Args:
        embeddings: One row per utterance of `trials.segments`, `[utterances, dim]`;
            rows need not be unit vectors. A zero row scores 0 against all.
        trials: The pairs.
        block_bytes: Memory for the rows of one block. Defaults to 2 MiB.

    Returns:
        float64 `[trials]`.
    """
    embeddings = _of_trials(embeddings, trials)
    return rowwise_cosines(
        embeddings, embeddings, trials.enrol, trials.test, block_bytes=block_bytes
    )


def rowwise_cosines(
    left: np.ndarray,
    right: np.ndarray,
    left_rows: np.ndarray,
    right_rows: np.ndarray,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> np.ndarray:
    """Cosine of `left[left_rows[i]]` and `right[right_rows[i]]` for every `i`.

    Args:
        left: `[rows, dim]`.
        right: `[other rows, dim]`.
        left_rows: Int `[pairs]`.
        right_rows: Int `[pairs]`.
        block_bytes: Memory for the rows of one block. Defaults to 2 MiB.

    Returns:
        float64 `[pairs]`.
    """
    lengths = [_lengths(left)]
    lengths.append(lengths[0] if right is left else _lengths(right))
    scores = np.empty(len(left_rows))
    size = max(1, block_bytes // (16 * max(1, left.shape[1])))
    for start in range(0, len(scores), size):
        block = slice(start, start + size)
        i, j = left_rows[block], right_rows[block]
        rows, others = left[i].astype(np.float64), right[j].astype(np.float64)
        dots = np.einsum("nd,nd->n", rows, others)
        scores[block] = dots / (lengths[0][i] * lengths[1][j])
    return scores


def cohort_statistics(
    embeddings: ArrayLike, cohort: ArrayLike, *, top: int, block_bytes: int = 2**25
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every utterance's `top` highest cosines with a cohort.

    Args:
        embeddings: `[utterances, dim]`.
        cohort: Embeddings of speakers who are in no trial, `[members, dim]`; one row
            a speaker, the mean of its utterances, is customary.
        top: How many of the nearest members count, `2 <= top <= members`.
        block_bytes: Memory for one block beside the cohort. Defaults to 32 MiB.

    Returns:
        Means and standard deviations, float64 `[utterances]` each.

    Raises:
        ValueError: If an utterance has the same cosine with all its nearest members.
    """
    embeddings = _finite(embeddings, "embeddings")
    cohort = _finite(cohort, "cohort").astype(np.float64)
    if cohort.shape[1] != embeddings.shape[1] or not 2 <= top <= len(cohort):
        raise ValueError(
            "`cohort` must hold `top` rows as long as an embedding, `top` at least 2. "
            f"Received: cohort {cohort.shape}, embeddings {embeddings.shape}, top {top}"
        )
    cohort /= _lengths(cohort)[:, None]
    means, deviations = np.empty((2, len(embeddings)))
    size = max(1, block_bytes // (8 * (2 * len(cohort) + 2 * cohort.shape[1])))
    for start in range(0, len(embeddings), size):
        block = slice(start, start + size)
        rows = embeddings[block].astype(np.float64)
        cosines = (rows / _lengths(rows)[:, None]) @ cohort.T  # [block, members]
        cosines.partition(len(cohort) - top, axis=1)
        nearest = cosines[:, len(cohort) - top :]
        means[block] = nearest.mean(axis=1)
        deviations[block] = nearest.std(axis=1)
    if (flat := deviations < 1e-9).any():
        raise ValueError(
            "A cohort must differ in its nearest members to give a scale. "
            f"Received: one cosine for all {top} of {int(flat.sum())} utterances"
        )
    return means, deviations


def as_norm(
    scores: ArrayLike,
    trials: Trials,
    embeddings: ArrayLike,
    cohort: ArrayLike,
    *,
    top: int = 200,
    block_bytes: int = 2**25,
) -> np.ndarray:
    """Adaptive symmetric score normalisation (AS-norm) by an impostor cohort.

    `((s - mean[enrol]) / deviation[enrol] + (s - mean[test]) / deviation[test]) / 2`

    with `mean` and `deviation` of an utterance's `top` highest cosines in the cohort,
    computed once an utterance. With `top=len(cohort)` it is symmetric normalisation,
    S-norm. The cohort must match the trials in language and channel.

    Args:
        scores: Cosine of each trial, `[trials]`.
        trials: The pairs.
        embeddings: One row per utterance of `trials.segments`, `[utterances, dim]`.
        cohort: Embeddings of speakers who are in no trial, `[members, dim]`.
        top: How many nearest members of the cohort count. Defaults to `200`.
        block_bytes: Memory for one block beside the cohort. Defaults to 32 MiB.

    Returns:
        float64 `[trials]`; not a cosine any more, and unbounded.

    Reference:
        Analysis of Score Normalization in Multilingual Speaker Recognition (Matejka et
        al., 2017), https://doi.org/10.21437/Interspeech.2017-803; Comparison of
        Speaker Recognition Approaches for Real Applications (Cumani et al., 2011)
    """
    embeddings = _of_trials(embeddings, trials)
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(trials),) or not np.isfinite(scores).all():
        raise ValueError(
            "`scores` must be finite, one a trial. "
            f"Received: shape {scores.shape} for {len(trials)} trials"
        )
    means, deviations = cohort_statistics(
        embeddings, cohort, top=top, block_bytes=block_bytes
    )
    normed = np.zeros(len(trials))
    for start in range(0, len(trials), 65536):
        block = slice(start, start + 65536)
        for rows in (trials.enrol[block], trials.test[block]):
            normed[block] += (scores[block] - means[rows]) / (2 * deviations[rows])
    return normed


def _of_trials(embeddings, trials) -> np.ndarray:
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or len(embeddings) != len(trials.segments):
        raise ValueError(
            "`embeddings` must have one row per utterance of the trials. Received: "
            f"shape {embeddings.shape} for {len(trials.segments)} utterances"
        )
    return _finite(embeddings, "embeddings")


def _finite(rows, name) -> np.ndarray:
    """The rows as an array `[rows, dim]` of finite numbers."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"`{name}` must be [rows, dim]. Received: shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinity")
    return rows


def _lengths(rows) -> np.ndarray:
    """Length of each row, float64 `[rows]`; 1 for a zero row."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    lengths[lengths == 0] = 1
    return lengths
