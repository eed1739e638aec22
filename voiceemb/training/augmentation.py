"""What becomes of crops on their way to the network: conditions, energies, stripes."""

import math
from pathlib import Path

from timbre.audio import wave
from timbre.corpora.manifest import AUDIO_SUFFIXES


def augmenter(*, noises="", sample_rate=16000, **conditions):
    """An `timbre.audio.augment.Augmenter` whose noises, if any, are read from a folder.

    Args:
        noises: Folder of noise recordings. Defaults to none, for coloured noise.
        sample_rate: In Hz. Defaults to `16000`.
        **conditions: Further arguments of `Augmenter`.
    """
    from timbre.audio.augment import Augmenter

    if not noises:
        return Augmenter(sample_rate=sample_rate, **conditions)
    found = sorted(p for p in Path(noises).rglob("*") if p.suffix in AUDIO_SUFFIXES)
    if not found:
        raise ValueError(f"`noises` must be a folder of recordings. Received: {noises}")
    sounds = [wave.read(path, sample_rate=sample_rate) for path in found]
    return Augmenter(noises=sounds, sample_rate=sample_rate, **conditions)


def preparation(filterbank, sounds, augment, num_masks):
    """What becomes of crops inside the graph, for `batches.dataset`; or `None`.

    Args:
        filterbank: The `timbre.audio.filterbank.Filterbank` of the encoder.
        sounds: Whether crops are waveforms, else energies.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms, or `None`.
        num_masks: Stripes that hide bands, and as many that hide frames.
    """
    if augment and not sounds:
        raise ValueError("Only waveforms can be augmented. Received: cached features")
    if not sounds and not num_masks:
        return None
    import tensorflow as tf

    from timbre.audio.augment import spec_augment

    def hide(energies, seed):
        # What hides is the frame's own level, so that it is nothing once normalised.
        logs = tf.math.log(tf.maximum(energies, 1e-30))
        level = tf.exp(tf.reduce_mean(logs, axis=-1, keepdims=True))
        masks = {"num_band_masks": num_masks, "num_frame_masks": num_masks}
        return spec_augment(energies, seed=seed, value=level, **masks)

    def prepare(crops, seed):
        lead = crops.shape[: crops.shape.rank - (1 if sounds else 2)]
        x = tf.reshape(crops, [math.prod(lead), *_sizes(crops.shape[len(lead) :])])
        x = augment(x, seed=seed) if augment else x
        x = filterbank(x) if sounds else x
        x = (
            hide(x, tf.random.experimental.stateless_fold_in(seed, 1))
            if num_masks
            else x
        )
        return tf.reshape(x, [*lead, *_sizes(x.shape[1:])])

    return prepare


def _sizes(shape):
    """A static shape for `tf.reshape`; at most one size may be unknown."""
    return [-1 if size is None else size for size in shape]
