import dataclasses
import functools
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import check_gradients, check_layer
from voiceemb.config import EncoderNetworkConfig
from voiceemb.networks import layers, speaker_encoder

SMALL = {"stages": (8, 16), "num_blocks": 1, "embedding_dim": 16}
NETWORKS = {
    "simple": SMALL,
    "basic": {**SMALL, "block": "basic"},
    "gru": {"network": "gru", "filters": 4, "units": (8, 8), "embedding_dim": 16},
    "ecapa": {
        "network": "ecapa",
        "channels": 12,
        "scale": 3,
        "squeeze": 8,
        "attention": 8,
        "embedding_dim": 16,
    },
    "resnet": {
        "network": "resnet",
        "widths": (4, 8),
        "depths": (1, 2),
        "first_stride": 2,
        "embedding_dim": 16,
    },
}
EXACT = ("ecapa", "resnet")  # padding has no say at all in these


@functools.cache
def built(name):
    """An encoder of a config, that several tests look at; and its paths at first."""
    keras.utils.set_random_seed(0)
    config = dataclasses.asdict(EncoderNetworkConfig(**NETWORKS[name]))
    encoder = speaker_encoder.build(**json.loads(json.dumps(config)))
    AT_FIRST[name] = paths(encoder)
    return encoder


AT_FIRST = {}


def paths(encoder):
    """Of all weights, where every layer has its own."""
    assert all(layer.built for layer in encoder._flatten_layers())
    return [weight.path for weight in encoder.weights]


@pytest.fixture
def lent():
    """Gives such an encoder to a test that changes its weights, which come back."""
    kept = []

    def lend(name):
        encoder = built(name)
        kept.append((encoder, encoder.get_weights()))
        return encoder

    yield lend
    for encoder, weights in kept:
        encoder.set_weights(weights)


@functools.cache
def graph_of(name):
    encoder = built(name)
    shape = [tf.TensorSpec([None, None, 64]), tf.TensorSpec([None, None], tf.bool)]
    return tf.function(lambda x, mask: encoder(x, mask=mask), input_signature=shape)


def energies(rng, batch=2, frames=20):
    return rng.uniform(0.1, 9.0, (batch, frames, 64)).astype("float32")


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_keeps_the_contract_of_a_layer(name, rng):
    check_layer(built(name), energies(rng))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, parameters",
    [
        ({}, 4_935_616),
        ({"stages": (64, 128, 256, 512), "block": "basic"}, 24_185_728),
        ({"network": "gru"}, 22_565_248),
    ],
)
def test_published_sizes_have_their_published_parameters(
    arguments, parameters, monkeypatch
):
    """Zeros, because ten million orthogonal numbers take seconds to make."""
    monkeypatch.setattr(
        keras.initializers.OrthogonalInitializer,
        "__call__",
        lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype),
    )
    encoder = speaker_encoder.build(**arguments)
    assert encoder.count_params() == parameters
    assert encoder(np.ones((1, 16, 64), "float32")).shape == (1, 512)


def test_160_frames_become_10_steps_of_2048_before_the_affine_layer():
    network = speaker_encoder.ResCNN(stages=(2, 2, 2, 512), num_blocks=0)
    network(np.zeros((1, 160, 64), "float32"))
    assert network.affine.kernel.shape == (4 * 512, 512)  # 64 bands / 2**4, 512 filters
    x = np.zeros((1, 160, 64, 1), "float32")
    for (layer,) in network.stage_layers:
        x = layer(x)
    assert x.shape == (1, 10, 4, 512)


def test_frames_follow_the_159_160_rule():
    filterbank = built("simple").filterbank
    assert filterbank.num_frames(25_600) == 159  # 1.6 s
    assert filterbank.num_frames(25_760) == 160
    assert filterbank.num_frames(25_681) == filterbank.num_frames(25_840) == 160


@pytest.mark.parametrize("shape", ["basic", "simple"])
def test_a_residual_block_whose_kernels_are_zero_only_clips(shape, rng):
    block = layers.ResidualBlock(4, shape)
    x = rng.normal(scale=20, size=(2, 5, 6, 4)).astype("float32")
    block(x)
    for weight in block.weights:
        if weight.name == "kernel":
            weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(block(x), x.clip(0, layers.CLIP), atol=1e-6)


