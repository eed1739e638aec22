"""Neighbours against plain loops, the laws of their figures, and their memory."""

import tracemalloc

import numpy as np
import pytest

from tests.references import unit
from timbre.metrics import arrays
from timbre.metrics.neighbours import (
    _square_distances,
    cosine_distribution,
    nearest_cosines,
    nearest_neighbours,
    prdc,
)


def reference(real, fake, k):
    """Naeem et al. 2020, row by row."""

    def reach(rows):
        return [sorted(np.linalg.norm(rows - x, axis=1))[k] for x in rows]

    far = np.array([[np.linalg.norm(x - y) for y in fake] for x in real])
    own, other = np.array(reach(real)), np.array(reach(fake))
    inside = far < own[:, None]
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": (far < other).any(axis=1).mean(),
        "density": inside.sum() / (k * len(fake)),
        "coverage": inside.any(axis=1).mean(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**25])
def test_neighbourhoods_are_those_of_plain_loops(rng, monkeypatch, k, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    real, fake = rng.normal(size=(40, 4)), 0.7 * rng.normal(size=(55, 4)) + 100.5
    real += 100
    found = prdc(real, fake, k=k)
    assert found == pytest.approx(reference(real, fake, k))


def expected_coverage(n, m, k):
    """Of the `k` nearest of n - 1 other rows and m fakes, not all are other rows."""
    falling = np.arange(1, k + 1)
    return 1 - np.prod((n - falling) / (n + m - falling))


@pytest.mark.parametrize("m", [100, 40])
def test_one_distribution_has_density_one_and_the_coverage_of_the_formula(rng, m):
    """`1 - (n - 1)...(n - k) / (n + m - 1)...(n + m - k)`, whatever the dimension."""
    n, k = 100, 5
    draws = [
        prdc(rng.normal(size=(n, 10)), rng.normal(size=(m, 10)), k=k) for _ in range(60)
    ]
    expected = pytest.approx(expected_coverage(n, m, k), abs=0.01)
    assert np.mean([d["coverage"] for d in draws]) == expected
    assert np.mean([d["density"] for d in draws]) == pytest.approx(1, abs=0.05)


def test_faults_of_a_generator_show_where_they_should(rng):
    real = np.concatenate([rng.normal(size=(100, 2)), rng.normal(8, 1, size=(100, 2))])
    one_mode = prdc(real, rng.normal(size=(200, 2)))
    assert one_mode["precision"] > 0.9 and 0.4 < one_mode["coverage"] < 0.55
    away = prdc(real, rng.normal(50, 1, size=(200, 2)))
    assert set(away.values()) == {0.0}
    copies = prdc(real, real)
    assert copies["precision"] == copies["recall"] == copies["coverage"] == 1


def test_equal_rows_are_at_no_distance_at_all(rng):
    """Six copies: the fifth neighbour is at 0, and no ball is open to anything."""
    real = np.repeat(100 + rng.normal(size=(10, 33)), 6, axis=0)
    assert prdc(real, real, k=5)["coverage"] == 0
    assert not np.diag(_square_distances(real, real)).any()


def test_precision_and_recall_are_one_figure_with_the_sides_changed(rng):
    a, b = rng.normal(size=(40, 6)), 0.8 * rng.normal(size=(70, 6))
    assert prdc(a, b)["precision"] == prdc(b, a)["recall"]
    assert prdc(a, b)["recall"] == prdc(b, a)["precision"]


@pytest.mark.slow
def test_a_thousand_dimensions_give_the_figures_of_the_paper(rng):
    """Its authors print .477 .471 1.056 .974 for one draw of 10,000 rows each.

    Balls depend on the number of real rows; means over fakes, precision and density,
    are the same for a tenth of these. Recall is precision with the sides changed, and
    coverage is that of the formula.
    """
    found = prdc(rng.normal(size=(10_000, 1000)), rng.normal(size=(1000, 1000)))
    assert found["precision"] == pytest.approx(0.477, abs=0.04)
    assert found["density"] == pytest.approx(1, abs=0.2)
    assert expected_coverage(10_000, 10_000, 5) == pytest.approx(0.974, abs=0.03)


def test_too_few_rows_for_a_neighbour_are_refused(rng):
    with pytest.raises(ValueError, match="at least 6 rows"):
        prdc(rng.normal(size=(5, 2)), rng.normal(size=(50, 2)), k=5)
    with pytest.raises(ValueError, match="`k`"):
        prdc(*rng.normal(size=(2, 9, 2)), k=0)


@pytest.mark.parametrize("block_bytes", [1, 1000, 2**25])
def test_the_nearest_row_is_the_one_of_the_highest_cosine(
    rng, monkeypatch, block_bytes
):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    a, b = 3 * unit(rng, 15, 4), 0.2 * unit(rng, 25, 4)
    table = unit_product(a, b)
    cosine, index = nearest_neighbours(a, b)
    np.testing.assert_allclose(cosine, table.max(axis=1), atol=1e-6)
    assert (index == table.argmax(axis=1)).all()
    table = unit_product(a, a) - 9 * np.eye(15)
    cosine, index = nearest_neighbours(a)
    np.testing.assert_allclose(cosine, table.max(axis=1), atol=1e-6)
    assert (index == table.argmax(axis=1)).all()


def unit_product(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def test_nearest_cosines_part_copies_and_repetition_from_invention(rng):
    real, new = unit(rng, 100, 16), unit(rng, 100, 16)
    assert nearest_cosines(real[:50], real)["p05"] == pytest.approx(1)
    same = nearest_cosines(np.repeat(new[:50], 2, axis=0))
    assert same["median"] == pytest.approx(1)
    assert nearest_cosines(new, real)["mean"] == pytest.approx(
        nearest_cosines(real)["mean"], abs=0.03
    )


@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_cosines_are_those_of_all_pairs(rng, monkeypatch, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    a, b = unit(rng, 12, 5), unit(rng, 7, 5)
    table = unit_product(a, a)
    for found, expected in (
        (
            cosine_distribution(a),
            table[~np.eye(12, dtype=bool)],
        ),
        (cosine_distribution(a, b), unit_product(a, b).ravel()),
    ):
        assert found["mean"] == pytest.approx(expected.mean(), abs=1e-6)
        assert found["deviation"] == pytest.approx(expected.std(), abs=1e-6)
        assert found["least"] == pytest.approx(expected.min(), abs=1e-6)
        assert found["most"] == pytest.approx(expected.max(), abs=1e-6)
        counts = np.histogram(expected, found["edges"])[0]
        np.testing.assert_allclose(found["shares"], counts / len(expected))


def test_memory_does_not_grow_with_the_product_of_the_sizes(rng, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 2**18)
    a, b = rng.normal(size=(2, 1200, 8))
    tracemalloc.start()
    prdc(a, b)
    nearest_neighbours(a, b)
    cosine_distribution(a)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6  # one matrix of distances would be 11.5 MB


def test_neighbours_refuse_nan_and_other_widths(rng):
    rows = rng.normal(size=(9, 3))
    with pytest.raises(ValueError, match="`b` must be finite"):
        nearest_cosines(rows, rows * np.nan)
    with pytest.raises(ValueError, match="as many columns"):
        cosine_distribution(rows, rows[:, :2])
    with pytest.raises(ValueError, match="at least 2 rows"):
        nearest_cosines(rows[:1])
