"""Timelines: the events of a stream, in files that only grow.

A timeline file has one JSON object a line, one line an event: a process that is killed
loses no more than the event it was writing. Values are read back to the bit.
"""

import csv
import os
from dataclasses import fields
from pathlib import Path

import numpy as np

from timbre import turns as turn_files
from timbre.files import atomic_write
from timbre.turns import Turn, merge_spans
from voiceemb.streaming.events import TimelineEvent, from_json_line, to_json_line

SAME_S = 1e-6  # closer times are equal
UNKNOWN = "-"  # stands for an unknown speaker where a name must be written
LINE_START = b'{"start": '  # of every line
FORMATS = (".jsonl", ".csv", ".npz", ".rttm", ".txt")


class Timeline(list):
    """Events in order, with notes.

    Attributes:
        notes: Plain sentences, such as that a last line was not complete.
    """

    def __init__(self, events=(), *, notes=()):
        super().__init__(events)
        self.notes = list(notes)


def append(path, events) -> int:
    """Append events to a timeline file, each with one write; a new file is made.

    A last line that a killed process has left incomplete is removed first. One process
    at a time may write to a file. A file that is no timeline is not changed.

    Args:
        path: The file, JSON lines; its folder exists.
        events: `TimelineEvent`s, written one by one as they come, each whole or, as
            on a full disk, not at all.

    Returns:
        The number of events written.
    """
    written = 0
    with open(path, "a+b", buffering=0) as file:
        _remove_incomplete_line(file)
        for event in events:
            line = to_json_line(event)
            end = file.seek(0, os.SEEK_END)
            try:
                if file.write(line) != len(line):
                    raise OSError(f"No room for an event. Received: {path}")
            except OSError:
                file.truncate(end)
                raise
            written += 1
    return written


def read(path) -> Timeline:
    """Read what `append` wrote.

    An incomplete last line is left out, and `notes` says so; another line that is no
    event is a `ValueError`.
    """
    timeline = Timeline()
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                timeline.append(from_json_line(line))
            except (ValueError, TypeError) as error:
                if not line.endswith(b"\n"):
                    timeline.notes.append(
                        f"The last line of {path} is not complete and was left out: "
                        f"line {number}, {len(line)} bytes."
                    )
                    break
                raise ValueError(
                    "A timeline has one JSON object a line, with the values of an "
                    f"event. Received: {path}, line {number}: {error}"
                ) from error
    return timeline


def save(path, events, *, recording=None) -> Path:
    """Write events in the format of the suffix, atomically.

    `.jsonl` is as `append` writes. `.csv` has a row for each event, without
    embeddings. `.npz` has an array for each value, without objects: NaN and empty names
    stand for `None`. `.rttm` and `.txt` (labels for Audacity) have the `turns`.

    Args:
        path: The file, which is returned.
        events: `TimelineEvent`s in the order of time, embeddings of one length.
        recording: Name of the recording in RTTM. Defaults to the stem of `path`.
    """
    path, events = Path(path), list(events)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"A timeline is saved as {FORMATS}. Received: {path}")
    if suffix in (".rttm", ".txt"):
        turn_files.write(path, turns(events), recording=recording)
        return path
    write = {".jsonl": _write_lines, ".csv": _write_table, ".npz": _write_arrays}
    with atomic_write(path) as unfinished:
        write[suffix](unfinished, events)
    return path


def turns(events) -> list[Turn]:
    """The turns of known speakers: adjacent events of one name are merged."""
    return [Turn(*span) for span in speech_spans(events) if span[2] is not None]


def speech_spans(events) -> list[tuple[float, float, str | None]]:
    """Adjacent events of speech, merged while they have the same speaker.

    Returns:
        `(start, end, speaker)`, seconds, in order; `None` is an unknown speaker.
    """
    spans = [
        (event.start, event.end, None if event.speaker == UNKNOWN else event.speaker)
        for event in events
        if event.is_speech
    ]
    return merge_spans(spans, SAME_S)


def _remove_incomplete_line(file):
    """Remove an incomplete last line; complete one that only lacks its line break."""
    size = file.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start and b"\n" not in tail:
        start = max(start - 65536, 0)
        file.seek(start)
        tail = file.read(size - start)
    tail = tail[tail.rfind(b"\n") + 1 :]
    file.seek(0)
    for head in (file.read(len(LINE_START)), tail[: len(LINE_START)]):
        if not LINE_START.startswith(head):
            raise ValueError(
                f"Events are added to a timeline, whose lines begin with "
                f"{LINE_START!r}. Received: {file.name}, with {head!r}"
            )
    if not tail:
        return
    try:
        from_json_line(tail)
    except (ValueError, TypeError):
        file.truncate(size - len(tail))
    else:
        file.write(b"\n")


def _write_lines(path, events):
    with path.open("wb") as file:
        file.writelines(map(to_json_line, events))


def _write_table(path, events):
    names = [field.name for field in fields(TimelineEvent) if field.name != "embedding"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([getattr(event, name) for name in names] for event in events)


def _write_arrays(path, events):
    dims = {len(event.embedding) for event in events if event.embedding is not None}
    if len(dims) > 1:
        raise ValueError(f"Embeddings have one length. Received: {sorted(dims)}")
    missing = np.full(max(dims, default=0), np.nan, np.float32)
    rows = [missing if e.embedding is None else e.embedding for e in events]
    arrays = {
        "embedding": np.array(rows, np.float32).reshape(len(events), len(missing)),
        "is_speech": np.array([event.is_speech for event in events], bool),
        "speaker": np.array([event.speaker or "" for event in events], str),
    }
    for name in ("start", "end", "speech_prob", "energy_db", "score", "probability"):
        arrays[name] = np.array([getattr(event, name) for event in events], np.float64)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
