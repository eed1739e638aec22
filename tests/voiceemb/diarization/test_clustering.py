"""Clustering: its likelihood against the model it comes from, and what it promises."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.references import unit
from voiceemb.diarization import clustering, partitions
from voiceemb.diarization.clustering import RHO, cluster, log_likelihood_ratio

METHODS = pytest.mark.parametrize("method", clustering.METHODS)


def voices(rng, sizes, *, dim=32, spread=0.8):
    """Unit embeddings of voices that speak one after another, and who they are."""
    centres = np.linalg.qr(rng.normal(size=(dim, dim)))[0][: len(sizes)]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points = centres[labels] + spread * rng.normal(size=(len(labels), dim)) / dim**0.5
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), labels


def same(one, other):
    """Whether two labellings are one partition."""
    pairs = {*zip(one.tolist(), other.tolist(), strict=True)}
    return len(pairs) == len({*one.tolist()}) == len({*other.tolist()})


def test_the_ratio_is_the_log_likelihood_of_voices_over_that_of_noise(rng):
    """Each coordinate of a voice's windows is a Gaussian vector of known covariance."""
    points, labels = unit(rng, 9, 6), np.array([0, 0, 1, 2, 1, 0, 1, 1, 2])
    voice, noise, total = RHO / 6, (1 - RHO) / 6, 0.0
    for k in range(3):
        own = points[labels == k]
        num = len(own)
        alone, together = noise * np.eye(num), noise * np.eye(num) + voice
        for coordinate in own.T:
            total += multivariate_normal(cov=together).logpdf(coordinate)
            total -= multivariate_normal(cov=alone).logpdf(coordinate)
    assert log_likelihood_ratio(points, labels, np.ones(9)) == pytest.approx(
        total / 6, rel=1e-5
    )


def test_the_ratio_does_not_care_who_is_who_nor_in_which_order(rng):
    points, labels = voices(rng, [5, 9, 3])
    counts, order = rng.uniform(0.1, 1, 17), rng.permutation(17)
    expected = log_likelihood_ratio(points, labels, counts)
    assert log_likelihood_ratio(points, 2 - labels, counts) == pytest.approx(expected)
    shuffled = log_likelihood_ratio(points[order], labels[order], counts[order])
    assert shuffled == pytest.approx(expected)


@METHODS
@pytest.mark.parametrize("sizes", [[40], [30, 30], [60, 8], [20, 30, 40], [20] * 8])
def test_voices_that_lie_apart_are_found_and_counted(rng, method, sizes):
    points, labels = voices(rng, sizes)
    found = cluster(points, np.ones(len(points)), method=method)
    assert same(found, labels)
    np.testing.assert_array_equal(found, labels)  # numbered as they appear


@METHODS
def test_the_order_of_windows_changes_nobody(rng, method):
    points, labels = voices(rng, [20, 30, 40])
    order = rng.permutation(90)
    found = cluster(points[order], np.ones(90), method=method)
    assert same(found, labels[order])


@METHODS
@pytest.mark.parametrize("num", [1, 2, 3, 5, 8, 12])
def test_an_exact_number_is_kept_whatever_the_windows_say(rng, method, num):
    points, _ = voices(rng, [20, 30])
    labels = cluster(points, np.full(50, 0.1), num_speakers=num, method=method)
    assert np.unique(labels).tolist() == list(range(num))


@METHODS
def test_bounds_of_an_estimate_are_kept(rng, method):
    points, _ = voices(rng, [20, 30, 25])
    for low, high, expected in [(1, 8, 3), (5, 8, 5), (1, 2, 2), (4, 4, 4)]:
        labels = cluster(
            points, np.ones(75), min_speakers=low, max_speakers=high, method=method
        )
        assert labels.max() + 1 == expected


def test_fewer_windows_than_voices_give_one_each(rng):
    points, _ = voices(rng, [3])
    assert cluster(points, np.ones(3), num_speakers=5).tolist() == [0, 1, 2]
    assert cluster(points[:1], [1.0], num_speakers=2).tolist() == [0]
    assert cluster(points[:0], []).tolist() == []


@METHODS
@pytest.mark.parametrize(
    "seconds, is_somebody", [(0.2, False), (0.9, False), (3, True)]
)
def test_a_small_cluster_is_merged_with_the_voice_that_is_most_like_it(
    rng, method, seconds, is_somebody
):
    """Less than a second of another voice is nobody, unless somebody is asked for."""
    points, labels = voices(rng, [30, 30, 2], spread=0.1)
    points[60:] += 0.2 * points[0]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    weight = np.r_[np.ones(60), seconds / 2, seconds / 2]
    found = cluster(points, weight, method=method)
    assert same(found[:60], labels[:60])
    assert same(found, labels) if is_somebody else (found[60:] == found[0]).all()
    assert same(cluster(points, weight, num_speakers=3, method=method), labels)


