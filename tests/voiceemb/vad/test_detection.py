"""Detectors give the same bits whatever the blocks; segments of a sound."""

import builtins
import subprocess
import sys

import numpy as np
import pytest

from tests.voiceemb.voices import sentence
from timbre.audio import wave
from voiceemb.vad import detection, segmentation, webrtc

NAMES = ("energy", "webrtc")


@pytest.fixture(params=NAMES)
def detector(request):
    if request.param == "webrtc":
        pytest.importorskip("webrtcvad")
    return detection.load(request.param)


def talk(rng):
    """A voice between pauses, in noise; 4 s."""
    pause = np.zeros(12000, np.float32)
    clean = np.concatenate([pause, sentence(1.5, level=0.1), pause, sentence(1.0)])
    return (clean + rng.normal(0, 2e-3, len(clean))).astype(np.float32)


def blocks(rng, waveform, sizes):
    """The waveform in blocks of sizes drawn from those given."""
    start = 0
    while start < len(waveform):
        size = int(rng.choice(sizes))
        yield waveform[start : start + size]
        start += size


@pytest.mark.parametrize(
    "sizes", [[0, 1, 2, 399], [160], [0, 159, 161, 400, 3333], [7, 40_000]]
)
def test_blocks_change_no_bit(rng, detector, sizes):
    waveform = talk(rng)
    whole = detector.probabilities(waveform)
    stream = detector.stream()
    parts = [stream.push(block) for block in blocks(rng, waveform, sizes)]
    parts.append(stream.finish())
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.float32 and whole.shape == (len(waveform) // 160,)
    assert whole.min() >= 0 and whole.max() <= 1


def test_a_probability_comes_within_the_delay_that_is_stated(rng, detector):
    """A frame of 25 ms is judged when its last sample is there, and not before."""
    stream, come = detector.stream(), 0
    for end in range(80, 8001, 80):
        come += len(stream.push(talk(rng)[:80]))
        assert come == max((end - round(detector.delay_s * 16000)) // 160 + 1, 0)


def test_frames_inside_segments_are_those_of_each_segment():
    active = segmentation.segment_mask([(0, 2), (5, 7), (9, 20)], 10)
    assert active.tolist() == [True, True, *[False] * 3, True, True, False, False, True]
    np.testing.assert_array_equal(
        segmentation.segment_mask([(0, 2), (5, 7), (9, 20)], 7, first=3), active[3:]
    )
    assert not segmentation.segment_mask([], 3).any()


def test_a_refused_block_changes_no_bit(rng, detector):
    waveform = talk(rng)
    stream = detector.stream()
    parts = [stream.push(waveform[:20_000])]
    spoiled = waveform[20_000:].copy()
    spoiled[-1] = np.nan
    with pytest.raises(ValueError, match="nan at sample"):
        stream.push(spoiled)
    parts += [stream.push(waveform[20_000:]), stream.finish()]
    whole = detector.probabilities(waveform)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_streams_of_one_detector_do_not_meet(rng, detector):
    waveform, other = talk(rng), rng.normal(0, 0.3, 64_000).astype(np.float32)
    one, two, parts = detector.stream(), detector.stream(), []
    for start in range(0, len(waveform), 1000):
        parts.append(one.push(waveform[start : start + 1000]))
        two.push(other[start : start + 1000])
    parts.append(one.finish())
    whole = detector.probabilities(waveform)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_no_frame_depends_on_what_comes_after_it(rng, detector):
    """Only the samples of a frame and those before it count."""
    waveform = talk(rng)
    changed = waveform.copy()
    changed[32_000 + 240 :] = rng.normal(size=len(waveform) - 32_240)
    one, two = detector.probabilities(waveform), detector.probabilities(changed)
    np.testing.assert_array_equal(one[:200], two[:200])


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 399, 400, 3200])
def test_the_shortest_sounds_have_their_frames(rng, detector, samples):
    waveform = rng.normal(0, 0.1, samples).astype(np.float32)
    activity = detection.detect(waveform, detector=detector)
    assert len(activity.probability) == samples // 160
    assert len(activity.active) == len(activity.energy_db) == samples // 160


def test_silence_has_no_segments(detector):
    activity = detection.detect(np.zeros(32_000, np.float32), detector=detector)
    assert activity.segments == [] and not activity.active.any()
    assert activity.speech_s == 0 and (activity.energy_db == -120).all()


def test_segments_seconds_and_flags_say_the_same(rng, detector):
    activity = detection.detect(talk(rng), detector=detector)
    again = np.zeros_like(activity.active)
    for start, end in activity.segments:
        again[round(start * 100) : round(end * 100)] = True
    np.testing.assert_array_equal(again, activity.active)
    assert np.isclose(activity.speech_s, 0.01 * activity.active.sum())
    assert 2.0 < activity.speech_s < 4.0


def test_the_rule_that_is_given_counts(rng):
    waveform, detector = talk(rng), detection.load("energy")
    found = {
        pad_s: detection.detect(
            waveform,
            detector=detector,
            hysteresis=segmentation.HysteresisConfig(pad_s=pad_s),
        )
        for pad_s in (0.0, 0.1)
    }
    assert len(found[0.0].segments) == len(found[0.1].segments) == 2
    (start, end), (wider, longer) = (found[pad_s].segments[0] for pad_s in (0.0, 0.1))
    assert np.isclose(start - wider, 0.1) and np.isclose(longer - end, 0.1)


@pytest.mark.parametrize(
    "wrong", [np.ones(400, int), np.ones((2, 400)), np.full(400, np.inf)]
)
def test_what_is_no_sound_is_refused(detector, wrong):
    with pytest.raises(ValueError, match="Sound .* Received"):
        detection.detect(wrong, detector=detector)


def test_an_unknown_name_and_a_wrong_mode_are_refused():
    with pytest.raises(ValueError, match="`name` must be one of"):
        detection.load("oracle")
    with pytest.raises(ValueError, match="`mode` is"):
        webrtc.WebRTCDetector(mode=4)


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "webrtcvad":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="pip install webrtcvad-wheels"):
        detection.load("webrtc")


def test_webrtc_is_the_peer_itself(rng):
    """The same decisions as by its own call on 10 ms of 16-bit samples."""
    webrtcvad = pytest.importorskip("webrtcvad")
    waveform = talk(rng)
    peer = webrtcvad.Vad(3)
    rows = np.round(waveform[: len(waveform) // 160 * 160] * 32768).reshape(-1, 160)
    spoken = [peer.is_speech(r.astype("<i2").tobytes(), 16000) for r in rows]
    found = webrtc.WebRTCDetector(mode=3).probabilities(waveform)
    np.testing.assert_array_equal(found, np.array(spoken, np.float32))


def test_energy_needs_neither_tensorflow_nor_keras():
    code = (
        "import sys, numpy as np; from voiceemb import vad;"
        "vad.detect(np.zeros(1600), detector=vad.load('energy'));"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.real_data
def test_a_real_voice_in_real_noise_is_mostly_found(real_data):
    """Beside the benchmark's truth: few misses, and not all of it is speech."""
    folder = real_data / "enh_vctk_demand"
    clean, noisy = (
        wave.read(folder / side / "p287_003.flac") for side in ("clean", "noisy")
    )
    quiet, loud = (
        detection.detect(sound, detector=detection.load("energy"))
        for sound in (clean, noisy)
    )
    assert (quiet.active != loud.active).mean() < 0.2
    assert 0.3 < loud.active.mean() < 0.97
