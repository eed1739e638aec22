"""Presets of voice activity detection: instances of `voiceemb.vad.config.VadConfig`.

    python -m voiceemb train-vad                            # on synthetic voices
    python -m voiceemb train-vad --corpus my_recordings     # folders named by speaker

`voiceemb.vad.network.NetworkDetector` takes the run folder. A run that was stopped goes
on when the same command is given again.
"""

from dataclasses import replace

from timbre.training.config import SyntheticSpeechConfig
from voiceemb.vad.config import MixtureConfig, VadConfig, VadNetworkConfig

DEFAULT = "default"

_activity = VadConfig(name="activity")

PRESETS = {
    "default": _activity,
    "smoke": replace(
        _activity,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="activity-smoke",
        synthetic=SyntheticSpeechConfig(
            "corpus/smoke-activity", num_speakers=6, utterances=2, clean=True
        ),
        validation_speakers=1,
        validation_mixtures=4,
        network=VadNetworkConfig(bands=20, filters=8, units=8),
        mixtures=MixtureConfig(seconds=2.0, noises=3),
        steps=10,
        batch=4,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
