"""Records: a corpus decoded once, streamed or read at random ever after.

`cache` decodes every utterance in one pass and writes it, as it is or transformed
into features, to TFRecord shards. `Records` reads them back:

    records = cache(corpus, folder)
    records.crop(i, start, length) == records.read(i)[start : start + length]

One cache serves every division of its corpus: `records.part(corpus.rows(train))` are
records of the utterances `train` alone.

A folder holds `records-*.tfrecord`, `index.npz` (where each record begins),
`about.json` (what was done, for people) and `skipped.csv` (what could not be read, and
why). `index.npz` is written last: a folder without it is not a cache, however the
caching ended. Memory is bounded by a few utterances, never by the corpus.
"""

import copy
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from timbre.corpora.cache import build as caching
from timbre.corpora.cache import index
from timbre.corpora.cache.shards import ShardReader, ShardWriter
from timbre.corpora.corpus import Corpus


class Records:
    """A cached corpus, opened for reading; safe to share between threads.

    What is read is float32: a waveform `[samples]` in [-1, 1] (stored in 16 bits), or
    features `[frames, ...]`. Records are in the order of the corpus.

    Args:
        folder: What `cache` wrote.

    Attributes:
        num: Number of records.
        speakers: Names of the speakers, sorted.
        speaker: Who speaks in each record, an index into `speakers`, int32 `[num]`.
        length: Samples or frames of each record, int32 `[num]`.
        row: Which utterance of the corpus (or part) each record is, int32 `[num]`;
            rows that are missing were skipped.
        paths: Name of each record, as `Corpus.keys` gives it, tuple of str.
        shape: What follows the time axis: `()` for waveforms, else as `(bands,)`.
        about: How the records were made, as in `about.json`; of the whole cache, also
            in a part.
        num_skipped: Number of utterances that could not be cached.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        rows = index.load(self.folder)
        self.about = rows["about"]
        missing = index.missing_shards(self.folder, self.about)
        if missing:
            raise ValueError(
                "A cache must hold every shard of its index, unchanged. "
                f"Received: {self.folder}, where {missing[0]} is missing or changed"
            )
        self.speaker, self.length, self.row = (
            rows[name] for name in ("speaker", "length", "row")
        )
        self.paths = rows["paths"]
        self.num = len(self.speaker)
        self.speakers = tuple(self.about["speakers"])
        self.shape = tuple(self.about["shape"])
        self.num_skipped = self.about["num_skipped"]
        self._shard, self._offset = rows["shard"], rows["offset"]
        self._stored = index.STORED[self.about["kind"]]
        self._step = int(np.prod(self.shape, dtype=int)) * self._stored.itemsize
        shards = [self.folder / name for name in self.about["shards"]]
        self._reader = ShardReader(shards)

    def __len__(self) -> int:
        return self.num

    def read(self, i: int) -> np.ndarray:
        """Record `i`, whole, float32 `[length[i], ...]`."""
        return self._floats(self._bytes(i, 0, None))

    def crop(self, i: int, start: int, length: int) -> np.ndarray:
        """`length` samples or frames of record `i` from `start` on, and no others.

        Only the bytes asked for are read.
        """
        return self._floats(self._bytes(i, start, length))

    def crops(self, i: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
        """Crops of one length; a record that is shorter is repeated from `start` on.

        Args:
            i: Which records, int, of any shape.
            start: Where each crop starts, of the same shape; 0 in a short record.
            length: Samples or frames of a crop.

        Returns:
            Float32 `[*i.shape, length, ...]`.
        """
        crops = np.empty((i.size, length, *self.shape), np.float32)
        pairs = zip(i.ravel().tolist(), start.ravel().tolist(), strict=True)
        for crop, (record, first) in zip(crops, pairs, strict=True):
            few = min(length, int(self.length[record]))
            crop[:few] = self.crop(record, first, few)
            if few < length:
                crop[few:] = crop[np.arange(few, length) % few]
        return crops.reshape(*i.shape, *crops.shape[1:])

    def dataset(self):
        """All records in order, as a `tf.data.Dataset` of `(array, speaker)`."""
        import tensorflow as tf

        def records():
            for i, speaker in enumerate(self.speaker):
                yield self.read(i), speaker

        array = tf.TensorSpec((None, *self.shape), tf.float32)
        signature = (array, tf.TensorSpec((), tf.int32))
        return tf.data.Dataset.from_generator(records, output_signature=signature)

    def part(self, rows: Sequence[int]) -> "Records":
        """Some of the utterances, as if they alone had been cached.

        Nothing is copied: a part reads the same shards.

        Args:
            rows: Rows of the corpus, each once, in the order wanted: `row` of the part
                counts in it. `Corpus.rows` finds those of a division.

        Returns:
            The records, of the speakers who are left.

        Raises:
            ValueError: If `rows` are not rows of the corpus, or all were skipped.
        """
        rows, total = np.asarray(rows), self.num + self.num_skipped
        whole = rows.ndim == 1 and rows.dtype.kind in "iu"
        if not whole or len(set(rows.tolist()) & set(range(total))) < len(rows):
            raise ValueError(
                f"`rows` must be whole numbers in [0, {total}), each once. "
                f"Received: {rows.tolist()[:8]}... of type {rows.dtype}"
            )
        record = np.full(total, -1)
        record[self.row] = np.arange(self.num)
        kept = np.flatnonzero(record[rows] >= 0)
        if not len(kept):
            raise ValueError(
                "A part must have an utterance that could be cached. "
                f"Received: {len(rows)} rows of {self.folder}, all of them skipped"
            )
        return self._of(record[rows[kept]], row=kept, num_skipped=len(rows) - len(kept))

    def _of(self, chosen: np.ndarray, *, row: np.ndarray, num_skipped: int):
        """These records, as a part in which they are the utterances `row`."""
        part = copy.copy(self)
        part.num, part.num_skipped = len(chosen), num_skipped
        part.row = row.astype(np.int32)
        present, speaker = np.unique(self.speaker[chosen], return_inverse=True)
        part.speaker = speaker.astype(np.int32)
        part.speakers = tuple(self.speakers[i] for i in present)
        part.paths = tuple(self.paths[i] for i in chosen)
        for name in ("length", "_shard", "_offset"):
            setattr(part, name, getattr(self, name)[chosen])
        return part

    def _bytes(self, i: int, start: int, length: int | None) -> bytes:
        if not 0 <= i < self.num:
            raise IndexError(f"`i` must be in [0, {self.num}). Received: i={i}")
        total = int(self.length[i])
        length = total if length is None else length
        if not 0 <= start <= start + length <= total:
            raise ValueError(
                f"A crop must lie in the record, [0, {total}). "
                f"Received: i={i}, start={start}, length={length}"
            )
        offset = int(self._offset[i]) + int(start) * self._step
        return self._reader.read(int(self._shard[i]), offset, int(length) * self._step)

    def _floats(self, data: bytes) -> np.ndarray:
        array = np.frombuffer(data, self._stored).astype(np.float32)
        if self._stored.kind == "i":
            array /= caching.FULL_SCALE
        return array.reshape(-1, *self.shape)


def cache(
    corpus: Corpus,
    folder: str | os.PathLike,
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    about: dict | None = None,
    sample_rate: int = 16000,
    min_length: int = 1,
    shard_bytes: int = 128 << 20,
    threads: int | None = None,
) -> Records:
    """Cache a corpus, or open the cache that is there if nothing has changed.

    A cache is reused when the rows of the corpus, the size and date of its files,
    `about`, `sample_rate` and `min_length` are those it was made of, and is made anew
    otherwise: what is there is removed first. Of several processes that cache in one
    folder, one works and the others wait for it.

    Args:
        corpus: What to cache.
        folder: Where: a new folder, an empty one, or one that `cache` made.
        transform: Maps a waveform, float32 `[samples]`, to features `[frames, ...]`;
            called from one thread. Defaults to `None`: the waveform is kept, in 16
            bits, clipped at full scale (`num_clipped` in `about.json` counts where).
        about: What `transform` does, for `about.json`: another `about` is another
            cache. Needed with `transform`.
        sample_rate: Hz. Defaults to `16000`.
        min_length: Utterances of fewer samples, or frames, are skipped. Defaults to
            `1`.
        shard_bytes: Size of a shard. Defaults to 128 MiB.
        threads: Threads that decode. Defaults to the number of processors, at most 8.

    Returns:
        The records. Utterances that can not be read are skipped: counted in a line
        on stderr and listed in `skipped.csv`.

    Raises:
        ValueError: If nothing could be read, if `index.npz` is not one of ours, or if
            the folder holds anything else.
    """
    if transform is not None and not about:
        raise ValueError(
            "`about` must say what `transform` does, so that another transform makes "
            f"another cache. Received: about={about}"
        )
    folder = Path(folder)
    caching.prepare(folder)
    kind = "waveform" if transform is None else "features"
    recipe = {"kind": kind, "sample_rate": sample_rate, "min_length": min_length}
    recipe |= {"format": index.FORMAT, "about": about or {}}
    with caching.alone_in(folder):
        key = index.fingerprint(corpus, recipe)
        if not caching.holds(folder, key):
            caching.clear(folder)
            writer = ShardWriter(folder, f"records-{key[:8]}", shard_bytes)
            build = caching.Build(corpus, transform or caching.quantise, recipe, writer)
            build.run(threads or min(os.cpu_count() or 1, 8))
            build.save(key)
        records = Records(folder)
    if records.num_skipped:
        print(
            f"{corpus.name}: {records.num_skipped} of {len(corpus)} utterances can not "
            f"be used and are left out; see {folder / index.SKIPPED}",
            file=sys.stderr,
        )
    return records
