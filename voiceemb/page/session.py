"""A session: what one open page holds, and what its buttons do.

Nobody sees the session of another: each has its recording in a folder of its own with
a name that can not be guessed, and the folder goes when the session does. Nothing here
knows of a browser; errors that a user can mend are `ValueError`.
"""

import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from timbre.audio import wave
from voiceemb.names import checked_name

SAMPLE_RATE = 16000
BINS = 6000  # of the drawn waveform
FORMATS = ("rttm", "csv", "json", "srt")
MOST_SPEAKERS = 20
LEAST_SAMPLE_S = 2.0  # turns as long as this are samples of a voice
MOST_SAMPLE_S = 30.0  # longer turns are cut to this
MOST_SAMPLES = 20  # taken for an enrolment, the longest first
NAMELESS = re.compile(r"speaker \d+")  # what those are called who are not known


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as the page keeps it: 16 kHz, one channel, 16-bit PCM.

    Attributes:
        name: What the user called it; for the eye only, never a path.
        path: The sound, in the folder of its session.
        duration_s: Its length.
        peaks: Largest magnitude in each of equal parts, in [0, 1], `[bins]`.
    """

    name: str
    path: Path
    duration_s: float
    peaks: np.ndarray

    def read(self) -> np.ndarray:
        """The waveform, float32 `[samples]` at 16 kHz."""
        return wave.read(self.path)


class Version(NamedTuple):
    """Turns, and the files that hold them."""

    found: object
    files: tuple[str, ...]


class Session:
    """The recording of one open page and the turns found in it, newest last.

    Args:
        root: Folder in which it makes its own, once there is a recording.

    Attributes:
        recording: The `Recording`, or `None`.
        versions: A `Version` as found, then one more for each edit.
    """

    def __init__(self, root):
        self.folder = Path(root) / f"session-{secrets.token_hex(16)}"
        self.recording, self.versions = None, []

    @property
    def found(self):
        """The `Diarization` as it is now, or `None`."""
        return self.versions[-1].found if self.versions else None

    @property
    def files(self):
        """Paths of the turns as they are now, one of each of `FORMATS`."""
        return self.versions[-1].files if self.versions else ()

    def close(self):
        """Removes all that the session has on the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, path, name):
        """Takes a sound file in place of what was there; a bad one changes nothing.

        Args:
            path: The file; not needed afterwards.
            name: What to call it.

        Raises:
            ValueError: If it can not be read.
        """
        try:
            waveform = wave.read(path)
        except wave.AudioError as error:  # it names the path, which is not the user's
            raise ValueError(f"{name}: {error.reason}") from error
        self.folder.mkdir(mode=0o700, exist_ok=True)
        kept = Path(tempfile.mkdtemp(dir=self.folder)) / "sound.wav"
        peak = float(np.abs(waveform).max())
        wave.write(kept, waveform / max(peak, 1.0))
        old = self.recording
        duration_s = len(waveform) / SAMPLE_RATE
        self.recording = Recording(name, kept, duration_s, peaks(waveform))
        self.versions = []
        if old is not None:
            shutil.rmtree(old.path.parent, ignore_errors=True)

    def analyse(self, diarize, *, progress=None, **speakers):
        """Finds who speaks when.

        Args:
            diarize: As `diarization.diarize`, of a waveform.
            progress: Passed on.
            **speakers: What `speakers_asked` returned.

        Returns:
            False if another recording was taken meanwhile; the turns are then lost.
        """
        recording = self._given()
        found = diarize(recording.read(), progress=progress, **speakers)
        try:
            versions = [_written(found, recording)]
        except OSError:
            if recording is self.recording:
                raise
        if recording is not self.recording:  # its folder is gone, or was made anew
            shutil.rmtree(recording.path.parent, ignore_errors=True)
            return False
        self.versions = versions
        return True

    def rename(self, speaker, name):
        """Calls a speaker by another name."""
        name = checked_name(" ".join((name or "").split()))
        if name != speaker and name in self._found(speaker).speakers:
            raise ValueError(f"{name} is a speaker already; merge the two instead.")
        self._edit(speaker, lambda found: found.rename(speaker, name))
        return name

    def merge(self, speaker, other):
        """Makes `other` a part of `speaker`."""
        if not other or other == speaker:
            raise ValueError("Choose two different speakers to merge.")
        self._found(other)
        self._edit(speaker, lambda found: found.merge(speaker, other))

    def split(self, speaker):
        """Makes two speakers of one."""
        self._edit(speaker, lambda found: found.split(speaker))

    def undo(self):
        """Takes the last edit back."""
        if len(self.versions) < 2:
            raise ValueError("There is no change to take back.")
        self.versions.pop()

    def enrol(self, people, speaker):
        """Adds the voice of a speaker to a store of people, under the speaker's name.

        Args:
            people: The `enrolment.People`.
            speaker: Whose turns are the samples.

        Returns:
            The store's report.

        Raises:
            ValueError: If the speaker has no name yet, or never speaks alone.
        """
        self._found(speaker)
        if NAMELESS.fullmatch(speaker):
            raise ValueError(f"Rename {speaker} first: people are kept by their name.")
        taken = samples(self, self._found(speaker), speaker)
        return people.enrol(speaker, [*taken.values()], names=[*taken])

    def _edit(self, speaker, change):
        recording, versions = self.recording, self.versions
        versions.append(_written(change(self._found(speaker)), recording))

    def _given(self):
        if self.recording is None:
            raise ValueError("Choose or record a sound first.")
        if not self.recording.path.exists():
            raise ValueError("This page was closed; give the recording once more.")
        return self.recording

    def _found(self, speaker):
        """The turns as they are now, in which `speaker` must be heard."""
        self._given()
        if self.found is None or speaker not in self.found.speakers:
            raise ValueError("Choose a speaker of this recording first.")
        return self.found


