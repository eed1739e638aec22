"""Timelines: what a listener made of each slice of time.

A slice says whether anybody spoke, how loud it was, what the voice was like and whose
it was. A timeline file has one JSON object a line, one line a slice, and only ever
grows: a listener that is killed loses no more than the slice it was writing. What was
written is read back to the bit.
"""

import csv
import os
from dataclasses import fields
from pathlib import Path

import numpy as np

from timbre.files import atomic_write
from voiceemb.streaming.events import Slice, from_line, to_line

__all__ = [
    "NOBODY",
    "Slice",
    "Timeline",
    "append",
    "read",
    "save",
    "stretches",
    "turns",
]

SAME = 1e-6  # s; closer times are one
NOBODY = "-"  # stands for a speaker that is not known, where one must be written
BEGIN = b'{"start": '  # of every line
SUFFIXES = (".jsonl", ".csv", ".npz", ".rttm", ".txt")


class Timeline(list):
    """Slices in order, and what there is to say about them.

    Attributes:
        notes: Plain sentences, such as that a last line was not complete.
    """

    def __init__(self, slices=(), *, notes=()):
        super().__init__(slices)
        self.notes = list(notes)


def append(path, slices) -> int:
    """Add slices to a timeline file, each with one write; a new file is made.

    A last line that a killed process has left incomplete is taken away first. One
    process at a time may write to a file.

    Args:
        path: The file, JSON lines; its folder exists.
        slices: `Slice`s, written one by one as they come.

    Returns:
        The number of slices written.

    Raises:
        TypeError: If something else is among them; what came before is written.
        ValueError: If the file is there and no timeline; it is left alone.
        OSError: If the disk is full; the slice is written whole, or not at all.
    """
    written = 0
    with open(path, "a+b", buffering=0) as file:
        _mend(file)
        for one in slices:
            line = to_line(one)
            end = file.seek(0, os.SEEK_END)
            try:
                complete = file.write(line) == len(line)
            except OSError:
                file.truncate(end)
                raise
            if not complete:
                file.truncate(end)
                raise OSError(f"No room for a slice. Received: {path}")
            written += 1
    return written


def read(path) -> Timeline:
    """Read a timeline file.

    Args:
        path: What `append` wrote.

    Returns:
        The slices; a last line that is not complete is left out, and `notes` says so.

    Raises:
        ValueError: If another line is no slice; its number is named.
    """
    timeline = Timeline()
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                timeline.append(from_line(line))
            except (ValueError, TypeError) as error:
                if not line.endswith(b"\n"):
                    timeline.notes.append(
                        f"The last line of {path} is not complete and was left out: "
                        f"line {number}, {len(line)} bytes."
                    )
                    break
                raise ValueError(
                    "A timeline has one JSON object a line, with the values of a "
                    f"slice. Received: {path}, line {number}: {error}"
                ) from error
    return timeline


def save(path, slices) -> Path:
    """Write slices as a file of the kind that its suffix names, whole or not at all.

    `.jsonl` is what `append` makes. `.csv` has a row a slice, without embeddings.
    `.npz` has an array a value, without objects: NaN and empty names stand for `None`.
    `.rttm` and `.txt` (labels for Audacity) have a row for each turn, see `turns`;
    the recording in an RTTM is named like the file.

    Args:
        path: The file.
        slices: `Slice`s in the order of time.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is none of these, or embeddings differ in length.
    """
    path, slices = Path(path), list(slices)
    write = {
        ".jsonl": _save_lines,
        ".csv": _save_table,
        ".npz": _save_arrays,
        ".txt": _save_labels,
        ".rttm": _save_rttm,
    }.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"A timeline is saved as {SUFFIXES}. Received: {path}")
    write(path, slices)
    return path


def turns(slices) -> list:
    """What each known speaker said in one go: slices that touch, of one name.

    Args:
        slices: `Slice`s in the order of time.

    Returns:
        `timbre.turns.Turn`s in the same order; slices of nobody known make none.
    """
    from timbre.turns import Turn

    return [
        Turn(start, end, speaker)
        for start, end, speaker in stretches(slices)
        if speaker is not None
    ]


def stretches(slices) -> list[tuple[float, float, str | None]]:
    """Slices with speech, as long as they touch and have one speaker or none.

    Returns:
        `(start, end, speaker)`, seconds, in order; `None` is nobody known.
    """
    found = []
    for one in slices:
        if not one.is_speech:
            continue
        name = None if one.speaker == NOBODY else one.speaker
        if found and found[-1][2] == name and one.start - found[-1][1] < SAME:
            found[-1] = (found[-1][0], one.end, name)
        else:
            found.append((one.start, one.end, name))
    return found


def _mend(file):
    """Take away a last line that is not complete; end one that only lacks its end."""
    size = file.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start and b"\n" not in tail:
        start = max(start - 65536, 0)
        file.seek(start)
        tail = file.read(size - start)
    tail = tail[tail.rfind(b"\n") + 1 :]
    file.seek(0)
    for head in (file.read(len(BEGIN)), tail[: len(BEGIN)]):
        if not BEGIN.startswith(head):
            raise ValueError(
                f"Slices are added to a timeline, whose lines begin with {BEGIN!r}. "
                f"Received: {file.name}, with {head!r}"
            )
    if not tail:
        return
    try:
        from_line(tail)
    except (ValueError, TypeError):
        file.truncate(size - len(tail))
    else:
        file.write(b"\n")


def _save_lines(path, slices):
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        file.writelines(map(to_line, slices))


def _save_table(path, slices):
    names = [field.name for field in fields(Slice) if field.name != "embedding"]
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(names)
        for one in slices:
            writer.writerow([getattr(one, name) for name in names])


def _save_arrays(path, slices):
    dims = {len(one.embedding) for one in slices if one.embedding is not None}
    if len(dims) > 1:
        raise ValueError(f"Embeddings have one length. Received: {sorted(dims)}")
    nothing = np.full(max(dims, default=0), np.nan, np.float32)
    rows = [nothing if one.embedding is None else one.embedding for one in slices]
    arrays = {
        "embedding": np.array(rows, np.float32).reshape(len(slices), len(nothing))
    }
    arrays["is_speech"] = np.array([one.is_speech for one in slices], bool)
    arrays["speaker"] = np.array([one.speaker or "" for one in slices], str)
    for name in ("start", "end", "speech_prob", "energy_db", "score", "probability"):
        arrays[name] = np.array([getattr(one, name) for one in slices], np.float64)
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _save_labels(path, slices):
    from timbre.turns import audacity_text as labels

    with atomic_write(path) as unfinished:
        unfinished.write_text(labels(turns(slices)), encoding="utf-8")


def _save_rttm(path, slices):
    from timbre.turns import write_rttm

    write_rttm(path, {path.stem: turns(slices)})
