import numpy as np
import pytest

from tests.voiceemb.runs import make
from timbre.audio import wave
from timbre.metrics.calibration import LogisticCalibration
from voiceemb import Encoder, calibration
from voiceemb.inference import crop_samples, unit, window_starts
from voiceemb.networks import speaker_encoder

WINDOW = 8000


@pytest.fixture(scope="module")
def model():
    return speaker_encoder.build(stages=(4, 8), num_blocks=1, embedding_dim=8)


@pytest.fixture(scope="module")
def encoder(model):
    return Encoder.from_model(model, window=WINDOW)


def sound(rng, samples):
    return rng.normal(scale=0.1, size=samples).astype("float32")


@pytest.mark.parametrize("samples", [1600, 7999, 8000, 8001, 16000, 16001, 99999])
def test_windows_cover_an_utterance_from_end_to_end(samples):
    starts = window_starts(samples, WINDOW)
    assert starts[0] == 0
    assert starts[-1] + WINDOW == max(samples, WINDOW)
    assert (np.diff(starts) <= WINDOW).all() and (np.diff(starts) > 0).all()


def test_one_window_is_embedded_by_the_model_alone(model, encoder, rng):
    x = sound(rng, WINDOW)
    expected = model(model.features(x[None]))[0]
    np.testing.assert_allclose(encoder.embed_utterance(x), expected, atol=1e-5)


def test_a_long_utterance_is_the_mean_of_its_windows(model, encoder, rng):
    x = sound(rng, 45 * WINDOW + 123)  # more windows than one pass of the loop takes
    rows = np.stack([x[s : s + WINDOW] for s in window_starts(len(x), WINDOW)])
    expected = unit(np.mean(model(model.features(rows)), axis=0))
    np.testing.assert_allclose(encoder.embed_utterance(x), expected, atol=1e-5)


def test_many_at_once_are_what_each_is_alone(encoder, rng):
    sounds = [sound(rng, n) for n in (1600, 20000, 8000, 300000, 7999, 9000)]
    alone = np.stack([encoder.embed_utterance(x) for x in sounds])
    seen = []
    together = encoder.embed_utterances(iter(sounds), progress=seen.append)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert encoder.embed_utterances([]).shape == (0, 8)


def test_paths_and_waveforms_give_the_same_embedding(encoder, rng, tmp_path):
    x = sound(rng, 12000).clip(-1, 1)
    wave.write(tmp_path / "목소리.wav", x, sample_rate=16000, subtype="FLOAT")
    np.testing.assert_allclose(
        encoder.embed_utterance(tmp_path / "목소리.wav"),
        encoder.embed_utterance(x),
        atol=1e-5,
    )


def test_a_speaker_is_the_mean_direction_of_the_utterances(encoder, rng):
    sounds = [sound(rng, 9000), sound(rng, 20000)]
    expected = unit(encoder.embed_utterances(sounds).mean(axis=0))
    speaker = encoder.embed_speaker(sounds)
    np.testing.assert_allclose(speaker, expected, atol=1e-6)
    with pytest.raises(ValueError, match="at least one utterance"):
        encoder.embed_speaker([])


def test_similarity_is_the_cosine(encoder):
    a, b = np.array([3.0, 4.0]), np.array([[1.0, 0.0], [-6.0, -8.0]])
    np.testing.assert_allclose(encoder.similarity(a, b), [0.6, -1])
    assert encoder.similarity(a, a) == pytest.approx(1)
    assert encoder.similarity(b, b).shape == (2, 2)


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(100, "float32"),
        np.zeros((2, 16000), "float32"),
        np.full(16000, np.nan, "float32"),
    ],
)
def test_what_is_no_utterance_is_refused(encoder, waveform):
    with pytest.raises(ValueError, match="Received"):
        encoder.embed_utterance(waveform)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run folder"):
        Encoder.load(tmp_path)


def test_an_encoder_that_was_loaded_knows_where_from(encoder, tmp_path, monkeypatch):
    """Beside it lie its threshold, and its training speakers."""
    monkeypatch.setattr("voiceemb.encoder.PRETRAINED", tmp_path)
    run = make(tmp_path / "mini", ["anna"])
    assert Encoder.load(str(run)).folder == Encoder.pretrained("mini").folder == run
    assert encoder.folder is None


def test_a_crop_fills_its_frames_without_padding(model):
    samples = crop_samples(model.filterbank, 160)
    assert samples == 25_840 and model.filterbank.num_frames(samples) == 160
    assert model.filterbank.num_frames(samples + 1) == 161


def test_an_encoder_needs_to_know_what_it_takes():
    about = {"extractor": "x", "dim": 2, "sample_rate": 8000}
    with pytest.raises(ValueError, match="Missing: .'window_samples'"):
        Encoder(lambda waveform: waveform, about)


def test_a_named_calibration_takes_the_place_of_the_one_beside_the_weights(tmp_path):
    run = make(tmp_path / "run", ["anna"])
    sha256 = Encoder.load(run).about["sha256"]
    own, other = (LogisticCalibration(slope=s, offset=-1.0) for s in (2.0, 3.0))
    calibration.write(run / calibration.FILE, own, sha256=sha256, about={})
    calibration.write(tmp_path / "other.json", other, sha256=sha256, about={})
    assert Encoder.load(run).calibration == own
    named = Encoder.load(run, calibration_file=tmp_path / "other.json")
    assert named.calibration == other and named.folder == run
    assert named.corpus_scores == {} and named.model is not None
