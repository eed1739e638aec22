"""Every row once an epoch, and the same rows at the same step whoever asks."""

import itertools

import numpy as np
import pytest

from timbre.training.array_dataset import batches


def taken(following, start, count):
    rows = itertools.islice(following(start), count)
    return [row[0] for row in rows]


@pytest.mark.parametrize("num_rows", [1, 7, 10])
def test_every_row_comes_once_an_epoch(num_rows):
    drawn = np.concatenate(taken(batches(np.arange(num_rows), batch=3), 0, num_rows))
    for epoch in drawn.reshape(3, num_rows):
        assert sorted(epoch) == list(range(num_rows))


def test_orders_differ_between_epochs_and_seeds():
    first, second = map(np.array, taken(batches(np.arange(50), batch=50, seed=1), 0, 2))
    other = np.array(taken(batches(np.arange(50), batch=50, seed=2), 0, 1)[0])
    assert (first != second).any() and (first != other).any()


def test_batches_are_a_function_of_the_step():
    following = batches(np.arange(10), batch=4, seed=3)
    whole = taken(following, 0, 9)
    again = taken(batches(np.arange(10), batch=4, seed=3), 5, 4)
    np.testing.assert_array_equal(whole[5:], again)


def test_columns_stay_together():
    columns = {"x_0": np.arange(12.0)[:, None], "labels": np.arange(12)}
    for batch in taken(batches(columns, batch=5), 0, 4):
        np.testing.assert_array_equal(batch["x_0"][:, 0], batch["labels"])


@pytest.mark.parametrize(
    "arrays", [np.zeros((0, 2)), {"a": np.zeros(3), "b": np.zeros(4)}]
)
def test_columns_need_as_many_rows_and_at_least_one(arrays):
    with pytest.raises(ValueError, match="as many rows"):
        batches(arrays, batch=2)
