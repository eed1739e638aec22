"""Batches of crops: which speaker, which utterance, from which frame on.

What a batch holds is a pure function of seed and step, so a run that was stopped goes
on with the very data it would have seen. Only the crops themselves are read from the
cache, by offset: memory does not grow with the corpus and nothing is shuffled.
"""

import functools

import numpy as np


class Draw:
    """Draws the rows of a batch from the speakers and lengths of a cache.

    Args:
        speaker: Speaker of each record, int `[records]`.
        length: Length of each record, int `[records]`.
        crop: Length of a crop, in the unit of `length`.
        seed: Seed of everything drawn.

    Raises:
        ValueError: If fewer than two speakers have two records each.
    """

    def __init__(self, speaker, length, *, crop, seed=0):
        self.speaker = np.asarray(speaker)
        self.length = np.asarray(length)
        self.crop = crop
        self.seed = seed
        order = np.argsort(self.speaker, kind="stable")
        names, first = np.unique(self.speaker[order], return_index=True)
        rows = dict(zip(names.tolist(), np.split(order, first[1:]), strict=True))
        self.rows = {name: few for name, few in rows.items() if len(few) > 1}
        self.names = np.array(sorted(self.rows))
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)
        if len(self.names) < 2:
            raise ValueError(
                "Training needs at least two speakers with two utterances each. "
                f"Received: {len(rows)} speakers, of whom {len(self.names)} have two"
            )

    def classes(self, step, *, batch):
        """Rows of a classification batch: every record once in an epoch.

        Returns:
            `(record, start)`, int `[batch]` each.
        """
        place = np.arange(step * batch, (step + 1) * batch)
        epoch, at = np.divmod(place, len(self.speaker))
        record = np.array(
            [self._order(e)[i] for e, i in zip(epoch.tolist(), at, strict=True)]
        )
        return record, self._starts(record, self._rng(2, step))

    def triplets(self, step, *, batch):
        """Rows of random triplets: anchor, positive, negative.

        Returns:
            `(record, start)`, int `[batch, 3]` each.
        """
        rng = self._rng(3, step)
        record = np.empty((batch, 3), int)
        for triplet in record:
            one, other = rng.choice(self.names, 2, replace=False).tolist()
            triplet[:2] = rng.choice(self.rows[one], 2, replace=False)
            triplet[2] = rng.choice(self.rows[other])
        return record, self._starts(record, rng)

    def groups(self, step, *, speakers, utterances):
        """Rows of a batch of speakers with several utterances each.

        A corpus with fewer speakers gives all it has; a speaker with fewer utterances
        gives some twice, with another crop.

        Returns:
            `(record, start)`, int `[min(speakers, all), utterances]` each.
        """
        rng = self._rng(4, step)
        chosen = rng.choice(
            self.names, min(speakers, len(self.names)), replace=False
        ).tolist()
        record = np.stack([self._few(self.rows[s], utterances, rng) for s in chosen])
        return record, self._starts(record, rng)

    @staticmethod
    def _few(rows, count, rng):
        rounds = -(-count // len(rows))
        return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]

    def _shuffle(self, epoch):
        return self._rng(1, epoch).permutation(len(self.speaker))

    def _starts(self, record, rng):
        room = np.maximum(self.length[record] - self.crop, 0)
        return rng.integers(0, room + 1)

    def _rng(self, purpose, step):
        return np.random.default_rng([self.seed, purpose, step])


def dataset(draw, records, *, crop, step, steps, prepare=None, seed=0):
    """Batches `step, ..., steps - 1` as a `tf.data.Dataset` of `(crops, speakers)`.

    Args:
        draw: Maps a step to `(record, start)`, as the methods of `Draw` do.
        records: A `corpora.records.Records` whose crops are read.
        crop: Length of a crop, in frames (or samples, if waveforms are cached).
        step: First step.
        steps: Step before which the data ends.
        prepare: Maps `(crops, seed)` to features inside the graph, for instance to
            augment waveforms and compute their energies; `seed` is int32 `[2]`.
            Defaults to leaving the crops as they are.
        seed: First half of the seed given to `prepare`; the step is the other half.

    Returns:
        A `tf.data.Dataset`, prefetched.
    """
    import tensorflow as tf

    shape = draw(step)[0].shape

    def load(step):
        record, start = draw(int(step))
        speaker = records.speaker[record].astype(np.int32)
        return records.crops(record, start, crop), speaker

    def batch(step):
        crops, speaker = tf.numpy_function(
            load, [step], (tf.float32, tf.int32), stateful=False
        )
        crops.set_shape((*shape, crop, *records.shape))
        speaker.set_shape(shape)
        if prepare is not None:
            crops = prepare(crops, tf.stack([seed, tf.cast(step, tf.int32)]))
        return crops, speaker

    steps = tf.data.Dataset.range(step, steps)
    return steps.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)
