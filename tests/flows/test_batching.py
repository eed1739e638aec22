"""Blocks: what is mapped piece by piece is what it is as a whole."""

import numpy as np
import pytest
from keras import ops

from flows.batching import map_batches
from tests.flows import known


@pytest.fixture
def parts(rng):
    return known.parts(rng)


@pytest.mark.parametrize("block, calls", [(25, 1), (40, 2), (100, 1)])
def test_blocks_join_in_order_and_many_are_compiled(parts, block, calls):
    """Of 60 rows: 25, 25 and 10 are traced once; two blocks are as well called."""
    traced = []

    def function(x, labels):
        traced.append(1)
        return {
            "x": 2 * x,
            "sum": ops.sum(x, axis=(1, 2)) + ops.cast(labels[:, 0], "float32"),
        }

    rows = parts.test
    found = map_batches(function, rows.x, rows.labels, block=block)
    np.testing.assert_array_equal(found["x"], 2 * rows.x)
    expected = rows.x.sum(axis=(1, 2)) + rows.labels[:, 0]
    np.testing.assert_allclose(found["sum"], expected, rtol=1e-5, atol=1e-5)
    assert len(traced) == calls
