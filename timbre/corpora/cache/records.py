"""Records: a corpus decoded once into a cache, and read at random.

`cache` decodes every utterance in one pass and writes it, as it is or transformed
into features, to flat shards. `Records` reads them back:

    records = cache(corpus, folder)
    records.crop(i, start, length) == records.read(i)[start : start + length]

One cache serves every split: `records.select(corpus.rows(train))` are records of the
utterances `train` alone.

A folder holds `records-*.bin` (see `timbre.corpora.cache.shards`), `index.npz` (where
each record begins), `about.json` (what was done, for people) and `skipped.csv` (what
could not be read, and why). `index.npz` is written last: a folder without it is not a
cache. Memory is bounded by a few utterances.
"""

import copy
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from timbre.corpora.cache import build as building
from timbre.corpora.cache import index
from timbre.corpora.cache.shards import ShardReader
from timbre.corpora.corpus import Corpus
from timbre.files import lock_folder


class Records:
    """A corpus that `cache` wrote to a folder; safe to share between threads.

    What is read is float32: a waveform `[samples]` in [-1, 1] (stored in 16 bits), or
    features `[frames, ...]`. Records are in the order of the corpus.

    Attributes:
        speakers: Names of the speakers, sorted.
        speaker: Who speaks in each record, an index into `speakers`, int32 `[num]`.
        length: Samples or frames of each record, int32 `[num]`.
        row: Which utterance of the corpus (or part) each record is, int32 `[num]`;
            rows that are missing were skipped.
        paths: Name of each record, as `Corpus.keys` gives it, tuple of str.
        shape: What follows the time axis: `()` for waveforms, else as `(bands,)`.
        about: How the records of the whole cache were made, as in `about.json`.
        num_skipped: Number of utterances that could not be cached.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.about, self.paths, self._records = index.load(self.folder)
        missing = index.missing_shards(self.folder, self.about)
        if missing:
            raise ValueError(
                "A cache must hold every shard of its index, unchanged. "
                f"Received: {self.folder}, where {missing[0]} is missing or changed"
            )
        self.speakers = tuple(self.about["speakers"])
        self.shape = tuple(self.about["shape"])
        self.num_skipped = self.about["num_skipped"]
        self._stored = index.STORED[self.about["kind"]]
        self._step = int(np.prod(self.shape, dtype=int)) * self._stored.itemsize
        shards = [self.folder / name for name in self.about["shards"]]
        self._reader = ShardReader(shards)
        self._set_columns()

    def _set_columns(self):
        self.row = self._records["row"].copy()
        self.length = self._records["length"].copy()
        self.speaker = self._records["speaker"].copy()

    @property
    def num(self) -> int:
        """Number of records."""
        return len(self.row)

    def __len__(self) -> int:
        return self.num

    def read(self, i: int) -> np.ndarray:
        """Read record `i`, float32 `[length[i], ...]`, and check its CRC-32."""
        data = self._bytes(i, 0, None)
        if zlib.crc32(data) != self._records["crc32"][i]:
            raise ValueError(
                "A record must be as it was written; delete the cache to make it anew. "
                f"Received: {self.paths[i]} in {self.folder}, whose bytes changed"
            )
        return self._floats(data)

    def crop(self, i: int, start: int, length: int) -> np.ndarray:
        """Read `length` samples or frames of record `i` from `start` on."""
        return self._floats(self._bytes(i, start, length))

    def crops(self, i: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
        """Read crops of one length; a shorter record is repeated from `start` on.

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
            size = min(length, int(self.length[record]))
            crop[:size] = self.crop(record, first, size)
            if size < length:
                crop[size:] = crop[np.arange(size, length) % size]
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

    def select(self, rows: Sequence[int]) -> "Records":
        """Records of some of the utterances, and of those who speak in them.

        Args:
            rows: Rows of the corpus, each once, in the order wanted: `row` of the
                result counts in it. `Corpus.rows` finds those of a split.

        Raises:
            ValueError: If `rows` are not rows of the corpus, or all were skipped.
        """
        wanted, total = np.asarray(rows), self.num + self.num_skipped
        whole = wanted.ndim == 1 and wanted.dtype.kind in "iu"
        if not whole or len(set(wanted.tolist()) & set(range(total))) < len(wanted):
            raise ValueError(
                f"`rows` must be whole numbers in [0, {total}), each once. "
                f"Received: {wanted.tolist()[:8]}... of type {wanted.dtype}"
            )
        record = np.full(total, -1)
        record[self.row] = np.arange(self.num)
        kept = np.flatnonzero(record[wanted] >= 0)
        if not len(kept):
            raise ValueError(
                "A selection must have an utterance that could be cached. "
                f"Received: {len(wanted)} rows of {self.folder}, all of them skipped"
            )
        chosen = record[wanted[kept]]
        part = copy.copy(self)
        part.num_skipped = len(wanted) - len(kept)
        part.paths = tuple(self.paths[i] for i in chosen)
        part._records = self._records[chosen]
        part._records["row"] = kept
        speakers = np.unique(self.speaker[chosen], return_inverse=True)
        present, part._records["speaker"] = speakers
        part.speakers = tuple(self.speakers[i] for i in present)
        part._set_columns()
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
        record = self._records[i]
        offset = int(record["offset"]) + int(start) * self._step
        return self._reader.read(int(record["shard"]), offset, int(length) * self._step)

    def _floats(self, data: bytes) -> np.ndarray:
        array = np.frombuffer(data, self._stored).astype(np.float32)
        if self._stored.kind == "i":
            array /= building.FULL_SCALE
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
    `about`, `sample_rate` and `min_length` are those it was made of, and is replaced
    otherwise, as is one of an earlier format. Of several processes that cache in one
    folder, one works and the others wait for it.

    Args:
        corpus: The corpus.
        folder: Where: a new folder, an empty one, or one that `cache` made.
        transform: Maps a waveform, float32 `[samples]`, to features `[frames, ...]`;
            called from one thread. Defaults to `None`: the waveform is kept, in 16
            bits, clipped at full scale (`num_clipped` in `about.json` counts where).
        about: What `transform` does, needed with it: another `about`, another cache.
        sample_rate: Hz. Defaults to `16000`.
        min_length: Fewest samples, or frames, of an utterance. Defaults to `1`.
        shard_bytes: Size of a shard. Defaults to 128 MiB.
        threads: Threads that decode. Defaults to the number of processors, at most 8.

    Returns:
        The records. Utterances that can not be read are skipped: counted in a line
        on stderr and listed in `skipped.csv`.

    Raises:
        ValueError: If nothing could be read, or the folder holds anything else.
    """
    if transform is not None and not about:
        raise ValueError(
            "`about` must say what `transform` does, so that another transform makes "
            f"another cache. Received: about={about}"
        )
    folder = Path(folder)
    building.prepare(folder)
    kind = "waveform" if transform is None else "features"
    recipe = {"kind": kind, "sample_rate": sample_rate, "min_length": min_length}
    recipe |= {"format": index.FORMAT, "about": about or {}}
    with lock_folder(folder):
        key = index.fingerprint(corpus, recipe)
        if not building.is_complete(folder, key):
            building.clear(folder)
            building.build(
                corpus,
                folder,
                key,
                recipe,
                transform=transform or building.quantise,
                shard_bytes=shard_bytes,
                threads=threads or min(os.cpu_count() or 1, 8),
            )
        records = Records(folder)
    if records.num_skipped:
        print(
            f"{corpus.name}: {records.num_skipped} of {len(corpus)} utterances can not "
            f"be used and are left out; see {folder / index.SKIPPED}",
            file=sys.stderr,
        )
    return records