def test_a_small_cluster_of_a_long_recording_is_merged_too(rng, monkeypatch):
    """A drawn window stands for many; what counts are its own seconds."""
    monkeypatch.setattr(clustering, "MAX_WINDOWS", 61)
    points, _ = voices(rng, [300, 1, 300], spread=0.1)
    found = cluster(points, np.full(601, 0.25))
    assert found.max() == 1 and np.bincount(found).min() >= 300


def test_two_sides_of_one_voice_stay_one_however_long_it_speaks(rng):
    """The likelihood of two grows without end; their cosine says they are one."""
    side = unit(rng, 1, 32) * 0.45
    points = np.repeat(np.eye(2, 32, dtype="f4") * 0, 400, axis=0)
    points += np.linalg.qr(rng.normal(size=(32, 32)))[0][0].astype("f4")
    points[:400] += side
    points[400:] -= side
    points += 0.5 * rng.normal(size=points.shape).astype("f4") / 32**0.5
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    halves, counts = np.arange(800) // 400, np.full(800, 1.0)
    whole = log_likelihood_ratio(points, 0 * halves, counts)
    assert log_likelihood_ratio(points, halves, counts) > whole
    assert cluster(points, counts * 3.5).max() == 0


def test_the_linear_path_is_the_full_one_where_windows_are_clear(rng, monkeypatch):
    points, labels = voices(rng, [90, 60, 110], spread=0.5)
    order = rng.permutation(260)
    whole = cluster(points[order], np.ones(260))
    monkeypatch.setattr(clustering, "MAX_WINDOWS", 60)
    monkeypatch.setattr(clustering, "BLOCK", 7)
    drawn = cluster(points[order], np.ones(260))
    assert same(whole, labels[order])
    np.testing.assert_array_equal(drawn, whole)
    exact = cluster(points[order], np.ones(260), num_speakers=6)
    assert np.unique(exact).tolist() == list(range(6))


def test_the_linear_path_compares_no_more_windows_than_it_says(rng, monkeypatch):
    sizes = []
    full = partitions.affinities
    monkeypatch.setattr(
        partitions, "affinities", lambda e, kept: sizes.append(len(e)) or full(e, kept)
    )
    monkeypatch.setattr(clustering, "MAX_WINDOWS", 50)
    points, _ = voices(rng, [300, 300])
    cluster(points, np.ones(600))
    assert sizes and max(sizes) == 50


def test_equal_windows_are_one_voice_without_a_warning():
    points = np.tile(np.eye(1, 8, dtype="f4"), (20, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in clustering.METHODS:
            assert cluster(points, np.ones(20), method=method).max() == 0
            assert (
                cluster(points, np.ones(20), num_speakers=3, method=method).max() == 2
            )


def test_affinities_are_symmetric_pruned_and_know_nothing_of_themselves(rng):
    graph = partitions.affinities(unit(rng, 20, 8), 0.25)
    np.testing.assert_allclose(graph, graph.T)
    assert (np.diag(graph) == 0).all() and graph.min() >= 0 and graph.max() <= 1
    kept = (graph > 0).sum(axis=1)
    assert (kept >= 5).all() and kept.mean() < 12  # 5 of its own, some of others'


def test_a_cut_of_the_tree_is_that_of_scikit_learn(rng):
    from sklearn.cluster import AgglomerativeClustering

    points = unit(rng, 30, 5)
    for count, labels in enumerate(partitions.agglomerative(points, 6), 2):
        theirs = AgglomerativeClustering(count, metric="cosine", linkage="average")
        assert same(labels, theirs.fit_predict(points))


def test_what_can_not_be_clustered_is_refused(rng):
    points = unit(rng, 4, 3)
    for wrong in (
        {"num_speakers": 0},
        {"min_speakers": 0},
        {"min_speakers": 3, "max_speakers": 2},
        {"num_speakers": 1.5},
    ):
        with pytest.raises(ValueError, match="number of speakers"):
            cluster(points, np.ones(4), **wrong)
    with pytest.raises(ValueError, match="`method`"):
        cluster(points, np.ones(4), method="magic")
    with pytest.raises(ValueError, match="shapes"):
        cluster(points, np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        cluster(points * np.nan, np.ones(4))
    with pytest.raises(ValueError, match="above 0"):
        cluster(points, np.zeros(4))


def test_what_is_no_voice_and_too_many_voices_are_refused(rng):
    points, _ = voices(rng, [3])
    with pytest.raises(ValueError, match="not zero"):
        cluster(0 * points, np.ones(3))
    with pytest.raises(ValueError, match="from 1 to 50"):
        cluster(points, np.ones(3), num_speakers=51)
