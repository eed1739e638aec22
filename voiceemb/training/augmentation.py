"""Augmentation of training batches: noise and reverberation, features, SpecAugment."""

import math
from pathlib import Path

from timbre.audio import wave
from timbre.corpora.manifest import AUDIO_SUFFIXES


def build_augmenter(*, noises="", sample_rate=16000, **conditions):
    """Builds a `timbre.audio.augment.Augmenter` with noise recordings of a folder.

    Args:
        noises: Folder of noise recordings. Defaults to none: coloured noise.
        sample_rate: In Hz. Defaults to `16000`.
        **conditions: Further arguments of `Augmenter`.
    """
    from timbre.audio.augment import Augmenter

    if not noises:
        return Augmenter(sample_rate=sample_rate, **conditions)
    paths = sorted(p for p in Path(noises).rglob("*") if p.suffix in AUDIO_SUFFIXES)
    if not paths:
        raise ValueError(f"`noises` must be a folder of recordings. Received: {noises}")
    sounds = [wave.read(path, sample_rate=sample_rate) for path in paths]
    return Augmenter(noises=sounds, sample_rate=sample_rate, **conditions)


def build_batch_transform(filterbank, is_waveform, augment, num_masks):
    """Builds the map from crops to features for `batch_sampler.dataset`, or `None`.

    Args:
        filterbank: The `timbre.audio.filterbank.Filterbank` of the encoder.
        is_waveform: Whether crops are waveforms, else energies.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms, or `None`.
        num_masks: SpecAugment masks over bands, and as many over frames.
    """
    if augment and not is_waveform:
        raise ValueError("Only waveforms can be augmented. Received: cached features")
    if not is_waveform and not num_masks:
        return None
    import tensorflow as tf

    from timbre.audio.augment import spec_augment

    def mask(energies, seed):
        # Masked values are the frame's own level: zero once it is normalised.
        logs = tf.math.log(tf.maximum(energies, 1e-30))
        level = tf.exp(tf.reduce_mean(logs, axis=-1, keepdims=True))
        counts = {"num_band_masks": num_masks, "num_frame_masks": num_masks}
        return spec_augment(energies, seed=seed, value=level, **counts)

    def transform(crops, seed):
        lead = crops.shape[: crops.shape.rank - (1 if is_waveform else 2)]
        x = tf.reshape(crops, [math.prod(lead), *_sizes(crops.shape[len(lead) :])])
        x = augment(x, seed=seed) if augment else x
        x = filterbank(x) if is_waveform else x
        if num_masks:
            x = mask(x, tf.random.experimental.stateless_fold_in(seed, 1))
        return tf.reshape(x, [*lead, *_sizes(x.shape[1:])])

    return transform


def _sizes(shape):
    """A static shape for `tf.reshape`; at most one size may be unknown."""
    return [-1 if size is None else size for size in shape]
