"""Voice activity detection by energy over the noise floor, and by voicing.

    floor[i]   = 2 * min over 2 s of (power[i], smoothed over 0.15 s)     per band
    snr_db[i]  = 10 * log10(power[i], smoothed over 0.05 s, / floor[i])   per band
    log odds   = BIAS + WEIGHTS . (mean snr, snr of the clearest bands, snr of all
                                   bands together, harmonicity)

A minimum follows rising noise within two seconds and falling noise at once; twice the
minimum is about the mean of the noise. Harmonicity, the peak of the autocorrelation at
the pitch lags of voices, averaged over 0.15 s, distinguishes voices from knocks, an
opened tap, or a fan that is switched on.

References:
    Noise Power Spectral Density Estimation Based on Optimal Smoothing and Minimum
    Statistics (Martin, 2001), https://doi.org/10.1109/89.928915
    Accurate Short-Term Analysis of the Fundamental Frequency and the
    Harmonics-to-Noise Ratio of a Sampled Sound (Boersma, 1993), eq. 9, where the
    autocorrelation of the window is divided out
"""

import numpy as np

from voiceemb.vad.base import FRAME, SAMPLE_RATE, Detector, FrameStream

FFT = 640  # room for lags of `FFT - FRAME` without folding, bins of 25 Hz
BANDS = 16  # of equal width on the mel scale
RANGE_HZ = (100, 7000)
VOICED_HZ = (100, 2000)  # harmonics that are used
PITCH_HZ = (80, 400)
ABSOLUTE_DB = -70.0  # of the noise that is always assumed, over all frequencies
FLOOR = 200  # frames, 2 s
SMOOTH = 15  # frames of the floor's power, and of the harmonicity
SHORT = 5  # frames of the power that is compared with the floor
BIAS_OF_MINIMUM = 2.0
MAX_SNR_DB = 30.0  # higher ratios are clipped

# Logistic regression on 85 minutes, half of them speech: LibriSpeech, but no speaker of
# `benchmarks/activity.py`, clean and at 20 to 0 dB in ten synthetic noises: white,
# pink, brown, babble, bursts, knocks, hum, music, an engine, wind. The bias is 0.2
# below the fitted one, as hysteresis with two thresholds favours speech.
BIAS = -3.11
WEIGHTS = np.array([-0.268, 0.207, 0.155, 1.80])


class EnergyDetector(Detector):
    """Detects speech by its level over the noise floor per band, and by harmonicity.

    It is causal and needs NumPy only. Sound below -70 dB in all is never speech.
    """

    name = "energy"

    def stream(self):
        return _EnergyStream()


class _EnergyStream(FrameStream):
    def __init__(self):
        super().__init__()
        self._seen = 0
        self._powers = np.zeros((SMOOTH - 1, BANDS))  # of the frames before
        self._floors = np.full((FLOOR - 1, BANDS), np.inf)
        self._voiced = np.zeros((SMOOTH - 1, 1))

    def frames(self, frames):
        odds = BIAS + (self.features(frames) * WEIGHTS).sum(axis=1)
        return (1 / (1 + np.exp(-odds))).astype(np.float32)

    def features(self, frames):
        """Features of the log odds, `[n, 4]`: three levels in dB, and harmonicity."""
        spectra = power_spectra(frames)
        powers = np.concatenate([self._powers, band_powers(spectra)])
        voiced = np.concatenate([self._voiced, harmonicity(spectra)[:, None]])
        ages = np.arange(self._seen + 1, self._seen + len(frames) + 1)
        smooth = trailing_mean(powers, SMOOTH, ages)
        floors = np.concatenate([self._floors, smooth])
        self._seen += len(frames)
        self._powers, self._voiced = powers[1 - SMOOTH :], voiced[1 - SMOOTH :]
        self._floors = floors[1 - FLOOR :]

        floor = BIAS_OF_MINIMUM * trailing_min(floors, FLOOR) + ABSOLUTE
        power = trailing_mean(powers, SHORT, ages) + ABSOLUTE
        snr_db = np.clip(10 * np.log10(power / floor), 0, MAX_SNR_DB)
        clearest = np.sort(snr_db, axis=1)[:, -BANDS // 4 :]
        total_db = 10 * np.log10(power.sum(axis=1) / floor.sum(axis=1))
        columns = (
            snr_db.mean(axis=1),
            clearest.mean(axis=1),
            np.clip(total_db, -5, MAX_SNR_DB),
            trailing_mean(voiced, SMOOTH, ages)[:, 0],
        )
        return np.stack(columns, axis=1)


def power_spectra(frames):
    """Spectra of frames without their mean; a row sums to about half the power."""
    frames = frames.astype(np.float64)
    spectra = np.fft.rfft((frames - frames.mean(axis=1)[:, None]) * WINDOW, FFT)
    return (spectra.real**2 + spectra.imag**2) / (FFT * (WINDOW**2).sum())


def band_powers(spectra):
    """Mean power of a bin in each band, `[n, BANDS]`."""
    sums = np.add.reduceat(spectra[:, : EDGES[-1]], EDGES[:-1], axis=1)
    return sums / np.diff(EDGES)


def harmonicity(spectra):
    """Highest autocorrelation at a lag that is the period of a voice, `[n]`.

    `max over lags of r(lag) / r(0)`, with the window's own divided out: 1 for a sound
    that repeats, near 0 for noise and for silence.
    """
    chosen = np.zeros_like(spectra)
    chosen[:, VOICED] = spectra[:, VOICED]
    correlation = np.fft.irfft(chosen, FFT)
    peaks = (correlation[:, LAGS] / WINDOW_CORRELATION[LAGS]).max(axis=1)
    return peaks / (correlation[:, 0] + 1e-14)


def trailing_mean(rows, length, ages):
    """Mean `[n, any]` of each row and those before it, `length` or as many as exist.

    Each sum has the same order, wherever the rows are cut.

    Args:
        rows: `[SMOOTH - 1 + n, any]`, zeros before the beginning.
        length: At most `SMOOTH`.
        ages: Rows since the beginning, `[n]`.
    """
    num = len(ages)
    total = rows[len(rows) - num :].copy()
    for back in range(1, length):
        total += rows[len(rows) - num - back : len(rows) - back]
    return total / np.minimum(ages, length)[:, None]


def trailing_min(rows, length):
    """Minimum of `length` rows in a row, `[len(rows) - length + 1, any]`."""
    width = 1
    while 2 * width <= length:
        rows = np.minimum(rows[:-width], rows[width:])
        width *= 2
    rest = length - width
    return np.minimum(rows[: len(rows) - rest], rows[rest:])


def _mel_edges():
    """Bins at which the bands begin, and the one behind the last."""
    low, high = 2595 * np.log10(1 + np.array(RANGE_HZ) / 700)
    edges_hz = 700 * (10 ** (np.linspace(low, high, BANDS + 1) / 2595) - 1)
    return np.round(edges_hz * FFT / SAMPLE_RATE).astype(int)


WINDOW = np.hanning(FRAME + 2)[1:-1]
EDGES = _mel_edges()
ABSOLUTE = 10 ** (ABSOLUTE_DB / 10) / FFT  # of a bin
VOICED = slice(*(hz * FFT // SAMPLE_RATE for hz in VOICED_HZ))
LAGS = slice(SAMPLE_RATE // PITCH_HZ[1], SAMPLE_RATE // PITCH_HZ[0] + 1)
WINDOW_CORRELATION = (
    np.correlate(WINDOW, WINDOW, "full")[FRAME - 1 :] / (WINDOW**2).sum()
)
