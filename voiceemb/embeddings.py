"""Embedding sets: many voices' points in one file, with who they are.

One `.npz` without objects: `embeddings` float32 `[n, dim]`, `speaker` and `segment`
str `[n]`, and `about`, a JSON string that says which extractor made it and how. It is
what the encoder writes and what the diffusion over voices reads.
"""

import dataclasses
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from files import replacing

BAD_FILE = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError, TypeError)


@dataclasses.dataclass(frozen=True)
class EmbeddingSet:
    """Embeddings of segments of speech.

    Args:
        embeddings: float32 `[n, dim]`.
        speaker: Name of the speaker of each, str `[n]`; empty where unknown.
        segment: Name of the segment of each, such as its path, str `[n]`.
        about: What made it: extractor, sha256, dim, normalisation, sample rate, date.

    Raises:
        ValueError: If the three arrays differ in length, or a number is not finite.
    """

    embeddings: np.ndarray
    speaker: np.ndarray
    segment: np.ndarray
    about: dict

    def __post_init__(self):
        shape = np.shape(self.embeddings)
        sizes = {*shape[:1], len(self.speaker), len(self.segment)}
        if len(shape) != 2 or len(sizes) != 1:
            raise ValueError(
                "An embedding set needs `embeddings` [n, dim] with `speaker` and "
                f"`segment` [n]. Received: {shape}, {len(self.speaker)} and "
                f"{len(self.segment)}"
            )
        if not np.isfinite(self.embeddings).all():
            raise ValueError("`embeddings` must be finite. Received: NaN or infinity")

    def __len__(self):
        return len(self.embeddings)

    def save(self, path):
        """Writes the set to `path` (`.npz`), whole or not at all."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"An embedding set is a .npz file. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                embeddings=np.asarray(self.embeddings, np.float32),
                speaker=np.asarray(self.speaker, str),
                segment=np.asarray(self.segment, str),
                about=json.dumps(self.about, ensure_ascii=False),
            )

    @classmethod
    def load(cls, path):
        """Reads a set; nothing in the file is executed.

        Raises:
            ValueError: If `path` is not an embedding set, or holds objects.
        """
        try:
            # Opened here: NumPy would leave a torn file open.
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                points, about = file["embeddings"], json.loads(str(file["about"]))
                names = file["speaker"], file["segment"]
            kinds = [points.dtype.kind, *(column.dtype.kind for column in names)]
            if kinds != ["f", "U", "U"] or not isinstance(about, dict):
                raise TypeError(f"arrays of kinds {kinds}, about {type(about)}")
            return cls(points.astype(np.float32, copy=False), *names, about)
        except BAD_FILE as error:
            raise ValueError(
                f"Not an embedding set (.npz of plain arrays `embeddings`, `speaker`, "
                f"`segment`, `about`): {path}. Received: {error}"
            ) from error
