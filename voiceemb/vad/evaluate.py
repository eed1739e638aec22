"""Frame errors of a voice activity detector on mixtures."""

import keras
import numpy as np

BATCH = 32  # mixtures at a time


def evaluate(network, waveforms, active):
    """Cross-entropy and frame errors of a network.

    Args:
        network: An `ActivityNetwork`.
        waveforms, active: Of a `voiceemb.vad.data.VadData`.

    Returns:
        Dict of `loss`, the mean cross-entropy in nats; `error`, the share of frames
        that are wrong at a threshold of 0.5; `missed`, of frames of speech, and
        `false_alarms`, of the others.
    """
    parts = range(0, len(waveforms), BATCH)
    logits = [network(waveforms[at : at + BATCH], training=False) for at in parts]
    logits = np.concatenate([keras.ops.convert_to_numpy(part) for part in logits])
    spoken = active[:, : logits.shape[1]] > 0.5
    wrong = (logits > 0) != spoken
    return {
        "loss": float(np.mean(np.logaddexp(0, np.where(spoken, -logits, logits)))),
        "error": float(wrong.mean()),
        "missed": float(wrong[spoken].mean()) if spoken.any() else 0.0,
        "false_alarms": float(wrong[~spoken].mean()) if not spoken.all() else 0.0,
    }
