"""Embedding sets: speaker embeddings with labels, in one `.npz` file.

The file holds no objects: `embeddings` float32 `[n, dim]`, `speaker` and `segment`
str `[n]`, any number of `label_<name>` str `[n]`, and `about`, a JSON string that says
which extractor made it and how. Only `embeddings` and `speaker` are required.
"""

import dataclasses
import json
import math
import os
import sys
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from timbre.files import atomic_write

LABEL = "label_"  # begins the name of an array of labels
MIN_LIMIT = 2**26  # bytes in memory that any file may need
MAX_RATIO = 100  # bytes in memory to bytes on disk, beyond that
BAD_FILE = (  # what reading a damaged `.npz` raises
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
    KeyError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,  # a shape beyond any memory
    MemoryError,
    RuntimeError,  # a password, or an unknown compression
)


@dataclasses.dataclass(frozen=True)
class EmbeddingSet:
    """Embeddings of segments of speech.

    Args:
        embeddings: float32 `[n, dim]`.
        speaker, segment: Name of the speaker and of the segment of each, such as its
            path, str `[n]`; empty where unknown.
        about: What made it: extractor, sha256, dim, normalisation, sample rate, date.
        labels: What else is known, such as gender or language: name to str `[n]`,
            empty where unknown. Defaults to nothing.

    Raises:
        ValueError: If the arrays differ in length, a number is not finite, or a label
            has no proper name.
    """

    embeddings: np.ndarray
    speaker: np.ndarray
    segment: np.ndarray
    about: dict
    labels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        shape = np.shape(self.embeddings)
        columns = (self.speaker, self.segment, *self.labels.values())
        shapes = [np.shape(column) for column in columns]
        if len(shape) != 2 or {*shapes} != {shape[:1]}:
            raise ValueError(
                "An embedding set needs `embeddings` [n, dim] with `speaker`, "
                f"`segment` and each of `labels` [n]. Received: {shape} with {shapes}"
            )
        finite = np.all(np.isfinite(self.embeddings), axis=1)
        if not finite.all():
            bad = np.flatnonzero(~finite)
            raise ValueError(
                "`embeddings` must be finite. Received: NaN or infinity in "
                f"{len(bad)} of {len(finite)} rows, the first is row {bad[0]}"
            )
        names = [n for n in self.labels if not (isinstance(n, str) and n.isprintable())]
        if names or "" in self.labels:
            raise ValueError(
                f"A label needs a name that can be printed. Received: {[*self.labels]}"
            )

    def __len__(self) -> int:
        return len(self.embeddings)

    def subset(self, rows: np.ndarray) -> "EmbeddingSet":
        """The set of some rows, in the order of `rows`: integers, or a mask `[n]`."""
        return dataclasses.replace(
            self,
            embeddings=np.asarray(self.embeddings)[rows],
            speaker=np.asarray(self.speaker, str)[rows],
            segment=np.asarray(self.segment, str)[rows],
            labels={k: np.asarray(v, str)[rows] for k, v in self.labels.items()},
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the set to `path` (`.npz`), atomically."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"An embedding set is a .npz file. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            "embeddings": np.asarray(self.embeddings, np.float32),
            "speaker": np.asarray(self.speaker, str),
            "segment": np.asarray(self.segment, str),
            "about": json.dumps(self.about, ensure_ascii=False),
        }
        arrays |= {LABEL + k: np.asarray(v, str) for k, v in self.labels.items()}
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "EmbeddingSet":
        """Read a set; nothing in the file is executed.

        A file without `segment` has empty ones, one without `about` says nothing.

        Raises:
            ValueError: If `path` is not an embedding set, holds objects, or would
                unfold to far more than its size.
        """
        try:
            arrays = read_arrays(path, _is_known)
            embeddings, speaker = arrays.pop("embeddings"), arrays.pop("speaker")
            about = json.loads(str(arrays.pop("about", "{}")))
            segment = arrays.pop("segment", np.full(speaker.shape, "", "U1"))
            labels = {k.removeprefix(LABEL): v for k, v in sorted(arrays.items())}
            columns = [speaker, segment, *labels.values()]
            kinds = [embeddings.dtype.kind, *(c.dtype.kind for c in columns)]
            if kinds != ["f"] + ["U"] * len(columns) or not isinstance(about, dict):
                raise TypeError(f"arrays of kinds {kinds}, about {type(about)}")
            embeddings = embeddings.astype(np.float32, copy=False)
            return cls(embeddings, speaker, segment, about, labels)
        except BAD_FILE as error:
            raise ValueError(
                f"Not an embedding set (.npz of plain arrays `embeddings`, `speaker`, "
                f"and perhaps `segment`, `about`, `{LABEL}...`): {path}. "
                f"Received: {error}"
            ) from error


def _is_known(name):
    known = ("embeddings", "speaker", "segment", "about")
    return name in known or name.startswith(LABEL)


def read_arrays(path, is_known) -> dict[str, np.ndarray]:
    """Read arrays of an `.npz` file that is not trusted, none of them an object.

    Args:
        path: The file.
        is_known: Says of a name whether its array is read.

    Raises:
        One of `BAD_FILE`: If it is damaged, or would unfold to far more than its size;
            before memory is needed for more.
    """
    # Opened here: a torn archive would stay open.
    with open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        ours = {name: member for name, member in members.items() if is_known(name)}
        size, total = Path(path).stat().st_size, sum(m.file_size for m in ours.values())
        if total > max(MIN_LIMIT, MAX_RATIO * size):
            raise ValueError(f"{size} bytes that would unfold to {total}")
        arrays = {}
        for name, info in ours.items():
            with archive.open(info) as member:
                _check_header(name, member, info.file_size)
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
            _check_letters(name, arrays[name])
    return arrays


def _check_letters(name, array):
    """Refuses text with numbers that are no letters, which fail when they are used."""
    if array.dtype.kind == "U":
        kind = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        if (np.frombuffer(array.tobytes(), kind) > sys.maxunicode).any():
            raise ValueError(f"`{name}` holds numbers that are no letters")


def _check_header(name, member, size):
    """Refuses an array that says it is larger than its `size` in the archive."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(member)
    if version not in read:
        raise ValueError(f"`{name}` of format {version}")
    shape, _, dtype = read[version](member)
    # Nothing is free: not even strings without letters.
    if math.prod(shape) * max(dtype.itemsize, 1) > size:
        raise ValueError(f"`{name}` of shape {shape} and {dtype} in {size} bytes")
