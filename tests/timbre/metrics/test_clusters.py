"""Class structure and Gaussianity against closed forms and plain loops."""

import numpy as np
import pytest
from scipy import stats

from timbre.metrics import clusters

MEASURES = (
    clusters.fisher_ratio,
    clusters.knn_accuracy,
    clusters.silhouette,
    clusters.probe_accuracy,
    clusters.class_separability,
    clusters.gaussianity,
)


def blobs(rng, *, rows=200, classes=4, dim=3, apart=50.0):
    """Classes of unit variance, far from each other."""
    labels = np.repeat(np.arange(classes), rows)
    centres = apart * rng.normal(size=(classes, dim))
    return centres[labels] + rng.normal(size=(len(labels), dim)), labels


def test_two_gaussians_have_the_ratios_of_their_distance(rng):
    """Means at -d and d: between is d**2, within is the sum of both variances."""
    labels = np.repeat([0, 1], 50_000)
    z = rng.normal(size=(100_000, 2)) * [1.0, 2.0]
    z[:, 0] += np.where(labels, 3.0, -3.0)
    assert clusters.fisher_ratio(z, labels) == pytest.approx(9 / 5, rel=0.02)


def test_ratios_are_those_of_plain_loops_over_unequal_classes(rng):
    z, labels = (
        rng.normal(size=(60, 4)),
        rng.permutation(np.repeat([0, 3, 7], [10, 20, 30])),
    )
    z[:, 1] += labels
    groups = [z[labels == k] for k in (0, 3, 7)]
    means = np.array([g.mean(axis=0) for g in groups])
    between = np.mean([np.sum((m - means.mean(axis=0)) ** 2) for m in means])
    within = np.mean(
        [np.mean(np.sum((g - g.mean(axis=0)) ** 2, axis=1)) for g in groups]
    )
    assert clusters.fisher_ratio(z, labels) == pytest.approx(between / within)


def test_ignorant_codes_have_the_fisher_ratio_of_small_samples(rng):
    classes, rows = 5, 20
    labels = np.repeat(np.arange(classes), rows)
    draws = [
        clusters.fisher_ratio(rng.normal(size=(100, 8)), labels) for _ in range(200)
    ]
    expected = (classes - 1) / (classes * rows) * rows / (rows - 1)
    assert np.mean(draws) == pytest.approx(expected, rel=0.05)


def test_neighbours_vote_as_in_a_plain_loop(rng):
    z, labels = rng.normal(size=(80, 3)), rng.integers(3, size=80)
    right = 0
    for i in range(80):
        distance = np.linalg.norm(z - z[i], axis=1)
        distance[i] = np.inf
        classes = list(labels[np.argsort(distance)[:5]])
        most = max(map(classes.count, classes))
        winner = next(c for c in classes if classes.count(c) == most)
        right += winner == labels[i]
    assert clusters.knn_accuracy(z, labels) == right / 80


def test_the_nearest_wins_a_tie_and_no_row_votes_for_itself():
    z = np.array([0.0, 1.0, 3.0, 100.0, 101.0, 103.0])[:, None]
    labels = np.array([0, 1, 0, 0, 1, 1])
    # nearest of 0, 1, 3 | 100, 101, 103: 1, 0, 1 | 101, 100, 101
    assert clusters.knn_accuracy(z, labels, k=1) == 1 / 6
    assert clusters.knn_accuracy(z, labels, k=2) == 1 / 6  # all ties, or wrong
    same = np.zeros((6, 2))  # even among equal rows
    assert clusters.knn_accuracy(same, np.array([0, 0, 0, 1, 1, 1]), k=5) == 0


def test_silhouette_is_that_of_plain_loops_and_nears_one_far_apart(rng):
    z, labels = blobs(rng, rows=8, apart=2.0)
    distance = np.linalg.norm(z[:, None] - z, axis=2)
    widths = []
    for i, own in enumerate(labels):
        to = {k: distance[i, labels == k].sum() / 8 for k in range(4)}
        a, b = to.pop(own) * 8 / 7, min(to.values())
        widths.append((b - a) / max(a, b))
    assert clusters.silhouette(z, labels) == pytest.approx(np.mean(widths))
    far, labels = blobs(rng, apart=1000.0)
    assert clusters.silhouette(far, labels) > 0.98


