"""RTTM and UEM: who spoke when, and which parts count, as lines of text.

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>
    <recording> <channel> <start> <end>

The first is a turn in an RTTM file, the second a part in a UEM file; times are in
seconds, fields are parted by white space, and a file may hold several recordings.
Blank lines and comments (`;;`) are passed over, channels are not told apart.

References:
    The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan, appendix A
    (NIST, 2009); md-eval in https://github.com/usnistgov/SCTK reads the format so.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from timbre.files import atomic_write

LARGEST = 2**26  # bytes of a file: a million turns
LONGEST = 4096  # bytes of a line
LATEST = 1e7  # seconds: four months
UNKNOWN = "<NA>"
OTHER_TYPES = frozenset(
    "SEGMENT NOSCORE NO_RT_METADATA LEXEME NON-LEX NON-SPEECH FILLER EDIT SU IP CB A/P "
    "SPKR-INFO".split()
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, order=True)
class Turn:
    """One stretch of one speaker's speech. Turns sort by time.

    Args:
        start: First moment, seconds from the beginning of the recording, at least 0.
        end: Last moment, seconds, after `start`.
        speaker: Who speaks, not blank.

    Raises:
        ValueError: If it is of another kind.
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
    """Read the turns of an RTTM file.

    Only `SPEAKER` lines count; those of the other types of the format are passed over.
    A turn of no duration says nothing and is left out: programs that round to the
    hundredth write such ones. Starts and durations are added as decimals, so turns
    that meet in the file meet here.

    Returns:
        The turns of each recording, sorted by time.

    Raises:
        ValueError: If a line has another form, with its number; if the file is not
            UTF-8, is larger than 64 MiB or has a line of more than 4096 bytes.
    """
    recordings = {}
    for number, fields in _lines(path):
        if fields[0] in OTHER_TYPES:
            continue
        if fields[0] != "SPEAKER":
            kinds = "SPEAKER or another type of RTTM"
            raise _refusal(path, number, f"must begin with {kinds}", fields)
        if not 8 <= len(fields) <= 10:
            rule = "must have 8 to 10 fields, the speaker eighth, no space in a name"
            raise _refusal(path, number, rule, fields)
        if fields[7] == UNKNOWN:
            raise _refusal(path, number, "must name its speaker", fields)
        start = _seconds(path, number, "start", fields[3])
        end = start + _seconds(path, number, "duration", fields[4])
        turns = recordings.setdefault(fields[1], [])
        if float(start) < float(end):
            turns.append(Turn(float(start), float(end), fields[7]))
    return {name: sorted(turns) for name, turns in recordings.items()}


def write_rttm(path, turns_by_recording: Mapping[str, Iterable[Turn]]):
    """Write turns as an RTTM file, whole or not at all.

    Both ends of a turn are rounded to the millisecond, so turns that met still meet; a
    shorter turn gets one millisecond. White space inside a name becomes `_`. A
    recording without turns leaves no line.

    Args:
        path: Text file to write.
        turns_by_recording: The turns of each recording.

    Raises:
        ValueError: If a name can not be written, or two names would become one.
    """
    lines, recordings = [], _written(turns_by_recording, "recording")
    for name, turns in turns_by_recording.items():
        turns = sorted(turns)
        speakers = _written((turn.speaker for turn in turns), "speaker")
        for turn in turns:
            start, end = round(1000 * turn.start), round(1000 * turn.end)
            times = f"{start / 1000:.3f} {max(end - start, 1) / 1000:.3f}"
            lines.append(
                f"SPEAKER {recordings[name]} 1 {times} {UNKNOWN} {UNKNOWN} "
                f"{speakers[turn.speaker]} {UNKNOWN} {UNKNOWN}\n"
            )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)


def read_uem(path) -> dict[str, list[tuple[float, float]]]:
    """Read the parts of recordings that a UEM file says to score.

    Returns:
        `(start, end)` of each part in seconds, sorted, by recording. Parts of no
        duration are left out.

    Raises:
        ValueError: As `read_rttm`.
    """
    recordings = {}
    for number, fields in _lines(path):
        if len(fields) != 4:
            rule = "must be `recording channel start end`"
            raise _refusal(path, number, rule, fields)
        start = float(_seconds(path, number, "start", fields[2]))
        end = float(_seconds(path, number, "end", fields[3]))
        if end < start:
            raise _refusal(path, number, "must not end before it starts", fields)
        recordings.setdefault(fields[0], []).extend([(start, end)] * (start < end))
    return {name: sorted(parts) for name, parts in recordings.items()}


def _lines(path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that says something."""
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path}: must have at most {LARGEST} bytes. Received: more")
    for number, line in enumerate(
        content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1
    ):
        if len(line) > LONGEST:
            rule = f"must have at most {LONGEST} bytes"
            raise _refusal(path, number, rule, f"{len(line)} bytes")
        try:
            fields = line.decode("utf-8").split()
        except UnicodeDecodeError as error:
            raise _refusal(path, number, "must be UTF-8", line) from error
        if fields and not fields[0].startswith(";;"):
            yield number, fields


def _seconds(path, number, name, text) -> Decimal:
    """A time as it is written."""
    if not NUMBER.fullmatch(text) or not 0 <= Decimal(text) <= LATEST:
        rule = f"must have its {name} in seconds, a number from 0 to {LATEST:g}"
        raise _refusal(path, number, rule, text)
    return Decimal(text)


def _refusal(path, number, rule, received) -> ValueError:
    if isinstance(received, list):
        received = " ".join(received)
    if not isinstance(received, bytes):
        received = str(received)
    return ValueError(f"{path}: line {number} {rule}. Received: {received[:80]!r}")


def _written(names, kind) -> dict[str, str]:
    """Each name as it is written, without white space."""
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
