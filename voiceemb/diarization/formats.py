"""Diarization results as JSON, to be read again: data only, of a kind and a version.

Times are seconds. Embeddings of windows are base64 of float16, little-endian; an hour
of them takes some 15 megabytes. For formats of turns alone see `timbre.turns.write`.
"""

import base64
import json
import math
from pathlib import Path

import numpy as np

from timbre.turns import Turn
from voiceemb.names import normalise_name

KIND, VERSION = "voiceemb diarization", 1
MAX_BYTES = 2**28  # of a file: about half a day
DECIMALS = 6


def to_json(found) -> str:
    """A `Diarization` as JSON, without identities, which belong to a store."""
    windows = found.windows
    raw = np.asarray(windows.embeddings, "<f2").tobytes()
    fields = {
        "kind": KIND,
        "version": VERSION,
        "duration_s": _round(found.duration_s),
        "turns": [[_round(t.start), _round(t.end), t.speaker] for t in found.turns],
        "speakers": {n: [*map(_round, e)] for n, e in found.embeddings.items()},
        "stages": {name: _round(s) for name, s in found.stages.items()},
        "notes": list(found.notes),
        "windows": {
            "starts_s": [*map(_round, windows.starts_s)],
            "ends_s": [*map(_round, windows.ends_s)],
            "speaker": windows.labels.tolist(),
            "dim": int(windows.embeddings.shape[1]),
            "embeddings": base64.b64encode(raw).decode("ascii"),
        },
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def read_json(path) -> dict:
    """The fields of a `Diarization` from what `to_json` wrote; nothing is executed.

    `windows` is a tuple of starts, ends, embeddings, labels. A file of another kind or
    version, or whose values do not fit, is a `ValueError`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        held = json.loads(path.read_text("utf-8"))
        made = held["kind"], held["version"]
        if made != (KIND, VERSION):
            raise ValueError(f"kind and version {made}")
        return _fields(held)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as bad:
        raise ValueError(
            f"Not a {KIND} of version {VERSION}: {path}. Received: {bad!r}"
        ) from bad


def _fields(held):
    rows = _check_type(list, held["turns"])
    speakers = _check_type(dict, held["speakers"])
    duration_s = _seconds([held["duration_s"]])[0]
    turns = [
        Turn(*_seconds([start, end]), normalise_name(name)) for start, end, name in rows
    ]
    windows = _windows(_check_type(dict, held["windows"]))
    embeddings = {
        normalise_name(name): np.array(_check_type(list, embedding), np.float32)
        for name, embedding in speakers.items()
    }
    sizes = {len(e) for e in embeddings.values()} | {windows[2].shape[1]}
    shapes = {e.ndim for e in embeddings.values()} | {1}
    if embeddings and (len(sizes) > 1 or len(shapes) > 1):
        raise ValueError(f"embeddings of {sorted(sizes)} numbers")
    if not all(np.isfinite(e).all() for e in embeddings.values()):
        raise ValueError("embeddings that are not finite")
    if any(turn.end > duration_s + 1e-3 for turn in turns) or turns != sorted(turns):
        raise ValueError("turns that end after the recording, or out of order")
    stages = _check_type(dict, held["stages"])
    return {
        "turns": turns,
        "duration_s": duration_s,
        "embeddings": embeddings,
        "stages": dict(zip(stages, _seconds(stages.values()), strict=True)),
        "notes": [_check_type(str, note) for note in _check_type(list, held["notes"])],
        "windows": windows,
    }


def _windows(held):
    starts = np.array(_seconds(held["starts_s"]), float)
    ends = np.array(_seconds(held["ends_s"]), float)
    labels = np.array(
        [normalise_name(name) for name in _check_type(list, held["speaker"])], str
    )
    raw = base64.b64decode(_check_type(str, held["embeddings"]), validate=True)
    dim = held["dim"]
    if type(dim) is not int or dim < 0 or len(raw) != 2 * dim * len(labels):
        raise ValueError(f"{len(raw)} bytes of {len(labels)} windows of {dim!r}")
    embeddings = np.frombuffer(raw, "<f2").reshape(len(labels), dim).astype(np.float32)
    if not len(starts) == len(ends) == len(labels) or (starts >= ends).any():
        raise ValueError("windows of unequal numbers, or that end before they start")
    if not np.isfinite(embeddings).all():
        raise ValueError("windows that are not finite")
    return starts, ends, embeddings, labels


def _round(number):
    return round(float(number), DECIMALS)


def _seconds(values) -> list[float]:
    values = list(values)
    for value in values:
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(f"seconds {value!r}")
    return [float(value) for value in values]


def _check_type(kind, value):
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} for {kind.__name__}")
    return value
