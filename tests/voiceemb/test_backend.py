"""The same weights give the same embedding in Keras, in a SavedModel and under JAX."""

import functools
import json

import numpy as np
import pytest

from tests.backends import on_jax
from timbre.serving.publish import publish
from voiceemb import Encoder
from voiceemb.encoder import PRETRAINED
from voiceemb.inference import unit, window_starts
from voiceemb.networks import speaker_encoder
from voiceemb.signatures import signatures

RESCNN = {"stages": (4, 8), "num_blocks": 1, "embedding_dim": 8}
MEMBERS = (
    {"network": "rescnn", **RESCNN, "block": "basic"},
    {"network": "gru", "filters": 4, "units": (8, 8), "embedding_dim": 8},
    {
        "network": "ecapa",
        "channels": 12,
        "scale": 3,
        "squeeze": 4,
        "attention": 4,
        "embedding_dim": 8,
    },
    {"network": "resnet", "widths": (4, 8), "depths": (1, 2), "embedding_dim": 8},
)
NETWORKS = {"rescnn": RESCNN, "fusion": {"members": MEMBERS}}  # side by side in one
LENGTH, WINDOW = 12_345, 8_000  # samples


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


@functools.cache
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
    """Each window by Keras, and their mean; alone, many at once, shorter and longer."""
    for folder in runs:
        model = build(folder)
        published = publish(
            tmp_path / folder.name,
            signatures(model, window=WINDOW),
            about=Encoder.from_model(model, window=WINDOW).about,
        )
        encoder = Encoder.load(published)
        utterances = [sound[0, :1600], sound[0, :WINDOW], *sound]
        expected = []
        for utterance in utterances:
            starts = window_starts(len(utterance), WINDOW)
            windows = np.stack([utterance[s:][:WINDOW] for s in starts])
            points = model(model.features(windows), training=False)
            expected.append(unit(np.mean(points, axis=0)))
        together = encoder.embed_utterances(utterances)
        np.testing.assert_allclose(together, expected, atol=1e-5)
        alone = [encoder.embed_utterance(utterance) for utterance in utterances]
        np.testing.assert_allclose(alone, expected, atol=1e-5)
