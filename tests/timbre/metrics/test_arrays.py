"""Samples: one check for all, fair sizes, and a scale that is the training set's."""

import numpy as np
import pytest

from timbre.metrics import arrays


def test_sets_that_can_not_be_compared_are_refused(rng):
    good = rng.normal(size=(5, 3))
    with pytest.raises(ValueError, match="`real` must be finite.*in 2 of 5 rows"):
        bad = good.copy()
        bad[[1, 4], 0] = np.nan, np.inf
        arrays.check_same_width(real=bad, fake=good)
    with pytest.raises(ValueError, match="at least 2 rows"):
        arrays.check_same_width(real=good, fake=good[:1])
    with pytest.raises(ValueError, match="as many columns.*'fake': \\(5, 2\\)"):
        arrays.check_same_width(real=good, fake=good[:, :2])
    with pytest.raises(ValueError, match=r"\[rows, dim\]"):
        arrays.check_rows(good[0], "real")


def test_subsampling_draws_each_row_once_and_keeps_what_fits(rng):
    rows = np.arange(40.0).reshape(20, 2)
    chosen = arrays.subsample(rows, 7, seed=3)
    assert len(np.unique(chosen[:, 0])) == 7
    assert (chosen == arrays.subsample(rows, 7, seed=3)).all()
    assert arrays.subsample(rows, 20, seed=0) is rows
    assert [len(s) for s in arrays.subsample_equally(rows, rows[:9], seed=0)] == [9, 9]
    assert [
        len(s) for s in arrays.subsample_equally(rows, rows[:9], seed=0, max_rows=4)
    ] == [4, 4]


def test_the_scale_standardises_and_a_constant_column_is_only_centred(rng):
    train = rng.normal(3, 2, size=(50, 4)).astype(np.float32)
    train[:, 2] = 0.1
    mean, deviation = arrays.fit_scale(train)
    scaled = (train - mean) / deviation
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-6)
    assert deviation[2] == 1


@pytest.mark.parametrize("block_bytes", [1, 100, 2**20])
def test_blocks_hold_every_row_once(monkeypatch, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    rows = np.arange(23)
    found = [rows[b] for b in arrays.row_blocks(23, 5)]
    assert (np.concatenate(found) == rows).all()
    assert max(map(len, found)) <= max(1, block_bytes // 40)


def test_unit_rows_have_length_one_and_zero_stays_zero(rng):
    rows = rng.normal(size=(4, 3))
    rows[2] = 0
    np.testing.assert_allclose(
        np.linalg.norm(arrays.normalise_rows(rows), axis=1), [1, 1, 0, 1]
    )
