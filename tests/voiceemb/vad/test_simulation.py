"""Mixtures: labels are those of the clean voices, and chance is seed and step."""

import numpy as np
import pytest

from voiceemb.vad import simulation
from voiceemb.vad.base import FRAME, HOP
from voiceemb.vad.config import MixtureConfig
from voiceemb.vad.labels import LabelledUtterance
from voiceemb.vad.simulation import MixtureSimulator

PLAN = {
    "seconds": 4.0,
    "noises": 2,
    "snr_db": (0.0, 10.0),
    "silent": 0.0,
    "clean": 0.0,
    "babble": 0.0,
    "room": 0.0,
    "equaliser": 0.0,
    "bandwidth": 0.0,
    "codec": 0.0,
    "gain_db": (0.0, 0.0),
}


def voices(count=4, frames=150):
    """Tones that stop in the middle for half a second."""
    time = np.arange(frames * HOP) / 16000
    active = np.ones(frames, bool)
    active[60:110] = False
    sounds = [0.1 * np.sin(2 * np.pi * (200 + 90 * i) * time) for i in range(count)]
    gate = np.repeat(active, HOP)
    return [
        LabelledUtterance((sound * gate).astype("float32"), active) for sound in sounds
    ]


def simulator(**changes):
    return MixtureSimulator(voices(), MixtureConfig(**PLAN | changes))


def test_a_mixture_follows_from_its_key_alone():
    first, again = simulator(), simulator()
    first.sample(1, 1)
    for one, same in zip(first.sample(3, 2), again.sample(3, 2), strict=True):
        np.testing.assert_array_equal(one, same)
    assert np.abs(first.sample(3, 3)[1] - first.sample(3, 2)[1]).max() > 0.01


def test_what_is_active_sounds_and_what_is_not_is_silent():
    for row in range(5):
        speech, _, active = simulator().sample(0, row)
        level = np.abs(speech.reshape(-1, HOP)).max(axis=1)
        assert (level[active == 0] == 0).all()
        assert np.mean(level[active == 1] > 0) > 0.99


def test_speech_stands_over_noise_by_the_ratio_asked_for():
    at_six = simulator(snr_db=(6.0, 6.0), babble=0.5)
    for row in range(6):
        speech, noise, active = at_six.sample(0, row)
        spoken = speech[np.repeat(active, HOP) > 0]
        found = 10 * np.log10(np.mean(spoken**2) / np.mean(noise**2))
        assert found == pytest.approx(6.0, abs=0.1) or found >= 6  # babble of a few


def test_babble_is_noise_only_when_it_is_far_below():
    few = simulator(babble=1.0, snr_db=(-5.0, 20.0))
    for row in range(20):
        speech, noise, active = few.sample(0, row)
        spoken = speech[np.repeat(active, HOP) > 0]
        found = 10 * np.log10(np.mean(spoken**2) / np.mean(noise**2))
        assert found >= simulation.MIN_SNR_MANY_DB - 0.1


def test_nobody_speaks_in_a_silent_mixture():
    speech, noise, active = simulator(silent=1.0).sample(0, 0)
    assert not speech.any() and not active.any() and noise.any()


def test_a_clean_mixture_has_no_noise():
    assert not simulator(clean=1.0).sample(0, 0)[1].any()


@pytest.mark.slow
def test_batches_follow_from_the_step():
    mixtures = simulator(silent=0.5, room=0.5, codec=0.5, gain_db=(-20.0, 0.0))
    _, (late, active) = mixtures.batches(batch=3, ahead=5)(4).take(2)
    again, targets = next(iter(mixtures.batches(batch=3, ahead=5)(5)))
    np.testing.assert_array_equal(late, again)
    np.testing.assert_array_equal(active, targets)
    assert late.shape == (3, 4 * 16000 + FRAME - HOP) and active.shape == (3, 395)
    assert set(np.unique(active)) <= {0.0, 1.0} and np.isfinite(late).all()
