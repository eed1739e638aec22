"""Ratios, their costs and their pools: bounds, exact answers, plain references."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from timbre.metrics.calibration import LogisticCalibration
from timbre.metrics.likelihood_ratio import (
    actual_dcf,
    bayes_threshold,
    cllr,
    logistic,
    logit,
    min_cllr,
    pool_adjacent_violators,
    weight_trials,
)
from timbre.metrics.rates import min_dcf


def drawn(rng, count=200_000, distance=2.0):
    """Trials and their exact ratios: Gaussians `distance` apart."""
    label = rng.random(count) < 0.5
    return label, distance * (rng.normal(size=count) + distance * (label - 0.5))


def pooled(label, scores, weights):
    """Pool adjacent violators, plainly: merge neighbours while they fall."""
    blocks = []  # [share, weight, scores]
    for s in np.unique(scores):
        w = weights[scores == s]
        blocks.append([np.average(label[scores == s], weights=w), w.sum(), [s]])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, v, left), (b, w, right) = blocks[-2:]
            blocks[-2:] = [[(a * v + b * w) / (v + w), v + w, left + right]]
    return {s: share for share, _, held in blocks for s in held}


def test_logit_and_logistic_are_inverse_and_do_not_overflow():
    x = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(logit(expit(x)[:50]), x[:50], rtol=1e-9)
    np.testing.assert_allclose(logistic(x), expit(x), rtol=1e-12)
    assert logistic(-1e300) == 0 and logistic(1e300) == 1


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.9])
def test_same_pairs_weigh_the_prior_whatever_their_number(rng, prior):
    label = np.arange(50) < 3
    given = rng.random(50)
    for weights in (None, given):
        found = weight_trials(label, prior, weights)
        assert found[label].sum() == pytest.approx(prior)
        assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found[~label] / given[~label], found[3] / given[3])


def test_the_bayes_threshold_balances_both_expected_costs():
    for prior, c_miss, c_fa in [(0.5, 1, 1), (0.01, 1, 1), (0.2, 10, 3)]:
        p = logistic(bayes_threshold(prior, c_miss, c_fa) + logit(prior))
        assert c_miss * p == pytest.approx(c_fa * (1 - p))


def test_pools_are_those_of_adjacent_violators_merged_one_by_one(rng):
    label, scores = drawn(rng, 200, distance=1.0)
    scores = scores.round(1)  # with ties
    weights = weight_trials(label, 0.3)
    knots, share = pool_adjacent_violators(label, scores, weights)
    expected = pooled(label, scores, weights)
    for s, p in expected.items():
        assert np.interp(s, knots, share) == pytest.approx(p, abs=1e-12)


def test_a_weight_of_two_is_a_trial_given_twice_and_zero_is_none(rng):
    label, scores = drawn(rng, 300)
    weights = rng.integers(0, 3, 300)
    given = np.repeat(np.arange(300), weights)
    knots, share = pool_adjacent_violators(label, scores, weights.astype(float))
    again = pool_adjacent_violators(label[given], scores[given], np.ones(len(given)))
    np.testing.assert_array_equal(knots, again[0])
    np.testing.assert_allclose(share, again[1])


def test_the_cost_of_ratios_is_one_bit_for_silence_and_exact_for_gaussians(rng):
    assert cllr([1, 0, 0], [0, 0, 0]) == 1
    assert cllr([1, 0], [40, -40]) < 1e-9
    assert cllr([1, 0], [-700, 700]) == pytest.approx(700 / np.log(2))
    label, llr = drawn(rng)
    exact, _ = quad(
        lambda x: norm.pdf(x, 2, 2) * np.log2(1 + np.exp(-x)), -20, 24
    )  # llr of same pairs is N(d**2 / 2, d**2), d = 2
    assert cllr(label, llr) == pytest.approx(exact, abs=0.005)


def test_no_rising_function_of_the_scores_costs_less_than_the_least(rng):
    label, llr = drawn(rng, 3000)
    least = min_cllr(label, llr)
    shapes = [llr, 0.3 * llr, 3 * llr + 1, np.tanh(llr), np.sinh(llr / 2)]
    shapes.append(LogisticCalibration.fit(label, np.sinh(llr)).llr(np.sinh(llr)))
    for shape in shapes:
        assert least <= cllr(label, shape)
        assert min_cllr(label, shape) == pytest.approx(least, abs=1e-12)
    assert least > 0.9 * cllr(label, llr)  # these are calibrated already
    assert min_cllr([1, 1, 0], [3, 2, 1]) == 0
    assert min_cllr([1, 0, 1, 0], [1, 1, 1, 1]) == 1


def test_the_actual_cost_counts_errors_at_its_threshold():
    """At 2.5: one of two same missed, one of four different accepted."""
    label, scores = [1, 1, 0, 0, 0, 0], [3, 1, 4, 2, 0, 0]
    cost = actual_dcf(label, scores, threshold=2.5, p_target=0.1, c_miss=2, c_fa=3)
    assert cost == pytest.approx((2 * 0.1 * 0.5 + 3 * 0.9 * 0.25) / 0.2)
    assert actual_dcf(label, scores, threshold=np.inf) == 1
    costs = [actual_dcf(label, scores, threshold=t) for t in [*scores, np.inf]]
    assert min(costs) == pytest.approx(min_dcf(label, scores))
