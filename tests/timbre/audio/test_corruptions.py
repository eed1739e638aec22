"""Corruptions and rooms do exactly what their numbers say."""

import numpy as np
import pytest
import tensorflow as tf

from timbre.audio import corruptions
from timbre.audio.room import impulse_response, reverberate

SEED = [3, 4]


def tones(*hz, samples=8000, level=0.5):
    times = np.arange(samples) / 16000
    return (level * np.sin(2 * np.pi * np.outer(hz, times))).astype(np.float32)


def decibel(x):
    return 10 * np.log10(np.mean(np.square(np.asarray(x, np.float64)), axis=-1))


def test_the_mixture_has_the_ratio_asked_for(rng):
    waveform = tones(200, 300, 400, 500, samples=16000)
    noise = (1e-3 * rng.normal(size=waveform.shape)).astype(np.float32)
    wanted = np.array([-5.0, 0.0, 12.5, 30.0], np.float32)
    mixture = corruptions.add_noise(waveform, noise, snr_db=wanted).numpy()
    ratio = decibel(waveform) - decibel(mixture.astype(np.float64) - waveform)
    np.testing.assert_allclose(ratio, wanted, atol=0.01)


def test_silence_and_silent_noise_change_nothing(rng):
    noise = rng.normal(size=(1, 100)).astype(np.float32)
    silence = np.zeros_like(noise)
    for waveform, added in ((silence, noise), (noise, silence), (silence, silence)):
        mixture = corruptions.add_noise(waveform, added, snr_db=5.0)
        np.testing.assert_array_equal(mixture, waveform)


def test_noise_falls_by_its_slope():
    """Slope `s` falls by `3.01 * s` dB an octave; its power is one."""
    slopes = np.array([0.0, 1.0, 2.0], np.float32)
    noise = corruptions.coloured_noise(slopes, samples=1 << 15, seed=SEED).numpy()
    np.testing.assert_allclose(np.mean(noise**2, axis=1), 1, rtol=1e-4)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[:, 2**k : 2 ** (k + 1)].mean(axis=1) for k in range(8, 14)]
    falls = np.diff(10 * np.log10(octaves), axis=0).mean(axis=0)
    np.testing.assert_allclose(falls, -10 * np.log10(2) * slopes, atol=0.3)


@pytest.mark.parametrize("ratio", [0.8, 0.9, 1.1, 1.25])
def test_speed_moves_every_frequency_by_its_ratio(ratio):
    """Rounding lets half a sample of drift gather by the end, `pi * f / fs`."""
    result = corruptions.change_speed(tones(500), [ratio]).numpy()
    expected = tones(500 * ratio)
    sounding = min(8000, int(8000 / ratio))
    drift = 0.25 * 2 * np.pi * 500 * ratio / 16000
    middle = slice(300, sounding - 300)
    np.testing.assert_allclose(result[:, middle], expected[:, middle], atol=drift)
    start = slice(300, 1000)  # where hardly any drift has gathered
    np.testing.assert_allclose(
        result[:, start], expected[:, start], atol=drift / 8 + 3e-3
    )
    assert np.abs(result[:, sounding + 100 :]).max(initial=0) < 0.02


def test_speed_one_changes_no_bit_and_rows_differ(rng):
    waveform = rng.normal(size=(3, 1001)).astype(np.float32)
    result = corruptions.change_speed(waveform, [1.0, 0.9, 1.1]).numpy()
    np.testing.assert_array_equal(result[0], waveform[0])
    assert result.shape == waveform.shape
    assert not np.allclose(result[1:], waveform[1:], atol=0.1)


def test_gain_is_in_decibel():
    waveform = tones(200, 300)
    louder = corruptions.apply_gain(waveform, [6.0, -20.0])
    np.testing.assert_allclose(decibel(louder) - decibel(waveform), [6, -20], atol=1e-4)


def test_limit_scales_whole_rows_and_only_those_too_loud(rng):
    waveform = np.stack([rng.normal(size=1000) * s for s in (0.01, 5.0, 0.0)])
    waveform = waveform.astype(np.float32)
    limited = corruptions.limit_peak(waveform).numpy()
    np.testing.assert_array_equal(limited[[0, 2]], waveform[[0, 2]])
    assert np.abs(limited[1]).max() == 1
    np.testing.assert_allclose(limited[1] * np.abs(waveform[1]).max(), waveform[1])


def test_a_band_keeps_what_is_inside_and_drops_what_is_outside():
    waveform = tones(100, 1000, 3000, 5000)
    result = corruptions.bandpass(waveform, low_hz=300.0, high_hz=3400.0).numpy()
    middle = slice(1000, -1000)
    expected = waveform * np.array([[0], [1], [1], [0]])
    np.testing.assert_allclose(result[:, middle], expected[:, middle], atol=5e-3)
    low_pass = corruptions.bandpass(
        waveform, low_hz=0.0, high_hz=[200, 2000, 4000, 6000]
    )
    np.testing.assert_allclose(low_pass[:, middle], waveform[:, middle], atol=5e-3)


