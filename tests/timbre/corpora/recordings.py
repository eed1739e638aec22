"""Made-up recordings, and features of them whose values are known."""

import numpy as np
import soundfile

from timbre.corpora import folders


def put(path, waveform, rate=16000, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate, **options)


def twelve_files(folder, rng):
    """A corpus of four speakers, twelve files of many lengths."""
    for i in range(12):
        samples = rng.uniform(-0.9, 0.9, 300 + 257 * i).astype(np.float32)
        put(folder / f"s{i % 4}" / f"{i}.wav", samples)
    return folders.open_corpus(folder)


def frames(waveform):
    """Features of known value: frames of eight samples, twice as loud."""
    return 2 * waveform[: len(waveform) // 8 * 8].reshape(-1, 8)
