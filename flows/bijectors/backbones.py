"""Backbones: whole flows by name, chains of bijectors on `[batch, dim]`.

A step is ActNorm, a mixing of the channels, and a nonlinear bijector:

    realnvp      affine coupling: one half scales and shifts the other
    spline       rational-quadratic spline coupling
    maf, iaf     masked autoregressive flow, each channel by those before it, and its
                 inverse
    maf-plain    ten masked autoregressive networks of two hidden layers of `dim` units,
                 in one order, without a bound and nothing else: the flow of the
                 released code of DNF, which only scales and shifts its first channel

Couplings alternate which half conditions. A random permutation precedes every second
one: before each, it would leave a channel untransformed in all of `n` steps with
probability `2**-n`, three of 800 channels in 8 steps.

Latents that are partitioned, a part for each factor, end with an LDA rotation, which
initialises the parts where their classes differ (`flows.bijectors.lda_rotation`), and,
if there is a residual, a coupling in which the parts condition it: what follows from
phone and speaker is removed from the residual. `maf-plain` has neither.

Every backbone but `maf-plain` begins as a permutation or a rotation of the channels,
which is the right map for Gaussian data of unit variance.

Reference:
    Density Estimation Using Real NVP (Dinh et al., 2017),
    https://arxiv.org/abs/1605.08803; Glow (Kingma and Dhariwal, 2018), section 3,
    https://arxiv.org/abs/1807.03039; Deep Normalization for Speaker Vectors (Cai et
    al., 2021), https://arxiv.org/abs/2004.04095
"""

from functools import partial

import numpy as np

from flows.bijectors.autoregressive import MaskedAutoregressive
from flows.bijectors.base import Chain, Inverse, Permutation, Reverse
from flows.bijectors.conditioner import Conditioner
from flows.bijectors.coupling import AffineCoupling, conditioning_mask
from flows.bijectors.lda_rotation import Alignment
from flows.bijectors.linear import InvertibleLinear
from flows.bijectors.normalisation import ActNorm
from flows.bijectors.spline import SplineCoupling
from timbre.training.networks import check_choice

COUPLINGS = ("realnvp", "spline")
NAMES = (*COUPLINGS, "maf", "iaf", "maf-plain")
MIXINGS = ("permutation", "linear", "reverse")
NUM_PLAIN_STEPS = 10  # MADEs of the released code of DNF


def build(
    name="realnvp",
    *,
    dim,
    steps=8,
    hidden=128,
    depth=2,
    mixing="permutation",
    bound=2.0,
    num_bins=8,
    tail=5.0,
    context_dim=0,
    dims=(),
    seed=0,
    dtype="float32",
):
    """Builds a backbone.

    Args:
        name: `realnvp`, `spline`, `maf`, `iaf` or `maf-plain`. Defaults to `realnvp`.
        dim: Number of channels, at least 2.
        steps: Defaults to `8`.
        hidden, depth: Width and number of the hidden layers of each step's network.
            Default to `128` and `2`.
        mixing: `permutation` (random), `linear` (LU, trained from the identity on) or
            `reverse`. Defaults to `permutation`.
        bound: Largest log-scale, not of `spline`. Defaults to `2.0`.
        num_bins, tail: Of `spline`, see `SplineCoupling`. Default to `8` and `5.0`.
        context_dim: Size of the context of each step. Defaults to `0`, none.
        dims: Channels of each factor's part, which come first; the rest is the
            residual. Defaults to none: latents are not partitioned.
        seed: Of the permutations and the first weights. Defaults to `0`.
        dtype: Of weights and results. Defaults to `"float32"`.

    `maf-plain` heeds `dim`, `context_dim`, `seed` and `dtype` only.

    Returns:
        A `Chain`, built on `[batch, dim]`.

    Raises:
        ValueError: If a name is unknown, or there is one channel only.
    """
    check_choice("name", name, NAMES)
    check_choice("mixing", mixing, MIXINGS)
    if dim < 2 or steps < 1:
        raise ValueError(
            "`dim` must be at least 2, or no channel can condition another, and "
            f"`steps` at least 1. Received: dim={dim}, steps={steps}"
        )
    widths = (hidden,) * depth
    maf = partial(MaskedAutoregressive, context_dim=context_dim, dtype=dtype)

    def coupling(mask, seed):
        transformed = int((~conditioning_mask(mask, dim)).sum())
        outputs = transformed * (3 * num_bins - 1 if name == "spline" else 2)
        conditioner = Conditioner(widths, outputs, context_dim, seed, dtype=dtype)
        if name == "spline":
            return SplineCoupling(conditioner, mask, num_bins, tail)
        return AffineCoupling(conditioner, mask, bound)

    def step(alternate, seed):
        if name in COUPLINGS:
            return coupling("second" if alternate else "first", seed)
        made = maf(hidden=widths, reverse=alternate, bound=bound, seed=seed)
        return Inverse(made) if name == "iaf" else made

    if name == "maf-plain":
        members = [
            maf(hidden=(dim, dim), bound=None, orthogonal=True, seed=step_seed)
            for step_seed in _seeds(seed, NUM_PLAIN_STEPS)
        ]
    else:
        members = []
        *seeds, last = _seeds(seed, steps + 1)
        for i, step_seed in enumerate(seeds):
            members += ActNorm(dtype=dtype), *_mixing(name, mixing, i, step_seed, dtype)
            members.append(step(_alternates(name, mixing, i), step_seed))
        if len(dims) and sum(dims) < dim:
            condition = [channel < sum(dims) for channel in range(dim)]
            members += Alignment(dims, dtype=dtype), coupling(condition, last)
        elif len(dims) > 1:
            members.append(Alignment(dims, dtype=dtype))
    chain = Chain(members)
    chain.build((None, dim))
    return chain


def _seeds(seed, count):
    """A seed for each step, ints."""
    return np.random.default_rng(seed).integers(2**31, size=count).tolist()


def _alternates(name, mixing, i):
    """Whether step `i` conditions on the second half, or runs from the last channel.

    Reversing the channels alternates the halves by itself, but for the middle one of an
    odd number, which is of the second half: so every second pair of steps alternates.
    """
    if mixing == "reverse":
        return name in COUPLINGS and i // 2 % 2 == 1
    return (mixing == "linear" or name in COUPLINGS) and i % 2 == 1


def _mixing(name, mixing, i, seed, dtype):
    """What comes before step `i`: a list of one bijector, or of none."""
    if mixing == "linear":
        return [InvertibleLinear(seed, dtype=dtype)]
    if mixing == "reverse":
        return [Reverse(dtype=dtype)]
    is_second = name in COUPLINGS and i % 2 == 1
    return [] if is_second else [Permutation(seed, dtype=dtype)]