def test_hidden_frames_are_zero_whatever_they_hold(rng):
    x = rng.normal(size=(2, 5, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    x[0, 3:] = np.nan
    hidden = keras.ops.convert_to_numpy(layers.mask_frames(x, mask))
    np.testing.assert_array_equal(hidden[mask], x[mask])
    np.testing.assert_array_equal(hidden[~mask], 0)
    assert layers.mask_frames(x) is x


def test_a_mean_over_many_frames_does_not_overflow_half_precision():
    x = np.full((1, 5000, 2), layers.CLIP, "float16")
    np.testing.assert_allclose(layers.masked_mean(x), layers.CLIP)
    np.testing.assert_allclose(layers.masked_mean(x, x[..., 0] > 0), layers.CLIP)


def test_masked_frames_have_no_say_in_the_mean(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    mean = layers.masked_mean(x, mask)
    np.testing.assert_allclose(mean[0], x[0, :3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean[1], x[1].mean(axis=0), atol=1e-6)
    nothing = layers.masked_mean(x, np.zeros((2, 5), bool))
    np.testing.assert_array_equal(nothing, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_under_a_mask_hardly_moves_an_embedding(name, rng):
    """Convolutions see a few padded frames at the edge; the mean must not see any."""
    x, encode = energies(rng, batch=1, frames=96), graph_of(name)
    padded = np.concatenate([x, np.full((1, 96, 64), 1e-3, "float32")], axis=1)
    every = np.ones((1, 192), bool)
    alone, seen = encode(x, every[:, :96])[0], encode(padded, every)[0]
    masked = encode(padded, np.arange(192)[None] < 96)[0]
    assert np.dot(alone, masked) > 0.99
    assert np.dot(alone, masked) > np.dot(alone, seen)


@pytest.mark.parametrize("name", EXACT)
def test_padding_under_a_mask_moves_nothing_of_an_exact_network(name, rng, lent):
    network = lent(name).network
    weights = [w + rng.uniform(0, 0.3, w.shape) for w in network.get_weights()]
    network.set_weights(weights)  # offsets that make zeros something else
    for frames, padding in ((17, 1), (17, 6), (18, 1), (18, 2)):
        x = rng.normal(size=(1, frames, 64)).astype("float32")
        padded = np.pad(x, ((0, 0), (0, padding), (0, 0)), constant_values=7.0)
        mask, alone = (np.arange(frames + padding) < frames)[None], network(x)
        np.testing.assert_allclose(network(padded, mask=mask), alone, rtol=1e-4)
        assert np.abs(network(padded) - alone).max() > 1e-2


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_weight_of_a_network(name, rng, lent):
    check_gradients(lent(name), energies(rng))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_graph_embeds_any_batch_and_length_on_the_unit_sphere(name, rng):
    """As Keras does without it, and without a mask where all frames are heard."""
    encoder, encode = built(name), graph_of(name)
    for batch, frames in ((1, 1), (2, 16), (3, 33)):
        x = energies(rng, batch, frames)
        embedding = encode(x, np.ones((batch, frames), bool))
        assert embedding.shape == (batch, 16)
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, atol=1e-5)
        np.testing.assert_allclose(embedding, encoder(x), atol=1e-5)
    assert encode.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", EXACT)
def test_the_penalty_is_on_kernels_of_convolutions_only(name):
    encoder = speaker_encoder.build(**NETWORKS[name], weight_decay=0.5)
    kernels = [w for w in encoder.trainable_weights if len(w.shape) > 2]
    expected = sum(0.5 * np.sum(np.square(kernel)) for kernel in kernels)
    assert len(encoder.losses) == len(kernels)
    np.testing.assert_allclose(sum(encoder.losses), expected, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_config_of_all_networks_builds_the_one_it_names(name):
    network = built(name).network
    kind = NETWORKS[name].get("network", "rescnn")
    assert isinstance(network, speaker_encoder.NETWORKS[kind])
    for argument, value in NETWORKS[name].items():
        assert argument == "network" or getattr(network, argument) == value


def test_a_config_without_what_came_later_still_builds():
    config = dataclasses.asdict(EncoderNetworkConfig(**SMALL))
    known = ("network", "stages", "block", "num_blocks", "filters", "units")
    known += ("embedding_dim", "weight_decay", "log", "norm", "front_end")
    old = {key: config[key] for key in known}
    before, after = speaker_encoder.build(**old), speaker_encoder.build(**config)
    assert before.network.get_config() == after.network.get_config()


def test_every_argument_of_a_network_is_in_the_config_with_its_default():
    config = EncoderNetworkConfig()
    for network, kind in speaker_encoder.NETWORKS.items():
        if network == "fusion":
            continue  # made of trained ones, never trained from a config
        parameters = inspect.signature(kind).parameters
        for name in {*kind.arguments()} - {"embedding_dim", "weight_decay"}:
            assert getattr(config, name) == parameters[name].default


def test_an_argument_that_no_network_has_is_refused():
    with pytest.raises(TypeError, match="Received: .'chanels'"):
        speaker_encoder.build("ecapa", chanels=8)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_has_all_its_weights_before_it_is_called(name, rng):
    encoder = built(name)
    encoder(energies(rng))
    assert paths(encoder) == AT_FIRST[name]


def test_a_fusion_has_all_its_weights_before_it_is_called(rng):
    encoder = speaker_encoder.build(
        "fusion", members=[{"network": "rescnn", **SMALL}] * 2
    )
    before = paths(encoder)
    encoder(energies(rng))
    assert paths(encoder) == before


def test_batch_normalisation_moves_only_in_training(rng, lent):
    encoder = lent("simple")
    before = [v.numpy().copy() for v in encoder.non_trainable_variables]
    encoder(energies(rng))
    after = [v.numpy() for v in encoder.non_trainable_variables]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    encoder(energies(rng), training=True)
    after = [v.numpy() for v in encoder.non_trainable_variables]
    assert not all((a == b).all() for a, b in zip(before, after, strict=True))


def test_weights_written_are_the_weights_read(tmp_path, rng):
    first, second = speaker_encoder.build(**SMALL), speaker_encoder.build(**SMALL)
    x = energies(rng, frames=48)
    assert np.abs(first(x) - second(x)).max() > 1e-3
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(first(x), second(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_moves_an_embedding_little(name, rng):
    exact, x = built(name), energies(rng)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = speaker_encoder.build(**NETWORKS[name])
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(exact.get_weights())
    embedding = half(x)
    assert keras.backend.standardize_dtype(embedding.dtype) == "float32"
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, atol=1e-5)
    assert (np.sum(embedding * exact(x), axis=-1) > 0.999).all()


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"network": "os.system"}, "`network` must be one of"),
        ({"block": "wide"}, "`shape` must be one of"),
        ({"stages": ()}, "`stages` must name"),
        ({"network": "gru", "units": ()}, "`units` must name"),
        ({"embedding_dim": 0}, "`embedding_dim` must be"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        speaker_encoder.build(**arguments)
