"""Couplings whose conditioner is a multilayer perceptron of fitting outputs, and a
chain with them."""

from flows.bijectors.base import Chain, Permutation
from flows.bijectors.conditioner import Conditioner
from flows.bijectors.coupling import AffineCoupling, conditioning_mask
from flows.bijectors.linear import InvertibleLinear
from flows.bijectors.normalisation import ActNorm
from flows.bijectors.spline import SplineCoupling

NAMES = ("affine", "spline")


def build(name, channels, hidden=(8,), *, mask="first", num_bins=8, **options):
    """A coupling by name.

    Args:
        name: One of `NAMES`.
        channels: Number of channels.
        hidden: Widths of the conditioner's hidden layers.
        mask, num_bins: Of the coupling.
        **options: `context_dim`, `seed` and `dtype` of the conditioner; others of the
            coupling.
    """
    network = {
        k: options.pop(k) for k in ("context_dim", "seed", "dtype") if k in options
    }
    transformed = int((~conditioning_mask(mask, channels)).sum())
    outputs = transformed * (2 if name == "affine" else 3 * num_bins - 1)
    conditioner = Conditioner(hidden, outputs, **network)
    if name == "affine":
        return AffineCoupling(conditioner, mask, **options)
    return SplineCoupling(conditioner, mask, num_bins=num_bins, **options)


def step(channels, **options):
    """A little of everything."""
    return Chain(
        [
            ActNorm(**options),
            Permutation(1, **options),
            build("affine", channels, **options),
            InvertibleLinear(2, "rotation", **options),
            build("spline", channels, mask="second", **options),
        ]
    )