def test_a_silhouette_of_some_rows_is_near_that_of_all(rng):
    z, labels = blobs(rng, rows=500, apart=2.0)
    some = clusters.silhouette(z, labels, max_rows=400, seed=1)
    assert some != clusters.silhouette(z, labels, max_rows=400, seed=2)
    assert some == pytest.approx(clusters.silhouette(z, labels), abs=0.03)


def test_a_probe_reaches_the_accuracy_of_the_best_linear_rule(rng):
    """Two Gaussians 2 deviations apart: Phi(1), whatever the scale of the codes."""
    labels = np.repeat([0, 1], 10_000)
    z = rng.normal(size=(20_000, 2)) + np.where(labels, 1.0, -1.0)[:, None] * [1, 0]
    found = clusters.probe_accuracy(z * [1e-3, 1e3] + 5, labels)
    assert found == pytest.approx(stats.norm.cdf(1), abs=0.01)


def test_a_probe_sees_a_class_between_two_others(rng):
    """Regression to indicators, which is linear too, would never name it."""
    labels = np.repeat(np.arange(5), 100)
    z = 10.0 * labels[:, None] + rng.normal(size=(500, 1))
    assert clusters.probe_accuracy(z, labels) > 0.99


def test_a_probe_is_judged_by_rows_it_has_not_seen(rng):
    """As many dimensions as rows: what it was taught, it would know by heart."""
    labels = np.arange(200) % 2
    assert clusters.probe_accuracy(rng.normal(size=(200, 100)), labels) < 0.65


def test_shuffled_labels_are_known_by_chance(rng):
    z, labels = blobs(rng, rows=500)
    labels = rng.permutation(labels)
    found = clusters.class_separability(z, labels)
    assert found["chance"] == 0.25
    for name in ("knn", "probe"):
        assert found[name] == pytest.approx(0.25, abs=0.03)
    assert abs(found["silhouette"]) < 0.05 and found["fisher"] < 0.01


def test_clear_classes_are_known_by_every_measure(rng):
    found = clusters.class_separability(*blobs(rng))
    assert set(found) == {"fisher", "knn", "silhouette", "probe", "chance"}
    assert found["knn"] == found["probe"] == 1
    assert found["fisher"] > 100 and found["silhouette"] > 0.9


def test_chance_is_the_share_of_the_most_frequent_known_class():
    assert clusters.majority_rate(np.array([0, 0, 0, 2, 2, -1, -1, -1, -1])) == 0.6


def test_rows_of_no_known_class_and_lonely_rows_change_nothing(rng):
    z, labels = blobs(rng, rows=30, apart=1.0)
    more = np.concatenate([z, 1e3 * rng.normal(size=(21, 3))])
    also = np.concatenate([labels, np.full(20, -1), [9]])
    for measure in MEASURES:
        assert measure(more, also) == measure(z, labels)


def test_normal_classes_look_normal_and_their_deviation_is_found(rng):
    labels = np.repeat(np.arange(4), 2500)
    centres = rng.normal(size=(4, 6))
    z = 3 * (centres[labels] + rng.normal(size=(10_000, 6)))
    for given in (None, 3 * centres):
        found = clusters.gaussianity(z, labels, given)
        assert found["deviation"] == pytest.approx(3, rel=0.01)
        assert found["skewness"] < 0.05 and abs(found["kurtosis"]) < 0.08
        assert found["homogeneity"] == pytest.approx(np.sqrt(2 / 15_000), rel=0.8)
    assert found["ks"] == pytest.approx(0.8687 / 100, rel=0.3)  # E[sup |bridge|]


