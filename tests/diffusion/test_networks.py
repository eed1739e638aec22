"""Networks: what goes in, what comes out, and that every weight learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion.networks.conditioning import (
    Conditioning,
    FiLM,
    LabelEmbeddings,
    TimeFeatures,
)
from diffusion.networks.registry import NETWORKS, build
from tests.contracts import check_layer
from tests.diffusion.small_networks import SMALL, STEPS, inputs, randomise_zeros

VARIANTS = [
    *((name, options, (2, 5)) for name, options in SMALL.items()),
    (
        *("resmlp", {"width": 16, "num_blocks": 1, "expansion": 3, "dropout": 0.25}),
        (),
    ),
    (
        *("unet1d", {**SMALL["unet1d"], "squeeze_excitation": True, "kernel_size": 7}),
        (),
    ),
    ("unet1d", {"channels": (8,), "groups": 2}, ()),
]


def check_learning(network, data):
    """Every weight, rows of tables too, has a finite gradient that moves it."""
    weights = network.trainable_weights
    with tf.GradientTape() as tape:
        y = network(data, training=True)
        loss = tf.reduce_sum(y * tf.random.stateless_normal(y.shape, (0, 0)))
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, f"no gradient reaches {weight.path}"
        gradient = tf.convert_to_tensor(gradient).numpy()  # rows of a table, else
        assert np.isfinite(gradient).all(), f"the gradient of {weight.path}"
        assert np.abs(gradient).max() > 0, f"{weight.path} stays where it is"


@pytest.mark.parametrize("name, options, classes", VARIANTS)
def test_a_network_keeps_its_contract(name, options, classes, rng):
    network = build(name, dim=12, steps=STEPS, classes=classes, **options)
    randomise_zeros(network, rng)
    data = inputs(rng, classes=classes)
    assert network(data).shape == (6, 12)
    check_layer(network, data)
    check_learning(network, data)


@pytest.mark.parametrize(
    "name, dim",
    [
        *(("unet1d", dim) for dim in (8, 9, 13, 704)),  # padded to eights
        *((name, dim) for name in ("linear", "resmlp") for dim in (64, 128)),
    ],
)
def test_every_network_runs_at_every_size(name, dim, rng):
    network = build(name, dim=dim, steps=STEPS, width=32, channels=(8, 8, 8, 8))
    assert network(inputs(rng, 2, dim)).shape == (2, dim)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_depends_on_the_time_and_each_label_known_or_not(name, rng):
    classes = (2, 3)
    network = build(name, dim=12, steps=STEPS, classes=classes, **SMALL[name])
    randomise_zeros(network, rng)
    x = np.tile(inputs(rng, 1)[0], (6, 1))
    t = np.array([1, STEPS, 1, 1, 1, 1], "int32")
    labels = [[0, 0], [0, 0], [1, 0], [0, 2], [-1, 0], [-1, -1]]
    y = np.asarray(network((x, t, np.array(labels, "int32"))))
    for i in range(6):
        for j in range(i):
            assert np.abs(y[i] - y[j]).max() > 1e-3, (labels[i], labels[j])


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_of_a_batch_do_not_meet(name, rng):
    network = randomise_zeros(build(name, dim=12, steps=STEPS, **SMALL[name]), rng)
    x, t, labels = inputs(rng)
    whole = np.asarray(network((x, t, labels)))
    alone = np.asarray(network((x[2:3], t[2:3], labels[2:3])))
    np.testing.assert_allclose(whole[2:3], alone, atol=1e-5)


@pytest.mark.parametrize("name", ["resmlp", "unet1d"])
def test_a_new_network_predicts_zero(name, rng):
    network = build(name, dim=12, steps=STEPS, **SMALL[name])
    assert not np.asarray(network(inputs(rng))).any()


def test_the_original_has_as_many_weights_as_it_had():
    """Kernels, biases, and one gain for each unit and time."""
    widths = (64, 128, 264, 128, 100)
    dense = sum(a * b + b for a, b in zip(widths, (*widths[1:], 64), strict=True))
    gains = 100 * sum(widths[1:])
    network = build("linear", dim=64, steps=100)
    assert network.count_params() == dense + gains == 157_660
    assert build("linear", dim=256, steps=1).hidden == (256, 528, 256, 200)


def test_the_original_is_its_formula(rng):
    network = randomise_zeros(
        build("linear", dim=12, steps=STEPS, **SMALL["linear"]), rng
    )
    x, t, labels = inputs(rng)
    y = x
    for kernel, gain in zip(network.kernels, network.gains, strict=True):
        weight, bias = kernel.get_weights()
        y = np.log1p(np.exp(gain.get_weights()[0][t - 1] * (y @ weight + bias)))
    weight, bias = network.leave.get_weights()
    found = network((x, t, labels))
    np.testing.assert_allclose(found, y @ weight + bias, atol=1e-4)


def test_gains_of_the_original_begin_between_zero_and_one():
    gains = build("linear", dim=8, steps=STEPS).gains[1].get_weights()[0]
    assert 0 <= gains.min() < 0.01 and 0.99 < gains.max() <= 1


def test_the_default_network_has_the_weights_of_its_blocks():
    def dense(a, b):
        return a * b + b

    block = 2 * 128 + dense(128, 256) + 2 * dense(128, 128)
    time = dense(64, 128) + dense(128, 128)
    rest = dense(64, 128) + 2 * 128 + dense(128, 64)
    network = build(dim=64, steps=100, width=128, num_blocks=2)
    assert network.name == "resmlp"
    assert network.count_params() == time + 2 * block + rest


def test_time_features_are_the_same_for_any_number_of_steps():
    few = TimeFeatures(10)(np.array([1, 5, 10]))
    many = TimeFeatures(1000)(np.array([100, 500, 1000]))
    np.testing.assert_allclose(few, many, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(few, axis=-1) ** 2, 32, rtol=1e-5)
    every = np.asarray(TimeFeatures(1000)(np.arange(1001)))
    likeness = every @ every.T / 32 - 2 * np.eye(1001)
    assert likeness.max() < 0.995  # no two times look alike


def test_labels_of_several_attributes_are_summed(rng):
    layer = LabelEmbeddings((2, 3), 4)
    y = layer(np.array([[1, -1]], "int32"))
    first, second = layer.get_weights()
    assert first.shape == (3, 4) and second.shape == (4, 4)
    np.testing.assert_allclose(y[0], first[2] + second[0])


@pytest.mark.parametrize("event", [(4,), (5, 4), (2, 3, 4)])
def test_film_scales_and_shifts_channels_at_any_rank(event, rng):
    x = rng.normal(size=(3, *event)).astype("float32")
    condition = rng.normal(size=(3, 2)).astype("float32")
    film = FiLM()
    y = np.asarray(film(x, condition))
    kernel, bias = film.affine.get_weights()
    both = (condition @ kernel + bias)[(slice(None), *[None] * (len(event) - 1))]
    expected = x * (1 + both[..., :4]) + both[..., 4:]
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("classes", [(), (3,)])
def test_conditioning_keeps_its_contract(classes, rng):
    _, t, labels = inputs(rng, classes=classes)
    check_layer(Conditioning(STEPS, classes, 8), t, labels)


def test_dropout_drops_in_training_only(rng):
    network = build(dim=12, steps=STEPS, width=16, num_blocks=1, dropout=0.5)
    randomise_zeros(network, rng)
    data = inputs(rng)
    still = np.asarray(network(data))
    assert (np.asarray(network(data)) == still).all()
    assert (np.asarray(network(data, training=True)) != still).any()


def test_options_of_other_networks_are_passed_over():
    network = build("linear", dim=8, steps=3, width=7, channels=(8,), hidden=(4,))
    config = network.get_config()
    own = {"dim": 8, "steps": 3, "classes": (), "hidden": (4,)}
    assert {name: config[name] for name in network.arguments()} == own
    assert network.name == "linear" and not {"width", "channels"} & config.keys()


@pytest.mark.parametrize(
    "name, policy",
    [
        *((name, "mixed_float16") for name in NETWORKS),
        ("resmlp", "mixed_bfloat16"),
    ],
)
def test_half_precision_networks_return_float32(name, policy, rng):
    data = inputs(rng, classes=(2,))
    shape = {"dim": 12, "steps": STEPS, "classes": (2,), **SMALL[name]}
    single = randomise_zeros(build(name, **shape), rng)
    keras.config.set_dtype_policy(policy)
    try:
        half = build(name, **shape)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(single.get_weights())
    y = half(data)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    expected = np.asarray(single(data))
    assert np.abs(y - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    "make, error, rule",
    [
        (lambda: build("mlp", dim=8, steps=3), ValueError, "`network` must be one"),
        (lambda: build(dim=8, steps=3, depth=2), TypeError, "Arguments of networks"),
        (lambda: build(dim=0, steps=3), ValueError, "`dim` must be at least 1"),
        (lambda: build(dim=8, steps=0), ValueError, "`steps` must be at least 1"),
        (lambda: build(dim=8, steps=3, classes=(0,)), ValueError, "`classes` must be"),
        (
            lambda: build("unet1d", dim=8, steps=3, channels=(12,)),
            ValueError,
            "multiples of `groups`",
        ),
        (lambda: TimeFeatures(10, 7), ValueError, "`num_features` must be even"),
        (lambda: LabelEmbeddings((), 8), ValueError, "`classes` must hold"),
    ],
)
def test_a_wrong_argument_is_named(make, error, rule):
    with pytest.raises(error, match=rule):
        make()
