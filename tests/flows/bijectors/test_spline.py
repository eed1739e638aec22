"""Splines: monotone, smooth, the identity outside, and as the paper writes them."""

import numpy as np
import pytest
import tensorflow as tf

from flows.bijectors.spline import (
    MIN_BIN,
    inverse_rational_quadratic,
    rational_quadratic,
)

BINS, TAIL = 5, 3.0
SPLINES = (rational_quadratic, inverse_rational_quadratic)


def parameters(rng, shape, size=2.0, dtype="float64"):
    """Random widths, heights and slopes of splines, `[*shape, ...]`."""
    counts = (BINS, BINS, BINS - 1)
    return [(size * rng.normal(size=(*shape, n))).astype(dtype) for n in counts]


def reference(x, widths, heights, slopes, tail):
    """One number along one spline, as equation 4 of Durkan et al. (2019) is written."""
    if abs(x) > tail:
        return x

    def knots(raw):
        share = np.exp(raw) / np.exp(raw).sum()
        share = MIN_BIN + (1 - MIN_BIN * len(raw)) * share
        return np.concatenate([[0], np.cumsum(share)]) * 2 * tail - tail

    xs, ys = knots(widths), knots(heights)
    offset = np.log(np.exp(1 - MIN_BIN) - 1)
    inner = MIN_BIN + np.log1p(np.exp(slopes + offset))
    delta = np.concatenate([[1], inner, [1]])
    k = min(np.searchsorted(xs, x, side="right") - 1, len(widths) - 1)
    s = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k])
    xi = (x - xs[k]) / (xs[k + 1] - xs[k])
    above = (ys[k + 1] - ys[k]) * (s * xi**2 + delta[k] * xi * (1 - xi))
    below = s + (delta[k + 1] + delta[k] - 2 * s) * xi * (1 - xi)
    return ys[k] + above / below


def test_spline_is_that_of_the_paper(rng):
    x, raw = rng.uniform(-4, 4, 200), parameters(rng, (200,))
    expected = [reference(*row, TAIL) for row in zip(x, *raw, strict=True)]
    z, _ = rational_quadratic(tf.constant(x), *raw, TAIL)
    np.testing.assert_allclose(z, expected, atol=1e-12)


@pytest.mark.parametrize("spline", SPLINES)
def test_log_slope_is_that_of_the_curve(spline, rng):
    x, raw = tf.constant(rng.uniform(-4, 4, 300)), parameters(rng, (300,))
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_slope = spline(x, *raw, TAIL)
    slope = tape.gradient(z, x)
    assert (slope.numpy() > 0).all()
    np.testing.assert_allclose(log_slope, np.log(slope), atol=1e-8)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-4), ("float64", 1e-9)])
def test_inverse_undoes_the_spline(dtype, atol, rng):
    x = rng.uniform(-4, 4, 20_000).astype(dtype)
    raw = parameters(rng, (20_000,), size=0.5, dtype=dtype)
    z, there = rational_quadratic(x, *raw, TAIL)
    back, home = inverse_rational_quadratic(z, *raw, TAIL)
    np.testing.assert_allclose(back, x, atol=atol)
    np.testing.assert_allclose(home, -there, atol=10 * atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [2.0, 5.0])
def test_flat_splines_lose_no_more_digits_than_their_slope_takes(size, dtype, rng):
    """Where a slope is 1e-5, `z` has five digits less of `x`: so many, and no more."""
    x = rng.uniform(-4, 4, 20_000).astype(dtype)
    raw = parameters(rng, (20_000,), size, dtype=dtype)
    z, log_slope = rational_quadratic(x, *raw, TAIL)
    back, _ = inverse_rational_quadratic(z, *raw, TAIL)
    again, _ = rational_quadratic(back, *raw, TAIL)
    assert np.exp(log_slope).min() < 1e-5
    np.testing.assert_allclose(again, z, atol=30 * np.finfo(dtype).eps * TAIL)


def test_zero_parameters_are_the_identity(rng):
    x = rng.uniform(-4, 4, 100)
    raw = parameters(rng, (100,), size=0.0)
    for spline in SPLINES:
        z, log_slope = spline(tf.constant(x), *raw, TAIL)
        np.testing.assert_allclose(z, x, atol=1e-12)
        np.testing.assert_allclose(log_slope, np.zeros(100), atol=1e-12)


def test_spline_is_monotone_smooth_and_meets_its_tails(rng):
    """One spline, walked along: no step back, no jump of value or slope."""
    raw = [np.tile(row, (4001, 1)) for row in parameters(rng, (1,))]
    x = np.linspace(-4, 4, 4001)
    z, log_slope = map(np.asarray, rational_quadratic(tf.constant(x), *raw, TAIL))
    slope = np.exp(log_slope)
    assert (np.diff(z) > 0).all()
    steps = np.diff(z) / np.diff(x)
    assert (steps < np.maximum(slope[1:], slope[:-1]) * 1.2 + 0.05).all()
    outside = np.abs(x) >= TAIL
    np.testing.assert_allclose(z[outside], x[outside], atol=1e-12)
    np.testing.assert_allclose(slope[outside], 1, atol=1e-9)


@pytest.mark.parametrize("spline", SPLINES)
@pytest.mark.parametrize("size", [0.0, 2.0, 30.0])
def test_gradients_are_finite_everywhere(spline, size, rng):
    """On the tails' ends, far outside, and with bins as flat as they can be."""
    x = np.array([0, TAIL, -TAIL, 1e6, -1e30, 3.0001, 0.1, -2.9999], "float32")
    values = [
        tf.constant(np.asarray(value, "float32"))
        for value in (np.tile(x, 50), *parameters(rng, (400,), size))
    ]
    with tf.GradientTape() as tape:
        tape.watch(values)
        z, log_slope = spline(*values, TAIL)
        loss = tf.reduce_sum(tf.tanh(z)) + tf.reduce_sum(log_slope)
    assert np.isfinite(z).all() and np.isfinite(log_slope).all()
    for gradient in tape.gradient(loss, values):
        assert np.isfinite(gradient).all()
    beyond = np.abs(values[0]) > TAIL
    np.testing.assert_array_equal(z.numpy()[beyond], values[0].numpy()[beyond])
    assert not log_slope.numpy()[beyond].any()


def test_what_is_no_number_stays_none():
    raw = parameters(np.random.default_rng(0), (1,))
    assert np.isnan(rational_quadratic(tf.constant([np.nan], "float64"), *raw, TAIL)[0])
