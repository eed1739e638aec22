"""Manifests: CSV files, with a header, that list the utterances of a corpus.

* `path`: the sound file, relative to the manifest or absolute. `write` makes it
  relative, perhaps with `..`, so that a corpus can be moved as a whole.
* `speaker`: name of the speaker, any text.
* `start`, `end`: seconds, where only a part of the file is meant. Optional.
* `text`: transcript. Optional.
* `audio`: where `path` names a video, the file that holds its sound. Optional.

Every other column is kept, as text, in `Utterance.extra`; an empty cell is left out.
"""

import csv
import functools
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import atomic_write

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".sph"),
    *(".m4a", ".webm", ".aac", ".amr", ".wma"),  # with PyAV; MP4 are taken for videos
)
COLUMNS = ("path", "speaker", "start", "end", "text")


def read(manifest: str | os.PathLike, *, name: str | None = None) -> Corpus:
    """Read a manifest; the sound files are not touched.

    Args:
        manifest: The CSV file.
        name: What to call the corpus. Defaults to the name of the folder that
            holds `manifest.csv`, or to the name of a manifest called otherwise.

    Raises:
        ValueError: If the manifest has no rows, lacks a column, or a row is wrong.
    """
    manifest = Path(manifest)
    utterances, seen = [], {}
    for row, line in read_rows(manifest, ("path", "speaker"), kind="A manifest"):
        where = f"{manifest}, line {line}"
        utterance = _utterance(dict(row), manifest.parent, where)
        same = (utterance.path, utterance.start, utterance.end)
        if same in seen:
            raise ValueError(
                "A manifest names each segment of speech once. "
                f"Received: {where} repeats line {seen[same]} ({row['path']})"
            )
        seen[same] = line
        utterances.append(utterance)
    return Corpus(name or name_of(manifest, "manifest.csv"), tuple(utterances))


def read_rows(
    path: Path, columns: Sequence[str], *, kind: str
) -> Iterator[tuple[dict[str, str], int]]:
    """Read a CSV file in UTF-8 row by row, refusing one that lacks columns or rows.

    Args:
        path: The file.
        columns: Those that it must have.
        kind: What it is, for messages, as `"A manifest"`.

    Yields:
        Each row, column to cell, and the line it ends on.
    """
    line = None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            found = rows.fieldnames or []
            if not set(columns) <= set(found) or len(set(found)) < len(found):
                raise ValueError(
                    f"{kind} must have the columns {', '.join(columns)}, and none "
                    f"twice. Received: {path} with columns {found}"
                )
            for row in rows:
                line = rows.line_num
                if None in row or None in row.values():
                    raise ValueError(
                        "A row must have as many cells as the header. "
                        f"Received: {path}, line {line}"
                    )
                yield row, line
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{kind} must be a CSV file in UTF-8. Received: {path} ({error})"
        ) from error
    if line is None:
        raise ValueError(f"{kind} must have rows. Received: {path} is empty")


def is_rendered(folder: Path, order: dict) -> bool:
    """Whether a folder holds a corpus that was rendered as ordered.

    Args:
        folder: The folder; its `about.json` holds the order, perhaps below `order`.
        order: What to render, ready for JSON.

    Raises:
        ValueError: If the folder holds anything else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        found = about | about.get("order", {})
    except (OSError, ValueError, AttributeError, TypeError):
        differing = ["something else"]
    else:
        differing = [
            f"{key}={found.get(key)!r} instead of {value!r}"
            for key, value in order.items()
            if key not in found or found[key] != value
        ]
    if differing:
        raise ValueError(
            "A corpus is rendered into a folder of its own, which holds this very "
            f"corpus or nothing. Received: {folder} with {', '.join(differing)}"
        )
    return True


def name_of(path: Path, usual: str) -> str:
    """The name of a table: of its folder if the file is called as usual, else its."""
    path = path.resolve()
    return path.parent.name if path.name == usual else path.stem


def is_sound(path: str) -> bool:
    """Whether a cell can be the path of a sound file."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES and "\0" not in path


def write(manifest: str | os.PathLike, utterances: Iterable[Utterance]) -> Path:
    """Write a manifest, whole or not at all.

    Args:
        manifest: The CSV file; an existing one is replaced.
        utterances: A corpus, or any `Utterance`s. Paths become relative to the
            manifest's folder; extra columns are written as they are.
    """
    manifest, utterances = Path(manifest), tuple(utterances)
    extra = dict.fromkeys(key for u in utterances for key in u.extra)
    clash = [key for key in extra if key in COLUMNS]
    if clash:
        raise ValueError(f"`extra` must not repeat a column. Received: {clash}")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    folder = manifest.parent.resolve()
    relative = functools.cache(lambda parent: _relative(parent.resolve(), folder))
    with (
        atomic_write(manifest) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.DictWriter(file, [*COLUMNS, *extra], restval="")
        rows.writeheader()
        for u in utterances:
            path = (relative(u.path.parent) / u.path.name).as_posix()
            values = (path, u.speaker, u.start, u.end, u.text)
            rows.writerow(dict(zip(COLUMNS, values, strict=True)) | u.extra)
    return manifest


def join(corpora: Sequence[Corpus], *, name: str = "joined") -> Corpus:
    """Put several corpora into one.

    A speaker becomes `<corpus>/<speaker>`, so that two of one name in two corpora stay
    two, and the column `corpus` names the corpus of a row.
    """
    names = [corpus.name for corpus in corpora]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"Corpora to join must have different names. Received: {names}"
        )
    utterances = tuple(
        replace(u, speaker=f"{c.name}/{u.speaker}", extra=u.extra | {"corpus": c.name})
        for c in corpora
        for u in c
    )
    return Corpus(name, utterances)


def _utterance(row: dict, folder: Path, where: str) -> Utterance:
    path, speaker = row.pop("path"), row.pop("speaker").strip()
    if not is_sound(path) and is_sound(row.get("audio", "")):
        row["video"], path = path, row.pop("audio")
    if not is_sound(path):
        raise ValueError(
            f"`path` (or `audio`, where `path` is a video) must name a file that ends "
            f"in one of {', '.join(AUDIO_SUFFIXES)}. Received: path={path!r} ({where})"
        )
    if not speaker:
        raise ValueError(f"`speaker` must not be empty. Received: {where}")
    start = _seconds(row.pop("start", ""), "start", where)
    end = _seconds(row.pop("end", ""), "end", where)
    if end is not None and end <= (start or 0.0):
        raise ValueError(
            f"`end` must come after `start`. Received: start={start}, end={end} "
            f"({where})"
        )
    text = row.pop("text", "")
    extra = {column: cell for column, cell in row.items() if cell}
    return Utterance(folder / path, speaker, start, end, text, extra)


def parse_number(text: str) -> float:
    """The number in a cell, NaN if there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _seconds(text: str, key: str, where: str) -> float | None:
    if not text.strip():
        return None
    seconds = parse_number(text)
    if not 0 <= seconds < math.inf:
        raise ValueError(
            f"`{key}` must be seconds, at least 0. Received: {key}={text!r} ({where})"
        )
    return seconds


def _relative(target: Path, folder: Path) -> Path:
    try:
        return Path(os.path.relpath(target, folder))
    except ValueError:  # another drive
        return target
