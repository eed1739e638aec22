"""Noising: the times a model is shown, and levels for samples of any rank."""

import keras
import numpy as np
import pytest

from diffusion.noising import antithetic_times, match_rank


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_antithetic_times_sum_to_t_plus_one(count):
    t = np.asarray(antithetic_times(count, 20, keras.random.SeedGenerator(0)))
    assert t.shape == (count,) and t.dtype == "int32"
    half = -(-count // 2)
    assert (t[: count - half] + t[half:] == 21).all()


def test_antithetic_times_are_uniform_from_one_to_t():
    t = np.asarray(antithetic_times(20_000, 10, keras.random.SeedGenerator(0)))
    shares = np.bincount(t, minlength=12) / len(t)
    assert shares[0] == shares[11] == 0
    np.testing.assert_allclose(shares[1:11], 0.1, atol=0.01)


@pytest.mark.parametrize("event", [(8,), (5, 3), (4, 2, 2)])
def test_levels_broadcast_over_samples_of_any_rank(event):
    x = np.ones((3, *event), "float32")
    assert match_rank(np.float32(0.5), x).shape == (1,) * x.ndim
    assert match_rank(np.ones(3), x).shape == (3, *[1] * len(event))
