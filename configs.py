"""Presets of all systems by name, gathered from `<system>/presets.py`.

Imports neither TensorFlow nor Keras.
"""

from diffusion.speakers.presets import PRESETS as SPEAKER_DIFFUSIONS
from flows.presets import PRESETS as SPEECH_FLOWS
from voiceemb.presets import PRESETS as SPEAKER_ENCODERS
from voiceemb.vad.presets import PRESETS as ACTIVITY

__all__ = ["ACTIVITY", "SPEAKER_DIFFUSIONS", "SPEAKER_ENCODERS", "SPEECH_FLOWS"]
