"""Two-sample tests: right where the answer is known, silent where there is none."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from timbre.metrics.two_sample_tests import (
    KERNELS,
    c2st,
    compare_norms,
    ks_per_column,
    mmd,
    sliced_wasserstein,
)


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_is_the_sum_over_pairs(rng, kernel):
    real, fake = rng.normal(size=(8, 3)), 0.5 + rng.normal(size=(8, 3))
    values = KERNELS[kernel](np.concatenate([real, fake]))
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    within = np.mean([values[i, j] + values[8 + i, 8 + j] for i, j in pairs])
    across = 2 * values[:8, 8:].mean()
    found = mmd(real, fake, kernel=kernel, permutations=0)
    assert found["mmd2"] == pytest.approx(within - across)


def test_the_kernels_are_their_formulas(rng):
    rows = rng.normal(size=(5, 3))
    squares = [np.sum((x - y) ** 2) for i, x in enumerate(rows) for y in rows[:i]]
    expected = np.exp(-squares[0] / (2 * np.median(squares)))
    assert KERNELS["rbf"](rows)[1, 0] == pytest.approx(expected)
    assert KERNELS["cubic"](rows)[1, 2] == pytest.approx(
        (rows[1] @ rows[2] / 3 + 1) ** 3
    )
    assert (KERNELS["rbf"](np.ones((4, 2))) == 1).all()


def test_mmd_is_unbiased_and_its_p_value_uniform_under_the_null(rng):
    draws = [
        mmd(*rng.normal(size=(2, 25, 3)), seed=i, permutations=99) for i in range(200)
    ]
    values, p = (np.array([d[key] for d in draws]) for key in ("mmd2", "p"))
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(200)
    assert values.min() < 0
    for level in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.1)
    assert p.min() >= 0.01


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_sees_a_moved_set_however_many_rows_it_has(rng, kernel):
    found = mmd(rng.normal(size=(90, 3)), 1 + rng.normal(size=(300, 3)), kernel=kernel)
    assert found["mmd2"] > 0.05 and found["p"] == pytest.approx(1 / 201)
    again = mmd(rng.normal(size=(90, 3)), rng.normal(size=(300, 3)), max_rows=50)
    assert again["p"] > 0.05


def test_mmd_of_a_set_and_itself_is_not_above_zero(rng):
    rows = rng.normal(size=(30, 2))
    assert mmd(rows, rows)["mmd2"] <= 0
    assert mmd(rows, rows)["p"] > 0.9
    with pytest.raises(ValueError, match="`kernel`"):
        mmd(rows, rows, kernel="linear")


@pytest.mark.parametrize("classifier", ["mlp", "knn"])
def test_a_classifier_guesses_on_one_distribution_and_knows_two(rng, classifier):
    same = c2st(*rng.normal(size=(2, 100, 3)), folds=2, classifier=classifier)
    assert same["low"] < 0.5 < same["high"]
    different = c2st(
        rng.normal(size=(80, 3)),
        6 + rng.normal(size=(100, 3)),
        folds=2,
        classifier=classifier,
    )
    assert different["accuracy"] > 0.98


def test_c2st_is_fair_between_sets_of_different_sizes(rng):
    """Always predicting the larger set would score .95 without subsampling."""
    found = c2st(rng.normal(size=(40, 2)), rng.normal(size=(760, 2)), folds=2)
    assert found["accuracy"] < 0.7
    assert found["low"] < found["accuracy"] < found["high"]


def test_c2st_repeats_itself_and_refuses_what_it_can_not_judge(rng):
    real, fake = rng.normal(size=(2, 30, 2))
    assert c2st(real, fake, folds=2, seed=4) == c2st(real, fake, folds=2, seed=4)
    with pytest.raises(ValueError, match="`classifier`"):
        c2st(real, fake, classifier="svm")
    with pytest.raises(ValueError, match="at least 10 rows"):
        c2st(real[:9], fake)


def test_a_moved_set_is_that_far_on_every_line(rng):
    """`x` and `x + m` project `m @ line` apart: `|m| / sqrt(dim)` on average."""
    rows, move = rng.normal(size=(50, 4)), np.array([0.0, 3.0, 0.0, 4.0])
    found = sliced_wasserstein(rows, rows + move, projections=4000)
    assert found == pytest.approx(5 / 2, rel=0.03)
    assert sliced_wasserstein(rows, rows[::-1]) < 1e-12
    doubled = np.repeat(rows, 2, axis=0)
    assert sliced_wasserstein(rows, doubled) == pytest.approx(0, abs=1e-6)


def test_projections_of_sets_of_different_sizes_are_compared_exactly(rng):
    """Six and four rows are twelve each, when repeated twice and three times."""
    real, fake = rng.normal(size=(6, 1)), 1 + rng.normal(size=(4, 1))
    pair = [np.sort(rows.repeat(n)) for rows, n in ((real, 2), (fake, 3))]
    expected = np.sqrt(np.mean((pair[0] - pair[1]) ** 2))
    assert sliced_wasserstein(real, fake) == pytest.approx(expected)
    assert expected >= wasserstein_distance(real[:, 0], fake[:, 0])  # order 2 and 1


def test_columns_are_compared_as_scipy_does(rng):
    real, fake = rng.normal(size=(40, 3)).round(1), rng.normal(size=(60, 3)).round(1)
    expected = [ks_2samp(a, b).statistic for a, b in zip(real.T, fake.T, strict=True)]
    np.testing.assert_allclose(ks_per_column(real, fake), expected)
    assert ks_per_column(real, real + 99).tolist() == [1, 1, 1]


def test_norms_forgive_rounding_and_nothing_else(rng):
    rows = rng.normal(size=(200, 8))
    sphere = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rounded = compare_norms(sphere, sphere.astype(np.float32))
    assert rounded["ks"] == 0 and rounded["p"] == 1
    assert rounded["real"] == pytest.approx([1] * 5)
    found = compare_norms(sphere, rows)
    expected = np.quantile(np.linalg.norm(rows, axis=1), found["levels"])
    np.testing.assert_allclose(found["fake"], expected)
    assert found["ks"] > 0.9 and found["p"] < 1e-6
