"""Bijectors: every member keeps the contract, alone, in chains and in its own laws."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from flows.bijectors.base import Bijector, Chain, Inverse, Permutation, Reverse
from flows.bijectors.linear import InvertibleLinear
from flows.bijectors.normalisation import ActNorm, Scaler
from tests.contracts import check_bijector, stir
from tests.flows import couplings

EVENTS = [(6,), (5, 6), (3, 2, 4)]  # a voice; frames of a mel; a picture
# name: what makes a member of channels and a dtype, and whether it begins as identity
MEMBERS = {
    "permutation": (lambda n, **k: Permutation(3, **k), False),
    "reverse": (lambda n, **k: Reverse(**k), False),
    "act-norm": (lambda n, **k: ActNorm(**k), True),
    "linear": (lambda n, **k: InvertibleLinear(**k), True),
    "rotation": (lambda n, **k: InvertibleLinear(1, "rotation", **k), False),
    "affine": (lambda n, **k: affine(n, **k), True),
    "affine-swapped": (lambda n, **k: affine(n, (), mask="second", **k), True),
    "spline": (lambda n, **k: spline(n, **k), True),
    "spline-swapped": (
        lambda n, **k: spline(n, (8, 8), num_bins=3, tail=2.0, mask="second", **k),
        True,
    ),
    "affine-permuted": (lambda n, **k: affine(n, mask=every_second(n), **k), True),
    "nothing": (lambda n, **k: Chain(**k), True),
    "chain": (lambda n, **k: couplings.step(n, **k), False),
    "chain-of-chains": (
        lambda n, **k: Chain(
            [Chain(dtype=k["dtype"]), couplings.step(n, **k), Reverse(**k)]
        ),
        False,
    ),
    "inverse": (lambda n, **k: Inverse(couplings.step(n, **k)), False),
}


def affine(channels, hidden=(8,), **options):
    return couplings.build("affine", channels, hidden=hidden, **options)


def spline(channels, hidden=(8,), **options):
    return couplings.build("spline", channels, hidden=hidden, **options)


def every_second(channels):
    return [channel % 2 == 1 for channel in range(channels)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MEMBERS)
def test_member_keeps_the_contract(name, dtype, rng):
    """Of another event in either dtype; members take turns with the three."""
    make, identity = MEMBERS[name]
    event = EVENTS[([*MEMBERS].index(name) + (dtype == "float64")) % len(EVENTS)]
    bijector = make(event[-1], dtype=dtype)
    check_bijector(bijector, rng.normal(size=(3, *event)), identity=identity)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*MEMBERS} - {"chain-of-chains", "inverse"}))
def test_members_run_in_graphs_of_any_batch(name, rng):
    bijector = MEMBERS[name][0](6, dtype="float32")
    x = rng.normal(size=(3, 4, 6)).astype("float32")
    stir(bijector, x)
    graph = tf.function(
        lambda x: bijector.inverse_and_log_det(bijector.forward(x)),
        input_signature=[tf.TensorSpec([None, 4, 6])],
    )
    for rows in (1, 3):
        back, log_det = graph(x[:rows])
        assert log_det.shape == (rows,)
        np.testing.assert_allclose(back, x[:rows], atol=1e-4)


def test_chain_adds_log_determinants_and_goes_back_in_order():
    double, shift = ActNorm(), ActNorm()
    chain = Chain([double, shift])
    chain.build((None, 2))
    double.log_scale.assign(np.log([2.0, 2.0]))
    shift.mean.assign([-1.0, -1.0])
    z, log_det = chain.forward_and_log_det([[3.0, 5.0]])
    np.testing.assert_allclose(z, [[7, 11]])  # 2 * x + 1, not 2 * (x + 1)
    np.testing.assert_allclose(log_det, [2 * np.log(2)])
    np.testing.assert_allclose(chain.inverse(z), [[3, 5]])
    back, log_det = Inverse(chain).forward_and_log_det(z)
    np.testing.assert_allclose(back, [[3, 5]])
    np.testing.assert_allclose(log_det, [-2 * np.log(2)])


def test_chain_has_the_dtype_of_its_members():
    assert Chain([Reverse(dtype="float64")]).compute_dtype == "float64"
    assert Inverse(Reverse(dtype="float64")).compute_dtype == "float64"
    assert Chain().compute_dtype == "float32"
    with pytest.raises(ValueError, match="one dtype"):
        Chain([Reverse(dtype="float64"), Reverse()])


def test_bijectors_stay_in_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        coupling = affine(4)
        z, _ = coupling(np.ones((2, 4), "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert z.dtype == "float32"
    assert {weight.dtype for weight in coupling.weights} == {"float32"}


def test_permutation_is_one_and_follows_its_seed():
    x = np.arange(20.0)[None]
    orders = [tuple(np.asarray(Permutation(seed).forward(x))[0]) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(20))


def test_permutation_keeps_the_order_it_is_given_by_its_weights():
    x = np.arange(4.0)[None]
    permutation = Permutation()
    permutation.build(x.shape)
    permutation.set_weights([np.array([1, 2, 3, 0])])
    np.testing.assert_array_equal(permutation.forward(x), [[1, 2, 3, 0]])
    np.testing.assert_array_equal(permutation.inverse(x), [[3, 0, 1, 2]])


def test_a_start_with_many_rows_is_forward(rng):
    """In blocks, with a context of each row, of all rows, or none; of no rows too."""
    x, context = rng.normal(size=(5000, 4)), rng.normal(size=(5000, 3))
    coupling = affine(4, context_dim=3, dtype="float64")
    stir(coupling, x, context)
    for given in (context, context[:1]):
        z = coupling.adapt(x, given)
        np.testing.assert_allclose(z, coupling.forward(x, given), atol=1e-12)
    assert Reverse().adapt(x[:0]).shape == (0, 4)


def test_linear_is_the_matrix_of_its_factors(rng):
    """`W` by pushing the unit vectors through; its determinant by NumPy."""
    linear = InvertibleLinear(5, "rotation", dtype="float64")
    linear.build((None, 7))
    matrix = np.asarray(linear.forward(np.eye(7))).T
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(7), atol=1e-12)
    assert np.abs(matrix - np.eye(7)).max() > 0.1
    stir(linear, np.eye(7))
    matrix = np.asarray(linear.forward(np.eye(7))).T
    x = rng.normal(size=(2, 5, 7))
    z, log_det = linear.forward_and_log_det(x)
    np.testing.assert_allclose(z, x @ matrix.T, atol=1e-12)
    expected = 5 * np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(log_det, 2 * [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: affine(1), "two channels.*Received: 1"),
        (
            lambda: affine(4).build((None, 5)),
            "2 parameters .*, 6. Received: 4",
        ),
        (lambda: affine(4, mask="third"), "`mask`.*Received: 'third'"),
        (lambda: affine(3, mask=[True, False]), "Received: 3 channels"),
        (lambda: spline(4).build((None, 5, 1)), "two channels"),
        (lambda: affine(4, bound=0.0), "`bound`"),
        (lambda: affine(4, (0,)), "`hidden`"),
        (lambda: spline(4, num_bins=1), "`num_bins`"),
        (lambda: spline(4, num_bins=1000), "`num_bins`"),
        (lambda: spline(4, tail=0.0), "`tail`"),
        (lambda: InvertibleLinear(start="zero"), "`start` must be one of"),
        (lambda: Scaler(()), "`shape`"),
        (
            lambda: Scaler((2, 3)).forward(np.ones((4, 3, 2))),
            r"\(2, 3\).*\(3, 2\)",
        ),
        (lambda: Scaler((2, 3)).adapt(np.ones((4, 6))), r"\(2, 3\)"),
        (lambda: Scaler((2, 3)).inverse(np.ones((4, 5))), r"\(6,\).*\(5,\)"),
        (lambda: Inverse(Scaler((2, 3))).build((None, 2, 3)), "keep the shape"),
        (lambda: affine(4, context_dim=2).forward(np.ones((3, 4))), "context"),
        (
            lambda: affine(4, context_dim=2).forward(np.ones((3, 4)), np.ones((3, 5))),
            r"the last of 2.*\(3, 5\)",
        ),
    ],
)
def test_what_can_not_be_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_only_bijectors_are_chained():
    with pytest.raises(TypeError, match="Only bijectors"):
        Chain([keras.layers.Dense(3)])
    with pytest.raises(NotImplementedError):
        Bijector().forward(np.ones((2, 3)))
