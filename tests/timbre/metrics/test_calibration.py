"""Calibrations against exact ratios, plain references, and hostile files."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from timbre.metrics import calibration
from timbre.metrics.calibration import IsotonicCalibration, LogisticCalibration
from timbre.metrics.likelihood_ratio import actual_dcf, bayes_threshold
from timbre.metrics.rates import min_dcf

KINDS = list(calibration.KINDS.values())


def gaussians(rng, same=400, different=4000, distance=2.0):
    """Scores whose exact ratio is `distance * s - distance**2 / 2`."""
    label = np.arange(same + different) < same
    return label, rng.normal(size=len(label)) + distance * label


def test_the_ratio_of_two_gaussians_is_found(rng):
    """`llr = d * s - d**2 / 2`; a shift and a scale of the scores change nothing."""
    label, scores = gaussians(rng, 40_000, 40_000)
    line = LogisticCalibration.fit(label, scores)
    assert line.slope == pytest.approx(2, rel=0.03)
    assert line.offset == pytest.approx(-2, rel=0.03)
    moved = LogisticCalibration.fit(label, 0.01 * scores + 5)
    np.testing.assert_allclose(
        moved.llr(0.01 * scores + 5), line.llr(scores), atol=1e-6
    )
    steps = IsotonicCalibration.fit(label, scores)
    inside = np.linspace(-0.5, 2.5, 20)
    np.testing.assert_allclose(steps.llr(inside), 2 * inside - 2, atol=0.25)


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.9])
def test_the_line_minimises_the_cross_entropy_that_a_general_solver_minimises(
    rng, prior
):
    label, scores = gaussians(rng, 60, 300)
    scores = scores + 0.3 * scores**2 * label  # no line is exact
    y = np.where(label, 61 / 62, 1 / 302)
    w = np.where(label, prior / 60, (1 - prior) / 300)

    def cost(line):
        z = line[0] * scores + line[1] + np.log(prior / (1 - prior))
        return 1e3 * np.sum(w * (np.logaddexp(0, z) - y * z))

    best = minimize(cost, [1.0, 0.0], method="Nelder-Mead", tol=1e-10).x
    line = LogisticCalibration.fit(label, scores, prior=prior)
    np.testing.assert_allclose([line.slope, line.offset], best, rtol=1e-3)


def test_no_ratio_is_infinite():
    """30 same pairs above 60 different ones: `(31 / 30) / (1 / 60)` and its like."""
    label, scores = np.repeat([True, False], [30, 60]), np.arange(90)[::-1]
    steps = IsotonicCalibration.fit(label, scores)
    np.testing.assert_allclose(steps.llr([1e9, 89]), np.log(31 / 30 * 60))
    np.testing.assert_allclose(steps.llr([-1e9, 0]), -np.log(61 / 60 * 30))
    line = LogisticCalibration.fit(label, scores)  # a gap of any slope: still finite
    assert np.isfinite(line.slope) and line.llr(89) > 3 and line.llr(0) < -3


@pytest.mark.parametrize("kind", KINDS)
def test_more_alike_is_never_less_likely(rng, kind):
    label, scores = gaussians(rng)
    grid = np.linspace(-9, 9, 1001)
    steps = np.diff(kind.fit(label, scores).llr(grid))
    assert (steps >= 0).all() and (steps > 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_probability_obeys_bayes(rng, kind):
    fitted = kind.fit(*gaussians(rng))
    scores = np.linspace(-3, 5, 41).reshape(1, 41)
    ratio = np.exp(fitted.llr(scores))
    for prior in (0.001, 0.5, 0.97):
        bayes = prior * ratio / (prior * ratio + 1 - prior)
        np.testing.assert_allclose(fitted.probability(scores, prior=prior), bayes)
    assert np.all(LogisticCalibration(1e5, 0).probability([-1, 1]) == [0, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_threshold_is_where_bayes_decides(rng, kind):
    """Accept when `c_miss * P(same | s) >= c_fa * P(different | s)`."""
    fitted = kind.fit(*gaussians(rng))
    scores = rng.uniform(-3, 5, 500)
    for prior, c_miss, c_fa in [(0.5, 1, 1), (0.05, 1, 1), (0.3, 10, 1), (0.6, 1, 4)]:
        p = fitted.probability(scores, prior=prior)
        threshold = fitted.threshold(prior, c_miss, c_fa)
        accepted = scores >= threshold
        np.testing.assert_array_equal(accepted, c_miss * p >= c_fa * (1 - p))


def test_beyond_what_was_seen_a_step_never_accepts_or_always():
    label, scores = np.repeat([True, False], [30, 60]), np.arange(90)[::-1]
    steps = IsotonicCalibration.fit(label, scores)
    assert steps.threshold(prior=1e-9) == np.inf
    assert steps.threshold(prior=1 - 1e-9) == -np.inf
    assert bayes_threshold(0.5) == 0 and bayes_threshold(0.01) == np.log(99)


def test_the_chosen_threshold_costs_nearly_the_least(rng):
    label, scores = gaussians(rng, 20_000, 20_000)
    threshold = LogisticCalibration.fit(label, scores).threshold(prior=0.05)
    options = {"p_target": 0.05}
    least = min_dcf(label, scores, **options)
    assert least <= actual_dcf(label, scores, threshold=threshold, **options)
    assert actual_dcf(label, scores, threshold=threshold, **options) < least + 0.02
    assert actual_dcf(label, scores, threshold=np.inf, **options) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_how_many_trials_a_list_has_of_a_kind_does_not_move_the_ratio(rng, kind):
    label, scores = gaussians(rng, 3000, 3000)
    once = kind.fit(label, scores).llr(scores)
    rows = np.append(np.arange(6000), np.repeat(np.flatnonzero(~label), 9))
    many = kind.fit(label[rows], scores[rows]).llr(scores)
    inside = (scores > -0.5) & (scores < 2.5)
    np.testing.assert_allclose(many[inside], once[inside], atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_without_weight_is_not_there(rng, kind):
    label, scores = gaussians(rng, 500, 500)
    weights = 3.0 * (np.abs(scores) < 1.5)  # without the highest and the lowest
    there = weights > 0
    weighed = kind.fit(label, scores, weights=weights)
    alone = kind.fit(label[there], scores[there])
    np.testing.assert_allclose(weighed.llr(scores), alone.llr(scores), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_is_kept_as_plain_numbers(rng, kind):
    label, scores = gaussians(rng)
    fitted = kind.fit(label, scores)
    again = calibration.from_json(fitted.to_json())
    assert again == fitted and type(again) is kind
    assert calibration.from_json(json.loads(fitted.to_json())) == fitted
    np.testing.assert_array_equal(again.llr(scores), fitted.llr(scores))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"kind": "logistic"}',
        '{"kind": "eval", "slope": 1, "offset": 0}',
        '{"kind": ["logistic"], "slope": 1, "offset": 0}',
        '{"kind": "logistic", "slope": 1, "offset": 0, "more": 1}',
        '{"kind": "logistic", "slope": NaN, "offset": 0}',
        '{"kind": "logistic", "slope": 1e999, "offset": 0}',
        '{"kind": "logistic", "slope": -1, "offset": 0}',
        '{"kind": "logistic", "slope": "1", "offset": 0}',
        '{"kind": "logistic", "slope": [1], "offset": [0]}',
        '{"kind": "isotonic", "scores": [], "ratios": []}',
        '{"kind": "isotonic", "scores": [0, 1], "ratios": [0]}',
        '{"kind": "isotonic", "scores": [1, 0], "ratios": [0, 1]}',
        '{"kind": "isotonic", "scores": [0, 1], "ratios": [1, 0]}',
        '{"kind": "isotonic", "scores": [0, null], "ratios": [0, 1]}',
        '{"kind": "isotonic", "scores": [true, false], "ratios": [0, 1]}',
        '{"kind": "isotonic", "scores": 1, "ratios": 1}',
    ],
)
def test_what_is_no_calibration_is_refused(text):
    with pytest.raises(ValueError, match="A calibration is a JSON object"):
        calibration.from_json(text)


@pytest.mark.parametrize("kind", KINDS)
def test_trials_that_teach_nothing_are_refused(rng, kind):
    label, scores = gaussians(rng, 20, 20)
    with pytest.raises(ValueError, match="both kinds"):
        kind.fit(np.ones(40), scores)
    with pytest.raises(ValueError, match="finite"):
        kind.fit(label, np.where(label, np.nan, scores))
    with pytest.raises(ValueError, match="10 trials of each kind. Received: 9"):
        kind.fit(label[11:], scores[11:])
    with pytest.raises(ValueError, match="above 0 for some"):
        kind.fit(label, scores, weights=label.astype(float))
    with pytest.raises(ValueError, match="one a trial"):
        kind.fit(label, scores, weights=np.ones(3))
    with pytest.raises(ValueError, match="`prior`"):
        kind.fit(label, scores).probability(0.0, prior=1)
    with pytest.raises(ValueError, match="Costs"):
        kind.fit(label, scores).threshold(c_fa=0)


def test_scores_that_point_the_other_way_are_refused_by_a_line(rng):
    label, scores = gaussians(rng, 20, 20)
    for wrong in (-scores, np.zeros(40)):
        with pytest.raises(ValueError, match="higher on average"):
            LogisticCalibration.fit(label, wrong)
    assert np.ptp(IsotonicCalibration.fit(label, np.zeros(40)).llr(scores)) == 0


def test_the_exact_ratio_beats_the_fitted_ones_only_slightly_on_new_trials(rng):
    """Cross-entropy on fresh trials: exact <= line, and both kinds come near."""
    label, scores = gaussians(rng, 2000, 2000)
    new_label, new = gaussians(rng, 20_000, 20_000)

    def cost(llr):
        return np.logaddexp(0, np.where(new_label, -llr, llr)).mean()

    exact = cost(norm.logpdf(new, 2) - norm.logpdf(new))
    for kind in KINDS:
        assert cost(kind.fit(label, scores).llr(new)) < exact + 0.01
