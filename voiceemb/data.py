"""Training data of a speaker encoder: one cache of a corpus, read as its splits ask.

A cache holds filterbank energies, or waveforms when they are to be augmented. It
belongs to the corpus: another split of it needs no other cache.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from timbre.corpora.cache import records
from timbre.corpora.corpus import corpus_of
from timbre.corpora.gather import gather_config
from timbre.corpora.splits import without
from timbre.training.config import subset
from voiceemb import model
from voiceemb.config import CorruptionConfig
from voiceemb.inference import crop_samples
from voiceemb.training import batch_sampler
from voiceemb.training.augmentation import build_augmenter, build_batch_transform
from voiceemb.training.speed_perturbation import SpeedPerturbedRecords
from voiceemb.training.splits import split
from voiceemb.training.validation import validation_eer

FACTS = "speakers.json"  # who is in which split, and the digests of the rows
MIN_FRAMES = 10  # 0.1 s


def prepare(config):
    """Open, cache and split a corpus: the `EncoderData` of a `SpeakerEncoderConfig`.

    What can not be split is refused before hours of caching; what can not be read is
    then left out, and the rest is split.
    """
    filterbank = model.build(config).filterbank  # no network, no work
    corpus = gather_config(config)
    wanted = without(corpus, config.exclude_speakers)
    splits = _split(wanted, config)
    augment = None
    if config.augmentation.enabled:
        augment = build_augmenter(
            sample_rate=filterbank.sample_rate,
            **subset(config.augmentation, CorruptionConfig),
        )
    waveforms = augment is not None or config.augmentation.speeds != (1.0,)
    cache = open_cache(corpus, config.cache, filterbank, waveforms=waveforms)
    if len(cache) < len(corpus):
        utterances = tuple(corpus.utterances[row] for row in cache.row.tolist())
        kept = dataclasses.replace(corpus, utterances=utterances)
        splits = _split(kept.subset({*wanted.speakers} & {*kept.speakers}), config)
    return EncoderData(config, splits, corpus, cache, filterbank, augment)


def _split(corpus, config):
    return split(
        corpus,
        validation=config.validation_speakers,
        test=config.test_speakers,
        closed_set_share=config.closed_set_share,
        held_out_corpora=config.held_out_corpora,
        groups=config.groups or None,
        seed=config.seed,
    )


def open_cache(corpus, folder, filterbank, *, waveforms=False):
    """The cache of a corpus, `timbre.corpora.cache.records.Records`, made at first.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        folder: Folder in which caches lie side by side.
        filterbank: The `timbre.audio.filterbank.Filterbank` of the features.
        waveforms: Keep waveforms instead, to augment them. Defaults to `False`.
    """
    import tensorflow as tf

    rate = filterbank.sample_rate
    transform, about, min_length = None, {"sample_rate": rate}, rate // 10
    if not waveforms:
        about = {k: v for k, v in filterbank.get_config().items() if k != "name"}
        spec = tf.TensorSpec([None, None], tf.float32)
        energies = tf.function(lambda x: filterbank(x), input_signature=[spec])
        min_length = MIN_FRAMES

        def transform(waveform):
            return in_blocks(energies, filterbank, waveform)

    key = json.dumps([corpus.digest(), waveforms, about], sort_keys=True, default=str)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return records.cache(
        corpus,
        Path(folder) / f"{corpus.name.replace('/', '-')}-{digest}",
        transform=transform,
        about=None if waveforms else about,
        sample_rate=rate,
        min_length=min_length,
    )


def in_blocks(energies, filterbank, waveform, *, frames=6000):
    """The energies of a long waveform, computed a minute at a time.

    Equal to those of the whole: a block begins one frame early, so that its first
    frame knows the sample before it, and that frame is dropped.

    Args:
        energies: Maps waveforms `[1, samples]` to a tensor `[1, frames, bands]`.
        filterbank: The `Filterbank` behind it.
        waveform: float32 `[samples]`.
        frames: Frames of a block. Defaults to `6000`.
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


class EncoderData:
    """Batches and validation of a speaker encoder, read from one cache.

    Args:
        config: A `voiceemb.config.SpeakerEncoderConfig`.
        splits: `voiceemb.training.splits.SpeakerSplits` of `corpus`.
        corpus: The whole corpus, as it was cached.
        cache: Of the corpus, see `open_cache`; to be augmented or perturbed in speed it
            must hold waveforms.
        filterbank: The `timbre.audio.filterbank.Filterbank` of the encoder.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms inside the graph.
            Defaults to none.

    Attributes:
        num_classes: Number of training speakers, at all speeds.
        facts: Speakers and digest of each split and of the cached `sounds`.
    """

    def __init__(self, config, splits, corpus, cache, filterbank, augment=None):
        augmentation = config.augmentation
        self.splits, self.seed = splits, config.seed
        self.train = cache.select(corpus.rows(splits.train))
        if augmentation.speeds != (1.0,):
            self.train = SpeedPerturbedRecords(self.train, augmentation.speeds)
        self.validation = splits.validation and cache.select(
            corpus.rows(splits.validation)
        )
        self.waveforms = cache.shape == ()
        self._filterbank = filterbank
        self.crop = self._units(config.crop_frames)
        self.crops = [self._units(n) for n in config.crop_lengths] or self.crop
        self.transform = build_batch_transform(
            filterbank, self.waveforms, augment, augmentation.num_masks
        )
        corpora = np.array([corpus_of(name) for name in self.train.speakers])
        self.sampler = batch_sampler.BatchSampler(
            self.train.speaker,
            self.train.length,
            crop=self.crop,
            corpus=corpora[self.train.speaker],
            balance=config.balance,
            seed=config.seed,
        )
        self.num_classes = len(self.train.speakers)
        self.facts = splits.facts(sounds=cache.about["sha256"])

    def _units(self, frames):
        """Frames in the unit of the cache."""
        return crop_samples(self._filterbank, frames) if self.waveforms else frames

    def batches(self, draw, steps, *, crop_frames=None):
        """The function from a step to its batches for `timbre.training.loop.fit`.

        Args:
            draw, steps: As `sample` and `steps` of `batch_sampler.dataset`.
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
                transform=self.transform,
                seed=self.seed,
            )

        return after

    def validate(self, encoder):
        """The function that computes the validation EER; `None` without validation."""
        if self.validation is None:
            return None
        return validation_eer(encoder, self.validation, window=self.crop)
