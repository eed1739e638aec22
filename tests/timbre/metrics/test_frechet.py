"""Fréchet distances of Gaussians whose answer is known, and ranks."""

import numpy as np
import pytest

from timbre.metrics.frechet import covariance_error, effective_rank, frechet_distance


def exactly(rng, rows, deviations, mean=0.0):
    """Rows whose sample mean and covariance are exactly those asked for."""
    x = rng.normal(size=(rows, len(deviations)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x * deviations + mean


def test_two_gaussians_along_the_axes_have_the_distance_of_the_formula(rng):
    """Diagonal covariances commute: `|m - n|**2 + sum((s - t)**2)`."""
    first, second = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.5, 0.5])
    real, fake = exactly(rng, 50, first), exactly(rng, 80, second, mean=1.5)
    expected = 3 * 1.5**2 + np.sum((first - second) ** 2)
    assert frechet_distance(real, fake) == pytest.approx(expected)


def test_a_turn_of_both_changes_nothing_and_of_one_does(rng):
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    real = exactly(rng, 60, np.arange(1.0, 7))
    fake = exactly(rng, 60, np.ones(6), mean=0.3)
    assert frechet_distance(real @ turn, fake @ turn) == pytest.approx(
        frechet_distance(real, fake)
    )
    assert frechet_distance(fake, real) == pytest.approx(frechet_distance(real, fake))
    assert frechet_distance(real, real @ turn) > 1


def test_a_set_is_at_no_distance_from_itself(rng):
    rows = rng.normal(size=(100, 12)) @ rng.normal(size=(12, 12))
    assert frechet_distance(rows, rows) < 1e-9
    flat = rows * (np.arange(12) < 5)  # a covariance without inverse
    assert frechet_distance(flat, flat) < 1e-5
    assert (
        frechet_distance(rows.astype(np.float32), rows[::-1].astype(np.float32)) < 1e-9
    )


def test_few_rows_are_shrunk_and_it_is_said(rng):
    real, fake = rng.normal(size=(2, 40, 16))
    with pytest.warns(UserWarning, match="40 and 40 rows are shrunk"):
        shrunk = frechet_distance(real, fake)
    assert shrunk == frechet_distance(real, fake, shrinkage="ledoit_wolf")
    assert shrunk < 0.5 * frechet_distance(real, fake, shrinkage=0.0)  # the truth is 0
    with pytest.warns(UserWarning, match="16 dimensions"):
        assert np.isfinite(
            frechet_distance(real[:5], fake)
        )  # fewer rows than dimensions


def test_whole_shrinkage_compares_means_and_one_variance(rng):
    real, fake = exactly(rng, 50, np.ones(4)), exactly(rng, 50, 3 * np.ones(4), 1.0)
    assert frechet_distance(real, fake, shrinkage=1.0) == pytest.approx(
        4 * 1 + 4 * (3 - 1) ** 2
    )


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, "oas"])
def test_a_shrinkage_that_is_none_is_refused(rng, shrinkage):
    with pytest.raises(ValueError, match="`shrinkage`"):
        frechet_distance(*rng.normal(size=(2, 30, 2)), shrinkage=shrinkage)


def test_one_row_has_no_covariance(rng):
    with pytest.raises(ValueError, match="`fake` must be .* at least 2 rows"):
        frechet_distance(rng.normal(size=(9, 2)), rng.normal(size=(1, 2)))


def test_covariance_error_is_relative(rng):
    real = exactly(rng, 30, np.array([1.0, 1.0, 2.0]))
    assert covariance_error(real, real) == 0
    assert covariance_error(real, 2 * real) == pytest.approx(3)  # |4 C - C| / |C|
    assert covariance_error(real, np.ones((5, 3))) == pytest.approx(1)
    with pytest.raises(ValueError, match="all equal"):
        covariance_error(np.ones((5, 3)), real)


def test_effective_rank_counts_directions(rng):
    assert effective_rank(exactly(rng, 60, np.ones(8))) == pytest.approx(8)
    assert effective_rank(exactly(rng, 60, [2, 2, 2, 0, 0])) == pytest.approx(3)
    uneven = effective_rank(exactly(rng, 60, [2, 1, 1, 0]))  # shares 2/3, 1/6, 1/6
    assert uneven == pytest.approx(np.exp(-2 / 3 * np.log(2 / 3) + np.log(6) / 3))
    with pytest.raises(ValueError, match="all equal"):
        effective_rank(np.ones((5, 3)))
