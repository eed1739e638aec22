"""The state of one open page, and the actions of its buttons.

Each has its recording in a folder of its own with an unguessable name, which is removed
with the session. Errors of the user are `ValueError`.
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
from timbre.turns import exclusive_spans
from voiceemb.names import normalise_name

SAMPLE_RATE = 16000
BINS = 6000  # of the drawn waveform
FORMATS = ("rttm", "csv", "json", "srt")
MAX_SPEAKERS = 20
MIN_SAMPLE_S = 2.0  # of a turn that is enrolled
MAX_SAMPLE_S = 30.0  # longer turns are cut to this
MAX_SAMPLES = 20  # of an enrolment, the longest first
UNNAMED = re.compile(r"speaker \d+")  # labels of diarization


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of a session: 16 kHz, one channel, 16-bit PCM.

    Attributes:
        name: For display only, never a path.
        path: The sound file, in the folder of the session.
        peaks: As of `peaks`.
    """

    name: str
    path: Path
    duration_s: float
    peaks: np.ndarray

    def read(self) -> np.ndarray:
        """The waveform, float32 `[samples]` at 16 kHz."""
        return wave.read(self.path)


class Version(NamedTuple):
    """A diarization result, and its files."""

    found: object
    files: tuple[str, ...]


class Session:
    """The recording of one open page, and its diarization results.

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
        """Remove all files of the session."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, path, name):
        """Load a sound file in place of the last one; a bad one changes nothing."""
        try:
            waveform = wave.read(path)
        except wave.AudioError as error:  # its path is an internal one
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
        """Find who speaks when; False if another recording was taken meanwhile.

        Args:
            diarize, progress: As `diarization.diarize`, and its argument.
            **speakers: What `parse_num_speakers` returned.
        """
        recording = self._require_recording()
        found = diarize(recording.read(), progress=progress, **speakers)
        try:
            versions = [_save_version(found, recording)]
        except OSError:
            if recording is self.recording:
                raise
        if recording is not self.recording:  # its folder is gone, or was made anew
            shutil.rmtree(recording.path.parent, ignore_errors=True)
            return False
        self.versions = versions
        return True

    def rename(self, speaker, name):
        """Rename a speaker."""
        name = normalise_name(" ".join((name or "").split()))
        if name != speaker and name in self._found(speaker).speakers:
            raise ValueError(f"{name} is a speaker already; merge the two instead.")
        self._edit(speaker, lambda found: found.rename(speaker, name))
        return name

    def merge(self, speaker, other):
        """Merge `other` into `speaker`."""
        if not other or other == speaker:
            raise ValueError("Choose two different speakers to merge.")
        self._found(other)
        self._edit(speaker, lambda found: found.merge(speaker, other))

    def split(self, speaker):
        """Split a speaker in two."""
        self._edit(speaker, lambda found: found.split(speaker))

    def undo(self):
        """Undo the last edit."""
        if len(self.versions) < 2:
            raise ValueError("There is no change to take back.")
        self.versions.pop()

    def enrol(self, people, speaker):
        """Enrol a named speaker by their turns; the report of the `People`."""
        found = self._found(speaker)
        if UNNAMED.fullmatch(speaker):
            raise ValueError(f"Rename {speaker} first: people are kept by their name.")
        samples = speaker_samples(self, found, speaker)
        return people.enrol(speaker, [*samples.values()], names=[*samples])

    def _edit(self, speaker, change):
        recording, versions = self.recording, self.versions
        versions.append(_save_version(change(self._found(speaker)), recording))

    def _require_recording(self):
        if self.recording is None:
            raise ValueError("Choose or record a sound first.")
        if not self.recording.path.exists():
            raise ValueError("This page was closed; give the recording once more.")
        return self.recording

    def _found(self, speaker):
        """The present result, in which `speaker` must have a turn."""
        self._require_recording()
        if self.found is None or speaker not in self.found.speakers:
            raise ValueError("Choose a speaker of this recording first.")
        return self.found


def _save_version(found, recording):
    """A version with its files; a `ValueError` where a name has no place in one."""
    folder = Path(tempfile.mkdtemp(dir=recording.path.parent))
    paths = [folder / f"turns.{suffix}" for suffix in FORMATS]
    for path in paths:
        found.save(path, recording=Path(recording.name).stem)
    return Version(found, tuple(map(str, paths)))


def peaks(waveform, bins=BINS) -> np.ndarray:
    """The envelope of a waveform: the largest magnitude in each of equal parts.

    Float32 `[min(bins, samples)]`, scaled to a maximum of 1; zero if all is.
    """
    bins = min(bins, len(waveform))
    starts = np.arange(bins) * len(waveform) // bins
    outline = np.maximum.reduceat(waveform, starts)
    outline = np.maximum(outline, -np.minimum.reduceat(waveform, starts))
    return outline / max(float(outline.max()), 1e-9)


def speaker_samples(session, found, speaker) -> dict[str, np.ndarray]:
    """Waveforms of one speaker's turns without overlap by name, the longest first.

    Where no turn is long enough to be a sample, all of them together are one.
    """
    recording, rate = session.recording, SAMPLE_RATE
    waveform, spans = recording.read(), exclusive_spans(found.turns, speaker)
    spans.sort(key=lambda span: span[0] - span[1])
    spans = [(start, min(end, start + MAX_SAMPLE_S)) for start, end in spans]
    parts = {(a, b): waveform[round(a * rate) : round(b * rate)] for a, b in spans}
    if not any(map(len, parts.values())):
        raise ValueError(f"{speaker} never speaks alone; nothing to enrol.")
    long = [s for s in spans if len(parts[s]) >= MIN_SAMPLE_S * rate][:MAX_SAMPLES]
    if not long:
        long = [(min(spans)[0], max(spans)[1])]
        parts = {long[0]: np.concatenate([*parts.values()])}
    return {f"{recording.name} {a:.1f}-{b:.1f} s": parts[a, b] for a, b in long}


def parse_num_speakers(mode, exact, low, high) -> dict:
    """Keyword arguments of `diarize` from the controls of the page.

    Args:
        mode: `"exact"`, `"between"`, or `"estimated"`.
        exact, low, high: Whole numbers from 1 to 20, or `None` where left empty.
    """
    numbers = {"exact": (exact,), "between": (low, high)}.get(mode, ())
    for number in numbers:
        if number is None or number != int(number) or not 1 <= number <= MAX_SPEAKERS:
            raise ValueError(
                f"The number of speakers is a whole number from 1 to {MAX_SPEAKERS}."
            )
    if mode == "exact":
        return {"num_speakers": int(exact)}
    if mode != "between":
        return {}
    if low > high:
        raise ValueError("At least must not be more than at most.")
    return {"min_speakers": int(low), "max_speakers": int(high)}
