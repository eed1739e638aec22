import keras
import numpy as np
import pytest

from tests.contracts import check_layer
from voiceemb import blocks, encoders

SMALL = {"stages": (8, 16), "num_blocks": 1, "embedding_dim": 16}
NETWORKS = {
    "simple": SMALL,
    "basic": {**SMALL, "block": "basic"},
    "gru": {"network": "gru", "filters": 4, "units": (8, 8), "embedding_dim": 16},
}


def energies(rng, batch=2, frames=48):
    return rng.uniform(0.1, 9.0, (batch, frames, 64)).astype("float32")


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_keeps_the_contract_of_a_layer(name, rng):
    check_layer(encoders.build(**NETWORKS[name]), energies(rng))


@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_lie_on_the_unit_sphere_for_any_length(name, rng):
    encoder = encoders.build(**NETWORKS[name])
    for frames in (1, 16, 33, 159, 160, 161):
        embedding = encoder(energies(rng, frames=frames))
        assert embedding.shape == (2, 16)
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, parameters",
    [
        ({}, 4_935_616),
        ({"stages": (64, 128, 256, 512), "block": "basic"}, 24_185_728),
        ({"network": "gru"}, 22_565_248),
    ],
)
def test_published_sizes_have_their_published_parameters(arguments, parameters):
    encoder = encoders.build(**arguments)
    assert encoder.count_params() == parameters
    assert encoder(np.ones((1, 160, 64), "float32")).shape == (1, 512)


def test_160_frames_become_10_steps_of_2048_before_the_affine_layer():
    network = encoders.ResCNN(stages=(2, 2, 2, 512), num_blocks=0)
    network(np.zeros((1, 160, 64), "float32"))
    assert network.affine.kernel.shape == (4 * 512, 512)  # 64 bands / 2**4, 512 filters
    x = np.zeros((1, 160, 64, 1), "float32")
    for (layer,) in network.stage_layers:
        x = layer(x)
    assert x.shape == (1, 10, 4, 512)


def test_frames_follow_the_159_160_rule():
    filterbank = encoders.build(**SMALL).filterbank
    assert filterbank.num_frames(25_600) == 159  # 1.6 s
    assert filterbank.num_frames(25_760) == 160
    assert filterbank.num_frames(25_681) == filterbank.num_frames(25_840) == 160


@pytest.mark.parametrize("shape", ["basic", "simple"])
def test_a_residual_block_whose_kernels_are_zero_only_clips(shape, rng):
    block = blocks.ResidualBlock(4, shape)
    x = rng.normal(scale=20, size=(2, 5, 6, 4)).astype("float32")
    block(x)
    for weight in block.weights:
        if weight.name == "kernel":
            weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(block(x), x.clip(0, blocks.CLIP), atol=1e-6)


def test_masked_frames_have_no_say_in_the_mean(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    mean = blocks.masked_mean(x, mask)
    np.testing.assert_allclose(mean[0], x[0, :3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean[1], x[1].mean(axis=0), atol=1e-6)
    nothing = blocks.masked_mean(x, np.zeros((2, 5), bool))
    np.testing.assert_array_equal(nothing, 0)


def test_a_mask_of_all_frames_changes_nothing(rng):
    x, mask = energies(rng), np.ones((2, 48), bool)
    for arguments in NETWORKS.values():
        encoder = encoders.build(**arguments)
        np.testing.assert_allclose(encoder(x, mask=mask), encoder(x), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_under_a_mask_hardly_moves_an_embedding(name, rng):
    """Convolutions see a few padded frames at the edge; the mean must not see any."""
    encoder = encoders.build(**NETWORKS[name])
    x = energies(rng, batch=1, frames=96)
    padded = np.concatenate([x, np.full((1, 96, 64), 1e-3, "float32")], axis=1)
    mask = (np.arange(192) < 96)[None]
    alone, masked = encoder(x)[0], encoder(padded, mask=mask)[0]
    assert np.dot(alone, masked) > 0.99
    assert np.dot(alone, masked) > np.dot(alone, encoder(padded)[0])


def test_batch_normalisation_moves_only_in_training(rng):
    encoder = encoders.build(**SMALL)
    before = [v.numpy().copy() for v in encoder.non_trainable_variables]
    encoder(energies(rng))
    after = [v.numpy() for v in encoder.non_trainable_variables]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    encoder(energies(rng), training=True)
    after = [v.numpy() for v in encoder.non_trainable_variables]
    assert not all((a == b).all() for a, b in zip(before, after, strict=True))


def test_weights_written_are_the_weights_read(tmp_path, rng):
    first, second = encoders.build(**SMALL), encoders.build(**SMALL)
    x = energies(rng)
    assert np.abs(first(x) - second(x)).max() > 1e-3
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(first(x), second(x))


def test_embeddings_stay_float32_under_half_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        embedding = encoders.build(**SMALL)(energies(rng))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(embedding.dtype) == "float32"
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, atol=1e-5)


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
        encoders.build(**arguments)
