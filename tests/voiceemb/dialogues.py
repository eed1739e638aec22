"""Conversations whose voices are bands of noise, and an encoder that hears them."""

import numpy as np

from timbre.turns import Turn

RATE = 16000
BANDS = 12  # voices that can be told apart


class BandEncoder:
    """Embeds a window by the energies of its bands of 600 Hz: no network."""

    sample_rate, dim, window = RATE, BANDS, 24000

    def __init__(self):
        self.calls = []

    def embed_windows(self, waveform, starts, *, length=None, progress=None):
        self.calls.append(len(starts))
        rows = [waveform[start : start + length] for start in starts]
        power = np.abs(np.fft.rfft(rows, n=2 * RATE)) ** 2  # of 0.5 Hz
        bands = power[:, 400:14800].reshape(len(rows), BANDS, -1).sum(axis=-1)
        points = np.sqrt(bands + 1e-6)
        if progress is not None:
            progress(len(rows))
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype("f4")


class LevelDetector:
    """Says that all that is louder than -50 dB is speech."""

    def probabilities(self, waveform):
        frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
        return ((frames**2).mean(axis=1) > 1e-5).astype(np.float32)


def noise(rng, band, seconds):
    """Noise of one band, float32 `[samples]`."""
    spectrum = np.fft.rfft(rng.normal(size=round(seconds * RATE)))
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    low = 200 + 600 * band
    spectrum[(hertz < low + 60) | (hertz > low + 540)] = 0
    sound = np.fft.irfft(spectrum, n=round(seconds * RATE))
    return (0.1 * sound / sound.std()).astype(np.float32)


def conversation(rng, spans, *, end_s=None):
    """A waveform of `(start_s, end_s, band)`, in near silence, and its turns."""
    end_s = end_s or max(end for _, end, _ in spans) + 0.7
    waveform = rng.normal(0, 1e-4, round(end_s * RATE)).astype(np.float32)
    for start, end, band in spans:
        sound = noise(rng, band, end - start)
        waveform[round(start * RATE) :][: len(sound)] += sound
    return waveform, [Turn(start, end, f"voice {band}") for start, end, band in spans]


def drawn(rng, num_speakers, num_turns):
    """Spans of random turns of 1 to 4 s, with pauses; no voice twice in a row."""
    spans, now, last = [], 1.0, -1
    for number in range(num_turns):
        others = [band for band in range(num_speakers) if band != last] or [0]
        last = number if number < num_speakers else int(rng.choice(others))
        length = float(rng.uniform(1, 4))
        spans.append((now, now + length, last))
        now += length + float(rng.choice([0.0, 0.6, 1.5]))
    return spans
