"""Error rates against closed forms, brute force and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from timbre.metrics import rates


def trials(rng, count=400, distance=1.5, grid=None):
    """Two Gaussians `distance` apart; a grid makes ties."""
    labels = rng.random(count) < 0.3
    scores = rng.normal(size=count) + distance * labels
    return labels, scores if grid is None else np.round(scores / grid) * grid


def brute_points(labels, scores):
    """Rates at every threshold, counted one by one."""
    thresholds = [np.inf, *sorted(set(scores), reverse=True)]
    fpr = [np.mean(scores[~labels] >= t) for t in thresholds]
    fnr = [np.mean(scores[labels] < t) for t in thresholds]
    return np.array(fpr), np.array(fnr), np.array(thresholds)


def brute_eer(labels, scores):
    """The polyline through the points, cut by a very fine walk along it."""
    fpr, fnr, _ = brute_points(labels, scores)
    walk = np.linspace(0, len(fpr) - 1, 200 * (len(fpr) - 1) + 1)
    x = np.interp(walk, np.arange(len(fpr)), fpr)
    y = np.interp(walk, np.arange(len(fpr)), fnr)
    best = np.argmin(np.abs(x - y))
    return (x[best] + y[best]) / 2


@pytest.mark.parametrize("grid", [None, 0.1, 1.0, 100.0])
def test_the_curve_is_what_counting_gives(rng, grid):
    labels, scores = trials(rng, grid=grid)
    for ours, counted in zip(
        rates.det_curve(labels, scores), brute_points(labels, scores), strict=True
    ):
        np.testing.assert_allclose(ours, counted, atol=1e-12)


@pytest.mark.parametrize("grid", [None, 0.1, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_eer_is_where_the_polyline_of_all_thresholds_crosses(grid, seed):
    labels, scores = trials(np.random.default_rng(seed), count=60, grid=grid)
    assert rates.eer(labels, scores) == pytest.approx(
        brute_eer(labels, scores), abs=2e-3
    )


def test_eer_by_hand():
    # Points: (0, 1) .9 (0, .5) .8 (.5, .5): the step ends on the diagonal.
    assert rates.eer([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]) == 0.5
    # One of three same pairs lies below every different one: the vertical
    # part of the curve stands at fnr 1/3, whatever the number of different.
    labels, scores = [1, 1, 0, 0, 0, 1], [6, 5, 4, 3, 2, 1]
    assert rates.eer(labels, scores) == pytest.approx(1 / 3)
    # A tie of one same and one different is a diagonal: from (0, .5) to (.5, 0).
    assert rates.eer([1, 1, 0, 0], [3, 2, 2, 1]) == pytest.approx(0.25)


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 3.0])
def test_two_gaussians_have_the_closed_form(distance):
    """Quantiles stand in for samples, so that only the grid's error is left."""
    grid = stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    labels = np.repeat([False, True], 20000)
    scores = np.concatenate([grid, grid + distance])
    assert rates.eer(labels, scores) == pytest.approx(
        stats.norm.cdf(-distance / 2), abs=1e-4
    )
    assert rates.eer_threshold(labels, scores) == pytest.approx(distance / 2, abs=1e-3)
    assert rates.auc(labels, scores) == pytest.approx(
        stats.norm.cdf(distance / np.sqrt(2)), abs=1e-4
    )
    expected = stats.norm.sf(stats.norm.ppf(0.99) - distance)
    assert rates.tpr_at_fpr(labels, scores, max_fpr=0.01) == pytest.approx(
        expected, abs=1e-3
    )


@pytest.mark.parametrize(
    "change", [np.exp, np.arctan, lambda s: 7 * s - 3, lambda s: s**3]
)
def test_a_monotone_transform_changes_no_rate(rng, change):
    labels, scores = trials(rng, grid=0.05)
    for measure in (rates.eer, rates.auc, rates.min_dcf, rates.tpr_at_fpr):
        assert measure(labels, change(scores)) == measure(labels, scores)


def test_the_order_of_the_trials_does_not_matter(rng):
    labels, scores = trials(rng, grid=0.5)
    order = rng.permutation(len(labels))
    assert rates.eer(labels[order], scores[order]) == rates.eer(labels, scores)


def test_swapping_the_kinds_and_the_sign_keeps_the_eer(rng):
    labels, scores = trials(rng, grid=0.3)
    assert rates.eer(~labels, -scores) == pytest.approx(rates.eer(labels, scores))


