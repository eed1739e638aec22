"""The index of a cache: where every record begins, and whose it is.

`index.npz` holds arrays of numbers and bytes only. It makes a folder a cache: it is
written last, under another name first, so that it is there whole or not at all. It is
read without pickle and believed only after it is checked.
"""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from timbre.corpora.corpus import Corpus
from timbre.files import atomic_write

FORMAT = 2
INDEX, ABOUT, SKIPPED = "index.npz", "about.json", "skipped.csv"
STORED = {"waveform": np.dtype("<i2"), "features": np.dtype("<f4")}


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


def save(folder: Path, about: dict, paths: list[str], **arrays) -> None:
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
            **arrays,
        )


def load(folder: Path) -> dict:
    """The arrays of an index, read as data and never as a pickle."""
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(
            f"A cache must be complete: it has no {INDEX}. Received: {folder}"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
            index = {name: npz[name] for name in npz.files}
        index["about"] = json.loads(index["about"].tobytes())
        joined = index["paths"].tobytes().decode(errors="surrogateescape")
        index["paths"] = tuple(joined.split("\0"))
        _check_index(index)
    except (
        *(AttributeError, EOFError, KeyError, OSError, TypeError, ValueError),
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{INDEX} must be one that `timbre.corpora.cache.records.cache` wrote; delete it to "
            f"cache anew. Received: {path} ({error})"
        ) from error
    return index


def missing_shards(folder: Path, about: dict) -> list[str]:
    """Shards that are not there, or not as long as they were."""
    sizes = zip(about["shards"], about["shard_bytes"], strict=True)
    paths = ((folder / name, size) for name, size in sizes)
    return [
        path.name
        for path, size in paths
        if not path.is_file() or path.stat().st_size != size
    ]


def _check_index(index: dict) -> None:
    """Refuse an index that would read outside its folder or its shards."""
    about = index["about"]
    missing = {"key", "hours", "num_skipped", "sample_rate", "about"} - set(about)
    if missing:
        raise ValueError(f"it does not say {sorted(missing)}")
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']}, not {FORMAT}")
    if any(Path(name).name != name for name in about["shards"]):
        raise ValueError("a shard must lie in the folder itself")
    counts = {len(index[name]) for name in ("length", "row", "offset", "paths")}
    if counts != {len(index["speaker"])}:
        raise ValueError("its arrays differ in length")
    shard, speaker = index["shard"], index["speaker"]
    for values, names in ((shard, about["shards"]), (speaker, about["speakers"])):
        if (
            values.dtype != np.int32
            or not ((0 <= values) & (values < len(names))).all()
        ):
            raise ValueError("it names shards or speakers that are not there")
    size = np.prod(about["shape"], dtype=int) * STORED[about["kind"]].itemsize
    ends = index["offset"] + index["length"].astype(np.int64) * size
    limits = np.array(about["shard_bytes"], np.int64)[shard]
    if (
        (index["offset"] < 0).any()
        or (index["length"] < 0).any()
        or (ends > limits).any()
    ):
        raise ValueError("it points outside its shards")
