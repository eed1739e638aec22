"""The untrained network of a config."""

import dataclasses

from voiceemb.vad.network import ActivityNetwork


def build(config, data=None):
    """Build the untrained network of a `VadConfig`; the data decide nothing of it."""
    return ActivityNetwork(**dataclasses.asdict(config.network))
