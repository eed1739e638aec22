"""The network: causal but for its look-ahead, the same bits in any blocks."""

import json

import keras
import numpy as np
import pytest

from tests.backends import on_jax
from tests.references import fbank
from tests.voiceemb.voices import sentence
from timbre.audio.filterbank import Filterbank
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import sha256
from voiceemb.vad import config, data, detection, noise_synthesis
from voiceemb.vad.base import FRAME, HOP
from voiceemb.vad.labels import LabelledUtterance
from voiceemb.vad.network import (
    ABOUT,
    BLOCK,
    PRETRAINED,
    WEIGHTS,
    ActivityNetwork,
    HannFilterbank,
    NetworkDetector,
)

SHAPE = {"bands": 12, "filters": 6, "kernel": 3, "units": 5, "ahead": 4}


def untrained(**changes):
    """A built network whose weights are all different from their first values."""
    keras.utils.set_random_seed(1)
    network = ActivityNetwork(**SHAPE | changes)
    network(np.zeros((1, FRAME + network.ahead * HOP), "float32"))
    rng = np.random.default_rng(1)
    for weight in network.weights:
        if weight.trainable:
            weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return network


@pytest.fixture(scope="module")
def detector():
    """A detector with an untrained network, whose program is made once."""
    return NetworkDetector.of(untrained())


@pytest.fixture(scope="module")
def sound():
    """Three seconds of noise that comes and goes."""
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.linspace(0, 20, 48_123)))
    return (0.1 * swell * rng.normal(size=48_123)).astype("float32")


def leave(folder, network):
    """What training leaves of a network that a detector needs."""
    folder.mkdir()
    network.save_weights(folder / WEIGHTS)
    digest = sha256(folder / WEIGHTS)
    (folder / f"{WEIGHTS}.sha256").write_text(f"{digest}  {WEIGHTS}\n")
    shape = {name: getattr(network, name) for name in network.arguments()}
    (folder / ABOUT).write_text(json.dumps({"network": shape}))
    return folder


def in_blocks(detector, sound, sizes):
    stream, found, at = detector.stream(), [], 0
    for size in sizes:
        found.append(stream.push(sound[at : at + size]))
        at += size
    found += [stream.push(sound[at:]), stream.finish()]
    return np.concatenate(found)


@pytest.mark.parametrize(
    "sizes",
    [
        [1] * 500,
        [0, HOP, 0, FRAME, 1],
        [159] * 300,
        [BLOCK * HOP] * 15,
        [BLOCK * HOP + FRAME - HOP, 1],
        [40_000],
    ],
)
def test_blocks_of_any_size_give_the_same_bits(detector, sound, sizes):
    whole = detector.probabilities(sound)
    np.testing.assert_array_equal(in_blocks(detector, sound, sizes), whole)
    assert len(whole) == len(sound) // HOP and whole.dtype == np.float32
    assert 0 <= whole.min() < whole.max() <= 1


@pytest.mark.parametrize("size", [1, HOP - 1, HOP])
def test_a_probability_comes_within_the_delay_that_is_stated(detector, sound, size):
    """Of each block the first frame waits longest, and for no sample less."""
    stream, delays, come = detector.stream(), [], 0
    for end in range(size, 3 * BLOCK * HOP, size):
        new = len(stream.push(sound[end - size : end]))
        delays += [end - frame * HOP for frame in range(come, come + new)]
        come += new
    delay = round(detector.delay_s * 16000)
    assert delay <= max(delays) < delay + size
    assert NetworkDetector.of(untrained(ahead=0)).delay_s < detector.delay_s


def test_random_blocks_give_the_same_bits(detector, sound, rng):
    whole = detector.probabilities(sound)
    for _ in range(5):
        sizes = rng.integers(0, rng.integers(2, 9000), 30)
        np.testing.assert_array_equal(in_blocks(detector, sound, sizes), whole)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 399, 400, 3199, 3200, 3440, 4241])
def test_there_is_a_probability_for_every_hop_of_a_sound(detector, sound, samples):
    assert len(detector.probabilities(sound[:samples])) == samples // HOP


def check_whole(detector, sound):
    """A stream says what its network says of the whole sound at once."""
    network, frames = detector.network, len(sound) // HOP
    found, ahead = detector.probabilities(sound), network.ahead
    whole = np.zeros((1, (frames + ahead) * HOP + FRAME - HOP), "float32")
    whole[0, : len(sound)] = sound
    logits = np.asarray(network(whole))[0]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert np.std(found) > 1e-3


