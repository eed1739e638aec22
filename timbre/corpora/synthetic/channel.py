"""Simulation of the recording channel: room, noise, microphone and level.

`recording = level * microphone(voice * room + noise)`, `*` a convolution with `room`.

Conditions of every utterance are of the same distribution, so the channel carries no
information about the speaker. Nothing delays the direct sound: labels stay valid.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

EARLY_S = 0.04  # early reflections are sparse, later ones a dense tail
REFERENCE_HZ = 1000.0  # where a tilt changes nothing
PEAK = 0.98


@dataclass(frozen=True)
class RecordingConditions:
    """The recording channel of one utterance.

    Args:
        rt60_s: Time in which the room's sound falls by 60 dB; 0 is no room.
        reverb_db: Energy of the room's sound relative to the direct sound.
        snr_db: Speech over noise, both as averages over the utterance.
        noise_tilt_db: Slope of the noise per octave: 0 white, -3 pink, -6 brown.
        tilt_db: Slope of the microphone per octave.
        low_hz, high_hz: Edges of the microphone's band.
        level_db: Root mean square of the result, relative to full scale.
    """

    rt60_s: float = 0.0
    reverb_db: float = 0.0
    snr_db: float = np.inf
    noise_tilt_db: float = 0.0
    tilt_db: float = 0.0
    low_hz: float = 0.0
    high_hz: float = 8000.0
    level_db: float = -23.0


CLEAN = RecordingConditions()


def sample_conditions(rng: np.random.Generator) -> RecordingConditions:
    """Sample conditions: from a quiet study to a telephone in a hall."""
    narrow = rng.random() < 0.15  # a telephone
    room = rng.random() < 0.7  # else outdoors or close to the mouth
    return RecordingConditions(
        rt60_s=float(rng.uniform(0.15, 0.6)) if room else 0.0,
        reverb_db=float(rng.uniform(-14, 0)) if room else 0.0,
        snr_db=float(rng.uniform(8, 30)),
        noise_tilt_db=float(rng.uniform(-6, 0)),
        tilt_db=float(rng.normal(0, 1.0)),
        low_hz=float(300 if narrow else rng.uniform(30, 150)),
        high_hz=float(3400 if narrow else np.exp(rng.uniform(*np.log([5000, 8000])))),
        level_db=float(rng.uniform(-34, -18)),
    )


def simulate(
    waveform: np.ndarray,
    conditions: RecordingConditions,
    *,
    rng: np.random.Generator,
    sample_rate: int = 16000,
) -> np.ndarray:
    """Simulate the recording of a voice.

    Args:
        waveform: The voice, float `[samples]`.
        conditions: The channel.
        rng: Of the room's reflections and the noise.
        sample_rate: Hz. Defaults to `16000`.

    Returns:
        Float32 `[samples]`, as long as the voice and below full scale.
    """
    voice = np.asarray(waveform, np.float64)
    if conditions.rt60_s > 0:
        voice = _convolve(voice, impulse_response(conditions, rng, sample_rate))
    if np.isfinite(conditions.snr_db):
        tilt_db = conditions.noise_tilt_db
        noise = coloured_noise(len(voice), tilt_db, rng, sample_rate=sample_rate)
        voice = voice + noise * _rms(voice) * 10 ** (-conditions.snr_db / 20)
    voice = apply_microphone(voice, conditions, sample_rate)
    return scale_to_level(voice, conditions.level_db)


def impulse_response(
    conditions: RecordingConditions, rng: np.random.Generator, sample_rate: int
) -> np.ndarray:
    """Sample a room: the direct sound at sample 0, echoes and a decaying tail."""
    length = max(2, int(conditions.rt60_s * sample_rate))
    time_s = np.arange(length) / sample_rate
    tail = rng.standard_normal(length) * 10 ** (-3 * time_s / conditions.rt60_s)
    sparse = rng.random(length) < 0.01  # a few reflections before the tail
    tail *= np.where(time_s < EARLY_S, 6.0 * sparse, 1.0)
    tail[0] = 0.0
    energy = np.sqrt(np.sum(tail**2)) or 1.0
    response = tail / energy * 10 ** (conditions.reverb_db / 20)
    response[0] = 1.0
    return response


def coloured_noise(
    num_samples: int, tilt_db: float, rng: np.random.Generator, *, sample_rate: int
) -> np.ndarray:
    """Gaussian noise of unit power whose spectrum falls by `tilt_db` per octave."""
    size = next_fast_len(num_samples, real=True)
    hz = np.maximum(rfftfreq(size, 1 / sample_rate), 50.0)
    phases = rng.standard_normal((2, len(hz)))
    spectrum = (phases[0] + 1j * phases[1]) * _slope(hz, tilt_db)
    noise = np.asarray(irfft(spectrum, size))[:num_samples]
    return noise / _rms(noise)


def apply_microphone(
    waveform: np.ndarray, conditions: RecordingConditions, sample_rate: int
) -> np.ndarray:
    """Filter without delay: a tilt, and second-order edges at both ends of the band."""
    size = next_fast_len(len(waveform) + sample_rate // 20, real=True)
    hz = rfftfreq(size, 1 / sample_rate)
    gain = _slope(np.maximum(hz, 50.0), conditions.tilt_db)
    if conditions.low_hz > 0:
        gain = gain / np.sqrt(1 + (conditions.low_hz / np.maximum(hz, 1.0)) ** 4)
    if conditions.high_hz < sample_rate / 2:
        gain = gain / np.sqrt(1 + (hz / conditions.high_hz) ** 16)
    spectrum = np.asarray(rfft(waveform, size)) * gain
    return np.asarray(irfft(spectrum, size))[: len(waveform)]


def scale_to_level(waveform: np.ndarray, level_db: float) -> np.ndarray:
    """Scale to a level, or to the loudest that stays below full scale."""
    gain = 10 ** (level_db / 20) / max(_rms(waveform), 1e-9)
    gain = min(gain, PEAK / max(float(np.abs(waveform).max()), 1e-9))
    return (waveform * gain).astype(np.float32)


def _convolve(waveform, response):
    size = next_fast_len(len(waveform) + len(response) - 1, real=True)
    spectrum = np.asarray(rfft(waveform, size)) * np.asarray(rfft(response, size))
    return np.asarray(irfft(spectrum, size))[: len(waveform)]


def _slope(hz, tilt_db):
    return 10 ** (tilt_db * np.log2(hz / REFERENCE_HZ) / 20)


def _rms(waveform):
    return float(np.sqrt(np.mean(np.square(waveform))))
