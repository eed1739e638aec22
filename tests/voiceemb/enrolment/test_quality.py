"""Recording quality: closed forms of clipping and of the ratio of speech to noise."""

import dataclasses

import numpy as np
import pytest

from tests.voiceemb.bands import RATE, Loud, speak
from timbre.audio import wave
from voiceemb.enrolment import quality
from voiceemb.enrolment.quality import QualityThresholds
from voiceemb.vad.base import energies_db
from voiceemb.vad.detection import detect
from voiceemb.vad.energy import EnergyDetector

THRESHOLDS = QualityThresholds(min_sample_s=3)


def inspect(waveform, thresholds=THRESHOLDS):
    activity = detect(waveform, detector=Loud())
    return quality.inspect(waveform, activity, thresholds)


def test_a_good_recording_has_no_reason_against_it(rng):
    found = inspect(speak(rng, 3))
    assert found.reasons == () and found.clipped == 0
    assert np.isclose(found.speech_s, 4, atol=0.3)  # padding on both sides


@pytest.mark.parametrize("ratio", [5, 20, 40])
def test_the_ratio_is_that_of_the_powers(rng, ratio):
    """Speech of -20 dB, noise `ratio` below it, in speech and in the pauses."""
    found = inspect_with(rng, 0.1 * 10 ** (-ratio / 20))
    assert np.isclose(found.snr_db, ratio, atol=1.5)
    assert bool(found.reasons) == (ratio < 10)


def inspect_with(rng, noise):
    """Quality where activity is known and not found."""
    waveform = speak(rng, 3, noise=noise)
    clean = detect(speak(rng, 3), detector=Loud())
    activity = dataclasses.replace(clean, energy_db=energies_db(waveform))
    return quality.inspect(waveform, activity, THRESHOLDS)


def test_without_a_pause_the_ratio_is_unknown_and_no_reason(rng):
    found = inspect(speak(rng, 3)[RATE:-RATE])
    assert found.snr_db is None and found.reasons == ()


def test_digital_silence_between_words_is_a_ratio_that_is_finite(rng):
    found = inspect(speak(rng, 3, noise=0.0))
    assert 60 < found.snr_db <= 100


@pytest.mark.parametrize("limit", [1.0, 0.4])
def test_clipping_is_the_share_of_samples_at_the_limit(rng, limit):
    """A Gaussian cut at one deviation has p = 15.9 % on each side.

    Below full scale, only those count that have such a neighbour.
    """
    sound = np.clip(limit * rng.normal(size=100_000), -limit, limit)
    p = 0.1587
    share = 2 * p if limit == 1 else 2 * p * (1 - (1 - p) ** 2)
    assert np.isclose(quality.clipping(sound.astype(np.float32)), share, atol=0.005)


def test_what_is_loud_but_whole_is_not_clipped(rng):
    time = np.arange(RATE) / RATE
    for hz in (100, 440, 3000):
        assert quality.clipping(0.9 * np.sin(2 * np.pi * hz * time)) < 0.01
    assert quality.clipping(2.5 * rng.normal(size=RATE)) < 0.01  # a float file
    assert quality.clipping(np.zeros(100)) == quality.clipping(np.zeros(0)) == 0


def test_faint_rounded_sound_is_not_clipped(rng):
    """Of three steps of 16 bits, many samples are equal to their neighbours."""
    assert quality.clipping(rng.integers(-3, 4, RATE) / 32768) == 0


def test_every_fault_gives_its_reason(rng):
    short = inspect(speak(rng, 3, seconds=1.5))
    assert len(short.reasons) == 1
    assert short.reasons[0].startswith("only 1.") and "3 s are" in short.reasons[0]
    clipped = inspect(np.clip(30 * speak(rng, 3), -1, 1))
    assert any("clipped" in reason for reason in clipped.reasons)
    silent = inspect(np.zeros(5 * RATE, np.float32))
    assert silent.reasons == ("no speech was found",) and silent.speech_s == 0


def test_thresholds_can_be_set(rng):
    waveform = speak(rng, 3, seconds=1.5)
    assert inspect(waveform, QualityThresholds(min_sample_s=1)).reasons == ()


def test_spoken_is_the_sound_of_the_segments_and_nothing_else(rng):
    waveform = speak(rng, 3, noise=0.0)
    activity = detect(waveform, detector=Loud())
    spoken = quality.extract_speech(waveform, activity)
    assert len(spoken) == round(sum(e - s for s, e in activity.segments) * RATE)
    np.testing.assert_allclose((spoken**2).sum(), (waveform**2).sum(), rtol=1e-6)
    silence = np.zeros(RATE, np.float32)
    assert not len(quality.extract_speech(silence, detect(silence, detector=Loud())))


def test_sound_shorter_than_a_frame_has_no_speech():
    assert inspect(np.full(50, 0.1, np.float32)).reasons == ("no speech was found",)


@pytest.mark.parametrize("ratio", [20, 10, 0])
def test_noise_added_to_a_studio_is_found_to_two_decibels(real_data, rng, ratio):
    path = sorted((real_data / "korean_emotiontts" / "ada").glob("*.flac"))[0]
    waveform = wave.read(path)
    activity = detect(waveform, detector=EnergyDetector())
    assert quality.inspect(waveform, activity, THRESHOLDS).reasons == ()
    noise = waveform.std() * 10 ** (-ratio / 20) * rng.normal(size=len(waveform))
    energy = energies_db(waveform + noise)
    noisy = dataclasses.replace(activity, energy_db=energy)
    assert np.isclose(quality.signal_to_noise(noisy), ratio, atol=2)
