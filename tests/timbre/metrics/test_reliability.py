"""Whether probabilities hold: exact answers, priors."""

import numpy as np
import pytest

from timbre.metrics.reliability import (
    expected_calibration_error,
    reliability,
)


def drawn(rng, count=200_000, prior=0.5, distance=2.0):
    """Trials and their exact ratios: Gaussians `distance` apart."""
    label = rng.random(count) < prior
    return label, distance * (rng.normal(size=count) + distance * (label - 0.5))


def chance(llr, prior=0.5):
    return 1 / (1 + np.exp(-llr) * (1 - prior) / prior)


def test_the_error_of_a_perfect_calibration_vanishes(rng):
    errors = []
    for count in (2_000, 200_000):
        label, llr = drawn(rng, count)
        errors.append(expected_calibration_error(label, chance(llr)))
    assert errors[0] < 0.05 and errors[1] < 0.005


@pytest.mark.parametrize("prior", [0.05, 0.5, 0.9])
def test_a_list_is_judged_at_the_prior_and_not_by_its_counts(rng, prior):
    label, llr = drawn(rng, prior=0.02)  # 98 % of the list are different pairs
    said = chance(llr, prior)
    assert expected_calibration_error(label, said, prior=prior) < 0.02
    assert expected_calibration_error(label, chance(llr, 0.02), prior=None) < 0.005
    if prior > 0.1:
        assert expected_calibration_error(label, said, prior=None) > 0.05


def test_the_error_is_the_weighed_gap_of_each_bin():
    """Said .9 of 2 same and 2 different, .1 of 2 different: at prior 1/2
    the upper bin weighs .5 + .25, holds 2/3 same; the lower weighs .25, holds none.
    """
    label = [1, 1, 0, 0, 0, 0]
    said, so, weight = reliability(label, [0.9] * 4 + [0.1] * 2, bins=10)
    np.testing.assert_allclose(said, [0.1, 0.9])
    np.testing.assert_allclose(so, [0, 2 / 3])
    np.testing.assert_allclose(weight, [0.25, 0.75])
    error = expected_calibration_error(label, [0.9] * 4 + [0.1] * 2, bins=10)
    assert error == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.1)


def test_certain_and_wrong_is_an_error_of_one():
    assert expected_calibration_error([1, 0], [0.0, 1.0]) == 1
    assert expected_calibration_error([1, 0], [1.0, 0.0]) == 0
    assert expected_calibration_error([1, 0], [0.5, 0.5]) == 0  # knows its ignorance


def test_what_is_no_probability_is_refused():
    for wrong in ([1.1, 0.0], [0.5, -0.1]):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            expected_calibration_error([1, 0], wrong)
    with pytest.raises(ValueError, match="`bins`"):
        reliability([1, 0], [1, 0], bins=0)
