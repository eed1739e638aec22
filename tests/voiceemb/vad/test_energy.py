"""The energy detector finds voices in noise, and takes no noise for a voice."""

import numpy as np
import pytest

from tests.voiceemb.voices import sentence, vowel
from voiceemb.vad.base import frame
from voiceemb.vad.detection import detect
from voiceemb.vad.energy import (
    BANDS,
    EDGES,
    EnergyDetector,
    band_powers,
    harmonicity,
    power_spectra,
    trailing_mean,
    trailing_min,
)
from voiceemb.vad.segmentation import HysteresisConfig

EXACT = HysteresisConfig(pad_s=0.0)


def found(waveform, hysteresis=EXACT):
    return detect(waveform, detector=EnergyDetector(), hysteresis=hysteresis)


def in_noise(rng, voice, *, snr_db, before_s=2.0, after_s=2.0):
    """A voice with silence around it, in white noise."""
    sides = [np.zeros(round(16000 * s), np.float32) for s in (before_s, after_s)]
    clean = np.concatenate([sides[0], voice, sides[1]])
    level = voice.std() * 10 ** (-snr_db / 20)
    return (clean + rng.normal(0, level, len(clean))).astype(np.float32)


@pytest.mark.parametrize("snr_db", [30, 20, 10])
def test_a_voice_in_noise_is_found_with_its_borders(rng, snr_db):
    waveform = in_noise(rng, sentence(2.0), snr_db=snr_db)
    ((start, end),) = found(waveform).segments
    assert abs(start - 2.0) <= 0.06 and abs(end - 4.0) <= 0.1


def test_two_voices_with_a_pause_are_two_segments(rng):
    voices = [sentence(1.5), np.zeros(16000, np.float32), sentence(1.5, f0_hz=210)]
    waveform = in_noise(rng, np.concatenate(voices), snr_db=20)
    assert len(found(waveform).segments) == 2


@pytest.mark.parametrize("gain_db", [-30, -15, 0, 15, 25])
def test_the_level_of_the_recording_does_not_matter(rng, gain_db):
    waveform = in_noise(rng, sentence(2.0), snr_db=20)
    louder = waveform * np.float32(10 ** (gain_db / 20))
    ((start, end),), ((same, too),) = found(waveform).segments, found(louder).segments
    assert abs(start - same) <= 0.03 and abs(end - too) <= 0.05


@pytest.mark.parametrize("value", [0.0, 1e-4, 0.5, -1.0])
def test_silence_and_constants_are_never_speech(value):
    activity = found(np.full(48000, value, np.float32))
    assert activity.segments == []
    assert (
        activity.probability[:-2].max() < 0.2
    )  # zeros follow: a step, but a short one


def test_an_offset_changes_nothing(rng):
    waveform = in_noise(rng, sentence(1.0), snr_db=20)
    ((start, end),), ((same, too),) = (
        found(waveform).segments,
        found(waveform + np.float32(0.25)).segments,
    )
    assert abs(start - same) <= 0.02 and abs(end - too) <= 0.02


@pytest.mark.parametrize("level", [1e-5, 1e-3, 0.05, 1.0])
def test_steady_noise_is_not_speech_at_any_level(rng, level):
    noise = rng.uniform(-level, level, 16000 * 6).astype(np.float32)
    assert found(noise).segments == []


def test_a_fan_that_is_switched_on_is_learnt_as_floor_in_three_seconds(rng):
    fan = rng.normal(0, 0.05, 16000 * 8)
    fan += 0.05 * np.sin(2 * np.pi * 100 * np.arange(len(fan)) / 16000)
    quiet = rng.normal(0, 5e-4, 16000 * 3)
    activity = found(np.concatenate([quiet, fan]).astype(np.float32))
    assert not activity.active[600:].any()
    voice = np.concatenate([np.zeros(16000 * 6), sentence(2.0, level=0.25)])
    fan[: len(voice)] += voice
    activity = found(np.concatenate([quiet, fan]).astype(np.float32))
    assert activity.active[910:1090].all()


def test_a_voice_from_the_first_sample_is_detected_soon(rng):
    waveform = in_noise(rng, sentence(3.0), snr_db=20, before_s=0.0)
    activity = found(waveform)
    assert activity.active[50:300].all() and not activity.active[310:].any()


def test_digital_silence_before_a_quiet_room_makes_no_speech_of_it(rng):
    room = rng.normal(0, 1e-4, 48000).astype(np.float32)
    assert found(np.concatenate([np.zeros(48000, np.float32), room])).segments == []


def test_spectra_hold_half_the_power(rng):
    """Parseval: of both halves of the spectrum it would be all of it."""
    frames = frame(rng.normal(0, 0.1, 160_000))
    assert np.isclose(power_spectra(frames).sum(axis=1).mean(), 0.01 / 2, rtol=0.01)


def test_bands_are_means_of_their_bins_and_leave_none_out():
    spectra = np.arange(321.0)[None]
    expected = [np.arange(a, b).mean() for a, b in zip(EDGES, EDGES[1:], strict=False)]
    np.testing.assert_allclose(band_powers(spectra)[0], expected)
    assert len(expected) == BANDS and (np.diff(EDGES) > 0).all()


def test_harmonicity_is_high_for_voices_and_low_for_noise(rng):
    for f0_hz in (90, 150, 250, 350):
        voice = frame(vowel(1.0, f0_hz=f0_hz))
        assert np.median(harmonicity(power_spectra(voice))) > 0.9
    noise = harmonicity(power_spectra(frame(rng.normal(size=16000))))
    assert np.median(noise) < 0.6
    assert harmonicity(power_spectra(np.zeros((2, 400)))).max() == 0


@pytest.mark.parametrize("length", [1, 2, 7, 8, 15])
def test_trailing_means_and_minima_look_back_only(rng, length):
    rows = rng.normal(size=(60, 2))
    before = np.concatenate([np.zeros((14, 2)), rows])
    means = [rows[max(i + 1 - length, 0) : i + 1].mean(axis=0) for i in range(60)]
    np.testing.assert_allclose(trailing_mean(before, length, np.arange(1, 61)), means)
    lowest = [rows[i : i + length].min(axis=0) for i in range(61 - length)]
    np.testing.assert_array_equal(trailing_min(rows, length), lowest)
