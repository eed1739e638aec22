"""Batch sampling: speakers, utterances, and the start and length of their crops.

A batch is a pure function of seed and step, so a run that was stopped goes on with the
same data. Only its crops are read from the cache, by offset: memory does not grow with
the corpus.
"""

import functools

import numpy as np

from timbre.training.networks import check_choice

BALANCES = ("utterances", "speakers", "corpora")


class BatchSampler:
    """Samples the rows of a batch from the speakers and lengths of a cache.

    Args:
        speaker: Speaker of each record, int `[records]`.
        length: Length of each record, int `[records]`.
        crop: Length of a crop, in the unit of `length`.
        corpus: Corpus of each record, `[records]`. Defaults to one for all.
        balance: What is sampled uniformly: `"utterances"`, each once in an epoch;
            `"speakers"`, however many utterances each has; or `"corpora"`, however
            many speakers each has. Defaults to `"utterances"`.
        seed: Seed of everything sampled. Defaults to `0`.

    Raises:
        ValueError: If fewer than two speakers have two records each.
    """

    def __init__(
        self, speaker, length, *, crop, corpus=None, balance="utterances", seed=0
    ):
        check_choice("balance", balance, BALANCES)
        self.speaker = np.asarray(speaker)
        self.length = np.asarray(length)
        self.crop = crop
        self.balance = balance
        self.seed = seed
        order = np.argsort(self.speaker, kind="stable")
        names, first = np.unique(self.speaker[order], return_index=True)
        rows = dict(zip(names.tolist(), np.split(order, first[1:]), strict=True))
        self.rows = {name: own for name, own in rows.items() if len(own) > 1}
        self.speakers = np.array(sorted(self.rows))
        self.by_corpus = self._group_by_corpus(corpus)
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)
        if len(self.speakers) < 2:
            raise ValueError(
                "Training needs at least two speakers with two utterances each. "
                f"Received: {len(rows)} speakers, of whom {len(self.speakers)} have two"
            )

    def _group_by_corpus(self, corpus):
        """The speakers, in one list for each corpus if corpora are balanced."""
        if corpus is None or self.balance != "corpora":
            return [self.speakers]
        of = {int(s): c for s, c in zip(self.speaker, corpus, strict=True)}
        found = {}
        for name in self.speakers.tolist():
            found.setdefault(of[name], []).append(name)
        return [np.array(found[key]) for key in sorted(found)]

    def classes(self, step, *, batch, crop=None):
        """Rows of a classification batch, `(record, start)`, int `[batch]` each."""
        rng = self._rng(2, step)
        if self.balance == "utterances":
            place = np.arange(step * batch, (step + 1) * batch)
            epoch, at = np.divmod(place, len(self.speaker))
            pairs = zip(epoch.tolist(), at, strict=True)
            record = np.array([self._order(e)[i] for e, i in pairs])
        else:
            by_corpus = rng.integers(len(self.by_corpus), size=batch).tolist()
            speakers = [rng.choice(self.by_corpus[i]) for i in by_corpus]
            record = np.array([rng.choice(self.rows[int(s)]) for s in speakers])
        return record, self._starts(record, rng, crop)

    def triplets(self, step, *, batch, crop=None):
        """Rows of anchor, positive, negative, `(record, start)`, `[batch, 3]` each."""
        rng = self._rng(3, step)
        record = np.empty((batch, 3), int)
        for triplet in record:
            one, other = rng.choice(self.speakers, 2, replace=False).tolist()
            triplet[:2] = rng.choice(self.rows[one], 2, replace=False)
            triplet[2] = rng.choice(self.rows[other])
        return record, self._starts(record, rng, crop)

    def groups(self, step, *, speakers, utterances, crop=None):
        """Rows of a batch of speakers with several utterances each.

        A corpus with fewer speakers gives all of them; a speaker with fewer utterances
        gives some twice, with another crop. Balanced corpora give equal numbers of
        speakers, up to one, while they have them.

        Returns:
            `(record, start)`, int `[min(speakers, all), utterances]` each.
        """
        rng = self._rng(4, step)
        chosen = self._speakers(min(speakers, len(self.speakers)), rng)
        record = np.stack(
            [self._utterances(self.rows[s], utterances, rng) for s in chosen]
        )
        return record, self._starts(record, rng, crop)

    def _speakers(self, count, rng):
        if len(self.by_corpus) == 1:
            return rng.choice(self.speakers, count, replace=False).tolist()
        # Each corpus in a random order; ranks then take one of each in turn.
        shuffled = [rng.permutation(own) for own in self.by_corpus]
        rank = np.concatenate([np.arange(len(own)) for own in shuffled])
        tie = rng.random(len(rank))
        order = np.lexsort((tie, rank))[:count]
        return np.concatenate(shuffled)[order].tolist()

    @staticmethod
    def _utterances(rows, count, rng):
        rounds = -(-count // len(rows))
        return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]

    def _shuffle(self, epoch):
        return self._rng(1, epoch).permutation(len(self.speaker))

    def _starts(self, record, rng, crop):
        room = np.maximum(self.length[record] - (crop or self.crop), 0)
        return rng.integers(0, room + 1)

    def _rng(self, purpose, step):
        return np.random.default_rng([self.seed, purpose, step])


def dataset(sample, records, *, crop, step, steps, transform=None, seed=0):
    """Batches `step, ..., steps - 1` as a `tf.data.Dataset` of `(crops, speakers)`.

    Args:
        sample: Maps a step, and the length of its crops as `crop`, to
            `(record, start)`, as the methods of `BatchSampler` do.
        records: A `timbre.corpora.cache.records.Records` whose crops are read.
        crop: Length of a crop, in the unit of the cache; or several lengths, of which
            each step samples one for its whole batch.
        step: First step.
        steps: Step before which the data ends.
        transform: Maps `(crops, seed)` to features inside the graph; the seed is int32
            `[2]`, `seed` and the step. Defaults to the identity.
        seed: Of the lengths and of `transform`. Defaults to `0`.
    """
    import tensorflow as tf

    lengths = np.atleast_1d(crop).tolist()
    shape = sample(step, crop=lengths[0])[0].shape

    def load(step):
        length = lengths[np.random.default_rng([seed, 5, step]).integers(len(lengths))]
        record, start = sample(int(step), crop=length)
        speaker = records.speaker[record].astype(np.int32)
        return records.crops(record, start, length), speaker

    def batch(step):
        crops, speaker = tf.numpy_function(
            load, [step], (tf.float32, tf.int32), stateful=False
        )
        frames = lengths[0] if len(lengths) == 1 else None
        crops.set_shape((*shape, frames, *records.shape))
        speaker.set_shape(shape)
        if transform is not None:
            crops = transform(crops, tf.stack([seed, tf.cast(step, tf.int32)]))
        return crops, speaker

    steps = tf.data.Dataset.range(step, steps)
    return steps.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)
