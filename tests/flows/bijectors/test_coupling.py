"""Couplings: half stays, context is heard, and many of them keep their heads."""

import numpy as np
import pytest

from flows.bijectors.base import Chain
from flows.bijectors.coupling import AffineCoupling
from flows.bijectors.spline import SplineCoupling
from tests.contracts import check_bijector, stir

EVENTS = [(6,), (5, 6), (3, 2, 4)]


@pytest.mark.parametrize("event", EVENTS, ids=str)
@pytest.mark.parametrize("make", [AffineCoupling, SplineCoupling])
def test_coupling_listens_to_its_context(make, event, rng):
    coupling = make((8,), context_dim=3)
    x, context = rng.normal(size=(3, *event)), rng.normal(size=(3, *event[:-1], 3))
    check_bijector(coupling, x, context, identity=True)
    assert np.abs(coupling.forward(x, context) - coupling.forward(x, 0 * context)).max()
    alone = coupling.forward(x, context[:, :1] if len(event) > 1 else context)
    everywhere = np.broadcast_to(context[:, :1], context.shape)
    heard = everywhere if len(event) > 1 else context
    np.testing.assert_array_equal(alone, coupling.forward(x, heard))


@pytest.mark.parametrize("make", [AffineCoupling, SplineCoupling])
@pytest.mark.parametrize("swap", [False, True])
def test_half_of_an_odd_number_of_channels_stays(make, swap, rng):
    x = rng.normal(size=(3, 7)).astype("float32")
    coupling = make((8,), swap=swap)
    check_bijector(coupling, x)
    z = np.asarray(coupling.forward(x))
    stays = slice(3, 7) if swap else slice(0, 3)
    np.testing.assert_array_equal(z[:, stays], x[:, stays])
    assert (np.delete(z != x, np.arange(7)[stays], axis=1)).all()


@pytest.mark.parametrize("make", [AffineCoupling, SplineCoupling])
@pytest.mark.parametrize("swap", [False, True])
def test_split_says_how_many_channels_tell(make, swap, rng):
    x = rng.normal(size=(3, 7)).astype("float32")
    coupling = make((8,), swap=swap, split=2)
    check_bijector(coupling, x, identity=True)
    z = np.asarray(coupling.forward(x))
    stays = slice(2, 7) if swap else slice(0, 2)
    np.testing.assert_array_equal(z[:, stays], x[:, stays])
    assert (np.delete(z != x, np.arange(7)[stays], axis=1)).all()
    for split in (0, 7):
        with pytest.raises(ValueError, match=f"Received: 7, .* split at {split}"):
            make((8,), split=split).build((None, 7))


def test_affine_coupling_is_bounded(rng):
    """No raw scale, however large, goes beyond `exp(bound)`."""
    x = rng.normal(size=(4, 6)).astype("float32")
    coupling = AffineCoupling((8,), bound=1.5)
    stir(coupling, x, size=1000.0)
    np.testing.assert_array_less(np.abs(coupling(x)[1]), 3 * 1.5 + 1e-5)


@pytest.mark.parametrize(
    "make", [AffineCoupling, pytest.param(SplineCoupling, marks=pytest.mark.slow)]
)
def test_many_couplings_stay_finite_both_ways(make, rng):
    x = rng.normal(size=(16, 20)).astype("float32")
    chain = many(make)
    stir(chain, x)
    for values in (chain.forward_and_log_det(x), chain.inverse_and_log_det(x)):
        assert all(np.isfinite(value).all() for value in values)
        assert np.abs(values[0] - x).max() > 1  # they did something


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (AffineCoupling, 0.02),
        pytest.param(SplineCoupling, 0.04, marks=pytest.mark.slow),
    ],
)
def test_many_couplings_can_be_undone(make, size, rng):
    x = rng.normal(size=(16, 20)).astype("float32")
    chain = many(make)
    stir(chain, x, size=size)
    z, log_det = chain.forward_and_log_det(x)
    assert np.abs(z - x).max() > 1
    back, undone = chain.inverse_and_log_det(z)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(undone, -log_det, atol=1e-3)


def many(make):
    """32 couplings, of both halves by turns."""
    return Chain([make((32,), swap=bool(n % 2), seed=n) for n in range(32)])
