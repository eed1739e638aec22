"""Spline couplings: elementwise monotone rational-quadratic splines.

A spline has `num_bins` bins between `num_bins + 1` knots from `(-tail, -tail)` to
`(tail, tail)` and is the identity outside of them. In a bin of width `w` and height
`h`, with `s = h / w`, slopes `d_0` and `d_1` at its ends and `u = (x - x_0) / w` in
[0, 1],

    `z = y_0 + h * (s * u**2 + d_0 * u * (1 - u)) / (s + curve * u * (1 - u))`,

where `curve = d_0 + d_1 - 2 * s`. The inverse solves a quadratic equation in `u`.

Reference:
    Neural Spline Flows (Durkan et al., 2019), equations 4 to 8 and appendix A.
    https://arxiv.org/abs/1906.04032
"""

import math

import keras
from keras import ops

from flows.bijectors.coupling import Coupling

MIN_BIN = 1e-3  # width and height of a bin, in all of them; slope
UNIT_SLOPE = math.log(math.expm1(1 - MIN_BIN))  # `MIN_BIN + softplus(UNIT_SLOPE) = 1`
MIN_DISCRIMINANT = 1e-12  # the square root's gradient stays finite


def rational_quadratic(x, widths, heights, slopes, tail):
    """Maps every number by its own spline, the identity where parameters are zero.

    Args:
        x: `[...]`; numbers beyond `tail` stay as they are.
        widths, heights: Of the `K` bins, before softmax, `[..., K]`.
        slopes: At the inner knots, before softplus, `[..., K - 1]`; 1 at outer ones.
        tail: Where the spline ends on both sides, a float > 0.

    Returns:
        `z` and `log |dz / dx|`, shaped as `x`.
    """
    clipped = ops.clip(x, -tail, tail)
    knots_x, knots_y = _knots(widths, tail), _knots(heights, tail)
    x_0, y_0, w, h, d_0, d_1 = _bins(clipped, knots_x, knots_x, knots_y, slopes)
    s, u = h / w, (clipped - x_0) / w
    z = y_0 + h * u * (s * u + d_0 * (1 - u)) / _denominator(u, s, d_0, d_1)
    return _within(tail, x, z, _log_slope(u, s, d_0, d_1))


def inverse_rational_quadratic(z, widths, heights, slopes, tail):
    """Undoes `rational_quadratic`: `x` and `log |dx / dz|` by the same parameters."""
    clipped = ops.clip(z, -tail, tail)
    knots_x, knots_y = _knots(widths, tail), _knots(heights, tail)
    x_0, y_0, w, h, d_0, d_1 = _bins(clipped, knots_y, knots_x, knots_y, slopes)
    s = h / w
    u = _root((clipped - y_0) / h, s, d_0, d_1)
    return _within(tail, z, x_0 + w * u, -_log_slope(u, s, d_0, d_1))


@keras.saving.register_keras_serializable(package="flows")
class SplineCoupling(Coupling):
    """Maps each number by `rational_quadratic`, of `3 * num_bins - 1` parameters.

    Args:
        conditioner, mask: See `Coupling`.
        num_bins: Bins of a spline, an int of 2 or more. Defaults to `8`.
        tail: Beyond it the identity, a float > 0. Defaults to `5.0`.
    """

    def __init__(self, conditioner, mask="first", num_bins=8, tail=5.0, **kwargs):
        super().__init__(conditioner, mask, **kwargs)
        if not 2 <= num_bins < 1 / MIN_BIN or not tail > 0:
            raise ValueError(
                f"`num_bins` must be at least 2 and below {1 / MIN_BIN:g}, `tail` "
                f"above 0. Received: num_bins={num_bins}, tail={tail}"
            )
        self.num_bins = num_bins
        self.tail = tail

    @property
    def num_parameters(self):
        return 3 * self.num_bins - 1

    def _transform(self, x, parameters):
        return rational_quadratic(x, *self._spline(parameters), self.tail)

    def _inverse_transform(self, z, parameters):
        return inverse_rational_quadratic(z, *self._spline(parameters), self.tail)

    def _spline(self, parameters):
        """Widths, heights and slopes."""
        return (
            parameters[..., : self.num_bins],
            parameters[..., self.num_bins : 2 * self.num_bins],
            parameters[..., 2 * self.num_bins :],
        )


def _bins(values, knots, knots_x, knots_y, slopes):
    """Of the bin that each value is in by `knots`: `x_0, y_0, w, h, d_0, d_1`."""
    index = ops.sum(ops.cast(values[..., None] >= knots[..., 1:-1], "int32"), axis=-1)
    one_hot = ops.one_hot(index, knots.shape[-1] - 1, dtype=values.dtype)
    slopes = MIN_BIN + ops.softplus(slopes + UNIT_SLOPE)
    end = ops.ones_like(knots[..., :1])
    bins = (
        knots_x[..., :-1],
        knots_y[..., :-1],
        knots_x[..., 1:] - knots_x[..., :-1],
        knots_y[..., 1:] - knots_y[..., :-1],
        ops.concatenate([end, slopes], axis=-1),
        ops.concatenate([slopes, end], axis=-1),
    )
    return [ops.sum(one_hot * of_bins, axis=-1) for of_bins in bins]


def _within(tail, given, mapped, log_slope):
    """Mapped values and log-slopes up to `tail`, the identity beyond it."""
    inside = ops.abs(given) <= tail
    log_slope = ops.where(inside, log_slope, ops.zeros_like(log_slope))
    return ops.where(inside, mapped, given), log_slope


def _knots(sizes, tail):
    """Where bins begin and end, `[..., K + 1]`, from -tail to tail exactly."""
    num_bins = sizes.shape[-1]
    shares = MIN_BIN + (1 - MIN_BIN * num_bins) * ops.softmax(sizes, axis=-1)
    inner = tail * (2 * ops.cumsum(shares, axis=-1)[..., :-1] - 1)
    end = tail * ops.ones_like(sizes[..., :1])
    return ops.concatenate([-end, inner, end], axis=-1)


def _denominator(u, s, d_0, d_1):
    return s + (d_0 + d_1 - 2 * s) * u * (1 - u)


def _log_slope(u, s, d_0, d_1):
    """The logarithm of `dz / dx` (equation 5)."""
    steepness = d_1 * u**2 + 2 * s * u * (1 - u) + d_0 * (1 - u) ** 2
    denominator = _denominator(u, s, d_0, d_1)
    return 2 * ops.log(s) + ops.log(steepness) - 2 * ops.log(denominator)


def _root(v, s, d_0, d_1):
    """The `u` in [0, 1] at which a bin's curve is at `v` of its height (equation 6).

    The root of `a * u**2 + b * u + c`, with `a + b + c >= 0 >= c`, in the one of its
    two forms that adds numbers of one sign.
    """
    bent = v * (d_0 + d_1 - 2 * s)
    a, b, c = s - d_0 + bent, d_0 - bent, -s * v
    root = ops.sqrt(ops.maximum(b**2 - 4 * a * c, MIN_DISCRIMINANT))
    positive = b >= 0
    above = ops.where(positive, -2 * c, root - b)
    below = ops.where(positive, b + root, 2 * a)
    return ops.clip(above / below, 0.0, 1.0)
