"""Scores of trials: how alike both sides are, in blocks of bounded memory."""

import numpy as np

from metrics.trials import Trials


def cosine_scores(embeddings, trials: Trials, *, block_bytes=2**25) -> np.ndarray:
    """Cosine of both sides of every trial, in blocks of bounded memory.

    Args:
        embeddings: One row per utterance of `trials.segments`, `[utterances, dim]`;
            rows need not be unit vectors. A zero row scores 0 against all.
        trials: The pairs.
        block_bytes: Memory for the rows of one block. Defaults to 32 MiB.

    Returns:
        float64 `[trials]`.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or len(embeddings) != len(trials.segments):
        raise ValueError(
            "`embeddings` must have one row per utterance of the trials. Received: "
            f"shape {embeddings.shape} for {len(trials.segments)} utterances"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("`embeddings` must be finite. Received: NaN or infinity")
    norms = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    norms[norms == 0] = 1
    scores = np.empty(len(trials))
    size = max(1, block_bytes // (16 * max(1, embeddings.shape[1])))
    for start in range(0, len(trials), size):
        enrol, test = (
            side[start : start + size] for side in (trials.enrol, trials.test)
        )
        left, right = (embeddings[side].astype(np.float64) for side in (enrol, test))
        dots = np.einsum("nd,nd->n", left, right)
        scores[start : start + size] = dots / (norms[enrol] * norms[test])
    return scores
