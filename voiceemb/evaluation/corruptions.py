"""Corruptions of utterances for robustness figures: short segments, additive noise.

A cut is a random segment; noise is added at a ratio over the whole utterance. Pauses
are included in both:

    snr_db = 10 * log10(mean(speech**2) / mean(noise**2))
"""

import hashlib
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.corpora import folders

PINK_FROM_HZ = 50.0  # no energy below: inaudible, but it would count as noise


def generator(seed, name):
    """The random generator of one utterance, from the seed and its name alone."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16])])


def cut(waveform, samples, *, rng):
    """A random segment; with one state of `rng`, shorter ones lie in longer ones.

    `start = floor(u * (len(waveform) - samples + 1))` with one uniform `u`.

    Args:
        waveform: `[at least samples]`.
        samples: Length of the part.
        rng: A `numpy.random.Generator`, of which one number is taken.
    """
    start = int(rng.random() * (len(waveform) - samples + 1))
    return waveform[start : start + samples]


def read_noises(source, sample_rate=16000):
    """The recordings of noise in a file or folder, none silent, `[samples]` each."""
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"There is no {source}")
    paths = [source] if source.is_file() else sorted(folders.recordings(source))
    noises = [wave.read(path, sample_rate=sample_rate) for path in paths]
    silent = [path.name for path, x in zip(paths, noises, strict=True) if not x.any()]
    if silent or not noises:
        raise ValueError(
            f"{source} must hold recordings of noise, none of them silent. "
            f"Received: {len(noises)} recordings, silent {silent}"
        )
    return noises


def sample_noise(samples, recordings, rng, sample_rate=16000):
    """Noise for one utterance at any level: a segment of a recording, or pink noise.

    Args:
        samples: Its length.
        recordings: Waveforms to choose from, or None for pink noise, whose power falls
            with frequency as `1 / f` from 50 Hz on, below which there is none.
        rng: A `numpy.random.Generator`.
        sample_rate: In Hz. Defaults to `16000`.
    """
    if recordings is not None:
        noise = recordings[rng.integers(len(recordings))]
        return noise[(rng.integers(len(noise)) + np.arange(samples)) % len(noise)]
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hz = np.fft.rfftfreq(samples, 1 / sample_rate)
    passed = hz >= PINK_FROM_HZ
    spectrum[passed] /= np.sqrt(hz[passed])
    return np.fft.irfft(spectrum * passed, samples).astype(np.float32)


def mix(waveform, noise, *, snr_db):
    """`timbre.audio.corruptions.add_noise` of one waveform, both float32 `[samples]`.

    The sum may exceed 1; nothing is clipped.
    """
    from timbre.audio.corruptions import add_noise

    return add_noise(waveform[None], noise[None], snr_db=snr_db).numpy()[0]
