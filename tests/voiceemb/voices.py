"""A voice that needs no file: pulses of a throat, shaped by the mouth, in syllables."""

import numpy as np
from scipy.signal import lfilter

SAMPLE_RATE = 16000
VOWELS = ((750, 1200, 2500), (300, 2300, 3000), (350, 800, 2300))  # a, i, u; Hz


def vowel(seconds, *, f0_hz=120.0, formants_hz=VOWELS[0], level=0.05):
    """A voiced sound at a level (root of the mean square), float32 `[samples]`."""
    num = round(seconds * SAMPLE_RATE)
    glide = f0_hz * (1 + 0.1 * np.sin(2 * np.pi * 3 * np.arange(num) / SAMPLE_RATE))
    phase = np.cumsum(glide) / SAMPLE_RATE
    sound = np.diff(np.floor(phase), prepend=0.0)
    for formant in formants_hz:
        pole = 0.97 * np.exp(2j * np.pi * formant / SAMPLE_RATE)
        sound = lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], sound)
    return (level * sound / sound.std()).astype(np.float32)


def sentence(seconds, *, level=0.05, f0_hz=120.0):
    """Vowels that swell and fade, four a second, at a mean level."""
    spoken = [vowel(seconds, f0_hz=f0_hz, formants_hz=f, level=1.0) for f in VOWELS]
    time = np.arange(len(spoken[0])) / SAMPLE_RATE
    which = (4 * time).astype(int) % len(VOWELS)
    sound = np.choose(which, spoken) * np.abs(np.sin(4 * np.pi * time)) ** 0.5
    return (level * sound / sound.std()).astype(np.float32)
