"""Backbones: every one is a flow, and mixing is what makes it move every channel."""

import keras
import numpy as np
import pytest

from flows.bijectors import backbones
from flows.bijectors.base import Inverse
from flows.bijectors.coupling import AffineCoupling, Coupling
from flows.bijectors.spline import SplineCoupling
from tests.contracts import check_bijector
from tests.flows.jacobians import shaken, slopes

DIM = 5
MIXED = [
    (name, mixing)
    for name in ("realnvp", "spline", "maf", "iaf")
    for mixing in backbones.MIXINGS
]


def small(name, mixing="permutation", dim=DIM, **told):
    told = {"steps": 3, "hidden": 16, "mixing": mixing, "dtype": "float64", **told}
    return backbones.build(name, dim=dim, **told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, mixing, context_dim, dtype",
    [
        ("realnvp", "permutation", 2, "float32"),
        ("spline", "linear", 2, "float32"),
        ("maf", "reverse", 2, "float32"),
        ("iaf", "permutation", 2, "float32"),
        ("maf-plain", "permutation", 2, "float32"),
        ("realnvp", "linear", 0, "float64"),
    ],
)
def test_contract(name, mixing, context_dim, dtype, rng):
    context = rng.normal(size=(8, context_dim)) if context_dim else None
    told = {"mixing": mixing, "steps": 2, "context_dim": context_dim, "dtype": dtype}
    check_bijector(small(name, **told), rng.normal(size=(8, DIM)), context)


@pytest.mark.parametrize("name, mixing", MIXED)
def test_it_begins_as_a_shuffle(name, mixing, rng):
    x = rng.normal(size=(6, DIM))
    z, log_det = small(name, mixing).forward_and_log_det(x)
    np.testing.assert_allclose(np.sort(z), np.sort(x), atol=1e-12)
    np.testing.assert_allclose(log_det, 0, atol=1e-12)


@pytest.mark.parametrize("name, mixing", MIXED)
def test_every_channel_is_transformed_and_conditioned_by_every_other(name, mixing, rng):
    chain = shaken(small(name, mixing, steps=6))
    way = chain.inverse if name == "iaf" else chain.forward  # the one of a single pass
    found = slopes(way, rng.normal(size=(40, DIM)))
    assert (found.std(axis=0) > 0).all()


@pytest.mark.parametrize("name", ["realnvp", "spline"])
@pytest.mark.parametrize("mixing", backbones.MIXINGS)
def test_two_couplings_move_every_channel(name, mixing, rng):
    """By permutations alone, a quarter of the channels would stay where they are."""
    chain = small(name, mixing, dim=21, steps=2)
    for coupling in chain.bijectors:
        if isinstance(coupling, Coupling):
            shaken(coupling)
    found = slopes(chain.forward, rng.normal(size=(8, 21)))
    assert (found.std(axis=0).max(axis=1) > 0).all()


@pytest.mark.parametrize("name", ["realnvp", "spline", "maf", "iaf"])
def test_parts_condition_the_residual_and_are_not_conditioned_by_it(name, rng):
    """After what an undivided latent has: a rotation, a coupling of the residual."""
    *same, turned, last = small(name, dims=(1, 2)).bijectors
    assert turned.dims == (1, 2)
    assert [type(b) for b in same] == [type(b) for b in small(name).bijectors]
    kind = SplineCoupling if name == "spline" else AffineCoupling
    assert isinstance(last, kind) and last.mask == (True,) * 3 + (False,) * 2
    found = slopes(shaken(last).forward, rng.normal(size=(8, DIM)))
    expected = np.eye(DIM, dtype=bool)
    expected[3:, :3] = True
    np.testing.assert_array_equal(np.abs(found).max(axis=0) > 1e-9, expected)


def test_only_partitioned_latents_are_rotated_and_only_a_residual_is_conditioned():
    number = len(small("realnvp").bijectors)
    for dims, more in {(): 0, (DIM,): 0, (2, 3): 1, (4,): 2, (1, 1, 1): 2}.items():
        assert len(small("realnvp", dims=dims).bijectors) == number + more
    assert len(small("maf-plain", dims=(1, 2)).bijectors) == 10


