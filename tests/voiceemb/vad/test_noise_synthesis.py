"""Made-up noises: of any kind, of power one, and nothing but their chance."""

import numpy as np
import pytest

from voiceemb.vad import noise_synthesis
from voiceemb.vad.base import SAMPLE_RATE


@pytest.mark.parametrize("kind", noise_synthesis.KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_a_sound_of_its_length(kind):
    for seed in range(5):
        sound = kind(SAMPLE_RATE, np.random.default_rng(seed))
        assert sound.shape == (SAMPLE_RATE,)
        assert np.isfinite(sound).all() and np.std(sound) > 0


def test_a_noise_has_power_one_and_follows_from_its_chance():
    one, same, other = (
        noise_synthesis.noise(8000, np.random.default_rng(s)) for s in (3, 3, 4)
    )
    assert one.dtype == np.float32 and one.shape == (8000,)
    np.testing.assert_allclose(np.mean(np.square(one)), 1, rtol=1e-4)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_hum_is_nothing_but_harmonics_of_one_pitch():
    spectrum = np.abs(
        np.fft.rfft(noise_synthesis.hum(SAMPLE_RATE, np.random.default_rng(0)))
    )
    loudest = np.argsort(spectrum * np.hanning(len(spectrum)) ** 0)[-3:]
    pitch = min(
        (p * r for p in (50, 60, 100, 120) for r in np.linspace(0.99, 1.01, 201)),
        key=lambda hz: np.abs(loudest / hz - np.round(loudest / hz)).sum(),
    )
    assert np.abs(loudest - pitch * np.round(loudest / pitch)).max() <= 1
    assert np.square(spectrum[np.argsort(spectrum)[:-400]]).sum() < 0.02 * (
        np.square(spectrum).sum()
    )


def test_no_harmonic_folds_back_from_above_half_the_rate():
    pitch = np.linspace(3000, 3900, SAMPLE_RATE)
    sound = noise_synthesis._harmonics(pitch, np.ones(6), np.random.default_rng(0))
    spectrum = np.square(np.abs(np.fft.rfft(sound)))
    assert spectrum[:2900].sum() < 1e-2 * spectrum.sum()  # the third would fold to 0
    assert spectrum[5900:].sum() > 0.3 * spectrum.sum()  # the second is there


def test_hiss_falls_with_the_slope_that_is_given():
    sound = noise_synthesis._falling(1 << 16, 2.0, np.random.default_rng(0))
    power = np.square(np.abs(np.fft.rfft(sound)))
    hz = np.fft.rfftfreq(1 << 16, 1 / SAMPLE_RATE)
    octaves = [power[(hz > f) & (hz < 2 * f)].mean() for f in (250, 500, 1000, 2000)]
    np.testing.assert_allclose(np.diff(10 * np.log10(octaves)), -6.02, atol=1)
