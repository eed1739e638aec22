"""Trial scoring: domain centring, cosine scores, adaptive score normalisation.

    embeddings -> `centre` -> `cosine_scores` -> `as_norm` -> scores

The distribution of cosines depends on the voice, the channel and the language. `centre`
subtracts what all recordings of a domain share, `as_norm` normalises a score by those
of both sides with an impostor cohort. Neither needs speaker labels. Memory is bounded.
"""

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.arrays import check_rows, row_blocks, row_norms
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
    embeddings = check_rows(embeddings, "embeddings", min_rows=1)
    mean = np.asarray(embeddings.mean(axis=0) if mean is None else mean, np.float64)
    if mean.shape != embeddings.shape[1:] or not np.isfinite(mean).all():
        raise ValueError(
            "`mean` must be a finite vector as long as an embedding. "
            f"Received: shape {mean.shape} for embeddings {embeddings.shape}"
        )
    embeddings = embeddings - mean
    return embeddings / row_norms(embeddings)[:, None]


def cosine_scores(embeddings: ArrayLike, trials: Trials) -> np.ndarray:
    """Cosine of both sides of every trial, float64 `[trials]`.

    Products and sums are float64 whatever the embeddings are, and the score of a
    trial does not depend on the trials beside it.

    Args:
        embeddings: One row per utterance of `trials.segments`, `[utterances, dim]`;
            rows need not be unit vectors. A zero row scores 0 against all.
        trials: The pairs.
    """
    embeddings = _of_trials(embeddings, trials)
    return rowwise_cosines(embeddings, embeddings, trials.enrol, trials.test)


def rowwise_cosines(
    left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray
) -> np.ndarray:
    """Cosine of `left[left_rows[i]]` and `right[right_rows[i]]` for every `i`.

    Args:
        left, right: `[rows, dim]` and `[other rows, dim]`.
        left_rows, right_rows: Int `[pairs]` each.

    Returns:
        float64 `[pairs]`.
    """
    left_norms = row_norms(left)
    right_norms = left_norms if right is left else row_norms(right)
    scores = np.empty(len(left_rows))
    size = max(1, BLOCK_BYTES // (16 * max(1, left.shape[1])))
    for start in range(0, len(scores), size):
        block = slice(start, start + size)
        i, j = left_rows[block], right_rows[block]
        rows, others = left[i].astype(np.float64), right[j].astype(np.float64)
        dots = np.einsum("nd,nd->n", rows, others)
        scores[block] = dots / (left_norms[i] * right_norms[j])
    return scores


def cohort_statistics(
    embeddings: ArrayLike, cohort: ArrayLike, *, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every utterance's `top` highest cosines with a cohort.

    Args:
        embeddings: `[utterances, dim]`.
        cohort: Embeddings of speakers who are in no trial, `[members, dim]`; one row
            a speaker, the mean of its utterances, is customary.
        top: How many of the nearest members count, `2 <= top <= members`.

    Returns:
        Means and standard deviations, float64 `[utterances]` each.

    Raises:
        ValueError: If an utterance has the same cosine with all its nearest members.
    """
    embeddings = _finite(embeddings)
    cohort = check_rows(cohort, "cohort", min_rows=1)
    if cohort.shape[1] != embeddings.shape[1] or not 2 <= top <= len(cohort):
        raise ValueError(
            "`cohort` must hold `top` rows as long as an embedding, `top` at least 2. "
            f"Received: cohort {cohort.shape}, embeddings {embeddings.shape}, top {top}"
        )
    cohort = cohort / row_norms(cohort)[:, None]
    means, deviations = np.empty((2, len(embeddings)))
    for block in row_blocks(len(embeddings), 2 * sum(cohort.shape)):
        rows = embeddings[block].astype(np.float64)
        cosines = (rows / row_norms(rows)[:, None]) @ cohort.T  # [block, members]
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
) -> np.ndarray:
    """Adaptive symmetric score normalisation (AS-norm) by an impostor cohort.

    `((s - mean[enrol]) / deviation[enrol] + (s - mean[test]) / deviation[test]) / 2`

    with `mean` and `deviation` of an utterance's `top` highest cosines in the cohort,
    computed once an utterance. With `top=len(cohort)` it is symmetric normalisation,
    S-norm. The cohort must match the trials in language and channel.

    Args:
        scores: Cosine of each trial, `[trials]`.
        trials, embeddings: As for `cosine_scores`.
        cohort: As for `cohort_statistics`, `[members, dim]`.
        top: How many nearest members of the cohort count. Defaults to `200`.

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
    means, deviations = cohort_statistics(embeddings, cohort, top=top)
    normed = np.zeros(len(trials))
    for start in range(0, len(trials), 65536):
        block = slice(start, start + 65536)
        for rows in (trials.enrol[block], trials.test[block]):
            normed[block] += (scores[block] - means[rows]) / (2 * deviations[rows])
    return normed


def _of_trials(embeddings, trials) -> np.ndarray:
    embeddings = _finite(embeddings)
    if len(embeddings) != len(trials.segments):
        raise ValueError(
            "`embeddings` must have one row per utterance of the trials. Received: "
            f"shape {embeddings.shape} for {len(trials.segments)} utterances"
        )
    return embeddings


def _finite(rows) -> np.ndarray:
    """Embeddings as an array `[rows, dim]` of finite numbers, of their own type."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"`embeddings` must be [rows, dim]. Received: {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("`embeddings` must be finite. Received: NaN or infinity")
    return rows
