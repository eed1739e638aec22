"""Couplings: a part conditions the other, by any network, and inverts stably."""

import keras
import numpy as np
import pytest

from flows.bijectors.base import Chain
from flows.bijectors.coupling import AffineCoupling
from tests.contracts import check_bijector, stir
from tests.flows import couplings

EVENTS = [(6,), (5, 6), (3, 2, 4)]


@pytest.mark.parametrize("event", EVENTS, ids=str)
@pytest.mark.parametrize("name", couplings.NAMES)
def test_coupling_depends_on_its_context(name, event, rng):
    coupling = couplings.build(name, event[-1], hidden=(8,), context_dim=3)
    x, context = rng.normal(size=(3, *event)), rng.normal(size=(3, *event[:-1], 3))
    check_bijector(coupling, x, context, identity=True)
    assert np.abs(coupling.forward(x, context) - coupling.forward(x, 0 * context)).max()
    alone = coupling.forward(x, context[:, :1] if len(event) > 1 else context)
    everywhere = np.broadcast_to(context[:, :1], context.shape)
    heard = everywhere if len(event) > 1 else context
    np.testing.assert_array_equal(alone, coupling.forward(x, heard))


@pytest.mark.parametrize("name", couplings.NAMES)
@pytest.mark.parametrize("mask", ["first", "second"])
def test_half_of_an_odd_number_of_channels_stays(name, mask, rng):
    x = rng.normal(size=(3, 7)).astype("float32")
    coupling = couplings.build(name, 7, hidden=(8,), mask=mask)
    check_bijector(coupling, x)
    z = np.asarray(coupling.forward(x))
    stays = slice(3, 7) if mask == "second" else slice(0, 3)
    np.testing.assert_array_equal(z[:, stays], x[:, stays])
    assert (np.delete(z != x, np.arange(7)[stays], axis=1)).all()


MASKS = {
    "two-of-seven": [True] * 2 + [False] * 5,
    "last-five-of-seven": [False] * 2 + [True] * 5,
    "checkerboard": [True, False] * 3 + [True],
    "one-amid-others": [False] * 3 + [True] + [False] * 3,
}


@pytest.mark.parametrize("name", couplings.NAMES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_mask_names_the_channels_that_condition(name, mask, rng):
    x = rng.normal(size=(3, 7)).astype("float32")
    coupling = couplings.build(name, 7, hidden=(8,), mask=mask)
    check_bijector(coupling, x, identity=True)
    z = np.asarray(coupling.forward(x))
    np.testing.assert_array_equal((z == x).all(axis=0), mask)
    assert (z != x)[:, ~np.array(mask)].all()


@pytest.mark.parametrize("mask", [[True] * 7, [False] * 7, [True] * 6])
def test_a_mask_has_both_kinds_of_channels_and_all_of_them(mask):
    with pytest.raises(ValueError, match="some condition.*Received: 7 channels"):
        couplings.build("affine", 7, mask=mask)


def test_a_permuted_mask_is_a_half_between_two_permutations(rng):
    """The same conditioner says the same, wherever its channels are."""
    x, order = rng.normal(size=(4, 6)), np.array([4, 0, 2, 1, 5, 3])
    half = couplings.build("affine", 6, hidden=(8,), dtype="float64")
    stir(half, x)
    mask = np.isin(np.arange(6), order[:3])
    order = np.concatenate([np.sort(order[:3]), np.sort(order[3:])])
    permuted = AffineCoupling(half.conditioner, mask)
    z, log_det = permuted.forward_and_log_det(x)
    expected, same = half.forward_and_log_det(x[:, order])
    np.testing.assert_array_equal(np.asarray(z)[:, order], expected)
    np.testing.assert_array_equal(log_det, same)


def test_any_network_can_condition_a_convolution_over_frames_say(rng):
    """A frame's transform depends on its neighbours, through the other half alone."""
    x = rng.normal(size=(2, 9, 6))
    network = keras.layers.Conv1D(
        6, 3, padding="same", kernel_initializer="zeros", dtype="float64"
    )
    coupling = AffineCoupling(network)
    check_bijector(coupling, x, identity=True)
    other = x.copy()
    other[:, 4, 0] += 1
    changed = np.asarray(coupling.forward(other) != coupling.forward(x))
    frames = changed[..., 3:].any(axis=(0, 2))
    np.testing.assert_array_equal(np.flatnonzero(frames), [3, 4, 5])


def test_affine_coupling_is_bounded(rng):
    """No raw scale, however large, goes beyond `exp(bound)`."""
    x = rng.normal(size=(4, 6)).astype("float32")
    coupling = couplings.build("affine", 6, hidden=(8,), bound=1.5)
    stir(coupling, x, size=1000.0)
    np.testing.assert_array_less(np.abs(coupling(x)[1]), 3 * 1.5 + 1e-5)


@pytest.mark.parametrize(
    "name", ["affine", pytest.param("spline", marks=pytest.mark.slow)]
)
def test_many_couplings_stay_finite_both_ways(name, rng):
    x = rng.normal(size=(16, 20)).astype("float32")
    chain = many(name)
    stir(chain, x)
    for values in (chain.forward_and_log_det(x), chain.inverse_and_log_det(x)):
        assert all(np.isfinite(value).all() for value in values)
        assert np.abs(values[0] - x).max() > 1  # they did something


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("affine", 0.02),
        pytest.param("spline", 0.04, marks=pytest.mark.slow),
    ],
)
def test_many_couplings_can_be_undone(name, size, rng):
    x = rng.normal(size=(16, 20)).astype("float32")
    chain = many(name)
    stir(chain, x, size=size)
    z, log_det = chain.forward_and_log_det(x)
    assert np.abs(z - x).max() > 1
    back, undone = chain.inverse_and_log_det(z)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(undone, -log_det, atol=1e-3)


def many(name):
    """32 couplings, of both halves by turns."""
    masks = ["first", "second"] * 16
    return Chain(
        [
            couplings.build(name, 20, hidden=(32,), mask=mask, seed=seed)
            for seed, mask in enumerate(masks)
        ]
    )
