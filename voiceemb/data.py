"""What an encoder learns from and is judged by: who is held out, and the caches.

Speakers fall into three parts that never mix: those it trains on, those whose EER
chooses the best weights, and those kept for the final test. Of the training speakers
some utterances are kept back as well, for the closed-set figure. A corpus too small to
spare speakers is judged on such utterances alone, and every print says so.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from corpora import records, splits
from corpora.corpus import Corpus, some
from metrics import verification
from voiceemb import batches
from voiceemb.encoder import crop_samples, unit

PARTS = ("train", "validation", "test", "closed")
LEAST_HELD_OUT = 2  # speakers; fewer make no different pair
LEAST_FRAMES = 10  # 0.1 s


@dataclasses.dataclass(frozen=True)
class Parts:
    """A corpus, divided; a part that can not be had is `None`.

    Args:
        train: Utterances to learn from.
        validation: Utterances whose EER chooses the weights.
        test: Utterances of speakers who are in neither.
        closed: Utterances of training speakers kept from training.
        protocol: Of `validation`: `"open-set"`, or `"closed-set"` if it is `closed`.
    """

    train: Corpus
    validation: Corpus | None
    test: Corpus | None
    closed: Corpus | None
    protocol: str

    def speakers(self):
        """Speakers of each part, lists by name, ready for JSON."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: list(part.speakers) for name, part in parts.items() if part}


def divide(corpus, *, validation, test, closed_share, exclude=(), seed=0):
    """Divides a corpus by speakers, then its training part by utterances.

    No part but the training part gets more than a fifth of the speakers; if that is
    fewer than two, no speaker is held out at all. Utterances are kept back only of
    speakers who have at least four.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        validation, test: Speakers wanted in each.
        closed_share: Share of the training speakers' utterances to keep back.
        exclude: Names of speakers to leave out altogether; a name without a corpus
            before it means the speakers of that name in every corpus joined.
        seed: Another seed draws another division.

    Returns:
        `Parts`.

    Raises:
        ValueError: If fewer than two speakers have two utterances each, or a speaker
            to leave out does not speak.
    """
    if exclude:
        corpus = _without(corpus, set(exclude))
    train, held, final = splits.check(corpus), None, None
    fifth = len(train.speakers) // 5
    sizes = [min(validation, fifth), min(test, fifth)]
    if min(sizes) >= LEAST_HELD_OUT:
        train, held, final = splits.split_by_speaker(
            train, counts=[None, *sizes], seed=seed
        )
    train, closed = _keep_back(train, closed_share, seed)
    if held is None:
        return Parts(train, closed, None, closed, "closed-set")
    return Parts(train, held, final, closed, "open-set")


def _without(corpus, exclude):
    """The corpus without some speakers, who must be in it."""
    unknown = sorted(exclude - {*corpus.speakers, *map(bare, corpus.speakers)})
    if unknown:
        raise ValueError(
            f"`exclude` must name speakers of the corpus. Received: {some(unknown)}, "
            f"who do not speak in {corpus.name!r}"
        )
    left = [name for name in corpus.speakers if not {name, bare(name)} & exclude]
    if len(left) < 2:
        raise ValueError(
            f"`exclude` must leave two speakers. Received: {len(exclude)} names, which "
            f"leave {len(left)} of {len(corpus.speakers)} speakers of {corpus.name!r}"
        )
    return corpus.subset(left)


def _without(corpus, exclude):
    names = {n for name in corpus.speakers for n in (name, bare(name))}
    unknown = [name for name in exclude if name not in names]
    if unknown:
        raise ValueError(
            f"Speakers to exclude must speak in corpus {corpus.name!r}. "
            f"Received: {some(unknown)}"
        )
    left = [n for n in corpus.speakers if not {n, bare(n)} & set(exclude)]
    return corpus.subset(left)


