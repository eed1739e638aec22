"""Baseline without learning: mean and standard deviation of MFCCs per utterance.

An utterance is represented by the mean and the standard deviation of 20 MFCCs over the
louder 70 % of its frames, each standardised over the set that is compared.
"""

import numpy as np

NUM_CEPSTRA = 20
LOUDER = 0.7  # share of the frames that counts


def cepstral_statistics(waveform, *, sample_rate=16000):
    """The 20 means, then 20 standard deviations, of the cepstra of one utterance.

    Args:
        waveform: float32 `[samples]`.
        sample_rate: In Hz. Defaults to `16000`.
    """
    from python_speech_features import mfcc

    frame = round(0.025 * sample_rate)
    cepstra = mfcc(
        waveform * 32768.0,
        samplerate=sample_rate,
        numcep=NUM_CEPSTRA,
        nfilt=40,
        nfft=1 << (frame - 1).bit_length(),  # 512 at 16 kHz
    )
    level = cepstra[:, 0]  # the log energy of the frame
    loud = cepstra[level >= np.quantile(level, 1 - LOUDER)]
    return np.concatenate([loud.mean(axis=0), loud.std(axis=0)]).astype(np.float32)


def standardise(statistics):
    """Gives every column of `[n, dim]` zero mean and unit deviation over the set."""
    deviation = np.maximum(statistics.std(axis=0), 1e-9)
    return (statistics - statistics.mean(axis=0)) / deviation
