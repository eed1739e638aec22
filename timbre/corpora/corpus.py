"""A corpus: a named list of utterances, each by one speaker."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from timbre.audio import wave


@dataclass(frozen=True)
class Utterance:
    """A segment of speech by one speaker.

    Args:
        path: The sound file.
        speaker: Who speaks.
        start, end: The segment, in seconds; `None` is the file's start or end.
        text: What is said, `""` if unknown.
        extra: Whatever else the manifest says, column to text.
    """

    path: Path
    speaker: str
    start: float | None = None
    end: float | None = None
    text: str = ""
    extra: dict = field(default_factory=dict, hash=False)

    def read(self, *, sample_rate: int = 16000) -> np.ndarray:
        """Read the sound: float32 `[samples]`, see `timbre.audio.wave.read`."""
        start_s = self.start or 0.0
        return wave.read(
            self.path, sample_rate=sample_rate, start_s=start_s, end_s=self.end
        )


@dataclass(frozen=True)
class Corpus:
    """A named list of utterances.

    Args:
        name: What tables and figures call it.
        utterances: Tuple of `Utterance`, in the order they are read.
    """

    name: str
    utterances: tuple[Utterance, ...]

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers, sorted."""
        return tuple(sorted({u.speaker for u in self.utterances}))

    def by_speaker(self) -> dict[str, tuple[Utterance, ...]]:
        """Utterances of each speaker, speakers sorted."""
        groups = {speaker: [] for speaker in self.speakers}
        for utterance in self.utterances:
            groups[utterance.speaker].append(utterance)
        return {speaker: tuple(group) for speaker, group in groups.items()}

    def subset(self, speakers: Iterable[str]) -> "Corpus":
        """The utterances of some speakers, in the same order."""
        wanted = set(speakers)
        unknown = sorted(wanted - set(self.speakers))
        if unknown:
            raise ValueError(
                f"`speakers` must speak in corpus {self.name!r}. "
                f"Received unknown speakers: {some(unknown)}"
            )
        kept = tuple(u for u in self.utterances if u.speaker in wanted)
        return replace(self, utterances=kept)

    def rows(self, part: Iterable[Utterance]) -> tuple[int, ...]:
        """Rows of the utterances of a part, known by file, start, end and speaker."""
        row, part = {_identity(u): i for i, u in enumerate(self)}, tuple(part)
        missing = [str(u.path) for u in part if _identity(u) not in row]
        if missing:
            raise ValueError(
                f"`part` must hold utterances of corpus {self.name!r}. "
                f"Received {len(missing)} that are not: {some(missing)}"
            )
        return tuple(row[_identity(u)] for u in part)

    def keys(self) -> tuple[str, ...]:
        """A name for each utterance, the same wherever the corpus lies.

        It is `19/198/19-198-0001.flac`, or `19/talk.flac[1.5,4.0]` for a part. Paths
        count from the deepest folder that holds all files.
        """
        folders = {os.path.abspath(u.path.parent) for u in self.utterances}
        try:
            root = os.path.commonpath(folders)
        except ValueError:  # no utterances, or files on several drives
            root = ""
        return tuple(_key(utterance, root) for utterance in self.utterances)

    def digest(self) -> str:
        """SHA-256 of all columns; neither the corpus' name nor its place counts."""
        sha = hashlib.sha256()
        for key, u in zip(self.keys(), self.utterances, strict=True):
            row = [key, u.speaker, u.text, sorted(u.extra.items())]
            sha.update(json.dumps(row).encode() + b"\n")
        return sha.hexdigest()


def corpus_of(speaker: str) -> str:
    """The corpus a speaker came from when corpora were combined, or `""`."""
    return speaker.rpartition("/")[0]


def bare(speaker: str) -> str:
    """A speaker's name without the corpus that `gather` puts before it."""
    return speaker.rpartition("/")[2]


def some(names: Sequence[str], limit: int = 8) -> str:
    """The first few of many names, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _identity(utterance: Utterance) -> tuple:
    return utterance.path, utterance.start, utterance.end, utterance.speaker


def _key(utterance: Utterance, root: str) -> str:
    path = os.path.abspath(utterance.path)
    path = Path(os.path.relpath(path, root) if root else path).as_posix()
    if utterance.start is None and utterance.end is None:
        return path
    start, end = ("" if t is None else t for t in (utterance.start, utterance.end))
    return f"{path}[{start},{end}]"
