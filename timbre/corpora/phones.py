"""Phone labels with their times and speakers, from a table or a TIMIT tree.

A table, such as a forced aligner writes, is a CSV file:

    path,start,end,phone,speaker,...

`path` is relative to the table, `start` and `end` are seconds, `phone` and `speaker`
may be empty. Every other column is kept, as text, in `Segment.extra`.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.phone_sets import SILENCE, map_timit

COLUMNS = ("path", "start", "end", "phone", "speaker")
TIMIT_RATE = 16000  # Hz; its labels count samples
TIMIT_TABLE = re.compile(r"(.*/)?(train|test)/dr[^/]*/[^/]+/[^/]+\.phn", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a recording with one phone label.

    Args:
        path: The sound file.
        start_s, end_s: Where it begins and ends, in seconds.
        phone, speaker: The label and the name of the speaker, `""` if unknown.
        extra: Whatever else is known of it, column to text.
    """

    path: Path
    start_s: float
    end_s: float
    phone: str
    speaker: str
    extra: dict = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Labels:
    """Segments of several recordings.

    Args:
        name: What tables and figures call them.
        segments: Tuple of `Segment`, in the order they are read.
    """

    name: str
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def corpus(self) -> Corpus:
        """The recordings, whole, each once, under the speaker of its first segment."""
        first = {}
        for segment in self.segments:
            first.setdefault(segment.path, segment.speaker)
        utterances = (Utterance(path, speaker) for path, speaker in first.items())
        return Corpus(self.name, tuple(utterances))


def read(segments_csv: str | os.PathLike, *, name: str | None = None) -> Labels:
    """Read a table of segments.

    Args:
        segments_csv: The CSV file; the sound files are not touched.
        name: What to call the labels. Defaults to the name of the folder that holds
            `segments.csv`, or to the name of a table called otherwise.

    Raises:
        ValueError: If the table has no rows, lacks a column, or a row is wrong.
    """
    table, segments, paths, names = Path(segments_csv), [], {}, {}
    for row, line in manifest.read_rows(table, COLUMNS, kind="A table of segments"):
        where = f"{table}, line {line}"
        segment = _segment(row, table.parent, where, paths, names)
        if segments and segments[-1].extra == segment.extra:
            segment = replace(segment, extra=segments[-1].extra)
        segments.append(segment)
    return Labels(name or manifest.name_of(table, "segments.csv"), tuple(segments))


def read_timit(root: str | os.PathLike, *, map_phones: bool = True) -> Labels:
    """Read a TIMIT tree, `(TRAIN|TEST)/DR<n>/<speaker>/<sentence>.(WAV|PHN)`.

    Names may be in any case; of a recording that lies there twice, as `SA1.WAV` and
    `SA1.WAV.wav`, the longer name is read.

    Args:
        root: A folder above `TRAIN` and `TEST`.
        map_phones: Map the 61 labels to 38 and drop silence, see
            `timbre.corpora.phone_sets.map_timit`. Defaults to `True`.

    Returns:
        The labels, with `part`, `dialect`, `gender` and `sentence` as extra columns.

    Raises:
        ValueError: If there are no labels, a recording is missing, or a label is wrong.
    """
    root, segments = Path(root), []
    tables = sorted(p for p in root.rglob("*") if _is_timit(p, root))
    if not tables:
        raise ValueError(
            "A TIMIT tree must hold (TRAIN|TEST)/DR<n>/<speaker>/*.PHN. "
            f"Received: {root}, which has none"
        )
    for table in tables:
        segments += _timit_segments(table, _sound(table), map_phones)
    return Labels("timit", tuple(segments))


def _segment(row, folder, where, paths, names):
    """A row as a segment; equal paths and strings are stored once, to save memory."""
    path, *times, phone, speaker = (row.pop(name) for name in COLUMNS)
    if not manifest.is_sound(path):
        raise ValueError(
            "`path` must name a file that ends in one of "
            f"{', '.join(manifest.AUDIO_SUFFIXES)}. Received: path={path!r} ({where})"
        )
    start_s, end_s = map(manifest.parse_number, times)
    if not 0 <= start_s < end_s < math.inf:
        raise ValueError(
            "`start` and `end` must be seconds, at least 0, and `end` must come after "
            f"`start`. Received: start={times[0]!r}, end={times[1]!r} ({where})"
        )
    extra = {column: names.setdefault(c, c) for column, c in row.items() if c}
    phone = names.setdefault(phone.strip(), phone.strip())
    speaker = names.setdefault(speaker.strip(), speaker.strip())
    path = paths.get(path) or paths.setdefault(path, folder / path)
    return Segment(path, start_s, end_s, phone, speaker, extra)


def _is_timit(path, root):
    """Whether this is a table of labels in its place."""
    return TIMIT_TABLE.fullmatch(path.relative_to(root.parent).as_posix())


def _sound(table):
    names = {f"{table.stem}{end}".lower() for end in (".wav", ".wav.wav", ".flac")}
    found = [path for path in table.parent.iterdir() if path.name.lower() in names]
    if not found:
        raise ValueError(
            f"Labels of TIMIT must lie beside their recording. Received: {table} alone"
        )
    return max(found, key=lambda path: (len(path.name), path.name))


def _timit_segments(table, path, map_phones):
    part, dialect, speaker = table.resolve().parts[-4:-1]
    extra = {
        "part": part.lower(),
        "dialect": dialect.lower(),
        "gender": speaker[0].upper(),
        "sentence": table.stem.lower(),
    }
    for number, line in enumerate(table.read_text("ascii", "replace").splitlines(), 1):
        cells, where = line.split(), f"{table}, line {number}"
        if not cells:
            continue
        start, end = map(manifest.parse_number, (*cells, "", "")[:2])
        if len(cells) != 3 or not 0 <= start < end < math.inf:
            raise ValueError(
                "A label of TIMIT must be a first sample, a last one beyond it, and a "
                f"phone. Received: {line!r} ({where})"
            )
        phone = cells[2].lower()
        if map_phones:
            phone = map_timit(phone, where=f" ({where})")
        if phone is not None and not (map_phones and phone == SILENCE):
            times = start / TIMIT_RATE, end / TIMIT_RATE
            yield Segment(path, *times, phone, speaker.upper(), extra)
