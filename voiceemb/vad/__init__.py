"""Voice activity detection: energy, WebRTC and a small network.

`vad.detect(waveform)` finds speech, `vad.load("energy")` loads a detector.
"""

import importlib

MODULES = {
    "Activity": "detection",
    "Detector": "base",
    "HysteresisConfig": "segmentation",
    "Segmenter": "segmentation",
    "detect": "detection",
    "load": "detection",
}


def __getattr__(name):
    if name not in MODULES:
        raise AttributeError(f"module 'voiceemb.vad' has no attribute {name!r}")
    module = importlib.import_module(f"voiceemb.vad.{MODULES[name]}")
    return getattr(module, name)
