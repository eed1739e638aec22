"""Transcripts: the written forms of a conversation, without its words.

    .json  all of it, to be read again: an object of data only, of a kind and a version
    .csv   start,end,speaker
    .srt   subtitles that say who speaks
    .txt   labels for Audacity

Times are seconds. Embeddings of windows are kept as base64 of float16, little-endian;
an hour of them takes some 15 megabytes.
"""

import base64
import csv
import io
import json
import math
from pathlib import Path

import numpy as np

from timbre.turns import Turn
from voiceemb.names import checked_name

KIND, VERSION = "voiceemb diarization", 1
LARGEST = 2**28  # bytes of a JSON file: about half a day
PLACES = 6  # decimals of a second that are kept


def to_json(found) -> str:
    """A `Diarization` as JSON, without identities, which belong to a store."""
    windows = found.windows
    return json.dumps(
        {
            "kind": KIND,
            "version": VERSION,
            "duration_s": _rounded(found.duration_s),
            "turns": [
                [_rounded(turn.start), _rounded(turn.end), turn.speaker]
                for turn in found.turns
            ],
            "speakers": {
                name: [round(float(x), PLACES) for x in embedding]
                for name, embedding in found.embeddings.items()
            },
            "stages": {name: _rounded(s) for name, s in found.stages.items()},
            "notes": list(found.notes),
            "windows": {
                "starts_s": [_rounded(s) for s in windows.starts_s],
                "ends_s": [_rounded(s) for s in windows.ends_s],
                "speaker": windows.labels.tolist(),
                "dim": int(windows.embeddings.shape[1]),
                "embeddings": base64.b64encode(
                    np.asarray(windows.embeddings, "<f2").tobytes()
                ).decode("ascii"),
            },
        },
        ensure_ascii=False,
        allow_nan=False,
    )


def read_json(path) -> dict:
    """The fields of a `Diarization` from what `to_json` wrote; nothing is executed.

    Returns:
        `turns`, `duration_s`, `embeddings`, `stages`, `notes`, and `windows` as a tuple
        of starts, ends, embeddings, labels.

    Raises:
        ValueError: If the file is of another kind or version, or parts do not fit.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
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
    rows, speakers = _of(list, held["turns"]), _of(dict, held["speakers"])
    duration_s = _seconds([held["duration_s"]])[0]
    turns = [
        Turn(*_seconds([start, end]), checked_name(name)) for start, end, name in rows
    ]
    windows = _windows(_of(dict, held["windows"]))
    embeddings = {
        checked_name(name): np.array(_of(list, embedding), np.float32)
        for name, embedding in speakers.items()
    }
    sizes = {len(e) for e in embeddings.values()} | {windows[2].shape[1]}
    shapes = {e.ndim for e in embeddings.values()} | {1}
    if embeddings and (len(sizes) > 1 or len(shapes) > 1):
        raise ValueError(f"embeddings of {sorted(sizes)} numbers")
    if not all(np.isfinite(e).all() for e in embeddings.values()):
        raise ValueError("embeddings that are not finite")
    if any(turn.end > duration_s + 1e-3 for turn in turns) or turns != sorted(turns):
        raise ValueError("turns behind the end, or out of order")
    stages = _of(dict, held["stages"])
    return {
        "turns": turns,
        "duration_s": duration_s,
        "embeddings": embeddings,
        "stages": dict(zip(stages, _seconds(stages.values()), strict=True)),
        "notes": [_of(str, note) for note in _of(list, held["notes"])],
        "windows": windows,
    }


def _windows(held):
    starts, ends = (np.array(_seconds(held[k]), float) for k in ("starts_s", "ends_s"))
    labels = np.array([checked_name(name) for name in _of(list, held["speaker"])], str)
    raw = base64.b64decode(_of(str, held["embeddings"]), validate=True)
    dim = held["dim"]
    if type(dim) is not int or dim < 0 or len(raw) != 2 * dim * len(labels):
        raise ValueError(f"{len(raw)} bytes of {len(labels)} windows of {dim!r}")
    points = np.frombuffer(raw, "<f2").reshape(len(labels), dim).astype(np.float32)
    if not len(starts) == len(ends) == len(labels) or (starts >= ends).any():
        raise ValueError("windows of other numbers, or that end before they start")
    if not np.isfinite(points).all():
        raise ValueError("windows that are not finite")
    return starts, ends, points, labels


def _csv(turns) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["start", "end", "speaker"])
    lines.writerows([f"{t.start:.3f}", f"{t.end:.3f}", t.speaker] for t in turns)
    return text.getvalue()


def _srt(turns) -> str:
    blocks = [
        f"{number}\n{_clock(turn.start)} --> {_clock(turn.end)}\n[{turn.speaker}]\n"
        for number, turn in enumerate(turns, 1)
    ]
    return "\n".join(blocks)


def labels(turns) -> str:
    """Turns as Audacity reads labels: start, end and name, a line each.

    White space in a name is one space, as tabs part the columns.
    """
    return "".join(
        f"{turn.start:.6f}\t{turn.end:.6f}\t{' '.join(turn.speaker.split())}\n"
        for turn in turns
    )


TEXTS = {".csv": _csv, ".srt": _srt, ".txt": labels}


def _clock(seconds) -> str:
    """Seconds as subtitles write them, `hours:minutes:seconds,thousandths`."""
    minutes, thousandths = divmod(round(1000 * seconds), 60_000)
    second, thousandth = divmod(thousandths, 1000)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02},{thousandth:03}"


def _rounded(seconds):
    return round(float(seconds), PLACES)


def _seconds(values) -> list[float]:
    values = list(values)
    for value in values:
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(f"seconds {value!r}")
    return [float(value) for value in values]


def _of(kind, value):
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} for {kind.__name__}")
    return value
