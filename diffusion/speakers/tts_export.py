"""Voices for engines that speak: vectors in the form that each of them takes.

What an engine was trained on decides what it understands: the extractor must be the
engine's own, and a vector of the right length from another one is noise to it. Only
the form can be checked here. Lengths are those of the common releases; verify them
against yours.

| engine | extractor | form |
| --- | --- | --- |
| `sv2tts` | GE2E (Resemblyzer) | 256, not negative, length 1 |
| `speecht5` | speechbrain/spkrec-xvect-voxceleb | 512, length 1 |
| `yourtts` | H/ASP ResNet of Coqui TTS | 512, length 1 |
| `styletts2` | its style encoders: 128 acoustic, 128 prosodic | 256 in two parts |
| `espnet_xvector`, `espnet_ecapa` | x-vector, ECAPA-TDNN | 512, 192 |
| `toucan64`, `toucan128` | style tokens of IMS-Toucan | 64, 128 |
| `toucan704` | ECAPA-TDNN and x-vector, concatenated | 704 in two parts |

XTTS is missing on purpose: its vector alone does not make a voice.
"""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np

from timbre.files import replacing

ALIEN = 0.1  # share of squared length below zero that no rounding explains


@dataclasses.dataclass(frozen=True)
class Engine:
    """The form of an engine's vectors.

    Args:
        dim: Length of a vector.
        nonnegative: Whether no number is below zero (it comes out of a ReLU).
        unit: Whether a vector has length 1.
        blocks: Dimensions of its parts, if it is a concatenation.
    """

    dim: int
    nonnegative: bool = False
    unit: bool = False
    blocks: tuple[int, ...] = ()


ENGINES = {
    "sv2tts": Engine(256, nonnegative=True, unit=True),
    "speecht5": Engine(512, unit=True),
    "yourtts": Engine(512, unit=True),
    "styletts2": Engine(256, blocks=(128, 128)),
    "espnet_xvector": Engine(512),
    "espnet_ecapa": Engine(192),
    "toucan64": Engine(64),
    "toucan128": Engine(128),
    "toucan704": Engine(704, blocks=(192, 512)),
}


def adapt(vectors, engine):
    """Brings vectors, unscaled, into the form of an engine.

    Numbers below zero become zero where the engine knows none, then vectors get length
    1 where it wants that.

    Args:
        vectors: `[n, dim]`.
        engine: A name in `ENGINES`.

    Returns:
        Vectors float32 `[n, dim]`.

    Raises:
        ValueError: If there is no such engine, the lengths do not fit, a number is not
            finite, or nothing of a vector is left to give a length to.

    Warns:
        UserWarning: If so much is below zero that another extractor made them.
    """
    if engine not in ENGINES:
        raise ValueError(
            f"`engine` must be one of {', '.join(ENGINES)}. Received: {engine!r}"
        )
    form, vectors = ENGINES[engine], np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != form.dim:
        fitting = [name for name, e in ENGINES.items() if e.dim == vectors.shape[-1]]
        raise ValueError(
            f"{engine} takes vectors [n, {form.dim}]. Received: shape {vectors.shape}, "
            f"which fits {', '.join(fitting) or 'no engine known here'}"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("`vectors` must be finite. Received: NaN or infinity")
    if form.nonnegative:
        _warn_if_alien(vectors, engine)
        vectors = np.maximum(vectors, 0)
    if form.unit:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise ValueError(
                f"{engine} takes vectors of length 1. Received: row "
                f"{int(np.argmin(lengths))}, of which nothing is above 0"
            )
        vectors = vectors / lengths
    return vectors.astype(np.float32)


def export(path, vectors, *, engine, scaler, extractor):
    """Writes vectors for an engine, with what it takes to scale and to trace them.

    The file is an `.npz` without objects: `vectors` float32 `[n, dim]`; `mean` and
    `scale` float32 `[dim]` of the voices that were learned from; `extractor`, `engine`
    and `norm` (`"unit"` or `"free"`), str; `form`, a JSON string of the engine's rules.

    Args:
        path: The `.npz` to write; its folder is made.
        vectors: Unscaled, `[n, dim]`; see `adapt`.
        engine: A name in `ENGINES`.
        scaler: The fitted `diffusion.speakers.scaling.Scaler` of the model.
        extractor: Name of what made the embeddings that the model learned from.

    Returns:
        The vectors that were written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"Vectors go to a .npz file. Received: {path}")
    adapted, form = adapt(vectors, engine), ENGINES[engine]
    mean, deviation = scaler.columns()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished, unfinished.open("wb") as file:
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


def _warn_if_alien(vectors, engine):
    below = np.square(np.minimum(vectors, 0)).sum() / max(
        np.square(vectors).sum(), 1e-12
    )
    if below > ALIEN:
        warnings.warn(
            f"{below:.0%} of the squared length of these vectors is below zero, where "
            f"{engine} knows nothing: another extractor made them, and it will not "
            "speak as they sound",
            UserWarning,
            stacklevel=3,
        )
