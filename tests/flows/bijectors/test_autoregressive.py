"""Autoregressive bijectors: what each channel may know, and both directions."""

import numpy as np
import pytest
import tensorflow as tf

from flows.bijectors.autoregressive import MADE, MaskedAutoregressive, MaskedDense
from flows.bijectors.base import Inverse
from tests.contracts import check_bijector
from tests.flows.jacobians import shaken, slopes


def maf(*shape, **told):
    bijector = MaskedAutoregressive(**{"hidden": (16, 12), **told}, dtype="float64")
    bijector.build((None, *shape))
    return shaken(bijector)


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("wrap", [lambda maf: maf, Inverse], ids=["maf", "iaf"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape, context_dim", [((5,), 0), ((5,), 3), ((4, 3), 2)])
def test_contract(wrap, reverse, shape, context_dim):
    x = normal(8, *shape)
    context = normal(8, *shape[:-1], context_dim) if context_dim else None
    told = {"hidden": (16, 12), "context_dim": context_dim, "reverse": reverse}
    for dtype in ("float32", "float64"):
        bijector = wrap(MaskedAutoregressive(**told, dtype=dtype))
        check_bijector(bijector, x, context, identity=True)


@pytest.mark.parametrize("hidden", [(3,), (7, 9), (64, 2, 64)])
@pytest.mark.parametrize("context_dim", [0, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_no_channel_knows_of_a_later_one(hidden, context_dim, reverse):
    bijector = maf(6, hidden=hidden, context_dim=context_dim, reverse=reverse)
    context = normal(50, context_dim) if context_dim else None
    told = np.tile(context, (6, 1)) if context_dim else None
    found = np.abs(slopes(lambda x: bijector.forward(x, told), normal(50, 6)))
    found = found.max(axis=0)  # of z[i] by x[j], where it is most
    if reverse:
        found = found[::-1, ::-1]
    assert (found[np.triu_indices(6, 1)] == 0).all()  # cut, not merely small
    assert (np.diag(found) > 0).all()
    assert found[-1, 0] > 0  # and the last channel knows the first


@pytest.mark.parametrize("reverse", [False, True])
def test_two_units_keep_the_contract(reverse):
    told = {"hidden": (2,), "context_dim": 3, "reverse": reverse}
    check_bijector(maf(6, **told), normal(20, 6), normal(20, 3))


@pytest.mark.parametrize("hidden", [(2,), (5, 2, 9), (1,), (128, 128)])
@pytest.mark.parametrize("dim", [5, 800])
def test_few_units_tell_the_context_to_every_channel(dim, hidden):
    """Were it not for a unit of the lowest degree, the first would not hear of it."""
    bijector = maf(dim, hidden=hidden, context_dim=3)
    for weight in bijector.weights:  # all above 0: no unit is silent
        weight.assign(0.1 + np.abs(weight) / dim)
    x = np.abs(normal(2, dim))
    z, other = (bijector.forward(x, np.full((2, 3), value)) for value in (1.0, 2.0))
    assert (np.abs(z - other) > 1e-9).all()
    found = np.asarray(bijector.made._degrees(min(hidden)))
    assert found.min() == -1 and (len(found) == 1 or found.max() == dim - 2)


def test_with_enough_units_each_channel_knows_all_before_it():
    found = np.abs(slopes(maf(6, hidden=(32, 32)).forward, normal(50, 6))).max(axis=0)
    assert (found[np.tril_indices(6)] > 0).all()


def test_few_units_are_spread_over_the_whole_order():
    """With degrees `j mod (dim - 1)` four units would never see channels 5 to 98."""
    found = np.abs(slopes(maf(100, hidden=(4, 4)).forward, normal(4, 100))).max(axis=0)
    assert (found[99, :99] > 0).all()


def test_first_channel_depends_on_the_context_by_hidden_units():
    """Scaled and shifted by what bends with the context, not by a straight line."""
    bijector = maf(3, context_dim=1, hidden=(32, 32))
    context = np.linspace(-3, 3, 7)[:, None]
    shifts = bijector.forward(np.zeros((7, 3)), context).numpy()[:, 0]
    assert np.abs(np.diff(shifts, 2)).max() > 1e-3


def test_context_of_one_place_is_broadcast_to_all_places():
    bijector = maf(4, 3, context_dim=2)
    x, context = normal(5, 4, 3), normal(5, 1, 2)
    everywhere = bijector.forward(x, np.repeat(context, 4, axis=1))
    np.testing.assert_allclose(bijector.forward(x, context), everywhere, atol=1e-12)


def test_it_begins_as_the_identity():
    bijector = MaskedAutoregressive((8, 8))
    x = normal(4, 5).astype("float32")
    z, log_det = bijector.forward_and_log_det(x)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(log_det, np.zeros(4))


@pytest.mark.parametrize("dim", [2, 5])
def test_plain_networks_are_those_of_the_released_code(dim):
    """Written again in NumPy, unit by unit, from the degrees that were published."""
    bijector = maf(dim, hidden=(dim, dim), bound=None, orthogonal=True)
    order = np.arange(dim)
    hidden = order % (dim - 1)
    degrees = [order, hidden, hidden, np.tile(order - 1, 2)]
    x = h = normal(10, dim)
    for i, layer in enumerate(bijector.made.stack):
        kernel, bias = layer.get_weights()
        out = np.tile(bias, (10, 1))
        for unit, knows in enumerate(degrees[i + 1]):
            for source, told in enumerate(degrees[i]):
                if knows >= told:
                    out[:, unit] += h[:, source] * kernel[source, unit]
        h = np.maximum(out, 0) if i < 2 else out
    shift, log_scale = h[:, :dim], h[:, dim:]
    z, log_det = bijector.forward_and_log_det(x)
    np.testing.assert_allclose(z, (x - shift) * np.exp(-log_scale), atol=1e-12)
    np.testing.assert_allclose(log_det, -log_scale.sum(axis=1), atol=1e-12)


def test_orthogonal_kernels_begin_orthogonal():
    made = MADE(6, (6, 6), orthogonal=True)
    made.build((None, 6))
    for layer in made.stack:
        rows = layer.kernel.numpy()
        np.testing.assert_allclose(rows @ rows.T, np.eye(6), atol=1e-5)


def test_log_scales_stay_within_the_bound():
    bijector = shaken(maf(4, bound=0.5), scale=20.0)
    log_det = bijector.forward_and_log_det(normal(100, 4))[1].numpy()
    assert np.abs(log_det).max() <= 4 * 0.5
    assert np.abs(log_det).max() > 1  # and reach for it


def test_inverse_is_traced_once_whatever_the_dim(monkeypatch):
    def passes(dim):
        bijector = maf(dim)
        made, count = bijector.made.predictor, []

        def predictor(*arguments):
            predict = made(*arguments)

            def counted(*arguments):
                count.append(arguments)
                return predict(*arguments)

            return counted

        monkeypatch.setattr(bijector.made, "predictor", predictor)
        x = normal(3, dim)
        inverse = tf.function(bijector.inverse)
        z = bijector.forward(x)
        count.clear()
        np.testing.assert_allclose(inverse(z), x, atol=1e-9)
        return len(count)

    assert passes(4) == passes(40) == 1


def test_inverse_holds_where_channels_not_yet_inverted_would_overflow():
    """Channels not yet told are 0, not what a network would make of their rubbish."""
    bijector = maf(30, bound=None, hidden=(64, 64))
    x = 3 * normal(20, 30)
    back = bijector.inverse(bijector.forward(x))
    np.testing.assert_allclose(back, x, atol=1e-6)


def test_a_cut_connection_counts_for_nothing_and_learns_nothing():
    layer = MaskedDense((0, 1, 2), (-1, 0, 1, 5))
    layer.build((None, 3))
    np.testing.assert_array_equal(
        layer.masked.numpy() != 0, [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    )
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(np.ones((2, 3), "float32")))
    slope = tape.gradient(y, layer.kernel.value).numpy()
    np.testing.assert_array_equal(slope, 2.0 * layer.mask)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"`bound` must be above 0.*Received: 0"):
        MaskedAutoregressive(bound=0)
    with pytest.raises(ValueError, match=r"`hidden` must name.*Received: \(\)"):
        MaskedAutoregressive(hidden=())
    bijector = maf(3, context_dim=2)
    with pytest.raises(ValueError, match=r"the last of 2. Received: None"):
        bijector.forward(normal(2, 3))
    with pytest.raises(ValueError, match=r"Received: \(2, 1\)"):
        bijector.inverse(normal(2, 3), normal(2, 1))
