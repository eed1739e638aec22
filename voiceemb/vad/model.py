"""The untrained network of a config."""

import dataclasses

from voiceemb.vad.network import ActivityNetwork


def build(config, data=None):
    """Build the untrained network; the data decide nothing of it.

    Args:
        config: A `voiceemb.vad.config.VadConfig`.
        data: Unused.
    """
    return ActivityNetwork(**dataclasses.asdict(config.network))
