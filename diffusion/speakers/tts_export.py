"""Export of speaker embeddings in the format of a speech synthesiser (TTS).

A synthesiser understands the embeddings of the extractor it was trained with, and no
others. Only the format can be checked here.

| format | extractor | embeddings |
| --- | --- | --- |
| `sv2tts` | GE2E (Resemblyzer) | 256, not negative, unit length |
| `speecht5` | speechbrain/spkrec-xvect-voxceleb | 512, unit length |
"""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np

from timbre.files import atomic_write
from timbre.training.networks import check_choice

MAX_NEGATIVE = 0.1  # share of the squared length below zero that rounding explains


@dataclasses.dataclass(frozen=True)
class TTSFormat:
    """The format of a synthesiser's speaker embeddings."""

    dim: int  # length of an embedding
    nonnegative: bool = False  # whether no number is below zero (the output of a ReLU)
    unit: bool = False  # whether an embedding has length 1


FORMATS = {
    "sv2tts": TTSFormat(256, nonnegative=True, unit=True),
    "speecht5": TTSFormat(512, unit=True),
}


def adapt(embeddings, engine):
    """Converts unscaled embeddings to the format of a synthesiser, float32 `[n, dim]`.

    Negative numbers become zero where the format has none, then embeddings are
    normalised to length 1 where it asks for that.

    Args:
        embeddings: `[n, dim]`.
        engine: A name in `FORMATS`.

    Raises:
        ValueError: If the format is unknown, the dimensions do not fit, a number is not
            finite, or an embedding has no length to normalise.

    Warns:
        UserWarning: If so much is below zero that another extractor made them.
    """
    check_choice("engine", engine, [*FORMATS])
    form, embeddings = FORMATS[engine], np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or embeddings.shape[1] != form.dim:
        raise ValueError(
            f"{engine} takes embeddings [n, {form.dim}]. "
            f"Received: shape {embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("`embeddings` must be finite. Received: NaN or infinity")
    if form.nonnegative:
        positive = np.maximum(embeddings, 0)
        total = np.square(embeddings).sum()
        share = (total - np.square(positive).sum()) / max(total, 1e-12)
        if share > MAX_NEGATIVE:
            warnings.warn(
                f"{share:.0%} of the squared length of these embeddings is below zero, "
                f"where {engine} has none: another extractor made them",
                UserWarning,
                stacklevel=2,
            )
        embeddings = positive
    if form.unit:
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise ValueError(
                f"{engine} takes embeddings of length 1. Received: row "
                f"{int(np.argmin(lengths))}, of which nothing is above 0"
            )
        embeddings = embeddings / lengths
    return embeddings.astype(np.float32)


def export(path, embeddings, *, engine, scaler, extractor):
    """Writes and returns embeddings for a synthesiser, with their scale and origin.

    The file is an `.npz` without objects: `vectors` float32 `[n, dim]`; `mean` and
    `scale` float32 `[dim]` of the training embeddings; `extractor`, `engine` and `norm`
    (`"unit"` or `"free"`), str; `form`, a JSON string of the `TTSFormat`.

    Args:
        path: The `.npz` to write; its folder is made.
        embeddings: Unscaled, `[n, dim]`; see `adapt`.
        engine: A name in `FORMATS`.
        scaler: The fitted `diffusion.speakers.scaling.Scaler` of the model.
        extractor: Name of the extractor of the training embeddings.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"Embeddings go to a .npz file. Received: {path}")
    adapted, form = adapt(embeddings, engine), FORMATS[engine]
    mean, deviation = scaler.column_statistics()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            vectors=adapted,
            mean=mean.astype(np.float32),
            scale=deviation.astype(np.float32),
            extractor=str(extractor),
            engine=engine,
            norm="unit" if form.unit else "free",
            form=json.dumps(dataclasses.asdict(form)),
        )
    return adapted
