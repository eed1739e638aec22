from dataclasses import replace

import numpy as np
import pytest

from timbre.corpora.synthetic import channel

RATE = 16000


def rms_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


def power_db(waveform, low_hz, high_hz):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return 10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].mean() + 1e-30)


def record(waveform, seed=0, **conditions):
    conditions = replace(channel.CLEAN, **conditions)
    return channel.simulate(waveform, conditions, rng=np.random.default_rng(seed))


@pytest.fixture
def voice(rng):
    """Three seconds of noise that comes and goes."""
    return 0.1 * rng.standard_normal(3 * RATE) * (np.arange(3 * RATE) % 8000 < 5000)


def test_a_clean_recording_changes_the_level_alone(voice):
    recorded = record(voice, level_db=-25.0)
    assert recorded.dtype == np.float32
    assert abs(rms_db(recorded) + 25) < 0.01
    scaled = voice * (recorded.std() / voice.std())
    np.testing.assert_allclose(recorded, scaled, atol=1e-6)


def test_a_loud_level_stops_below_full_scale(voice):
    assert np.isclose(np.abs(record(voice, level_db=0.0)).max(), channel.PEAK)


def test_silence_stays_silent():
    assert not record(np.zeros(RATE)).any()


@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_noise_lies_below_the_voice_by_the_snr(voice, snr_db):
    """Voice and noise are independent, so their powers add."""
    recorded = record(voice, snr_db=snr_db, level_db=-30.0)
    gain = np.vdot(recorded, voice) / np.vdot(voice, voice)
    noise = recorded - gain * voice
    assert abs(rms_db(gain * voice) - rms_db(noise) - snr_db) < 0.2


@pytest.mark.parametrize("tilt_db", [0.0, -3.0, -6.0])
def test_noise_falls_by_its_tilt_each_octave(rng, tilt_db):
    noise = channel.coloured_noise(20 * RATE, tilt_db, rng, sample_rate=RATE)
    assert abs(rms_db(noise)) < 1e-6
    octaves = [power_db(noise, hz, 1.1 * hz) for hz in (400, 800, 1600, 3200)]
    np.testing.assert_allclose(np.diff(octaves), tilt_db, atol=0.6)


def test_a_room_has_its_energy_and_its_decay(rng):
    conditions = replace(channel.CLEAN, rt60_s=0.5, reverb_db=-6.0)
    response = channel.impulse_response(conditions, rng, RATE)
    assert response[0] == 1 and len(response) == RATE // 2
    assert np.isclose(10 * np.log10(np.sum(response[1:] ** 2)), -6)
    early, late = (response[round(t * RATE) :][:1600] for t in (0.1, 0.35))
    assert abs(rms_db(early) - rms_db(late) - 60 * 0.25 / 0.5) < 1


def test_the_direct_sound_keeps_its_place(voice):
    recorded = record(voice, rt60_s=0.4, snr_db=15, tilt_db=1, low_hz=200, high_hz=4000)
    lags = np.fft.irfft(np.fft.rfft(recorded) * np.conj(np.fft.rfft(voice)))
    assert np.abs(lags).argmax() == 0


def test_a_telephone_passes_its_band_only(voice):
    telephone = record(voice, low_hz=300.0, high_hz=3400.0)
    inside = power_db(telephone, 800, 2500)
    assert inside - power_db(telephone, 5000, 8000) > 25
    assert inside - power_db(telephone, 0, 80) > 15


def test_a_microphone_tilts_by_its_slope(voice):
    tilted = record(voice, tilt_db=2.0)
    change = [
        power_db(tilted, hz, 1.1 * hz) - power_db(voice, hz, 1.1 * hz)
        for hz in (500, 1000, 2000, 4000)
    ]
    np.testing.assert_allclose(np.diff(change), 2, atol=0.2)


def test_drawn_conditions_vary_and_follow_the_generator():
    drawn = [
        channel.sample_conditions(np.random.default_rng(seed)) for seed in range(200)
    ]
    assert drawn[7] == channel.sample_conditions(np.random.default_rng(7))
    assert len({c.snr_db for c in drawn}) == 200
    assert 0.1 < np.mean([c.rt60_s == 0 for c in drawn]) < 0.5
    assert all(8 <= c.snr_db <= 30 and c.high_hz <= 8000 for c in drawn)