def _keep_back(corpus, share, seed):
    """Parts off two or more utterances of every speaker who has four or more."""
    groups = corpus.by_speaker()
    rich = [name for name, group in groups.items() if len(group) >= 4]
    if len(rich) < 2 or not share:
        return corpus, None
    fewest = min(len(groups[name]) for name in rich)
    _, closed = splits.split_by_utterance(
        corpus.subset(rich), max(share, 2 / fewest), seed=seed
    )
    held = set(closed.utterances)
    train = tuple(u for u in corpus if u not in held)
    return dataclasses.replace(corpus, utterances=train), closed


def bare(speaker):
    """A speaker's name without the corpus that joining puts before it."""
    return speaker.rpartition("/")[2]


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
    """Caches of the training and validation parts, as the phases use them.

    Args:
        parts: `Parts`.
        encoder: The `SpeakerEncoder` that is to be trained.
        cache: Folder in which caches lie side by side.
        crop_frames: Frames of a training crop and of a validation window.
        augment: Maps `(waveforms [rows, samples], seed)` to waveforms inside the graph;
            waveforms are then cached instead of features. Defaults to none.
        seed: Seed of everything drawn.

    Attributes:
        parts: `Parts` again, without what the caches had to leave out.

    Raises:
        ValueError: If too little can be read to learn from it, or to choose by it.
    """

    def __init__(self, parts, encoder, *, cache, crop_frames, augment=None, seed=0):
        self.train = cached(parts.train, cache, encoder, waveforms=bool(augment))
        self.validation = parts.validation and cached(parts.validation, cache, encoder)
        self.parts = _readable(parts, self.train, self.validation)
        self.window, self.seed = crop_frames, seed
        self.crop, self.prepare = crop_frames, None
        if augment:
            self.crop = crop_samples(encoder.filterbank, crop_frames)
            self.prepare = _augmented(encoder, augment)
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

        `None` if there is no such part.
        """
        if self.validation is None:
            return None
        import tensorflow as tf

        embed = tf.function(lambda x: encoder(x, training=False), reduce_retracing=True)
        speaker = np.asarray(self.validation.speakers)[self.validation.speaker]
        trials = verification.all_pairs(speaker)

        def validate():
            embeddings = embed_records(embed, self.validation, window=self.window)
            scores = verification.cosine_scores(embeddings, trials)
            return {"eer": verification.eer(trials.label, scores)}

        return validate


def _readable(parts, train, validation):
    """The parts without the utterances that their caches had to leave out."""

    def kept(corpus, cache):
        rows = tuple(corpus.utterances[row] for row in cache.row.tolist())
        return dataclasses.replace(corpus, utterances=rows)

    changes = {"train": kept(parts.train, train)}
    if validation is not None:
        held = kept(parts.validation, validation)
        counts = [len(group) for group in held.by_speaker().values()]
        if len(counts) < 2 or max(counts) < 2:
            raise ValueError(
                "The utterances that choose the best weights must be of two speakers, "
                f"one of whom speaks twice. Received: {len(held)} of "
                f"{len(parts.validation)} that can be read, of {len(counts)} speakers; "
                "leave out speakers who can not be read (--exclude-speakers)"
            )
        changes["validation"] = held
        if parts.closed is parts.validation:
            changes["closed"] = held
    return dataclasses.replace(parts, **changes)


def embed_records(embed, cache, *, window, at_once=64):
    """Embeds cached features: the mean of up to three windows of each record.

    Args:
        embed: Maps features `[batch, window, bands]` to a tensor `[batch, dim]`.
        cache: `corpora.records.Records` of features.
        window: Frames of a window.
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
        crops = batches.read_crops(cache, owner[rows], start[rows], window)
        points.append(embed(crops).numpy())
    points = np.concatenate(points)
    total = np.zeros((len(cache), points.shape[-1]), np.float32)
    np.add.at(total, owner, points)
    return unit(total)


def _augmented(encoder, augment):
    import tensorflow as tf

    def prepare(crops, seed):
        rows = tf.reshape(crops, [-1, crops.shape[-1]])
        energies = encoder.features(augment(rows, seed=seed))
        return tf.reshape(energies, [*crops.shape[:-1], *energies.shape[1:]])

    return prepare
