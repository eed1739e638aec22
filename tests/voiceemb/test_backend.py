"""The same weights give the same embedding in Keras, in a SavedModel and under JAX."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.backends import on_jax
from timbre.serving.publish import publish
from voiceemb import Encoder
from voiceemb.encoder import PRETRAINED
from voiceemb.networks import speaker_encoder
from voiceemb.signatures import signatures

NETWORKS = {
    "rescnn": {"stages": (4, 8), "num_blocks": 1, "embedding_dim": 8},
    "gru": {"filters": 4, "units": (8, 8), "embedding_dim": 8},
    "ecapa": {"channels": 16, "squeeze": 4, "attention": 4, "embedding_dim": 8},
    "resnet": {"widths": (4, 8), "depths": (1, 2), "embedding_dim": 8},
    "fusion": {
        "members": (
            {"network": "rescnn", "stages": (4,), "num_blocks": 1, "embedding_dim": 4},
            {"network": "rescnn", "stages": (2,), "num_blocks": 1, "embedding_dim": 4},
        )
    },
}
LENGTH = 12_345  # samples


@pytest.fixture(scope="module")
def sound():
    """White noise, and noise below a few hundred hertz."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=(2, LENGTH))
    noise[1] = np.convolve(noise[1], np.hanning(80), "same")
    return noise.astype("float32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run folder of each network, with weights that training might have left."""
    place, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(1)
    folders = [*sorted(p.parent for p in PRETRAINED.glob("*/config.json"))]
    for network, shape in NETWORKS.items():
        folder = place / network
        folder.mkdir()
        shape = {"network": network, **shape}
        model = speaker_encoder.build(**shape)
        for weight in model.weights:  # statistics too: zero and one would hide much
            change = rng.normal(scale=0.1, size=weight.shape)
            weight.assign(weight + np.abs(change).astype(weight.dtype))
        model.save_weights(folder / "model.weights.h5")
        config = {"config": {"encoder": shape}}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        folders.append(folder)
    return folders


def build(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))["config"]
    model = speaker_encoder.build(**config["encoder"])
    model.load_weights(folder / "model.weights.h5")
    return model


@pytest.mark.slow
def test_every_network_embeds_alike_on_jax(runs, sound, tmp_path):
    np.save(tmp_path / "sound.npy", sound)
    on_jax(
        "voiceemb/backend.py",
        tmp_path / "sound.npy",
        tmp_path / "embeddings.npz",
        *runs,
    )
    with np.load(tmp_path / "embeddings.npz") as embeddings:
        assert len(embeddings.files) == len(runs)
        for folder in runs:
            model = build(folder)
            expected = model(model.features(sound), training=False)
            np.testing.assert_allclose(embeddings[folder.name], expected, atol=1e-5)
            assert np.std(expected, axis=0).max() > 1e-3  # two sounds


@pytest.mark.slow
def test_every_network_embeds_alike_when_served(runs, sound, tmp_path):
    for folder in runs:
        model = build(folder)
        served = publish(
            tmp_path / folder.name,
            signatures(model, window=LENGTH),
            about={"sha256": folder.name},
        )
        embed = tf.saved_model.load(str(served)).signatures["embed"]
        expected = Encoder.from_model(model, window=LENGTH).embed_utterances(
            list(sound)
        )
        answer = embed(waveform=tf.constant(sound))["embedding"]
        np.testing.assert_allclose(answer, expected, atol=1e-5)
        alone = model(model.features(sound), training=False)
        np.testing.assert_allclose(answer, alone, atol=1e-5)
