"""Speaker turns: who spoke when, the text formats of turns, and merging of intervals.

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>
    <recording> <channel> <start> <end>

The first is a turn in an RTTM file, the second a scored region in a UEM file; times are
in seconds, fields are separated by white space, and a file may hold several recordings.
Blank lines and comments (`;;`) are skipped. Turns are also
written as CSV, as subtitles (SRT) and as labels of Audacity, see `write`.

References:
    The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan, appendix A
    (NIST, 2009); md-eval in https://github.com/usnistgov/SCTK reads the format so.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from timbre.files import atomic_write

MAX_BYTES = 2**26  # of a file: a million turns
MAX_LINE_BYTES = 4096
MAX_TIME_S = 1e7  # four months
UNKNOWN = "<NA>"
OTHER_TYPES = frozenset(
    "SEGMENT NOSCORE NO_RT_METADATA LEXEME NON-LEX NON-SPEECH FILLER EDIT SU IP CB A/P "
    "SPKR-INFO".split()
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, order=True)
class Turn:
    """One speaker's uninterrupted speech. Turns sort by time.

    Args:
        start: First moment, seconds from the beginning of the recording, at least 0.
        end: Last moment, seconds, after `start`.
        speaker: Who speaks, not blank.
    """

    start: float
    end: float
    speaker: str

    def __post_init__(self):
        start, end = float(self.start), float(self.end)
        if not 0 <= start < end < math.inf:
            raise ValueError(
                "A turn must have 0 <= start < end, in finite seconds. "
                f"Received: start={self.start}, end={self.end}"
            )
        if not isinstance(self.speaker, str) or not self.speaker.strip():
            raise ValueError(
                "A turn must have the name of a speaker. "
                f"Received: speaker={self.speaker!r}"
            )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    @property
    def duration(self) -> float:
        """How long it lasts, in seconds."""
        return self.end - self.start


def read_rttm(path) -> dict[str, list[Turn]]:
    """Read the turns of each recording of an RTTM file, sorted by time.

    Where a recording has turns on several channels, each channel is one of its own, as
    in NIST's md-eval, called by the recording, a space and the channel: a speaker of
    one channel is nobody of another.

    Lines of other types than `SPEAKER` are skipped, and so are turns of no duration,
    which programs that round to the hundredth write. Starts and durations are added as
    decimals, so turns that meet in the file meet here.

    Raises:
        ValueError: If a line has another form, with its number; if the file is not
            UTF-8, is larger than 64 MiB or has a line of more than 4096 bytes.
    """
    recordings = {}
    for number, fields in _lines(path):
        if fields[0] in OTHER_TYPES:
            continue
        if fields[0] != "SPEAKER":
            rule = "must begin with SPEAKER or another type of RTTM"
            raise _line_error(path, number, rule, fields)
        if not 8 <= len(fields) <= 10:
            rule = "must have 8 to 10 fields, the speaker eighth, no space in a name"
            raise _line_error(path, number, rule, fields)
        if fields[7] == UNKNOWN:
            raise _line_error(path, number, "must name its speaker", fields)
        start = _seconds(path, number, "start", fields[3])
        end = start + _seconds(path, number, "duration", fields[4])
        turns = recordings.setdefault(fields[1], {}).setdefault(fields[2], [])
        if float(start) < float(end):
            turns.append(Turn(float(start), float(end), fields[7]))
    return _join_channels(recordings)


def write_rttm(path, turns_by_recording: Mapping[str, Iterable[Turn]]):
    """Write the turns of each recording as an RTTM file, atomically.

    Both ends of a turn are rounded to the millisecond, so turns that met still meet; a
    shorter turn gets one millisecond. White space inside a name becomes `_`. A
    recording without turns leaves no line.

    Raises:
        ValueError: If a name can not be written, or two names become equal.
    """
    lines, recordings = [], _escape_names(turns_by_recording, "recording")
    for name, turns in turns_by_recording.items():
        turns = sorted(turns)
        speakers = _escape_names((turn.speaker for turn in turns), "speaker")
        for turn in turns:
            start, end = round(1000 * turn.start), round(1000 * turn.end)
            times = f"{start / 1000:.3f} {max(end - start, 1) / 1000:.3f}"
            lines.append(
                f"SPEAKER {recordings[name]} 1 {times} {UNKNOWN} {UNKNOWN} "
                f"{speakers[turn.speaker]} {UNKNOWN} {UNKNOWN}\n"
            )
    _write_text(path, "".join(lines))


def write(path, turns: Iterable[Turn], *, recording: str | None = None):
    """Write the turns of one recording in the format of the suffix, atomically.

    `.rttm` names the recording, by which others score it. `.csv` has the columns start,
    end and speaker; `.srt` has subtitles with the name of the speaker; `.txt` has
    labels for Audacity. Turns are written in the order given, but sorted in RTTM.

    Args:
        path: The file.
        turns: Turns of one recording.
        recording: Its name, the stem of the sound's file. Defaults to that of `path`.

    Raises:
        ValueError: If the suffix is none of `FORMATS`, or a name has no place in RTTM.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"A file ends in one of {FORMATS}. Received: {path}")
    if suffix == ".rttm":
        write_rttm(path, {recording or path.stem: turns})
    else:
        _write_text(path, TEXTS[suffix](turns))


