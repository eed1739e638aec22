"""Plain NumPy answers that tests compare with."""

import numpy as np
import python_speech_features


def unit(rng, rows, dim):
    """Random unit vectors, float32 `[rows, dim]`."""
    x = rng.normal(size=(rows, dim)).astype("float32")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def fbank(
    waveform,
    *,
    sample_rate=16000,
    window_s=0.025,
    hop_s=0.01,
    num_bands=64,
    fft_size=512,
    preemphasis=0.97,
    low_hz=0.0,
    high_hz=None,
):
    """Mel energies by `python_speech_features`, float64 `[frames, num_bands]`."""
    return python_speech_features.fbank(
        np.asarray(waveform, np.float64),
        samplerate=sample_rate,
        winlen=window_s,
        winstep=hop_s,
        nfilt=num_bands,
        nfft=fft_size,
        lowfreq=low_hz,
        highfreq=high_hz,
        preemph=preemphasis,
    )[0]
