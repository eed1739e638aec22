"""Manifests: a corpus is a list of who says what in which file.

A manifest is a CSV file with a header. Its columns:

* `path`: the sound file, relative to the manifest. `..` may lead out of the
  manifest's folder, as it does in a manifest that joins several corpora, and an
  absolute path is taken as it is; `write` never makes one where a relative path
  exists, so a corpus can be moved as a whole.
* `speaker`: who speaks, any text.
* `start`, `end`: seconds, where only a part of the file is meant. Optional.
* `text`: what is said. Optional.
* `audio`: where `path` names a video, the file that holds its sound. Optional.

Every other column is kept, as text, in `Utterance.extra`; an empty cell is left out.
"""

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.splits import check, split_by_speaker, split_by_utterance
from timbre.files import replacing

__all__ = [
    "AUDIO_SUFFIXES",
    "COLUMNS",
    "Corpus",
    "Utterance",
    "check",
    "join",
    "read",
    "split_by_speaker",
    "split_by_utterance",
    "write",
]

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
COLUMNS = ("path", "speaker", "start", "end", "text")


def read(manifest: str | os.PathLike, *, name: str | None = None) -> Corpus:
    """Read a manifest.

    The files themselves are not touched.

    Args:
        manifest: The CSV file.
        name: What to call the corpus. Defaults to the name of the folder that
            holds `manifest.csv`, or to the name of a manifest called otherwise.

    Returns:
        The corpus, rows in the order of the file.

    Raises:
        ValueError: If the manifest has no rows, lacks a column, or a row is
            wrong; the message names the row.
    """
    manifest = Path(manifest)
    utterances, seen = [], {}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            _check_header(rows.fieldnames, manifest)
            for row in rows:
                where = f"{manifest}, line {rows.line_num}"
                utterance = _utterance(row, manifest.parent, where)
                same = (utterance.path, utterance.start, utterance.end)
                if same in seen:
                    raise ValueError(
                        f"A manifest names each stretch of speech once. Received: "
                        f"{where} repeats line {seen[same]} ({row['path']})"
                    )
                seen[same] = rows.line_num
                utterances.append(utterance)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"A manifest must be a CSV file in UTF-8. Received: {manifest} ({error})"
        ) from error
    if not utterances:
        raise ValueError(f"A manifest must have rows. Received: {manifest} is empty")
    own = manifest.resolve()
    own = own.parent.name if own.name == "manifest.csv" else own.stem
    return Corpus(name or own, tuple(utterances))


def write(manifest: str | os.PathLike, utterances: Iterable[Utterance]) -> Path:
    """Write a manifest, whole or not at all.

    Args:
        manifest: The CSV file; an existing one is replaced.
        utterances: A corpus, or any `Utterance`s. Paths become relative to the
            manifest's folder; extra columns are written as they are.

    Returns:
        The path of the manifest.
    """
    manifest, utterances = Path(manifest), tuple(utterances)
    extra = dict.fromkeys(key for u in utterances for key in u.extra)
    clash = [key for key in extra if key in COLUMNS]
    if clash:
        raise ValueError(f"`extra` must not repeat a column. Received: {clash}")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    folder, resolved = manifest.parent.resolve(), {}
    with (
        replacing(manifest) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.DictWriter(file, [*COLUMNS, *extra], restval="")
        rows.writeheader()
        for u in utterances:
            parent = u.path.parent
            if parent not in resolved:
                resolved[parent] = _relative(parent.resolve(), folder)
            path = (resolved[parent] / u.path.name).as_posix()
            values = (path, u.speaker, u.start, u.end, u.text)
            rows.writerow(dict(zip(COLUMNS, values, strict=True)) | u.extra)
    return manifest


def join(corpora: Sequence[Corpus], *, name: str = "joined") -> Corpus:
    """Put several corpora into one.

    A speaker becomes `<corpus>/<speaker>`, so that two speakers of one name in
    two corpora stay two, and the column `corpus` tells where a row came from.

    Args:
        corpora: The corpora, of different names.
        name: What to call the whole. Defaults to `"joined"`.
    """
    names = [corpus.name for corpus in corpora]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"Corpora to join must have different names. Received: {names}"
        )
    return Corpus(
        name,
        tuple(
            replace(
                u,
                speaker=f"{corpus.name}/{u.speaker}",
                extra=u.extra | {"corpus": corpus.name},
            )
            for corpus in corpora
            for u in corpus
        ),
    )


def _check_header(columns: Sequence[str] | None, manifest: Path) -> None:
    columns = columns or []
    if not {"path", "speaker"} <= set(columns) or len(set(columns)) < len(columns):
        raise ValueError(
            "A manifest must have the columns `path` and `speaker`, and none twice. "
            f"Received: {manifest} with columns {columns}"
        )


def _utterance(row: dict, folder: Path, where: str) -> Utterance:
    if None in row or None in row.values():
        raise ValueError(
            f"A row must have as many cells as the header. Received: {where}"
        )
    row = dict(row)
    path, speaker = row.pop("path"), row.pop("speaker").strip()
    if not _is_audio(path) and _is_audio(row.get("audio", "")):
        row["video"], path = path, row.pop("audio")
    if not _is_audio(path):
        raise ValueError(
            f"`path` (or `audio`, where `path` is a video) must name a file that ends "
            f"in one of {', '.join(AUDIO_SUFFIXES)}. Received: path={path!r} ({where})"
        )
    if not speaker:
        raise ValueError(f"`speaker` must not be empty. Received: {where}")
    start, end = (_seconds(row.pop(key, ""), key, where) for key in ("start", "end"))
    if end is not None and end <= (start or 0.0):
        raise ValueError(
            f"`end` must come after `start`. Received: start={start}, end={end} "
            f"({where})"
        )
    text = row.pop("text", "")
    extra = {column: cell for column, cell in row.items() if cell}
    return Utterance(folder / path, speaker, start, end, text, extra)


def _is_audio(path: str) -> bool:
    return Path(path).suffix.lower() in AUDIO_SUFFIXES and "\0" not in path


def _seconds(text: str, key: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
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
