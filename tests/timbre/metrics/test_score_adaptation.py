"""What is known of a place: nothing at first, all of it in the end."""

import numpy as np
import pytest

from timbre.metrics import score_adaptation
from timbre.metrics.score_adaptation import ScoreDistribution


def test_places_together_are_the_law_of_total_variance(rng):
    """Of equally many scores each, they are what all scores in one heap are."""
    places = [rng.normal(mean, 0.2, 500) for mean in (0.0, 0.1, 0.4)]
    together = ScoreDistribution.from_corpora(
        [ScoreDistribution.from_scores(scores) for scores in places]
    )
    heap = ScoreDistribution.from_scores(np.concatenate(places))
    assert np.isclose(together.mean, heap.mean)
    assert np.isclose(together.deviation, heap.deviation)
    assert together.deviation > max(
        ScoreDistribution.from_scores(scores).deviation for scores in places
    )


def test_the_mean_is_that_of_gauss():
    """Known within `t`, seen `n` times within `s`: precisions are the weights."""
    s, t, n, before, seen = 0.2, 0.1, 5, 0.1, 0.3
    weights = np.array([1 / t**2, n / s**2])
    expected = weights @ [before, seen] / weights.sum()
    found = ScoreDistribution(before, 0.3).adapt(seen, s**2, n, relevance=s**2 / t**2)
    assert np.isclose(found.mean, expected)


def test_what_is_left_unknown_of_the_mean_is_left_in_the_deviation():
    """`s**2 + t**2` before, and `s**2 + t**2 / 2` when half as much is unknown."""
    s, t = 0.2, 0.1
    before = ScoreDistribution(0.1, np.hypot(s, t).item())
    half = before.adapt(0.3, s**2, 5, relevance=4)
    assert np.isclose(half.deviation**2, s**2 + t**2 / 2)


def test_one_person_says_nothing_of_how_people_vary_and_many_decide():
    before = ScoreDistribution(0.1, 0.2)
    one = before.adapt(0.6, 0.0, 1, relevance=4)
    np.testing.assert_allclose([one.mean, one.deviation], [0.2, 0.2])
    found = before.adapt(0.7, 0.09, 1e9, relevance=4)
    np.testing.assert_allclose([found.mean, found.deviation], [0.7, 0.3], rtol=1e-6)


def test_scores_that_are_higher_by_a_factor_are_wider_by_it(rng):
    scores = rng.normal(0.3, 0.1, 50)
    twice, found = (
        ScoreDistribution.from_scores(2 * scores),
        ScoreDistribution.from_scores(scores).scale(2),
    )
    np.testing.assert_allclose(
        [found.mean, found.deviation], [twice.mean, twice.deviation]
    )


def test_of_one_deviation_the_line_is_that_of_theory():
    """llr = (m1 - m0) / s**2 * (x - (m1 + m0) / 2) of two normals: 20 x - 4."""
    line = score_adaptation.fit_calibration(
        ScoreDistribution(0.3, 0.1), ScoreDistribution(0.1, 0.1)
    )
    assert np.isclose(line.threshold(), 0.2, atol=1e-9)  # both kinds mirror each other
    assert np.isclose(line.slope, 20, rtol=0.05)


def test_scores_that_part_perfectly_are_worth_two_hundred_trials_and_no_more():
    line = score_adaptation.fit_calibration(
        ScoreDistribution(0.9, 1e-3), ScoreDistribution(0.1, 1e-3)
    )
    assert np.isclose(line.probability(0.9), 201 / 202, atol=1e-4)
    assert np.isclose(line.probability(0.1), 1 / 202, atol=1e-4)


def test_the_more_alike_impostors_are_the_higher_the_threshold():
    same = ScoreDistribution(0.7, 0.13)
    limits = [
        score_adaptation.fit_calibration(same, ScoreDistribution(mean, 0.2)).threshold()
        for mean in (0.0, 0.1, 0.2, 0.3)
    ]
    assert (np.diff(limits) > 0.02).all()


def test_one_voice_must_sound_more_alike_than_two():
    with pytest.raises(ValueError, match="must score higher"):
        score_adaptation.fit_calibration(
            ScoreDistribution(0.2, 0.1), ScoreDistribution(0.2, 0.1)
        )


@pytest.mark.parametrize(
    "numbers",
    [(0.1, 0.0), (0.1, -1), (np.nan, 0.1), (0.1, np.inf), ("0", 1), (True, 1)],
)
def test_what_can_be_no_scores_is_refused(numbers):
    with pytest.raises(ValueError, match="must be"):
        ScoreDistribution(*numbers)
