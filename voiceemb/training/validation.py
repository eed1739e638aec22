"""The judge of training: how well voices of the validation part are told apart.

It is quick and not what a user will see: at most three windows of each utterance count,
and a short one is repeated.
"""

import numpy as np

from timbre.corpora.corpus import corpus_of
from timbre.metrics.rates import eer
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import all_pairs
from voiceemb.encoder import unit


def judge(encoder, cache, *, window):
    """A function that says the EER of cached voices, `{"eer": ...}`.

    Of several corpora it is the mean of the EER in each, which are named too: a trial
    across two would only tell their microphones apart. (Only if none has two speakers,
    one of them twice, do trials cross.)

    Args:
        encoder: A `SpeakerEncoder`; its weights are those of the moment of a call.
        cache: `timbre.corpora.cache.records.Records`, of waveforms or energies.
        window: Length of a window, in the unit of the cache.
    """
    import tensorflow as tf

    sounds = cache.shape == ()
    spec = tf.TensorSpec([None, window, *cache.shape], tf.float32)

    @tf.function(input_signature=[spec])
    def embed(crops):
        features = encoder.features(crops) if sounds else crops
        return encoder(features, training=False)

    speaker = np.asarray(cache.speakers)[cache.speaker]
    domain = np.array([corpus_of(name) for name in speaker])
    rows = {name: np.flatnonzero(domain == name) for name in np.unique(domain)}
    rows = {name: few for name, few in rows.items() if _can_be_tried(speaker[few])}
    rows = rows or {"": np.arange(len(speaker))}
    trials = {name: all_pairs(speaker[few]) for name, few in rows.items()}

    def validate():
        embeddings = embed_records(embed, cache, window=window)
        found = {}
        for name, pairs in trials.items():
            scores = cosine_scores(embeddings[rows[name]], pairs)
            found[name] = eer(pairs.label, scores)
        each = {f"eer_{name}": value for name, value in found.items()}
        return {"eer": float(np.mean([*found.values()]))} | (
            each if len(each) > 1 else {}
        )

    return validate


def _can_be_tried(speaker):
    _, counts = np.unique(speaker, return_counts=True)
    return len(counts) > 1 and counts.max() > 1


def embed_records(embed, cache, *, window, at_once=64):
    """Embeds what is cached: the mean of up to three windows of each record.

    Args:
        embed: Maps crops `[batch, window, ...]` to a tensor `[batch, dim]`.
        cache: `timbre.corpora.cache.records.Records`.
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