def test_the_whole_band_is_everything(rng):
    waveform = rng.normal(size=(2, 999)).astype(np.float32)
    result = corruptions.bandpass(waveform, low_hz=0.0, high_hz=8000.0)
    np.testing.assert_allclose(result, waveform, atol=1e-5)


def test_an_equaliser_has_its_gains_at_its_points_and_lines_between(rng):
    """On the mel scale, log(1 + f / 700), from 0 to 8000 Hz, three points."""
    x = rng.normal(scale=0.1, size=(2, 16000)).astype("float32")
    middle = 700 * np.expm1(np.log1p(8000 / 700) / 2)
    quarter = 700 * np.expm1(np.log1p(8000 / 700) / 4)
    y = corruptions.equalise(x, [[0.0, 6.0, -20.0], [0.0, 0.0, 0.0]]).numpy()

    def change_db(hz):
        band = slice(int(hz) - 40, int(hz) + 40)
        before, after = (np.abs(np.fft.rfft(w[0]))[band] for w in (x, y))
        return 20 * np.log10(np.linalg.norm(after) / np.linalg.norm(before))

    for hz, gain in ((middle, 6), (quarter, 3), (7900, -20)):
        assert np.isclose(change_db(hz), gain, atol=0.4)
    np.testing.assert_allclose(y[1], x[1], atol=1e-6)


def test_codes_have_as_many_levels_as_they_say(rng):
    waveform = rng.uniform(-1, 1, (1, 50000)).astype(np.float32)
    assert len(np.unique(corruptions.mu_law(waveform))) == 255  # 127 a side and zero
    assert len(np.unique(corruptions.quantise(waveform, 8))) == 257  # both full scales
    np.testing.assert_allclose(corruptions.quantise(waveform, 8), waveform, atol=2**-8)
    coded = corruptions.mu_law(waveform).numpy()
    np.testing.assert_array_equal(
        corruptions.mu_law(coded), coded
    )  # coding is idempotent


def test_a_logarithmic_code_serves_quiet_sound_better():
    """38 dB between signal and error whatever the level; a linear code loses 40 dB."""
    for level, expected in ((0.9, 38), (0.009, 30)):
        waveform = tones(437, level=level)
        error = corruptions.mu_law(waveform).numpy() - waveform
        assert decibel(waveform) - decibel(error) > expected - 3


def test_loud_rows_are_coded_without_clipping():
    waveform = tones(300, level=4.0)
    np.testing.assert_allclose(
        corruptions.mu_law(waveform), waveform, rtol=0.03, atol=2e-3
    )


def test_rooms_hold_their_laws():
    rt60_s = np.array([0.1, 0.3, 0.6], np.float32)
    direct_db = np.array([0.0, 6.0, 12.0], np.float32)
    impulses = impulse_response(rt60_s, direct_db=direct_db, seed=SEED).numpy()
    energy = impulses.astype(np.float64) ** 2
    np.testing.assert_allclose(energy.sum(axis=1), 1, rtol=1e-5)
    ratio = 10 * np.log10(energy[:, 0] / energy[:, 1:].sum(axis=1))
    np.testing.assert_allclose(ratio, direct_db, atol=0.01)
    for row, seconds in zip(energy, rt60_s, strict=True):
        left = np.cumsum(row[::-1])[::-1]  # Schroeder: what is still to come
        start, stop = 800, 800 + int(8000 * seconds)  # after the early reflections
        fall = 10 * np.log10(left[start] / left[stop])  # half of rt60: 30 dB
        assert 26 < fall < 36


def test_no_room_is_no_change_and_a_delayed_one_delays(rng):
    waveform = rng.normal(size=(2, 700)).astype(np.float32)
    impulses = np.zeros((2, 50), np.float32)
    impulses[0, 0] = impulses[1, 10] = 1
    result = reverberate(waveform, impulses).numpy()
    np.testing.assert_allclose(result[0], waveform[0], atol=1e-5)
    np.testing.assert_allclose(result[1, 10:], waveform[1, :-10], atol=1e-5)
    np.testing.assert_allclose(result[1, :10], 0, atol=1e-5)


def test_reverberation_is_convolution(rng):
    waveform = rng.normal(size=(1, 300)).astype(np.float32)
    impulses = impulse_response([0.01], direct_db=[3.0], seed=SEED, duration_s=0.01)
    expected = np.convolve(waveform[0], impulses[0])[:300]
    result = reverberate(waveform, impulses)[0]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_everything_runs_on_no_rows():
    none = tf.zeros([0, 500])
    empty = tf.zeros([0])
    impulses = impulse_response(empty, direct_db=empty, seed=SEED)
    noise = corruptions.coloured_noise(empty, samples=500, seed=SEED)
    for result in (
        reverberate(none, impulses),
        corruptions.add_noise(none, noise, snr_db=empty),
        corruptions.change_speed(none, empty),
        corruptions.bandpass(none, low_hz=empty, high_hz=empty),
        corruptions.quantise(
            corruptions.mu_law(corruptions.apply_gain(none, empty)), empty
        ),
    ):
        assert result.shape == (0, 500)
