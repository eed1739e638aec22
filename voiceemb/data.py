"""What an encoder learns from: one cache of a corpus, read as its parts ask.

A cache holds energies, or waveforms when they are to be augmented. It belongs to the
corpus and not to a part, so another division of the same corpus needs no other cache.
"""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np

from timbre.corpora import splits
from timbre.corpora.cache import records
from timbre.corpora.corpus import corpus_of
from voiceemb.inference import crop_samples
from voiceemb.training import batch_sampler
from voiceemb.training.augmentation import augmenter, preparation
from voiceemb.training.speed_perturbation import AtSpeeds
from voiceemb.training.splits import divide
from voiceemb.training.validation import judge

LEAST_FRAMES = 10  # 0.1 s


def prepare(
    corpus,
    encoder,
    *,
    cache,
    crop_frames,
    crop_lengths=(),
    balance="utterances",
    augmentation=None,
    exclude=(),
    seed=0,
    **division,
):
    """Divides a corpus and opens its cache, ready for the phases.

    What can not be divided is refused before hours of caching; what can not be read is
    then left out, and the rest is divided.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        encoder: The `SpeakerEncoder` that is to be trained.
        cache: Folder in which caches lie side by side.
        crop_frames: Frames of a training crop and of a validation window.
        crop_lengths: Frames of training crops, one drawn for each batch. Defaults to
            `crop_frames` alone.
        balance: What has an even share of the batches, see `batches.Draw`.
        augmentation: Dict of `enabled`, `num_masks`, `speeds` and arguments of
            `augmenter`. Defaults to none.
        exclude: Names of speakers to leave out, see `timbre.corpora.splits.without`.
        seed: Seed of everything drawn. Defaults to `0`.
        **division: Further arguments of `voiceemb.training.splits.divide`.

    Returns:
        `voiceemb.training.splits.Parts` and `Data`.
    """
    divided = functools.partial(divide, seed=seed, **division)
    wanted = splits.without(corpus, exclude)
    divided(wanted)
    conditions, augment = dict(augmentation or {}), None
    num_masks = conditions.pop("num_masks", 0)
    speeds = conditions.pop("speeds", (1.0,))
    if conditions.pop("enabled", False):
        rate = encoder.filterbank.sample_rate
        augment = augmenter(sample_rate=rate, **conditions)
    waveforms = augment is not None or tuple(speeds) != (1.0,)
    found = cached(corpus, cache, encoder, waveforms=waveforms)
    heard = readable(corpus, found)
    parts = divided(heard.subset(set(wanted.speakers) & set(heard.speakers)))
    data = Data(
        parts,
        corpus,
        found,
        encoder,
        crop_frames=crop_frames,
        crop_lengths=crop_lengths,
        balance=balance,
        speeds=speeds,
        augment=augment,
        num_masks=num_masks,
        seed=seed,
    )
    return parts, data


