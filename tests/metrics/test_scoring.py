"""Cosine scores against NumPy, and their memory."""

import tracemalloc

import numpy as np
import pytest

from metrics.scoring import cosine_scores
from metrics.trials import Trials, all_pairs


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("block_bytes", [1, 1000, 2**25])
def test_scores_are_cosines_in_blocks_of_any_size(rng, dtype, block_bytes):
    embeddings = rng.normal(size=(12, 5)).astype(dtype)
    trials = all_pairs(np.repeat(["a", "b", "c"], 4))
    exact = embeddings.astype(float)
    expected = [
        exact[i] @ exact[j] / np.linalg.norm(exact[i]) / np.linalg.norm(exact[j])
        for i, j in zip(trials.enrol, trials.test, strict=True)
    ]
    scores = cosine_scores(embeddings, trials, block_bytes=block_bytes)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_a_zero_embedding_is_like_nothing_and_nan_is_refused():
    trials = all_pairs(["a", "a", "b"])
    embeddings = np.eye(3)
    embeddings[0] = 0
    assert cosine_scores(embeddings, trials)[0] == 0
    embeddings[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        cosine_scores(embeddings, trials)
    with pytest.raises(ValueError, match="one row per utterance"):
        cosine_scores(np.eye(4), trials)


def test_scoring_memory_does_not_grow_with_the_list():
    embeddings = np.ones((50, 256), np.float32)
    index = np.zeros(60_000, int)
    trials = Trials(np.ones(60_000, bool), index, index + 1, np.arange(50).astype(str))
    tracemalloc.start()
    cosine_scores(embeddings, trials, block_bytes=2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # all rows at once would be 246 MB