def test_a_stream_equals_the_network_on_the_whole(detector, sound):
    check_whole(detector, sound)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_as_many_mixtures_are_held_out_as_were_asked_for(count, monkeypatch):
    """Also where they fill no whole batch."""
    rows = [Utterance(path=f"{one}.wav", speaker=one) for one in "abcdef"]
    voice = LabelledUtterance(sentence(1.5), np.ones(150, bool))
    ranges = {"snr_db": (0.0, 10.0), "gain_db": (0.0, 0.0)}
    mixtures = dict.fromkeys(config.SHARES, 0.0) | {"seconds": 1.0, "noises": 1}
    monkeypatch.setattr(data, "BATCH", 2)
    monkeypatch.setattr(data, "gather_config", lambda _: Corpus("voices", tuple(rows)))
    monkeypatch.setattr(data.labels, "label_corpus", lambda part: [voice])
    monkeypatch.setattr(Corpus, "digest", lambda part: "")
    found = data.prepare(
        config.VadConfig(
            validation_speakers=1,
            validation_mixtures=count,
            mixtures=config.MixtureConfig(**mixtures, **ranges),
            seed=1,
        )
    )
    assert len(found.waveforms) == len(found.active) == count


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, BLOCK + 5])
def test_so_does_one_that_waits_for_nothing_or_for_more_than_a_block(sound, ahead):
    check_whole(NetworkDetector.of(untrained(ahead=ahead)), sound)


def test_no_probability_depends_on_more_than_the_look_ahead(detector, sound):
    frame = 100
    end = (frame + SHAPE["ahead"]) * HOP + FRAME  # the first sample it does not get
    other, changed_frame = sound.copy(), sound.copy()
    other[end:] = 0.5
    changed_frame[end - HOP // 2] += 0.5  # in one frame alone
    before = detector.probabilities(sound)[: frame + 1]
    np.testing.assert_array_equal(detector.probabilities(other)[: frame + 1], before)
    changed = detector.probabilities(changed_frame)[: frame + 1] != before
    assert changed[frame] and not changed[:frame].any()


def test_a_probability_comes_within_three_tenths_of_a_second(detector, sound):
    stream, late = detector.stream(), 0
    known = 0
    for at in range(0, 32_000, HOP):
        known += len(stream.push(sound[at : at + HOP]))
        late = max(late, at // HOP + 1 - known)
    assert late * 0.01 <= 0.3
    assert late == BLOCK + SHAPE["ahead"] + 1  # the block, the wait, the frame's length


def test_two_streams_are_independent(detector, sound):
    one, other = detector.stream(), detector.stream()
    found = []
    for at in range(0, len(sound), 5000):
        found.append(one.push(sound[at : at + 5000]))
        other.push(sound[::-1][at : at + 5000])
    found.append(one.finish())
    np.testing.assert_array_equal(np.concatenate(found), detector.probabilities(sound))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(detector, sound, bad):
    stream = detector.stream()
    first = stream.push(sound[:10_000])
    with pytest.raises(ValueError, match="must be finite"):
        stream.push(np.full(500, bad, "float32"))
    rest = [stream.push(sound[10_000:]), stream.finish()]
    whole = detector.probabilities(sound)
    np.testing.assert_array_equal(np.concatenate([first, *rest]), whole)
    with pytest.raises(ValueError, match="finished"):
        stream.push(sound)


def test_energies_are_those_of_frames_under_a_hann_window(rng):
    wave = rng.normal(size=FRAME).astype("float32")
    ramp = np.sin(np.pi * np.arange(FRAME) / FRAME) ** 2
    change = wave - 0.97 * np.concatenate([[0], wave[:-1]])
    energies = np.asarray(HannFilterbank(16000, num_bands=12)(wave[None]))[0, 0]
    expected = fbank(change * ramp, num_bands=12, preemphasis=0.0)[0]
    np.testing.assert_allclose(energies, expected, rtol=1e-4)


def test_the_window_keeps_a_hum_out_of_the_bands_of_speech():
    hum = np.sin(2 * np.pi * 55 * np.arange(FRAME) / 16000).astype("float32")[None]
    leaked = [
        np.asarray(bank(16000, num_bands=40)(hum))[0, 0, 20:].sum()
        for bank in (Filterbank, HannFilterbank)
    ]
    assert leaked[1] < 1e-3 * leaked[0]


def test_a_network_is_its_config():
    network = untrained()
    again = ActivityNetwork.from_config(network.get_config())
    assert again.get_config() == network.get_config()
    assert {k: network.get_config()[k] for k in SHAPE} == SHAPE


@pytest.mark.parametrize(
    ("name", "value"),
    [("bands", 0), ("filters", 0), ("kernel", 1), ("units", 0), ("ahead", -1)],
)
def test_a_network_that_can_not_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be at least"):
        ActivityNetwork(**{name: value})


def test_what_was_saved_predicts_the_same(tmp_path, sound):
    network = untrained()
    loaded = NetworkDetector(leave(tmp_path / "run", network))
    short = sound[None, :8000]
    np.testing.assert_array_equal(loaded.network(short), network(short))
    assert loaded.sha256 == sha256(tmp_path / "run" / WEIGHTS)


def test_weights_of_another_hash_are_refused(tmp_path):
    folder = leave(tmp_path / "run", untrained())
    untrained(units=6).save_weights(folder / WEIGHTS)
    with pytest.raises(ValueError, match="not those the run has written"):
        NetworkDetector(folder)
    (folder / f"{WEIGHTS}.sha256").unlink()
    with pytest.raises(ValueError, match="absent"):
        NetworkDetector(folder)


def test_a_folder_without_a_detector_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a detector"):
        NetworkDetector(tmp_path)


@pytest.fixture(scope="module")
def shipped():
    """The detector that comes with the package."""
    return detection.load("network")


def test_what_comes_with_the_package_is_small_and_whole(shipped):
    assert shipped.name == "network" and shipped.network.count_params() < 100_000
    assert (PRETRAINED / WEIGHTS).stat().st_size < 2**20
    card = (PRETRAINED / "card.md").read_text("utf-8")
    assert shipped.sha256 in card and "LibriSpeech" in card and "CC BY 4.0" in card


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-3, 0.1])
def test_silence_and_hiss_of_any_level_are_no_speech(shipped, level, rng):
    hiss = (level * rng.normal(size=48_000)).astype("float32")
    found = detection.detect(hiss, detector=shipped)
    assert found.probability.mean() < 0.1 and not found.segments