def csv_text(turns) -> str:
    """Turns as CSV with the columns start, end (seconds) and speaker."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["start", "end", "speaker"])
    lines.writerows([f"{t.start:.3f}", f"{t.end:.3f}", t.speaker] for t in turns)
    return text.getvalue()


def srt_text(turns) -> str:
    """Turns as SRT subtitles that show the speaker."""

    def clock(seconds):
        hours, minutes, second, thousandths = _split_time(seconds, 3)
        return f"{hours:02}:{minutes:02}:{second:02},{thousandths:03}"

    return "\n".join(
        f"{number}\n{clock(turn.start)} --> {clock(turn.end)}\n[{turn.speaker}]\n"
        for number, turn in enumerate(turns, 1)
    )


def audacity_text(turns) -> str:
    """Turns as a label track of Audacity; white space in a name becomes one space."""
    return "".join(
        f"{turn.start:.6f}\t{turn.end:.6f}\t{' '.join(turn.speaker.split())}\n"
        for turn in turns
    )


TEXTS = {".csv": csv_text, ".srt": srt_text, ".txt": audacity_text}
FORMATS = (".rttm", *TEXTS)


def format_time(seconds, decimals=0) -> str:
    """A time as `m:ss` or `h:mm:ss`, rounded to `decimals` of a second."""
    hours, minutes, second, part = _split_time(seconds, decimals)
    text = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{text}:{second:02}" + (f".{part:0{decimals}}" if decimals else "")


def _split_time(seconds, decimals) -> tuple[int, int, int, int]:
    """Hours, minutes, seconds and the rest in units of the last decimal."""
    whole, part = divmod(round(seconds * 10**decimals), 10**decimals)
    return whole // 3600, whole // 60 % 60, whole % 60, part


def merge_spans(spans, gap=0.0) -> list[tuple]:
    """Merge neighbouring spans of one speaker that are at most `gap` seconds apart.

    Spans are `(start, end, speaker)`, seconds, in order of time. Nobody else speaks in
    a gap, as only neighbours are merged.
    """
    merged = []
    for start, end, speaker in spans:
        if merged and merged[-1][2] == speaker and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end), speaker)
        else:
            merged.append((start, end, speaker))
    return merged


def exclusive_spans(turns, speaker) -> list[tuple[float, float]]:
    """Spans, in seconds, where `speaker` speaks and nobody else does."""
    edges = [(turn.start, 1, turn.speaker == speaker) for turn in turns]
    edges += [(turn.end, -1, turn.speaker == speaker) for turn in turns]
    active = {True: 0, False: 0}  # turns of the speaker, and of the others
    spans, before = [], 0.0
    for time, step, own in sorted(edges):
        if active[True] and not active[False] and time > before:
            spans.append((before, time, speaker))
        active[own] += step
        before = time
    return [(start, end) for start, end, _ in merge_spans(spans)]


def read_uem(path) -> dict[str, list[tuple[float, float]]]:
    """Read the scored regions of each recording of a UEM file, sorted by time.

    Regions are `(start, end)` in seconds; those of no duration are left out. Channels
    and errors are those of `read_rttm`.
    """
    recordings = {}
    for number, fields in _lines(path):
        if len(fields) != 4:
            rule = "must be `recording channel start end`"
            raise _line_error(path, number, rule, fields)
        start = float(_seconds(path, number, "start", fields[2]))
        end = float(_seconds(path, number, "end", fields[3]))
        if end < start:
            raise _line_error(path, number, "must not end before it starts", fields)
        regions = recordings.setdefault(fields[0], {}).setdefault(fields[1], [])
        if start < end:
            regions.append((start, end))
    return _join_channels(recordings)


def _join_channels(recordings):
    """Sorted turns by recording, or by recording and channel where it has several."""
    return {
        f"{name} {channel}" if len(channels) > 1 else name: sorted(turns)
        for name, channels in recordings.items()
        for channel, turns in channels.items()
    }


def _lines(path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is neither blank nor a comment."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path}: must have at most {MAX_BYTES} bytes.")
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_BYTES:
            rule = f"must have at most {MAX_LINE_BYTES} bytes"
            raise _line_error(path, number, rule, f"{len(line)} bytes")
        try:
            fields = line.decode("utf-8").split()
        except UnicodeDecodeError as error:
            raise _line_error(path, number, "must be UTF-8", line) from error
        if fields and not fields[0].startswith(";;"):
            yield number, fields


def _seconds(path, number, name, text) -> Decimal:
    """A time as it is written."""
    if not NUMBER.fullmatch(text) or not 0 <= Decimal(text) <= MAX_TIME_S:
        rule = f"must have its {name} in seconds, a number from 0 to {MAX_TIME_S:g}"
        raise _line_error(path, number, rule, text)
    return Decimal(text)


def _line_error(path, number, rule, received) -> ValueError:
    if isinstance(received, list):
        received = " ".join(received)
    return ValueError(f"{path}: line {number} {rule}. Received: {received[:80]!r}")


def _escape_names(names, kind) -> dict[str, str]:
    """Name to the name without white space."""
    written = {name: re.sub(r"\s+", "_", name) for name in names}
    bad = [name for name in written if not name.strip() or name == UNKNOWN]
    if bad:
        raise ValueError(
            f"The name of a {kind} must not be blank or {UNKNOWN}. Received: {bad[0]!r}"
        )
    if len(set(written.values())) < len(written):
        raise ValueError(
            f"Names of a {kind} must differ in more than white space and `_`. "
            f"Received: {sorted(written)}"
        )
    return written


def _write_text(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, "utf-8", newline="\n")
