"""Backbones: whole flows by name, `[batch, dim]` to `[batch, dim]`.

A step is ActNorm, a mixing of the channels, and a coupling, which scales and shifts
(`realnvp`) or bends (`spline`) half of the channels as told by the other half, or each
by those before it (`maf`, and `iaf` the other way round). `maf-plain` is the flow of
the released code of DNF: ten MADEs in one and the same order and nothing between them,
so that the first channel is never more than scaled and shifted.

Couplings take turns in which half moves. A permutation by lot comes after two of them:
one before each would leave a channel where it is in `n` steps with chance `2**-n`, and
of 800 some three in 8 steps.

Where codes are cut into parts, one for each factor, two things come last: a rotation
that begins the parts where their classes differ (`flows.bijectors.lda_rotation`), and, if there is a
rest, a coupling by which the parts tell it: what follows from phone and speaker is
taken out of the rest, and comes back with another phone or speaker. `maf-plain` has
neither.

Every backbone but `maf-plain` begins as a shuffle or a rotation of the channels: with
Gaussian data of unit variance it is right from the start.

Reference:
    Density Estimation Using Real NVP (Dinh et al., 2017),
    https://arxiv.org/abs/1605.08803; Glow (Kingma and Dhariwal, 2018), section 3,
    https://arxiv.org/abs/1807.03039; Deep Normalization for Speaker Vectors (Cai et
    al., 2021), https://arxiv.org/abs/2004.04095
"""

import numpy as np

from flows.bijectors.autoregressive import MaskedAutoregressive
from flows.bijectors.base import Chain, Inverse, Permutation, Reverse
from flows.bijectors.coupling import AffineCoupling
from flows.bijectors.lda_rotation import Alignment
from flows.bijectors.linear import InvertibleLinear
from flows.bijectors.normalisation import ActNorm
from flows.bijectors.spline import SplineCoupling

COUPLINGS = {"realnvp": AffineCoupling, "spline": SplineCoupling}
NAMES = ("realnvp", "spline", "maf", "iaf", "maf-plain")
MIXINGS = ("permutation", "linear", "reverse")
PLAIN_STEPS = 10  # MADEs of the released code of DNF


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
    """A backbone, built.

    Args:
        name: `realnvp`, `spline`, `maf`, `iaf` or `maf-plain`. Defaults to `realnvp`.
        dim: Number of channels, at least 2.
        steps: Defaults to `8`.
        hidden: Width of the hidden layers of each step's network. Defaults to `128`.
        depth: Their number. Defaults to `2`.
        mixing: `permutation` by lot, `linear` (LU, learned from the identity on) or
            `reverse`. Defaults to `permutation`.
        bound: Largest log-scale of a step of `realnvp`, `maf` or `iaf`. Defaults to
            `2.0`.
        num_bins, tail: Of `spline`, see `SplineCoupling`. Default to `8` and `5.0`.
        context_dim: Size of what each step is told beside its channels. Defaults to
            `0`, nothing.
        dims: Channels of each factor's part, which come first; the rest is nobody's.
            Defaults to none: the code is not cut.
        seed: Of the permutations and the first weights. Defaults to `0`.
        dtype: Of weights and results. Defaults to `"float32"`.

    `maf-plain` heeds `dim`, `context_dim` and `seed` only: its sizes are those of the
    released code, ten networks of two hidden layers of `dim` units, and no bound.

    Returns:
        A `Chain`, built on `[batch, dim]`.

    Raises:
        ValueError: If a name is unknown, or there is one channel only.
    """
    _check("name", name, NAMES)
    _check("mixing", mixing, MIXINGS)
    if dim < 2 or steps < 1:
        raise ValueError(
            "`dim` must be at least 2, or nothing is told of one channel by another, "
            f"and `steps` at least 1. Received: dim={dim}, steps={steps}"
        )
    typed = {"dtype": dtype}
    if name == "maf-plain":
        chain = Chain(_plain(dim, {"context_dim": context_dim, **typed}, seed))
    else:
        told = {"hidden": (hidden,) * depth, "context_dim": context_dim, **typed}
        bends = {"num_bins": num_bins, "tail": tail}
        told |= bends if name == "spline" else {"bound": bound}
        members = []
        *seeds, last = _seeds(seed, steps + 1)
        for i, drawn in enumerate(seeds):
            turned = _turned(name, mixing, i)
            members += ActNorm(**typed), *_mixing(name, mixing, i, drawn, typed)
            members.append(_step(name, turned, {"seed": drawn, **told}))
        members += _cut(name, dim, tuple(dims), {"seed": last, **told})
        chain = Chain(members)
    chain.build((None, dim))
    return chain


def _plain(dim, told, seed):
    """The members of `maf-plain`."""
    told = {"hidden": (dim, dim), "bound": None, "orthogonal": True, **told}
    seeds = _seeds(seed, PLAIN_STEPS)
    return [MaskedAutoregressive(seed=seed, **told) for seed in seeds]


def _seeds(seed, count):
    """A seed for each step, ints."""
    return np.random.default_rng(seed).integers(2**31, size=count).tolist()


def _step(name, turned, told):
    """What is learned in a step; `turned`: of the other half, or in the other order."""
    if name in COUPLINGS:
        return COUPLINGS[name](swap=turned, **told)
    step = MaskedAutoregressive(reverse=turned, **told)
    return Inverse(step) if name == "iaf" else step


def _cut(name, dim, dims, told):
    """What makes parts of a code and a rest: a list, empty where there is one part."""
    if dims in ((), (dim,)):
        return []
    members = [Alignment(dims, dtype=told["dtype"])]
    if sum(dims) < dim:
        kind = COUPLINGS.get(name, AffineCoupling)
        members.append(kind(split=sum(dims), **told))
    return members


def _turned(name, mixing, i):
    """Whether step `i` is turned, so that in a few steps every channel moves and tells.

    Where channels are reversed halves take turns by that, but for the middle one of an
    odd number, which belongs to the second: so every second pair is turned.
    """
    if mixing == "reverse":
        return name in COUPLINGS and i // 2 % 2 == 1
    return (mixing == "linear" or name in COUPLINGS) and i % 2 == 1


def _mixing(name, mixing, i, seed, typed):
    """What comes before step `i`: a list of one bijector, or of none."""
    if mixing == "linear":
        return [InvertibleLinear(seed, **typed)]
    if mixing == "reverse":
        return [Reverse(**typed)]
    return [] if name in COUPLINGS and i % 2 == 1 else [Permutation(seed, **typed)]


def _check(name, value, known):
    if value not in known:
        raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")