def test_perfect_scores_make_no_error_and_are_cut_midway():
    labels, scores = [1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1]
    assert rates.eer(labels, scores) == 0
    assert rates.eer_threshold(labels, scores) == pytest.approx(0.5)
    assert rates.min_dcf(labels, scores) == 0
    assert rates.auc(labels, scores) == 1
    assert rates.tpr_at_fpr(labels, scores, max_fpr=0) == 1
    assert rates.best_f1(labels, scores)["f"] == 1


def test_reversed_scores_make_every_error():
    assert rates.eer([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1]) == 1
    assert rates.auc([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1]) == 0


def test_one_score_for_all_is_a_coin():
    labels, scores = [1, 0, 0, 1, 0], np.zeros(5)
    assert rates.eer(labels, scores) == 0.5
    assert rates.auc(labels, scores) == 0.5
    assert rates.min_dcf(labels, scores, p_target=0.05) == 1
    assert rates.eer_threshold(labels, scores) == 0


def test_chance_is_one_half(rng):
    labels = rng.random(100_000) < 0.5
    assert rates.eer(labels, rng.random(100_000)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("p_target", [0.01, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (10.0, 1.0)])
def test_min_dcf_is_the_least_over_all_thresholds(rng, p_target, costs):
    miss, false_alarm = costs
    labels, scores = trials(rng, grid=0.1)
    fpr, fnr, _ = brute_points(labels, scores)
    cost = miss * p_target * fnr + false_alarm * (1 - p_target) * fpr
    expected = cost.min() / min(miss * p_target, false_alarm * (1 - p_target))
    actual = rates.min_dcf(
        labels, scores, p_target=p_target, c_miss=miss, c_fa=false_alarm
    )
    assert actual == pytest.approx(expected)
    assert actual <= 1


def test_auc_counts_pairs_won(rng):
    labels, scores = trials(rng, count=120, grid=0.5)
    same, different = scores[labels][:, None], scores[~labels][None]
    won = np.mean((same > different) + 0.5 * (same == different))
    assert rates.auc(labels, scores) == pytest.approx(won)
    assert rates.auc(labels, scores) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, scores)
    )


def test_scikit_learn_draws_the_same_curve(rng):
    labels, scores = trials(rng, grid=0.2)
    fpr, fnr, thresholds = rates.det_curve(labels, scores)
    expected = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    for ours, theirs in zip((fpr, 1 - fnr, thresholds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("max_fpr", [0, 0.013, 0.1, 1])
def test_tpr_at_fpr_takes_only_thresholds_that_exist(rng, max_fpr):
    labels, scores = trials(rng, grid=0.1)
    fpr, fnr, _ = brute_points(labels, scores)
    expected = (1 - fnr)[fpr <= max_fpr].max()
    assert rates.tpr_at_fpr(labels, scores, max_fpr=max_fpr) == pytest.approx(expected)


def test_the_eer_threshold_gives_rates_around_the_eer(rng):
    labels, scores = trials(rng, count=5000)
    accept = scores >= rates.eer_threshold(labels, scores)
    rate = rates.eer(labels, scores)
    assert accept[~labels].mean() == pytest.approx(rate, abs=1e-3)
    assert (~accept)[labels].mean() == pytest.approx(rate, abs=1e-3)


def test_best_f_is_the_best_over_all_thresholds(rng):
    labels, scores = trials(rng, grid=0.2)
    found = rates.best_f1(labels, scores)
    every = [sklearn_metrics.f1_score(labels, scores >= t) for t in np.unique(scores)]
    assert found["f"] == pytest.approx(max(every))
    accept = scores >= found["threshold"]
    assert found["acc"] == pytest.approx(np.mean(accept == labels))
    assert found["tpr"] == pytest.approx(accept[labels].mean())
    assert found["precision"] == pytest.approx(labels[accept].mean())


@pytest.mark.parametrize(
    "labels, scores, rule",
    [
        ([1, 1], [0.1, 0.2], "both kinds"),
        ([0, 0], [0.1, 0.2], "both kinds"),
        ([], [], "both kinds"),
        ([1, 0], [0.1, np.nan], "finite"),
        ([1, 0], [0.1, np.inf], "finite"),
        ([1, 0, 1], [0.1, 0.2], "one length"),
        ([1, 2], [0.1, 0.2], "0 or 1"),
    ],
)
def test_trials_without_an_answer_are_refused(labels, scores, rule):
    with pytest.raises(ValueError, match=f"{rule}.*Received"):
        rates.eer(labels, scores)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="p_target"):
        rates.min_dcf([1, 0], [1, 0], p_target=1)
    with pytest.raises(ValueError, match="max_fpr"):
        rates.tpr_at_fpr([1, 0], [1, 0], max_fpr=-0.1)