def cached(corpus, folder, encoder, *, waveforms=False):
    """Opens the cache of a corpus, made on the first call.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        folder: Folder in which caches lie side by side.
        encoder: The `SpeakerEncoder` whose filterbank makes the features.
        waveforms: Keep waveforms instead, to augment them. Defaults to `False`.

    Returns:
        `timbre.corpora.cache.records.Records`.
    """
    import tensorflow as tf

    filterbank = encoder.filterbank
    sample_rate = filterbank.sample_rate
    about = {"sample_rate": sample_rate}
    options = {"sample_rate": sample_rate, "min_length": sample_rate // 10}
    if not waveforms:
        about = {k: v for k, v in filterbank.get_config().items() if k != "name"}
        spec = tf.TensorSpec([None, None], tf.float32)
        energies = tf.function(encoder.features, input_signature=[spec])
        options |= {
            "transform": lambda waveform: in_blocks(energies, filterbank, waveform),
            "about": about,
            "min_length": LEAST_FRAMES,
        }
    key = json.dumps([corpus.digest(), waveforms, about], sort_keys=True, default=str)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    name = corpus.name.replace("/", "-")
    return records.cache(corpus, Path(folder) / f"{name}-{digest}", **options)


def readable(corpus, cache):
    """The corpus without the utterances that its cache had to leave out."""
    kept = tuple(corpus.utterances[row] for row in cache.row.tolist())
    return dataclasses.replace(corpus, utterances=kept)


def in_blocks(energies, filterbank, waveform, *, frames=6000):
    """The energies of a long waveform, computed a minute at a time.

    Equal to those of the whole: a block begins one frame early, so that its first
    frame knows the sample before it, and that frame is dropped.

    Args:
        energies: Maps waveforms `[1, samples]` to a tensor `[1, frames, bands]`.
        filterbank: The `Filterbank` behind it.
        waveform: float32 `[samples]`.
        frames: Frames of a block. Defaults to `6000`.

    Returns:
        float32 `[frames, bands]`.
    """
    total = filterbank.num_frames(len(waveform))
    blocks = []
    for first in range(0, total, frames):
        early = min(first, 1)
        start = (first - early) * filterbank.hop
        end = start + crop_samples(filterbank, early + frames)
        end = len(waveform) if first + frames >= total else end
        blocks.append(energies(waveform[None, start:end])[0, early:].numpy())
    return np.concatenate(blocks)


class Data:
    """What the phases learn from and are judged by, read from one cache.

    Args:
        parts: `Parts` of `corpus`.
        corpus: The whole corpus, as it was cached.
        cache: `timbre.corpora.cache.records.Records` of it, see `cached`.
        encoder: The `SpeakerEncoder` that is to be trained.
        crop_frames: Frames of a training crop and of a validation window.
        crop_lengths: Frames of training crops, one drawn for each batch. Defaults to
            `crop_frames` alone.
        balance: What has an even share of the batches, see `batches.Draw`.
        speeds: Ratios of speed at which a training speaker becomes another, see
            `voiceemb.training.speed_perturbation`; the cache must then hold waveforms. Defaults to none.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms inside the graph;
            the cache must then hold waveforms. Defaults to none.
        num_masks: Stripes that hide bands, and as many that hide frames, of each
            training crop (SpecAugment). Defaults to `0`.
        seed: Seed of everything drawn. Defaults to `0`.

    Attributes:
        num_classes: Number of voices to tell apart, at all speeds.
        sha256: Of all that is cached of the corpus, in hex: sounds and whose they are.
    """

    def __init__(
        self,
        parts,
        corpus,
        cache,
        encoder,
        *,
        crop_frames,
        crop_lengths=(),
        balance="utterances",
        speeds=(1.0,),
        augment=None,
        num_masks=0,
        seed=0,
    ):
        self.train = cache.select(corpus.rows(parts.train))
        if tuple(speeds) != (1.0,):
            self.train = AtSpeeds(self.train, speeds)
        self.validation = parts.validation and cache.select(corpus.rows(parts.validation))
        self.sounds, self.seed = cache.shape == (), seed
        self._filterbank = encoder.filterbank
        self.crop = self._units(crop_frames)
        self.crops = [self._units(frames) for frames in crop_lengths] or self.crop
        self.prepare = preparation(encoder, self.sounds, augment, num_masks)
        voices = np.array([corpus_of(name) for name in self.train.speakers])
        self.draw = batch_sampler.Draw(
            self.train.speaker,
            self.train.length,
            crop=self.crop,
            corpus=voices[self.train.speaker],
            balance=balance,
            seed=seed,
        )
        self.num_classes = len(self.train.speakers)
        self.sha256 = cache.about["sha256"]

    def _units(self, frames):
        """Frames in the unit of the cache."""
        return crop_samples(self._filterbank, frames) if self.sounds else frames

    def batches(self, draw, steps, *, crop_frames=None):
        """The function from a step to its batches that `timbre.training.loop.fit` wants.

        Args:
            draw: As the methods of `Draw`, see `batches.dataset`.
            steps: Step before which the data ends.
            crop_frames: Frames of a crop. Defaults to the lengths of the training.
        """
        crop = self.crops if crop_frames is None else self._units(crop_frames)

        def after(step):
            return batch_sampler.dataset(
                draw,
                self.train,
                crop=crop,
                step=step,
                steps=steps,
                prepare=self.prepare,
                seed=self.seed,
            )

        return after

    def judge(self, encoder):
        """What says the validation EER (`voiceemb.training.validation`); `None` if nobody is held."""
        if self.validation is None:
            return None
        return judge(encoder, self.validation, window=self.crop)
