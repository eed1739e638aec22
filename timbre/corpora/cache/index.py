"""The index of a cache: where every record begins, its CRC-32 and its speaker.

`index.npz` holds three arrays and no objects: `records`, one `RECORD` for each;
`paths`, their names joined by NUL; and `about`, what was done, as JSON. It makes a
folder a cache: it is written last and atomically, and read without pickle and checked.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from timbre.corpora.corpus import Corpus
from timbre.corpora.embeddings import BAD_FILE, read_arrays
from timbre.files import atomic_write

FORMAT = 3  # 1 and 2 were TFRecord
INDEX, ABOUT, SKIPPED = "index.npz", "about.json", "skipped.csv"
STORED = {"waveform": np.dtype("<i2"), "features": np.dtype("<f4")}
RECORD = np.dtype(
    [
        ("row", "<i4"),  # of the corpus
        ("shard", "<i4"),
        ("offset", "<i8"),  # bytes from the start of the shard
        ("length", "<i4"),  # samples or frames
        ("speaker", "<i4"),  # in the sorted names of `about`
        ("crc32", "<u4"),
    ]
)
NEEDED = {"key", "hours", "num_skipped", "sample_rate", "about"}


class OldFormatError(ValueError):
    """A cache that an earlier version wrote; it has to be cached anew."""


def fingerprint(corpus: Corpus, recipe: dict) -> str:
    """SHA-256 of the rows, the size and date of every file, and the recipe."""
    sha = hashlib.sha256(corpus.digest().encode())
    sha.update(json.dumps(recipe, sort_keys=True).encode())
    for path in dict.fromkeys(u.path for u in corpus):
        try:
            stat = path.stat()
            sha.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            sha.update(b"missing\n")
    return sha.hexdigest()


def save(folder: Path, about: dict, paths: list[str], records: np.ndarray) -> None:
    """Write `about.json` and then, at once, the index that makes a cache complete."""
    text = json.dumps(about, indent=1, ensure_ascii=False, sort_keys=True)
    with atomic_write(folder / ABOUT) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
    joined = "\0".join(paths).encode(errors="surrogateescape")
    with atomic_write(folder / INDEX) as temporary:
        np.savez(
            temporary,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            paths=np.frombuffer(joined, np.uint8),
            records=records,
        )


def load(folder: Path) -> tuple[dict, tuple[str, ...], np.ndarray]:
    """Read what `save` wrote, as data and never as a pickle.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If it is no index, one that contradicts itself, or, as an
            `OldFormatError`, one of an earlier version.
    """
    path = folder / INDEX
    if not path.is_file():
        reason = f"A cache must be complete: it has no {INDEX}. Received: {folder}"
        raise FileNotFoundError(reason)
    try:
        arrays = read_arrays(path, {"about", "paths", "records"}.__contains__)
        about = json.loads(arrays["about"].tobytes())
        paths = arrays["paths"].tobytes().decode(errors="surrogateescape")
        paths = tuple(paths.split("\0"))
        if about["format"] not in range(1, FORMAT):
            records = arrays["records"]
            _check(about, paths, records)
            return about, paths, records
    except (*BAD_FILE, AttributeError, OSError, RecursionError) as error:
        raise ValueError(
            f"{INDEX} must be one that `timbre.corpora.cache.records.cache` wrote; "
            f"delete it to cache anew. Received: {path} ({error})"
        ) from error
    raise OldFormatError(
        f"A cache must have format {FORMAT}: cache the corpus again, which replaces "
        f"it. Received: {folder} of format {about['format']}"
    )


def missing_shards(folder: Path, about: dict) -> list[str]:
    """Names of shards that are not there, or not as long as they were."""
    return [
        name
        for name, size in zip(about["shards"], about["shard_bytes"], strict=True)
        if not (folder / name).is_file() or (folder / name).stat().st_size != size
    ]


def _check(about, paths, records):
    """Refuse an index that would read outside its folder or its shards."""
    if NEEDED - set(about):
        raise ValueError(f"it does not say {sorted(NEEDED - set(about))}")
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']}, not {FORMAT}")
    if any(Path(name).name != name for name in about["shards"]):
        raise ValueError("a shard must lie in the folder itself")
    if records.dtype != RECORD or records.shape != (len(paths),):
        raise ValueError(f"its records are {records.dtype} {records.shape}")
    for name, names in (("shard", about["shards"]), ("speaker", about["speakers"])):
        if not ((0 <= records[name]) & (records[name] < len(names))).all():
            raise ValueError("it names shards or speakers that are not there")
    size = np.prod(about["shape"], dtype=int) * STORED[about["kind"]].itemsize
    start, length = records["offset"], records["length"].astype(np.int64)
    limit = np.array(about["shard_bytes"], np.int64)[records["shard"]]
    if not ((start >= 0) & (length >= 0) & (start + length * size <= limit)).all():
        raise ValueError("it points outside its shards")