@pytest.mark.parametrize("f0_hz", [100, 220])
@pytest.mark.parametrize("level", [0.005, 0.2])
def test_a_voice_of_any_level_is_speech_between_its_pauses(shipped, f0_hz, level, rng):
    spoken = sentence(2.0, level=level, f0_hz=f0_hz)
    pause = np.zeros(16_000, "float32")
    sound = np.concatenate([pause, spoken, pause])
    sound += (1e-4 * rng.normal(size=len(sound))).astype("float32")
    ((start, end),) = detection.detect(sound, detector=shipped).segments
    assert abs(start - 0.9) < 0.1 and abs(end - 3.1) < 0.15  # padded by 0.1 s


def test_a_voice_is_distinguished_from_synthetic_noise(shipped):
    """In noise 10 dB below it, a voice is likelier by far than the noise alone."""
    spoken, alone = [], []
    for seed in range(6):
        noise = noise_synthesis.noise(48_000, np.random.default_rng([99, seed]))
        sound = np.float32(0.05) * 10**-0.5 * noise
        alone.append(shipped.probabilities(sound).mean())
        sound[16_000:] += sentence(2.0, level=0.05, f0_hz=100 + 20 * seed)
        spoken.append(shipped.probabilities(sound)[110:290].mean())
    assert np.mean(spoken) > 0.75 and np.mean(alone) < 0.25
    assert np.median(np.subtract(spoken, alone)) > 0.6


@pytest.mark.slow
def test_the_network_predicts_alike_on_jax_and_trains_there(sound, tmp_path):
    np.save(tmp_path / "sound.npy", sound)
    network = untrained()
    folder = leave(tmp_path / "run", network)
    on_jax("voiceemb/vad/backend.py", tmp_path / "sound.npy", folder)
    expected = network(sound[None])
    np.testing.assert_allclose(np.load(folder / "logits.npy"), expected, atol=1e-4)
    assert np.std(expected) > 1e-2
    change = np.load(folder / "change.npy")
    assert np.isfinite(change).all() and np.abs(change).max() > 0