def test_first_channel_of_plain_maf_is_only_scaled_and_shifted(rng):
    """Each of ten MADEs gives the same channel a constant, and nothing mixes them."""
    x = rng.normal(size=(40, DIM))
    found = slopes(shaken(small("maf-plain")).forward, x)
    np.testing.assert_allclose(found[:, 0], found[:1, 0].repeat(40, axis=0))
    assert (found[:, 0, 1:] == 0).all()
    assert (found[:, np.triu(np.ones((DIM, DIM)), 1) == 1] == 0).all()
    cured = slopes(shaken(small("maf")).forward, x)
    assert (cured.std(axis=0).max(axis=1) > 1e-3).all()


def test_plain_maf_is_ten_networks_as_wide_as_the_data():
    chain = small("maf-plain", steps=2, hidden=64, depth=1)
    assert len(chain.bijectors) == 10
    for step in chain.bijectors:
        assert step.hidden == (DIM, DIM) and step.bound is None and not step.reverse
    assert chain.count_params() == 10 * (2 * DIM * (DIM + 1) + 2 * DIM * (DIM + 1))


def test_arguments_reach_the_steps():
    told = {"steps": 2, "hidden": 7, "depth": 3, "context_dim": 4}
    for name in ("realnvp", "maf", "iaf"):
        *_, last = backbones.build(name, dim=6, bound=0.5, **told).bijectors
        assert isinstance(last, Inverse) == (name == "iaf")
        last = last.bijector if name == "iaf" else last
        assert last.bound == 0.5
        network = last.conditioner if name == "realnvp" else last
        assert network.hidden == (7, 7, 7) and network.context_dim == 4
    chain = backbones.build("spline", dim=6, num_bins=5, tail=2.0, **told)
    assert len(chain.bijectors) == 2 + 1 + 2  # one shuffle
    last = chain.bijectors[-1]
    network = last.conditioner
    assert (network.hidden, network.context_dim) == ((7, 7, 7), 4)
    assert (last.num_bins, last.tail) == (5, 2.0)


@pytest.mark.parametrize("name", ["realnvp", "maf", "maf-plain"])
def test_seed_decides_all_that_is_drawn(name):
    def drawn(seed):
        return np.concatenate(
            [np.ravel(w) for w in small(name, seed=seed, dim=8).get_weights()]
        )

    np.testing.assert_array_equal(drawn(3), drawn(3))
    assert (drawn(3) != drawn(4)).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", backbones.NAMES)
def test_float32_comes_back_from_many_steps(name, rng):
    """Ten steps, away from the start: finite, and undone to 1e-4."""
    chain = small(name, dim=10, steps=10, dtype="float32")
    shaken(chain, scale=0.05)
    x = rng.normal(size=(16, 10)).astype("float32")
    z, log_det = chain.forward_and_log_det(x)
    back, minus = chain.inverse_and_log_det(z)
    assert np.isfinite(log_det).all()
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(minus, -log_det, atol=1e-3)


@pytest.mark.parametrize("name", backbones.NAMES)
def test_data_start_and_config_go_through(name, rng):
    x = 3 + 2 * rng.normal(size=(200, DIM))
    chain = small(name)
    z = np.asarray(chain.adapt(x))
    if name != "maf-plain":  # the one without ActNorm
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-9)
    config = keras.saving.serialize_keras_object(chain)
    copy = keras.saving.deserialize_keras_object(config)
    copy.build((None, DIM))
    copy.set_weights(chain.get_weights())
    np.testing.assert_array_equal(copy.forward(x), z)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of.*Received: 'glow'"):
        backbones.build("glow", dim=4)
    with pytest.raises(ValueError, match=r"`mixing` must be one of.*Received: 'none'"):
        backbones.build(dim=4, mixing="none")
    with pytest.raises(ValueError, match=r"`dim` must be at least 2.*dim=1"):
        backbones.build(dim=1)
    with pytest.raises(ValueError, match=r"steps=0"):
        backbones.build(dim=4, steps=0)
