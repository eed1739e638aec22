"""ActNorm and Scaler: mean 0 and variance 1 at first, exact densities after."""

import numpy as np
import pytest

from flows.bijectors.base import Chain, Permutation, Reverse
from flows.bijectors.normalisation import ActNorm, Scaler
from tests.contracts import check_bijector
from tests.flows import couplings

EVENTS = [(6,), (5, 6), (3, 2, 4)]


@pytest.mark.parametrize("event", EVENTS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scaler_keeps_the_contract_and_flattens(event, dtype, rng):
    x = rng.normal(2, 3, (4, *event))
    scaler = Scaler(event, dtype=dtype)
    z = scaler.adapt(x)
    assert z.shape == (4, np.prod(event)) and not scaler.trainable_weights
    np.testing.assert_allclose(np.mean(z, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(z, axis=0), 1, atol=1e-6)
    check_bijector(scaler, x)
    log_scale = np.log(np.std(x, axis=0)).sum()  # exactly, whatever the row
    np.testing.assert_allclose(scaler(x)[1], 4 * [-log_scale], rtol=1e-5)
    assert scaler.inverse(z).shape == x.shape


def test_chain_starts_its_members_one_after_the_other(rng):
    """The second norm sees what the first has left: a map it has nothing to add to."""
    x = rng.normal(3, 4, (50, 5, 6))
    first, second = ActNorm(), ActNorm()
    chain = Chain([Chain([first]), Reverse(), second])
    z = np.asarray(chain.adapt(x))
    np.testing.assert_allclose(z.mean((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(z.std((0, 1)), 1, atol=1e-6)
    np.testing.assert_allclose(first.mean, x.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(first.log_scale, -np.log(x.std((0, 1))), atol=1e-6)
    np.testing.assert_allclose(second.log_scale, np.zeros(6), atol=1e-6)
    np.testing.assert_array_equal(chain.forward(x), z)


def test_scaler_and_the_rest_make_one_chain(rng):
    x = rng.normal(size=(5, 2, 3)).astype("float32")
    chain = Chain(
        [Scaler((2, 3)), Permutation(), couplings.build("affine", 6, hidden=(8,))]
    )
    chain.adapt(x)
    assert chain.compute_output_shape((None, 2, 3)) == (None, 6)
    check_bijector(chain, x)


@pytest.mark.parametrize("make", [ActNorm, lambda: Scaler((4,))])
def test_starts_refuse_what_has_no_scale(make, rng):
    with pytest.raises(ValueError, match="at least two rows.*Received: 1"):
        make().adapt(rng.normal(size=(1, 4)))
    x = rng.normal(size=(5, 4))
    x[2, 1], x[3, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match="finite.*Received: 2 that are not, of 20"):
        make().adapt(x)


@pytest.mark.parametrize("make", [ActNorm, lambda: Scaler((3,))])
def test_constant_numbers_get_a_hundredth_of_the_typical_scale(make, rng):
    x = np.stack([rng.normal(0, 6, 50), rng.normal(0, 8, 50), np.full(50, 0.1)], 1)
    bijector = make()
    z = np.asarray(bijector.adapt(x))
    np.testing.assert_allclose(z[:, 2], np.zeros(50), atol=1e-5)
    further = np.asarray(bijector.forward(x + [0, 0, 0.01]))[:, 2]
    floor = 0.01 * np.sqrt(np.mean(x.std(0) ** 2))
    np.testing.assert_allclose(further, 0.01 / floor, rtol=1e-3)
    constant = np.full((50, 3), 0.1)
    np.testing.assert_allclose(make().adapt(constant), 0 * constant, atol=1e-6)
    np.testing.assert_allclose(make().adapt(constant)[:, 0], np.zeros(50), atol=1e-6)


def test_act_norm_keeps_its_digits_far_from_zero(rng):
    x = rng.normal(1e4, 1, (200, 3)).astype("float32")
    z = np.asarray(ActNorm().adapt(x), "float64")
    np.testing.assert_allclose(z.std(0), 1, atol=1e-3)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
