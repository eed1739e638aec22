"""Scores against plain loops, the laws of their normalisation, and their memory."""

import tracemalloc

import numpy as np
import pytest

from tests.references import unit
from timbre.metrics import arrays, scoring
from timbre.metrics.scoring import as_norm, centre, cohort_statistics, cosine_scores
from timbre.metrics.trials import Trials, all_pairs


def trials_of(rng, utterances, count):
    enrol, test = rng.integers(utterances, size=(2, count))
    return Trials(enrol == test, enrol, test, np.arange(utterances).astype(str))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("block_bytes", [1, 1000, 2**25])
def test_scores_are_cosines_in_blocks_of_any_size(rng, monkeypatch, dtype, block_bytes):
    monkeypatch.setattr(scoring, "BLOCK_BYTES", block_bytes)
    embeddings = rng.normal(size=(12, 5)).astype(dtype)
    trials = all_pairs(np.repeat(["a", "b", "c"], 4))
    exact = embeddings.astype(float)
    expected = [
        exact[i] @ exact[j] / np.linalg.norm(exact[i]) / np.linalg.norm(exact[j])
        for i, j in zip(trials.enrol, trials.test, strict=True)
    ]
    scores = cosine_scores(embeddings, trials)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_equal_pairs_score_the_same_bits_wherever_they_stand(rng, monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK_BYTES", 10_000)
    embeddings = np.repeat(unit(rng, 7, 33), 11, axis=0)
    trials = trials_of(rng, 77, 3000)
    scores = cosine_scores(embeddings, trials)
    pairs = np.sort(np.stack([trials.enrol // 11, trials.test // 11]), axis=0)
    kinds = pairs[0] * 7 + pairs[1]
    for kind in np.unique(kinds):
        assert len(np.unique(scores[kinds == kind])) == 1


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


def test_scoring_memory_does_not_grow_with_the_list(monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK_BYTES", 2**20)
    embeddings = np.ones((50, 256), np.float32)
    index = np.zeros(60_000, int)
    trials = Trials(np.ones(60_000, bool), index, index + 1, np.arange(50).astype(str))
    tracemalloc.start()
    cosine_scores(embeddings, trials)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # all rows at once would be 246 MB


@pytest.mark.parametrize("top", [2, 7, 20])
@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_as_norm_is_the_formula_of_the_paper(rng, monkeypatch, top, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    embeddings, cohort = 3 * unit(rng, 15, 6), 0.1 * unit(rng, 20, 6)
    trials = trials_of(rng, 15, 40)
    scores = cosine_scores(embeddings, trials)
    expected = []
    for s, e, t in zip(scores, trials.enrol, trials.test, strict=True):
        parts = []
        for x in (embeddings[e].astype(float), embeddings[t].astype(float)):
            cosines = [x @ c / np.linalg.norm(x) / np.linalg.norm(c) for c in cohort]
            nearest = sorted(cosines)[-top:]
            parts.append((s - np.mean(nearest)) / np.std(nearest))
        expected.append(sum(parts) / 2)
    normed = as_norm(scores, trials, embeddings, cohort, top=top)
    np.testing.assert_allclose(normed, expected, rtol=1e-5)  # float32 lengths above


def test_as_norm_with_the_whole_cohort_is_s_norm(rng):
    embeddings, cohort = unit(rng, 15, 6), unit(rng, 20, 6)
    trials = trials_of(rng, 15, 40)
    scores = cosine_scores(embeddings, trials)
    against = embeddings.astype(float) @ cohort.T.astype(float)
    z = (scores - against.mean(1)[trials.enrol]) / against.std(1)[trials.enrol]
    t = (scores - against.mean(1)[trials.test]) / against.std(1)[trials.test]
    normed = as_norm(scores, trials, embeddings, cohort, top=20)
    np.testing.assert_allclose(normed, (z + t) / 2, rtol=1e-5)


def test_as_norm_does_not_care_which_side_is_enrolled_or_how_long_vectors_are(rng):
    embeddings, cohort = unit(rng, 15, 6), unit(rng, 20, 6)
    trials = trials_of(rng, 15, 40)
    turned = Trials(trials.label, trials.test, trials.enrol, trials.segments)
    scores = cosine_scores(embeddings, trials)
    normed = as_norm(scores, trials, embeddings, cohort, top=9)
    other = as_norm(scores, turned, embeddings, cohort, top=9)
    np.testing.assert_allclose(normed, other, rtol=1e-12)
    longer = as_norm(scores, trials, 4 * embeddings, cohort[::-1] * 0.5, top=9)
    np.testing.assert_allclose(normed, longer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale, shift", [(3.0, 0.0), (0.5, -0.2)])
def test_as_norm_takes_back_a_scale_and_a_shift_of_the_scorer(
    rng, monkeypatch, scale, shift
):
    """A scorer `scale * cosine + shift` moves mean and deviation as it moves `s`."""
    embeddings, cohort = unit(rng, 15, 6), unit(rng, 20, 6)
    trials = trials_of(rng, 15, 40)
    scores = cosine_scores(embeddings, trials)
    normed = as_norm(scores, trials, embeddings, cohort, top=9)
    means, deviations = cohort_statistics(embeddings, cohort, top=9)
    monkeypatch.setattr(
        "timbre.metrics.scoring.cohort_statistics",
        lambda *_, **__: (scale * means + shift, scale * deviations),
    )
    moved = as_norm(scale * scores + shift, trials, embeddings, cohort, top=9)
    np.testing.assert_allclose(moved, normed, rtol=1e-9, atol=1e-9)


def test_as_norm_brings_a_loud_speaker_down_to_the_others(rng):
    """A hub is near everyone: its different pairs beat same ones, but not normed.

    `x = sqrt(1 - h) * own + sqrt(h) * shared` has cosine `h` with all that share.
    """
    dim, shared = 64, np.eye(64)[0]
    own = unit(rng, 220, dim).astype(float)
    own[:, 0] = 0
    hub = np.where(np.arange(220) % 2, 0.6, 0.05)[:, None]
    points = np.sqrt(1 - hub) * own + np.sqrt(hub) * shared
    noise = 0.08 * rng.normal(size=(2, 20, dim))
    embeddings = np.concatenate(points[:20] + noise)
    trials = all_pairs([*range(20)] * 2)
    scores = cosine_scores(embeddings, trials)
    normed = as_norm(scores, trials, embeddings, points[20:], top=50)

    def overlap(values):
        return np.mean(values[~trials.label] > values[trials.label].min())

    assert overlap(normed) < 0.2 * overlap(scores)


def test_a_cohort_that_can_not_serve_is_refused(rng):
    embeddings, cohort = unit(rng, 5, 4), unit(rng, 6, 4)
    trials, scores = trials_of(rng, 5, 3), np.zeros(3)
    for top in (1, 7):
        with pytest.raises(ValueError, match=f"top {top}"):
            as_norm(scores, trials, embeddings, cohort, top=top)
    with pytest.raises(ValueError, match="rows as long"):
        as_norm(scores, trials, embeddings, cohort[:, :3], top=3)
    with pytest.raises(ValueError, match="must differ"):
        as_norm(scores, trials, embeddings, np.ones((6, 4)), top=3)
    with pytest.raises(ValueError, match="`cohort` must be finite"):
        as_norm(scores, trials, embeddings, cohort * np.inf, top=3)
    with pytest.raises(ValueError, match="one a trial"):
        as_norm(scores[:2], trials, embeddings, cohort, top=3)


def test_the_memory_of_normalisation_does_not_grow_with_the_utterances(
    rng, monkeypatch
):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 2**19)
    embeddings, cohort = unit(rng, 4000, 16), unit(rng, 500, 16)
    tracemalloc.start()
    cohort_statistics(embeddings, cohort, top=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6  # all cosines at once would be 16 MB


def test_the_memory_of_normalisation_is_that_of_its_scores(rng):
    embeddings, trials = unit(rng, 50, 8), trials_of(rng, 50, 600_000)
    scores = rng.random(600_000)
    tracemalloc.start()
    as_norm(scores, trials, embeddings, unit(rng, 30, 8), top=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6  # the scores are 4.8 MB


def test_centred_embeddings_forget_what_all_share(rng):
    voices = rng.normal(size=(50, 8))
    there, here = voices + 3 * np.eye(8)[0], voices - 2 * np.eye(8)[5]
    np.testing.assert_allclose(centre(there), centre(here), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(centre(there), axis=1), 1)
    known = centre(there[:5], mean=there.mean(axis=0))
    np.testing.assert_allclose(known, centre(there)[:5], atol=1e-12)
    assert not centre(np.ones((3, 4))).any()  # at the mean there is no direction
    assert centre(there.astype(np.float32)).dtype == np.float64


def test_centre_refuses_what_is_no_domain(rng):
    with pytest.raises(ValueError, match="finite"):
        centre([[np.nan, 1.0]])
    with pytest.raises(ValueError, match="`mean`"):
        centre(np.eye(3), mean=np.zeros(2))
    with pytest.raises(ValueError, match=r"\[rows, dim\]"):
        centre(np.ones(3))
