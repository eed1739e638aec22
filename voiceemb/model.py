"""The untrained speaker encoder of a config."""

import dataclasses

from voiceemb.networks import speaker_encoder


def build(config, data=None):
    """The built `SpeakerEncoder` of a `SpeakerEncoderConfig`; `data` is unused."""
    return speaker_encoder.build(**dataclasses.asdict(config.encoder))
