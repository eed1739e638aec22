"""The exported speaker encoder, run without a line of this project."""

import numpy as np
import pytest

from tests.timbre.serving.loading import run
from voiceemb import Encoder

pytestmark = pytest.mark.slow


def test_the_c_loader_embeds_waveforms_and_features_as_keras_does(
    trained_run, tmp_path, rng
):
    folder = trained_run / "runs" / "smoke"
    encoder = Encoder.load(folder)
    waveform = rng.normal(scale=0.1, size=(2, 60_000)).astype("float32")
    done = run(folder / "export" / "1", "embed", tmp_path, waveform=waveform)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "embedding.npy")
    expected = np.stack([encoder.embed_utterance(row) for row in waveform])
    np.testing.assert_allclose(found, expected, atol=1e-5)

    features = rng.uniform(0.1, 9, (3, 50, 64)).astype("float32")
    done = run(folder / "export" / "1", "embed_features", tmp_path, features=features)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "embedding.npy")
    np.testing.assert_allclose(found, encoder.model(features), atol=1e-5)


def test_a_server_hears_why_an_input_is_refused(trained_run, tmp_path):
    folder = trained_run / "runs" / "smoke" / "export" / "1"
    short = np.zeros((1, 100), "float32")
    done = run(folder, "embed", tmp_path, waveform=short)
    assert done.returncode != 0 and "shorter than 0.1 s" in done.stderr


def test_weights_are_stored_once(trained_run):
    run_folder = trained_run / "runs" / "smoke"
    weights = Encoder.load(run_folder).model.count_params() * 4
    stored = sum(p.stat().st_size for p in run_folder.glob("export/1/variables/*"))
    assert weights <= stored < 1.5 * weights + 20_000
