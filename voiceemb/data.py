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

from audio import wave
from corpora import records
from corpora.manifest import AUDIO_SUFFIXES
from metrics import verification
from voiceemb import batches
from voiceemb.encoder import crop_samples, unit
from voiceemb.parts import divide, without

LEAST_FRAMES = 10  # 0.1 s


def prepare(
    corpus,
    encoder,
    *,
    cache,
    crop_frames,
    augmentation=None,
    exclude=(),
    seed=0,
    **division,
):
    """Divides a corpus and opens its cache, ready for the phases.

    What can not be divided is refused before hours of caching; what can not be read is
    then left out, and the rest is divided.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        encoder: The `SpeakerEncoder` that is to be trained.
        cache: Folder in which caches lie side by side.
        crop_frames: Frames of a training crop and of a validation window.
        augmentation: Dict of `enabled`, `num_masks` and arguments of `augmenter`.
            Defaults to none.
        exclude: Names of speakers to leave out, see `voiceemb.parts.without`.
        seed: Seed of everything drawn. Defaults to `0`.
        **division: Further arguments of `voiceemb.parts.divide`.

    Returns:
        `voiceemb.parts.Parts` and `Data`.
    """
    divided = functools.partial(divide, seed=seed, **division)
    wanted = without(corpus, exclude)
    divided(wanted)
    conditions, augment = dict(augmentation or {}), None
    num_masks = conditions.pop("num_masks", 0)
    if conditions.pop("enabled", False):
        rate = encoder.filterbank.sample_rate
        augment = augmenter(sample_rate=rate, **conditions)
    found = cached(corpus, cache, encoder, waveforms=augment is not None)
    heard = readable(corpus, found)
    parts = divided(heard.subset(set(wanted.speakers) & set(heard.speakers)))
    settings = {"augment": augment, "num_masks": num_masks, "seed": seed}
    data = Data(parts, corpus, found, encoder, crop_frames=crop_frames, **settings)
    return parts, data


def cached(corpus, folder, encoder, *, waveforms=False):
    """Opens the cache of a corpus, made on the first call.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        folder: Folder in which caches lie side by side.
        encoder: The `SpeakerEncoder` whose filterbank makes the features.
        waveforms: Keep waveforms instead, to augment them. Defaults to `False`.

    Returns:
        `corpora.records.Records`.
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
        cache: `corpora.records.Records` of it, see `cached`.
        encoder: The `SpeakerEncoder` that is to be trained.
        crop_frames: Frames of a training crop and of a validation window.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms inside the graph;
            the cache must then hold waveforms. Defaults to none.
        num_masks: Stripes that hide bands, and as many that hide frames, of each
            training crop (SpecAugment). Defaults to `0`.
        seed: Seed of everything drawn. Defaults to `0`.
    """

    def __init__(
        self,
        parts,
        corpus,
        cache,
        encoder,
        *,
        crop_frames,
        augment=None,
        num_masks=0,
        seed=0,
    ):
        self.train = cache.part(corpus.rows(parts.train))
        self.validation = parts.validation and cache.part(corpus.rows(parts.validation))
        self.sounds, self.seed = cache.shape == (), seed
        self.crop = crop_frames
        if self.sounds:
            self.crop = crop_samples(encoder.filterbank, crop_frames)
        self.prepare = _preparation(encoder, self.sounds, augment, num_masks)
        self.draw = batches.Draw(
            self.train.speaker, self.train.length, crop=self.crop, seed=seed
        )

    def batches(self, draw, steps):
        """The function from a step to its batches that `training.loop.fit` wants."""

        def after(step):
            return batches.dataset(
                draw,
                self.train,
                crop=self.crop,
                step=step,
                steps=steps,
                prepare=self.prepare,
                seed=self.seed,
            )

        return after

    def judge(self, encoder):
        """A function that says the EER of the validation part, `{"eer": ...}`.

        It is quick and not what a user will see: at most three windows of each
        utterance count, and a short one is repeated. `None` if there is no such part.
        """
        if self.validation is None:
            return None
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def embed(crops):
            features = encoder.features(crops) if self.sounds else crops
            return encoder(features, training=False)

        speaker = np.asarray(self.validation.speakers)[self.validation.speaker]
        trials = verification.all_pairs(speaker)

        def validate():
            embeddings = embed_records(embed, self.validation, window=self.crop)
            scores = verification.cosine_scores(embeddings, trials)
            return {"eer": verification.eer(trials.label, scores)}

        return validate


def embed_records(embed, cache, *, window, at_once=64):
    """Embeds what is cached: the mean of up to three windows of each record.

    Args:
        embed: Maps crops `[batch, window, ...]` to a tensor `[batch, dim]`.
        cache: `corpora.records.Records`.
        window: Length of a window, in the unit of the cache.
        at_once: Windows in a batch. Defaults to `64`.

    Returns:
        Unit vectors, float32 `[records, dim]`.
    """
    owner, start = [], []
    for i, length in enumerate(cache.length.tolist()):
        room = max(length - window, 0)
        some = sorted({0, room // 2, room})
        owner += [i] * len(some)
        start += some
    owner, start = np.array(owner), np.array(start)
    points = []
    for at in range(0, len(owner), at_once):
        rows = slice(at, at + at_once)
        points.append(embed(cache.crops(owner[rows], start[rows], window)).numpy())
    points = np.concatenate(points)
    total = np.zeros((len(cache), points.shape[-1]), np.float32)
    np.add.at(total, owner, points)
    return unit(total)


def augmenter(*, noises="", sample_rate=16000, **conditions):
    """An `audio.augment.Augmenter` whose noises, if any, are read from a folder.

    Args:
        noises: Folder of noise recordings. Defaults to none, for coloured noise.
        sample_rate: In Hz. Defaults to `16000`.
        **conditions: Further arguments of `Augmenter`.
    """
    from audio.augment import Augmenter

    if not noises:
        return Augmenter(sample_rate=sample_rate, **conditions)
    found = sorted(p for p in Path(noises).rglob("*") if p.suffix in AUDIO_SUFFIXES)
    if not found:
        raise ValueError(f"`noises` must be a folder of recordings. Received: {noises}")
    sounds = [wave.read(path, sample_rate=sample_rate) for path in found]
    return Augmenter(noises=sounds, sample_rate=sample_rate, **conditions)


def _preparation(encoder, sounds, augment, num_masks):
    """What becomes of crops inside the graph, see `batches.dataset`; or `None`."""
    if augment and not sounds:
        raise ValueError("Only waveforms can be augmented. Received: cached features")
    if not sounds and not num_masks:
        return None
    import tensorflow as tf

    from audio.augment import spec_augment

    def hide(energies, seed):
        # What hides is the frame's own level, so that it is nothing once normalised.
        logs = tf.math.log(tf.maximum(energies, 1e-30))
        level = tf.exp(tf.reduce_mean(logs, axis=-1, keepdims=True))
        masks = {"num_band_masks": num_masks, "num_frame_masks": num_masks}
        return spec_augment(energies, seed=seed, value=level, **masks)

    def prepare(crops, seed):
        lead = crops.shape[: crops.shape.rank - (1 if sounds else 2)]
        x = tf.reshape(crops, [-1, *crops.shape[len(lead) :]])
        x = augment(x, seed=seed) if augment else x
        x = encoder.features(x) if sounds else x
        x = (
            hide(x, tf.random.experimental.stateless_fold_in(seed, 1))
            if num_masks
            else x
        )
        return tf.reshape(x, [*lead, *x.shape[1:]])

    return prepare
