"""Voice activity: when does anybody speak?

    sound -> probability of speech per frame (a `Detector`) -> segments (a `Rule`)

Frames and detectors are described in `voiceemb.vad.base`, rules and segments in
`voiceemb.vad.segmentation`; this module brings them together.
"""

import functools
from dataclasses import dataclass

import numpy as np

from voiceemb.vad.base import (
    FRAME,
    HOP,
    SAMPLE_RATE,
    Detector,
    Stream,
    checked,
    energies_db,
    num_frames,
)
from voiceemb.vad.energy import EnergyDetector
from voiceemb.vad.segmentation import Rule, Segmenter, inside
from voiceemb.vad.webrtc import WebRTCDetector

__all__ = [
    "DEFAULT",
    "DETECTORS",
    "FRAME",
    "HOP",
    "SAMPLE_RATE",
    "Activity",
    "Detector",
    "EnergyDetector",
    "Rule",
    "Segmenter",
    "Stream",
    "WebRTCDetector",
    "detect",
    "energies_db",
    "load",
    "num_frames",
]

DETECTORS = ("network", "energy", "webrtc")
DEFAULT = "network"


@dataclass(frozen=True, eq=False)
class Activity:
    """What a detector and a rule found in a sound.

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
    """A detector by its name; nothing that it does not need is imported.

    Args:
        name: `"network"`, `"energy"` or `"webrtc"`.

    Raises:
        ValueError: If there is no detector of this name.
        ImportError: If it needs a package that is not installed.
    """
    if name == "energy":
        return EnergyDetector()
    if name == "webrtc":
        return WebRTCDetector()
    if name != "network":
        raise ValueError(f"`name` must be one of {DETECTORS}. Received: {name!r}")
    return _network()


@functools.cache  # a detector holds no state, and compiling this one takes a second
def _network():
    from voiceemb.vad.network import NetworkDetector

    return NetworkDetector()


def detect(
    waveform: np.ndarray,
    *,
    detector: Detector | None = None,
    rule: Rule | None = None,
) -> Activity:
    """Find the speech in a sound.

    Args:
        waveform: Float `[samples]` at 16 kHz.
        detector: Defaults to `load()`.
        rule: Defaults to `Rule()`.

    Returns:
        An `Activity` of `samples // HOP` frames; a sound without speech, or shorter
        than a frame, has no segments.

    Raises:
        ValueError: If the waveform is not finite, or no float array of one axis.
    """
    waveform = checked(waveform)
    probability = (detector or load()).probabilities(waveform)
    segmenter = Segmenter(rule)
    segments = segmenter.push(probability) + segmenter.finish()
    active = inside(segments, len(probability))
    seconds = [(s * HOP / SAMPLE_RATE, e * HOP / SAMPLE_RATE) for s, e in segments]
    return Activity(probability, active, energies_db(waveform), seconds)