@pytest.mark.parametrize(
    "name, draw, skewness, kurtosis",
    [
        ("uniform", lambda rng, size: rng.uniform(-1, 1, size), 0, -1.2),
        ("laplace", lambda rng, size: rng.laplace(size=size), 0, 3),
        ("expon", lambda rng, size: rng.exponential(size=size), 2, 6),
    ],
)
def test_other_classes_have_the_moments_of_their_kind(
    rng, name, draw, skewness, kurtosis
):
    labels = np.arange(200_000) % 2
    z = draw(rng, (200_000, 2)) + 10 * labels[:, None]
    found = clusters.gaussianity(z, labels)
    assert found["skewness"] == pytest.approx(skewness, abs=0.1)
    assert found["kurtosis"] == pytest.approx(kurtosis, rel=0.1)
    kind = getattr(stats, name)()
    grid = np.linspace(-5, 5, 20_001)
    there = kind.cdf(kind.mean() + kind.std() * grid)
    expected = np.abs(there - stats.norm.cdf(grid)).max()
    assert found["ks"] == pytest.approx(expected, abs=0.005)


def test_the_distance_to_a_normal_is_that_of_scipy(rng):
    z, labels = rng.normal(size=(50, 3)) + [0, 0.5, -0.5], np.arange(50) % 2
    standard = z / np.sqrt((z**2).mean(axis=0))  # of means that are 0
    expected = [stats.kstest(column, "norm").statistic for column in standard.T]
    found = clusters.gaussianity(z, labels, np.zeros((2, 3)))
    assert found["ks"] == pytest.approx(np.mean(expected))


def test_a_centre_that_is_not_where_the_class_is_shows(rng):
    labels = np.arange(4000) % 2
    z = rng.normal(size=(4000, 2)) + 4 * labels[:, None]
    off = np.array([[1.0, 1.0], [5.0, 5.0]])
    found = clusters.gaussianity(z, labels, off)
    assert found["ks"] > 0.2 > 0.03 > clusters.gaussianity(z, labels)["ks"]
    assert found["deviation"] == pytest.approx(np.sqrt(2), rel=0.03)


def test_centres_are_taken_by_label_also_where_labels_are_missing(rng):
    labels = np.repeat([1, 3], 500)
    centres = np.array([[99.0], [0.0], [99.0], [50.0]])
    z = centres[labels] + rng.normal(size=(1000, 1))
    assert clusters.gaussianity(z, labels, centres)["deviation"] < 1.1
    with pytest.raises(ValueError, match="`class_means`"):
        clusters.gaussianity(z, labels, centres[:3])
    with pytest.raises(ValueError, match="`class_means`"):
        clusters.gaussianity(z, labels, np.zeros((4, 2)))


def test_classes_of_unlike_variance_are_not_homogeneous(rng):
    """Variances 1 and 9: mean 5, deviation 4."""
    labels = np.arange(20_000) % 2
    z = rng.normal(size=(20_000, 2)) * np.where(labels, 3, 1)[:, None]
    assert clusters.gaussianity(z, labels)["homogeneity"] == pytest.approx(
        0.8, rel=0.03
    )


