"""Building a cache: one pass over a corpus, from sound files to shards.

Threads decode a few utterances ahead; one thread transforms and writes them in the
order of the corpus, so the same corpus makes the same bytes. A pass that is interrupted
leaves no index, and so no cache.
"""

import contextlib
import csv
import zlib
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.corpora.cache import index
from timbre.corpora.cache.shards import ShardWriter
from timbre.corpora.corpus import Corpus
from timbre.files import LOCK, PARTIAL, atomic_write
from timbre.progress import ProgressBar

FULL_SCALE = 32768  # of 16-bit sound: stored = round(waveform * FULL_SCALE)


def quantise(waveform: np.ndarray) -> np.ndarray:
    """Quantise a waveform to 16 bits; the samples of a 16-bit file are kept exactly."""
    whole = np.rint(waveform * np.float32(FULL_SCALE))
    return np.clip(whole, -FULL_SCALE, FULL_SCALE - 1).astype(index.STORED["waveform"])


def build(
    corpus: Corpus,
    folder: Path,
    key: str,
    recipe: dict,
    *,
    transform: Callable[[np.ndarray], np.ndarray],
    shard_bytes: int,
    threads: int,
) -> None:
    """Write the shards of a corpus, and last the index.

    Args:
        corpus, folder: What to cache, and where.
        key: Fingerprint of corpus and recipe.
        recipe: `kind`, `sample_rate`, `min_length` and what else makes the cache.
        transform: Maps a waveform to what is kept of it.
        shard_bytes: Size of a shard.
        threads: Threads that decode.
    """
    keys, records, skipped = corpus.keys(), [], []
    shape, num_samples, num_clipped = None, 0, 0
    with (
        ShardWriter(folder, f"records-{key[:8]}", shard_bytes) as writer,
        ProgressBar(f"caching {corpus.name}", len(corpus), unit=" utterances") as bar,
        contextlib.closing(_decode(corpus, recipe["sample_rate"], threads)) as sounds,
    ):
        for row, waveform in enumerate(sounds):
            kept = _keep(waveform, transform, recipe)
            if isinstance(kept, str):
                skipped.append((row, kept))
            else:
                shape = kept.shape[1:] if shape is None else shape
                if kept.shape[1:] != shape:
                    raise ValueError(
                        f"`transform` must return [frames, *{shape}] for every "
                        f"utterance. Received: shape {kept.shape} for {keys[row]}"
                    )
                data = kept.tobytes()
                place = writer.write(data)
                records.append((row, *place, len(kept), 0, zlib.crc32(data)))
                num_samples += len(waveform)
                num_clipped += bool(np.abs(waveform).max() > 1)
            bar.update()
        if shape is None:
            raise ValueError(
                "A corpus must have an utterance that can be read. Received: "
                f"{corpus.name!r}, where all {len(corpus)} are skipped, "
                f"the first because: {skipped[0][1] if skipped else ''}"
            )
    records = np.array(records, index.RECORD)
    speakers, records["speaker"] = np.unique(
        [corpus.utterances[row].speaker for row in records["row"]], return_inverse=True
    )
    about = recipe | {
        "key": key,
        "corpus": corpus.name,
        "speakers": speakers.tolist(),
        "shape": list(shape),
        "num_records": len(records),
        "num_skipped": len(skipped),
        "num_clipped": num_clipped,
        "hours": num_samples / recipe["sample_rate"] / 3600,
        "shards": writer.names,
        "shard_bytes": writer.sizes,
        "sha256": writer.sha.hexdigest(),
    }
    with (
        atomic_write(folder / index.SKIPPED) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["row", "utterance", "speaker", "reason"])
        for row, reason in skipped:
            table.writerow([row, keys[row], corpus.utterances[row].speaker, reason])
    index.save(folder, about, [keys[row] for row in records["row"]], records)


def _decode(corpus, sample_rate, threads) -> Generator[np.ndarray | str, None, None]:
    """Waveforms in order, or why there is none, a few of them decoded ahead."""

    def read(utterance):
        try:
            return utterance.read(sample_rate=sample_rate)
        except (wave.AudioError, OSError) as error:
            return getattr(error, "reason", None) or str(error)

    ahead = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for utterance in corpus:
                ahead.append(pool.submit(read, utterance))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _keep(waveform, transform, recipe) -> np.ndarray | str:
    """What is kept of a waveform, as it is stored, or why it has to be skipped."""
    if isinstance(waveform, str):
        return waveform
    kept = np.asarray(transform(waveform))
    if not np.isfinite(kept).all():
        return "its features are not finite"
    if len(kept) < recipe["min_length"]:
        return f"too short: {len(kept)} of {recipe['min_length']}"
    return kept.astype(index.STORED[recipe["kind"]], copy=False)


def prepare(folder: Path) -> None:
    """Make the folder of a cache, or refuse one that is used for something else."""
    folder.mkdir(parents=True, exist_ok=True)
    used = any(folder.iterdir())  # first: whoever writes meanwhile has locked before
    if used and not any((folder / name).exists() for name in (index.INDEX, LOCK)):
        raise ValueError(
            "A cache needs a folder of its own: a new one, an empty one or one that "
            f"holds a cache. Received: {folder}"
        )


def is_complete(folder: Path, key: str) -> bool:
    """Whether a folder holds the whole cache of this fingerprint."""
    try:
        about, *_ = index.load(folder)
    except (FileNotFoundError, index.OldFormatError):
        return False
    return about["key"] == key and not index.missing_shards(folder, about)


def clear(folder: Path) -> None:
    """Remove a cache that is out of date, or the rest of one that was interrupted."""
    (folder / index.INDEX).unlink(missing_ok=True)
    shards = ("records-*.bin", "records-*.tfrecord")  # of this format and of earlier
    for pattern in (*shards, f"*{PARTIAL}*", index.ABOUT, index.SKIPPED):
        for path in folder.glob(pattern):
            path.unlink()
