"""The untrained speaker encoder of a config."""

import dataclasses

from voiceemb.networks import speaker_encoder


def build(config, data=None):
    """Build the untrained encoder; the data decide nothing of it.

    Args:
        config: A `voiceemb.config.SpeakerEncoderConfig`.
        data: Unused.

    Returns:
        A built `voiceemb.networks.speaker_encoder.SpeakerEncoder`.
    """
    return speaker_encoder.build(**dataclasses.asdict(config.encoder))
