"""Voice activity detection: when does anybody speak?

    waveform -> speech probability per frame (`Detector`) -> segments (`Segmenter`)

`voiceemb.vad.base` describes frames, `voiceemb.vad.segmentation` the hysteresis.
"""

import functools
from dataclasses import dataclass

import numpy as np

from timbre.training.networks import check_choice
from voiceemb.vad.base import HOP, SAMPLE_RATE, Detector, check_waveform, energies_db
from voiceemb.vad.energy import EnergyDetector
from voiceemb.vad.segmentation import HysteresisConfig, Segmenter, segment_mask
from voiceemb.vad.webrtc import WebRTCDetector

DETECTORS = ("network", "energy", "webrtc")
DEFAULT = "network"


@dataclass(frozen=True, eq=False)
class Activity:
    """Voice activity of a recording.

    Attributes:
        probability: Of speech, float32 `[frames]`.
        active: Whether a frame lies in a segment, bool `[frames]`.
        energy_db: Level of each frame, dB re full scale, float32 `[frames]`.
        segments: `(start, end)` of each stretch of speech, in seconds, in order.
    """

    probability: np.ndarray
    active: np.ndarray
    energy_db: np.ndarray
    segments: list[tuple[float, float]]

    @property
    def speech_s(self) -> float:
        """Seconds of speech in all segments."""
        return float(sum(end - start for start, end in self.segments))


def load(name: str = DEFAULT) -> Detector:
    """Load a detector by name; nothing that it does not need is imported.

    Args:
        name: `"network"`, `"energy"` or `"webrtc"`, which needs `webrtcvad-wheels`.
    """
    check_choice("name", name, DETECTORS)
    if name == "energy":
        return EnergyDetector()
    return WebRTCDetector() if name == "webrtc" else _load_network()


@functools.cache  # a detector holds no state, and compiling this one takes a second
def _load_network():
    from voiceemb.vad.network import NetworkDetector

    return NetworkDetector()


def detect(
    waveform: np.ndarray,
    *,
    detector: Detector | None = None,
    hysteresis: HysteresisConfig | None = None,
) -> Activity:
    """Find the speech in a recording.

    Args:
        waveform: Float `[samples]` at 16 kHz, finite.
        detector: Defaults to `load()`.
        hysteresis: Defaults to `HysteresisConfig()`.

    Returns:
        An `Activity` of `samples // HOP` frames; a waveform without speech, or shorter
        than a frame, has no segments.
    """
    waveform = check_waveform(waveform)
    probability = (detector or load()).probabilities(waveform)
    segmenter = Segmenter(hysteresis)
    segments = segmenter.push(probability) + segmenter.finish()
    active = segment_mask(segments, len(probability))
    seconds = [(s * HOP / SAMPLE_RATE, e * HOP / SAMPLE_RATE) for s, e in segments]
    return Activity(probability, active, energies_db(waveform), seconds)