def _written(found, recording):
    """A version with its files; a `ValueError` where a name has no place in one."""
    folder = Path(tempfile.mkdtemp(dir=recording.path.parent))
    paths = [folder / f"turns.{suffix}" for suffix in FORMATS]
    for path in paths:
        found.save(path)
    return Version(found, tuple(map(str, paths)))


def peaks(waveform, bins=BINS) -> np.ndarray:
    """The outline of a waveform: the largest magnitude in each of equal parts.

    Args:
        waveform: Float `[samples]`.
        bins: Most parts. Defaults to `6000`.

    Returns:
        Float32 `[min(bins, samples)]`, scaled so that the largest is 1; zero if all is.
    """
    bins = min(bins, len(waveform))
    starts = np.arange(bins) * len(waveform) // bins
    outline = np.maximum.reduceat(waveform, starts)
    outline = np.maximum(outline, -np.minimum.reduceat(waveform, starts))
    return outline / max(float(outline.max()), 1e-9)


def samples(session, found, speaker) -> dict[str, np.ndarray]:
    """Waveforms of one speaker's turns by what they are called, the longest first.

    Only what nobody else says at the same time counts. Where no turn is long enough to
    be a sample, all of them together are one.
    """
    recording, rate = session.recording, SAMPLE_RATE
    waveform, spans = recording.read(), alone(found.turns, speaker)
    spans.sort(key=lambda span: span[0] - span[1])
    spans = [(start, min(end, start + MOST_SAMPLE_S)) for start, end in spans]
    parts = {(a, b): waveform[round(a * rate) : round(b * rate)] for a, b in spans}
    if not any(map(len, parts.values())):
        raise ValueError(f"{speaker} never speaks alone; nothing to enrol.")
    long = [s for s in spans if len(parts[s]) >= LEAST_SAMPLE_S * rate][:MOST_SAMPLES]
    if not long:
        long = [(min(spans)[0], max(spans)[1])]
        parts = {long[0]: np.concatenate([*parts.values()])}
    return {f"{recording.name} {a:.1f}-{b:.1f} s": parts[a, b] for a, b in long}


def alone(turns, speaker) -> list[tuple[float, float]]:
    """Spans in seconds where `speaker` speaks and nobody else does."""
    edges = sorted({edge for turn in turns for edge in (turn.start, turn.end)})
    own, others = np.zeros((2, len(edges)), int)
    for turn in turns:
        count = own if turn.speaker == speaker else others
        count[np.searchsorted(edges, turn.start)] += 1
        count[np.searchsorted(edges, turn.end)] -= 1
    free = (np.cumsum(own) > 0) & (np.cumsum(others) == 0)
    spans = []
    for index in np.flatnonzero(free).tolist():
        start, end = edges[index], edges[index + 1]
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def speakers_asked(way, exact, least, most) -> dict:
    """Options of `diarize` from the control of the page.

    Args:
        way: `"exact"`, `"between"`, or `"estimated"`.
        exact, least, most: Whole numbers from 1 to 20, or `None` where left empty.

    Raises:
        ValueError: If a number that counts is none of these.
    """
    wanted = {"exact": (exact,), "between": (least, most)}.get(way, ())
    for number in wanted:
        if number is None or number != int(number) or not 1 <= number <= MOST_SPEAKERS:
            raise ValueError(
                f"The number of speakers is a whole number from 1 to {MOST_SPEAKERS}."
            )
    if way == "exact":
        return {"num_speakers": int(exact)}
    if way != "between":
        return {}
    if least > most:
        raise ValueError("At least must not be more than at most.")
    return {"min_speakers": int(least), "max_speakers": int(most)}
