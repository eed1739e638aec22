"""Features of sound: the front end that computes them, and their cache.

The `about` of a data set has all that is needed to compute them from another waveform:
`sample_rate`, `window`, `hop`, `bands`, `high_hz` and `spectrum`.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np

from timbre.corpora.cache import records

BLOCK = 6000  # frames computed at once, a minute
# by default: of mels, of 257 linear bins up to 6.2 kHz, of synthetic spectra
NUM_BANDS = {"mel": 40, "linear": 200, "spectra": 16}


def front_end(about):
    """The layer that computes the features of a new waveform.

    Args:
        about: Of a data set, see above; `high_hz` `None` is half the rate.

    Returns:
        A `timbre.audio.mel.LogMel`, waveforms `[batch, samples]` to
        `[batch, frames, bands]`.

    Raises:
        ValueError: If the features are not computed from sound.
    """
    from timbre.audio.mel import LogMel

    if "sample_rate" not in about:
        raise ValueError(
            "Only features of sound can be computed from another sound. "
            f"Received: features of the source {about.get('source')!r}"
        )
    same = ("sample_rate", "window", "hop", "high_hz", "spectrum")
    return LogMel(num_bands=about["bands"], **{name: about[name] for name in same})


def open_features(corpus, folder, about):
    """Opens the features of a `Corpus` as `Records`, computed on the first call.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        folder: Folder of caches.
        about: See `front_end`.
    """
    import tensorflow as tf

    layer = front_end(about)
    config = {k: v for k, v in layer.get_config().items() if k != "name"}
    spec = tf.TensorSpec([None, None], tf.float32)
    compute = tf.function(lambda waveform: layer(waveform), input_signature=[spec])
    key = json.dumps([corpus.digest(), config], sort_keys=True, default=str)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return records.cache(
        corpus,
        Path(folder) / f"{corpus.name.replace('/', '-')}-{digest}",
        transform=lambda waveform: compute_in_blocks(compute, waveform, about),
        about=json.loads(json.dumps(config, default=str)),
        sample_rate=about["sample_rate"],
    )


def compute_in_blocks(compute, waveform, about, *, frames=BLOCK):
    """Features of a long waveform, computed a minute at a time.

    They equal those of the whole: blocks overlap by a window.

    Args:
        compute: Maps waveforms `[1, samples]` to a tensor `[1, frames, bands]`.
        waveform: float32 `[samples]`.
        about: Dict of `hop` and `window`, in samples.
        frames: Frames of a block. Defaults to `6000`.

    Returns:
        float32 `[1 + samples // hop, bands]`.
    """
    hop, total = about["hop"], 1 + len(waveform) // about["hop"]
    margin = math.ceil(about["window"] / hop)
    blocks = []
    for first in range(0, total, frames):
        early = min(first, margin)
        begin = (first - early) * hop
        block = waveform[begin : (first + frames + margin) * hop]
        kept = slice(early, early + min(frames, total - first))
        blocks.append(np.asarray(compute(block[None]))[0, kept])
    return np.concatenate(blocks)
