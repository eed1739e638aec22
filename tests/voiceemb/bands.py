"""Synthetic voices, a detector and an encoder for them that need no network.

A voice is noise in one of eight bands of the spectrum; its embedding is how the power
of a sound is spread over the bands. Two recordings of one voice differ a little.
"""

import numpy as np

from timbre.metrics.calibration import LogisticCalibration
from voiceemb.encoder import Encoder
from voiceemb.enrolment.people import People
from voiceemb.vad.base import Detector, energies_db

LINE = LogisticCalibration(slope=20.0, offset=-16.0)  # even at cosine 0.8
RATE = 16000
BANDS = 8
ABOUT = {
    "extractor": "bands",
    "sha256": "a" * 64,
    "dim": BANDS,
    "sample_rate": RATE,
    "window_samples": 3 * RATE,
}


class Loud(Detector):
    """Whatever is above -40 dB is speech."""

    name = "loud"

    def stream(self):
        raise NotImplementedError

    def probabilities(self, waveform):
        return (energies_db(waveform) > -40).astype(np.float32)


def encoder(**about):
    """An encoder that hears in which bands a sound is."""

    def embed(waveforms):
        power = np.abs(np.fft.rfft(waveforms)) ** 2
        bands = np.array_split(power, BANDS, axis=1)
        spread = np.stack([np.sqrt(band.sum(axis=1)) for band in bands], axis=1)
        return spread / np.linalg.norm(spread, axis=1, keepdims=True)

    return Encoder(embed, ABOUT | about)


def speak(rng, voice, *, seconds=4.0, colour=0.2, level=0.1, noise=1e-4):
    """A recording with a second of pause on both sides, float32 `[samples]`.

    Args:
        rng: Draws the sound, and how far this recording is from the voice.
        voice: Number of its band; a fraction lies between two.
        seconds: Of speech. Defaults to `4`.
        colour: How much other bands of this recording may sound. Defaults to `0.2`.
        level: Root mean square of speech. Defaults to `0.1`.
        noise: Root mean square of what sounds all the time. Defaults to `1e-4`.
    """
    num = round(seconds * RATE)
    gains = colour * rng.uniform(size=BANDS)
    gains += np.maximum(0, 1 - np.abs(np.arange(BANDS) - voice))
    spectrum = np.fft.rfft(rng.normal(size=num))
    spectrum *= np.repeat(gains, -(-len(spectrum) // BANDS))[: len(spectrum)]
    speech = np.fft.irfft(spectrum, n=num)
    speech *= level / max(speech.std(), 1e-12)
    sound = np.pad(speech, RATE) + noise * rng.normal(size=num + 2 * RATE)
    return sound.astype(np.float32)


def again(people):
    """The store as another process finds it."""
    return People.open(people.store.folder, people.embedder.encoder, detector=Loud())


def files(people):
    return sorted((people.store.folder / "people").glob("[!.]*"))
