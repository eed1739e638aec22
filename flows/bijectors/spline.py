"""Spline couplings: some of the channels bend as the others say.

A monotone curve through `num_bins + 1` knots from `(-tail, -tail)` to `(tail, tail)`,
between two of them a quotient of quadratics, beyond them the identity. With `w` and
`h` a bin's width and height, `s = h / w`, `d_0` and `d_1` the slopes at its ends, and
`u = (x - x_0) / w` in [0, 1],

    `z = y_0 + h * (s * u**2 + d_0 * u * (1 - u)) / (s + curve * u * (1 - u))`,

where `curve = d_0 + d_1 - 2 * s`; undone, a quadratic equation in `u`.

Reference:
    Neural Spline Flows (Durkan et al., 2019), equations 4 to 8 and appendix A.
    https://arxiv.org/abs/1906.04032
"""

import math

import keras
from keras import ops

from flows.bijectors.coupling import Coupling

LEAST = 1e-3  # width and height of a bin, in all of them; slope
UNIT = math.log(math.expm1(1 - LEAST))  # `LEAST + softplus(UNIT) = 1`
TINY = 1e-12  # least discriminant: the square root's gradient stays finite


def rational_quadratic(x, widths, heights, slopes, tail, inverse=False):
    """Moves every number along its own monotone rational-quadratic spline.

    The identity where all parameters are zero.

    Args:
        x: `[...]`, to be moved; what is beyond `tail` stays.
        widths, heights: Of the `K` bins, before softmax, `[..., K]`.
        slopes: At the inner knots, before softplus, `[..., K - 1]`; at the outer ones
            the slope is 1, that of the identity.
        tail: Where the spline ends on both sides, a float > 0.
        inverse: Whether to go back. Defaults to `False`.

    Returns:
        `z` and `log |dz / dx|`, shaped as `x`; backwards `x` and `log |dx / dz|`.
    """
    inside = ops.abs(x) <= tail
    kept, x = x, ops.clip(x, -tail, tail)
    knots_x, knots_y = _knots(widths, tail), _knots(heights, tail)
    num_bins = widths.shape[-1]
    inner = (knots_y if inverse else knots_x)[..., 1:-1]
    index = ops.sum(ops.cast(x[..., None] >= inner, "int32"), axis=-1)
    chosen = ops.one_hot(index, num_bins, dtype=x.dtype)

    def pick(values):
        return ops.sum(chosen * values, axis=-1)

    x_0, y_0 = pick(knots_x[..., :-1]), pick(knots_y[..., :-1])
    w = pick(knots_x[..., 1:] - knots_x[..., :-1])
    h = pick(knots_y[..., 1:] - knots_y[..., :-1])
    slopes = LEAST + ops.softplus(slopes + UNIT)
    end = ops.ones_like(knots_x[..., :1])
    d_0 = pick(ops.concatenate([end, slopes], axis=-1))
    d_1 = pick(ops.concatenate([slopes, end], axis=-1))
    s = h / w
    if inverse:
        u = _root((x - y_0) / h, s, d_0, d_1)
        moved = x_0 + w * u
    else:
        u = (x - x_0) / w
        moved = y_0 + h * u * (s * u + d_0 * (1 - u)) / _denominator(u, s, d_0, d_1)
    log_slope = _log_slope(u, s, d_0, d_1)
    log_slope = -log_slope if inverse else log_slope
    return (
        ops.where(inside, moved, kept),
        ops.where(inside, log_slope, ops.zeros_like(log_slope)),
    )


@keras.saving.register_keras_serializable(package="flows")
class SplineCoupling(Coupling):
    """Some of the channels move along splines that the others draw.

    `3 * num_bins - 1` parameters for each number (see `rational_quadratic`).

    Args:
        hidden, context_dim, swap, seed, split: See `Coupling`.
        num_bins: Bins of a spline, an int of 2 or more. Defaults to `8`.
        tail: Beyond it the identity, a float > 0. Defaults to `5.0`.

    Call arguments:
        x, context: See `Coupling`.
    """

    ARGUMENTS = (*Coupling.ARGUMENTS, "num_bins", "tail")

    def __init__(
        self, hidden=(128, 128), context_dim=0, num_bins=8, tail=5.0, **kwargs
    ):
        super().__init__(hidden, context_dim, **kwargs)
        if not 2 <= num_bins < 1 / LEAST or not tail > 0:
            raise ValueError(
                f"`num_bins` must be at least 2 and below {1 / LEAST:g}, `tail` above "
                f"0. Received: num_bins={num_bins}, tail={tail}"
            )
        self.num_bins = num_bins
        self.tail = tail

    @property
    def num_parameters(self):
        return 3 * self.num_bins - 1

    def _move(self, x, parameters, inverse):
        widths = parameters[..., : self.num_bins]
        heights = parameters[..., self.num_bins : 2 * self.num_bins]
        slopes = parameters[..., 2 * self.num_bins :]
        return rational_quadratic(x, widths, heights, slopes, self.tail, inverse)


def _knots(sizes, tail):
    """Where bins begin and end, `[..., K + 1]`, from -tail to tail exactly."""
    num_bins = sizes.shape[-1]
    shares = LEAST + (1 - LEAST * num_bins) * ops.softmax(sizes, axis=-1)
    inner = tail * (2 * ops.cumsum(shares, axis=-1)[..., :-1] - 1)
    end = tail * ops.ones_like(sizes[..., :1])
    return ops.concatenate([-end, inner, end], axis=-1)


def _denominator(u, s, d_0, d_1):
    return s + (d_0 + d_1 - 2 * s) * u * (1 - u)


def _log_slope(u, s, d_0, d_1):
    """The logarithm of `dz / dx` (equation 5)."""
    steepness = d_1 * u**2 + 2 * s * u * (1 - u) + d_0 * (1 - u) ** 2
    return (
        2 * ops.log(s) + ops.log(steepness) - 2 * ops.log(_denominator(u, s, d_0, d_1))
    )


def _root(v, s, d_0, d_1):
    """The `u` in [0, 1] at which a bin's curve is at `v` of its height (equation 6).

    The root of `a * u**2 + b * u + c`, with `a + b + c >= 0 >= c`, in the one of its
    two forms that adds numbers of one sign.
    """
    bent = v * (d_0 + d_1 - 2 * s)
    a, b, c = s - d_0 + bent, d_0 - bent, -s * v
    root = ops.sqrt(ops.maximum(b**2 - 4 * a * c, TINY))
    positive = b >= 0
    above = ops.where(positive, -2 * c, root - b)
    below = ops.where(positive, b + root, 2 * a)
    return ops.clip(above / below, 0.0, 1.0)