def test_a_dimension_that_stands_still_has_no_shape(rng):
    z, labels = blobs(rng)
    still = np.column_stack([z, 0.1 * labels])
    assert clusters.gaussianity(still, labels) == pytest.approx(
        clusters.gaussianity(z, labels)
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_what_can_not_be_measured_is_refused(rng, measure):
    z, labels = blobs(rng, rows=10)
    with pytest.raises(ValueError, match="two classes"):
        measure(z, np.zeros(40, int))
    with pytest.raises(ValueError, match="two classes"):
        measure(z[:4], np.arange(4))
    with pytest.raises(ValueError, match="integers, one a row"):
        measure(z, labels[:-1])
    with pytest.raises(ValueError, match="integers, one a row"):
        measure(z, labels.astype(float))
    with pytest.raises(ValueError, match="-1 if unknown"):
        measure(z, labels - 2)
    z[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        measure(z, labels)


def test_classes_that_are_points_have_no_ratio():
    labels = np.repeat([0, 1], 5)
    z = np.repeat([[0.1, 0.3], [0.7, 0.2]], 5, axis=0)
    for measure in (clusters.fisher_ratio, clusters.gaussianity):
        with pytest.raises(ValueError, match="vary within classes"):
            measure(z, labels)
    with pytest.raises(ValueError, match="must vary"):
        clusters.probe_accuracy(np.ones((10, 2)), labels)


@pytest.mark.parametrize("k", [0, 40])
def test_more_neighbours_than_rows_are_refused(rng, k):
    with pytest.raises(ValueError, match="`k` must be"):
        clusters.knn_accuracy(*blobs(rng, rows=10), k=k)


def recordings(rng, *, each=4, rows=20, classes=3, own=0.0):
    """Codes that are a place of the recording, and of the class `own` times more."""
    labels = np.repeat(np.arange(classes), each)
    centres = 100 * rng.normal(size=(len(labels), 6))
    centres[:, :classes] += own * np.eye(classes)[labels]
    groups = np.repeat(np.arange(len(labels)), rows)
    z = centres[groups] + rng.normal(size=(len(groups), 6))
    return z, labels[groups], np.array([f"r{i}" for i in groups])


def test_codes_that_only_know_their_recording_know_no_class(rng):
    z, labels, groups = recordings(rng, each=20)
    for measure in (clusters.knn_accuracy, clusters.probe_accuracy):
        assert measure(z, labels, groups=groups) < 0.5
    assert clusters.knn_accuracy(z, labels) == 1  # what it was taken for
    found = clusters.class_separability(z, labels, groups=groups)
    assert found["knn"] < 0.5 and found["probe"] < 0.5 and found["chance"] == 1 / 3


def test_codes_that_know_classes_know_them_across_recordings(rng):
    found = clusters.class_separability(*(given := recordings(rng, own=2e4))[:2])
    assert clusters.class_separability(*given[:2], groups=given[2]) == {
        **found,
        "knn": 1.0,
        "probe": 1.0,
    }


def test_neighbours_of_other_groups_vote_as_in_a_plain_loop(rng, monkeypatch):
    z, labels = rng.normal(size=(80, 3)), rng.integers(3, size=80)
    groups = rng.integers(9, size=80)
    right = 0
    for i in range(80):
        distance = np.linalg.norm(z - z[i], axis=1)
        distance[groups == groups[i]] = np.inf
        classes = list(labels[np.argsort(distance)[:5]])
        most = max(map(classes.count, classes))
        right += next(c for c in classes if classes.count(c) == most) == labels[i]
    for block in (1024, 7):
        monkeypatch.setattr(clusters, "BLOCK_ROWS", block)
        assert clusters.knn_accuracy(z, labels, groups=groups) == right / 80


def test_rows_that_are_their_own_group_change_nothing(rng):
    z, labels = blobs(rng, rows=30, apart=1.0)
    labels[::7] = -1
    alone = rng.permutation(len(z)).astype(str)
    for measure in (
        clusters.knn_accuracy,
        clusters.probe_accuracy,
        clusters.class_separability,
    ):
        assert measure(z, labels, groups=alone) == measure(z, labels)


def test_a_class_of_one_group_is_left_out_and_without_two_classes_all_rows_count(rng):
    z, labels, groups = recordings(rng, own=150.0)
    groups = np.where(labels == 2, "one", groups)
    some = labels < 2
    found = clusters.class_separability(z, labels, groups=groups)
    assert found == clusters.class_separability(
        z[some], labels[some], groups=groups[some]
    )
    groups = np.where(labels == 1, "two", groups)
    assert clusters.class_separability(
        z, labels, groups=groups
    ) == clusters.class_separability(z, labels)
    for measure in (clusters.knn_accuracy, clusters.probe_accuracy):
        with pytest.raises(ValueError, match="two classes"):
            measure(z, labels, groups=groups)
        with pytest.raises(ValueError, match="`groups` must be one a row"):
            measure(z, labels, groups=groups[1:])


def test_no_more_may_vote_than_other_groups_have(rng):
    z, labels, groups = recordings(rng, each=2, rows=3)
    clusters.knn_accuracy(z, labels, k=15, groups=groups)
    with pytest.raises(ValueError, match="`k` must be"):
        clusters.knn_accuracy(z, labels, k=16, groups=groups)
    assert clusters.class_separability(z, labels, k=99, groups=groups)["knn"] <= 1
