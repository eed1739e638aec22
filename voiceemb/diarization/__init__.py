"""Speaker diarization: who speaks when in a recording.

`diarization.diarize("talk.wav")` returns a `Diarization`.
"""

import importlib

MODULES = {"Diarization": "result", "OnlineAssigner": "online", "diarize": "pipeline"}


def __getattr__(name):
    if name not in MODULES:
        raise AttributeError(f"module 'voiceemb.diarization' has no attribute {name!r}")
    module = importlib.import_module(f"voiceemb.diarization.{MODULES[name]}")
    return getattr(module, name)
