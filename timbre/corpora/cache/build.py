"""Caching: one pass over a corpus, from sound files to shards.

Threads decode a few utterances ahead; one thread transforms and writes them in the
order of the corpus, so the same corpus makes the same bytes. Whatever stops the pass
leaves no index, and so no cache.
"""

import contextlib
import csv
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.corpora.cache import index
from timbre.corpora.cache.shards import ShardWriter
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import PARTIAL, atomic_write
from timbre.progress import ProgressBar

LOCK = ".records.lock"
FULL_SCALE = 32768  # of 16-bit sound: stored = round(waveform * FULL_SCALE)


def quantise(waveform: np.ndarray) -> np.ndarray:
    """A waveform in 16 bits; what read a 16-bit file comes back to the bit."""
    whole = np.rint(waveform * np.float32(FULL_SCALE))
    return np.clip(whole, -FULL_SCALE, FULL_SCALE - 1).astype(index.STORED["waveform"])


class Build:
    """The pass: `run` writes the shards, `save` the index.

    Args:
        corpus: What to cache.
        transform: Maps a waveform to what is kept of it.
        recipe: `kind`, `sample_rate`, `min_length` and what else makes the cache.
        writer: Takes the records.
    """

    def __init__(
        self,
        corpus: Corpus,
        transform: Callable[[np.ndarray], np.ndarray],
        recipe: dict,
        writer: ShardWriter,
    ):
        self.corpus = corpus
        self.transform = transform
        self.recipe = recipe
        self.writer = writer
        self.keys = corpus.keys()
        self.rows = array("q")  # row, shard, offset and length of each record
        self.skipped = []
        self.shape, self.num_samples, self.num_clipped = None, 0, 0

    def run(self, threads: int) -> None:
        """Decode ahead in threads; transform and write in order."""
        title = f"caching {self.corpus.name}"
        try:
            with (
                ProgressBar(title, len(self.corpus), unit=" utterances") as bar,
                contextlib.closing(self._decoded(threads)) as waveforms,
            ):
                for row, waveform in enumerate(waveforms):
                    reason = self._add(row, waveform)
                    if reason:
                        self.skipped.append((row, reason))
                    bar.update()
            self.writer.close()
            if not self.rows:
                raise ValueError(
                    "A corpus must have an utterance that can be read. Received: "
                    f"{self.corpus.name!r}, where all {len(self.corpus)} are skipped, "
                    f"the first because: {self.skipped[0][1] if self.skipped else ''}"
                )
        except BaseException:
            self.writer.discard()
            raise

    def save(self, key: str) -> None:
        """Write what was skipped, what was done, and last the index."""
        folder, corpus = self.writer.folder, self.corpus
        with (
            atomic_write(folder / index.SKIPPED) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            rows = csv.writer(file)
            rows.writerow(["row", "utterance", "speaker", "reason"])
            for row, reason in self.skipped:
                speaker = corpus.utterances[row].speaker
                rows.writerow([row, self.keys[row], speaker, reason])
        row, shard, offset, length = np.array(self.rows, np.int64).reshape(-1, 4).T
        said_by = [corpus.utterances[i].speaker for i in row]
        speakers, speaker = np.unique(said_by, return_inverse=True)
        about = self.recipe | {
            "key": key,
            "corpus": corpus.name,
            "speakers": speakers.tolist(),
            "shape": list(self.shape),
            "num_records": len(row),
            "num_skipped": len(self.skipped),
            "num_clipped": self.num_clipped,
            "hours": self.num_samples / self.recipe["sample_rate"] / 3600,
            "shards": self.writer.names,
            "shard_bytes": self.writer.sizes,
            "sha256": self.writer.sha.hexdigest(),
        }
        index.save(
            folder,
            about,
            paths=[self.keys[i] for i in row],
            row=row.astype(np.int32),
            shard=shard.astype(np.int32),
            offset=offset,
            length=length.astype(np.int32),
            speaker=speaker.astype(np.int32),
        )

    def _add(self, row: int, waveform: np.ndarray | str) -> str | None:
        """Write one utterance; returns the reason where it has to be skipped."""
        if isinstance(waveform, str):
            return waveform
        kept = np.asarray(self.transform(waveform))
        if not np.isfinite(kept).all():
            return "its features are not finite"
        if len(kept) < self.recipe["min_length"]:
            return f"too short: {len(kept)} of {self.recipe['min_length']}"
        shape = kept.shape[1:]
        self.shape = shape if self.shape is None else self.shape
        if shape != self.shape:
            raise ValueError(
                f"`transform` must return [frames, *{self.shape}] for every utterance. "
                f"Received: shape {kept.shape} for {self.keys[row]}"
            )
        shard, offset = self.writer.write(
            kept.astype(index.STORED[self.recipe["kind"]], copy=False).tobytes(),
            speaker=self.corpus.utterances[row].speaker,
            key=self.keys[row],
        )
        self.rows.extend((row, shard, offset, len(kept)))
        self.num_samples += len(waveform)
        self.num_clipped += bool(np.abs(waveform).max() > 1)
        return None

    def _decoded(self, threads: int) -> Iterator[np.ndarray | str]:
        """Waveforms in order, a few of them decoded ahead."""
        ahead = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for utterance in self.corpus:
                    ahead.append(pool.submit(self._decode, utterance))
                    if len(ahead) > 2 * threads:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _decode(self, utterance: Utterance) -> np.ndarray | str:
        try:
            return utterance.read(sample_rate=self.recipe["sample_rate"])
        except (wave.AudioError, OSError) as error:
            return getattr(error, "reason", None) or str(error)


def prepare(folder: Path) -> None:
    """Make the folder of a cache, or refuse one that is used for something else."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = (folder / index.INDEX).exists() or (folder / LOCK).exists()
    if not ours and any(folder.iterdir()):
        raise ValueError(
            "A cache needs a folder of its own: a new one, an empty one or one that "
            f"holds a cache. Received: {folder}"
        )


def holds(folder: Path, key: str) -> bool:
    """Whether a folder holds the whole cache of this fingerprint."""
    if not (folder / index.INDEX).exists():
        return False
    about = index.load(folder)["about"]
    return about["key"] == key and not index.missing_shards(folder, about)


def clear(folder: Path) -> None:
    """Remove a cache that is out of date, or the rest of one that was cut off."""
    (folder / index.INDEX).unlink(missing_ok=True)
    for pattern in ("records-*.tfrecord", f"*{PARTIAL}*"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in (index.ABOUT, index.SKIPPED):
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time work in a folder; a killed one lets go."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        lock = (folder / LOCK).open("w")
    except OSError:  # read-only: a cache that is there can still be used
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
