"""The result of speaker diarization, to be corrected, saved and loaded.

    turns  = [(start, end, speaker), ...]      without overlap, sorted by time
    windows: embeddings and labels of the windows, by which a speaker can be split

Each correction returns a new result, so an interface can undo.
"""

import dataclasses
from pathlib import Path

import numpy as np

from timbre import turns as turn_files
from timbre.files import atomic_write
from timbre.turns import Turn, merge_spans
from voiceemb.diarization import clustering, formats, resegmentation
from voiceemb.names import normalise_name

FORMATS = (".json", *turn_files.FORMATS)


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Windows of speech with their embeddings and speakers.

    Args:
        starts_s, ends_s: Seconds, float64 `[windows]`, by start.
        embeddings: Unit vectors, float32 `[windows, dim]`.
        labels: Name of the speaker of each, str `[windows]`.
    """

    starts_s: np.ndarray
    ends_s: np.ndarray
    embeddings: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @classmethod
    def empty(cls):
        """No window."""
        times = np.zeros(0)
        return cls(times, times, np.zeros((0, 0), np.float32), np.zeros(0, str))


@dataclasses.dataclass(frozen=True, eq=False)
class Diarization:
    """Who speaks when; corrections raise `KeyError` where there is no such speaker.

    Args:
        turns: Of all speakers, sorted.
        duration_s: Of the recording.
        embeddings: Mean direction of the windows of each speaker, name to unit `[dim]`.
        identities: Name to `voiceemb.enrolment.identification.Identity` among enrolled
            people; empty where there were none. It is not saved.
        stages: Seconds of computation of each stage; over `duration_s` they are the
            real-time factors.
        windows: The windows that were clustered.
        notes: Remarks for the user, plain sentences.

    Example:
        ```python
        talk = diarization.diarize("talk.wav")
        talk = talk.rename("speaker 1", "Anna").merge("Anna", "speaker 3")
        talk.save("talk.rttm")
        ```
    """

    turns: list[Turn]
    duration_s: float
    embeddings: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    identities: dict = dataclasses.field(default_factory=dict)
    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    windows: Windows = dataclasses.field(default_factory=Windows.empty)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def speakers(self) -> dict[str, float]:
        """Seconds that each speaker talks, the most first."""
        seconds = {}
        for turn in self.turns:
            seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.duration
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def rename(self, old, new) -> "Diarization":
        """Rename a speaker; nobody else may have the new name."""
        self._known(old)
        new = normalise_name(new)
        if new != old and new in self._names():
            raise ValueError(
                f"Two speakers need two names; merge them. Received: {new}"
            )
        return self.relabel({old: new})

    def merge(self, one, other) -> "Diarization":
        """Merge speaker `other` into `one`."""
        self._known(one, other)
        if one == other:
            raise ValueError(f"Two different speakers are merged. Received: {one}")
        return self.relabel({other: one})

    def split(self, name) -> "Diarization":
        """Split a speaker in two, by clustering their windows.

        The one with more windows keeps the name, the other becomes the first free
        `speaker <n>`. If there are no two clusters, that is a `ValueError`.
        """
        self._known(name)
        rows = np.flatnonzero(self.windows.labels == name)
        embeddings, starts = self.windows.embeddings[rows], self.windows.starts_s[rows]
        halves = clustering.cluster(embeddings, np.ones(len(rows)), num_speakers=2)
        if not halves.any():
            raise ValueError(
                "A speaker is split by their windows, of which it takes two. "
                f"Received: {name} with {len(rows)}"
            )
        halves ^= int(halves.mean() > 0.5)  # 0 keeps the name
        cosines = embeddings @ clustering.centroids(embeddings, halves).T
        spans = [(t.start, t.end) for t in self.turns if t.speaker == name]
        cells = int(max(end for _, end in spans) / resegmentation.CELL_S) + 1
        ends = self.windows.ends_s[rows]
        scores = resegmentation.cell_scores(starts, ends, cosines, cells)
        path = resegmentation.best_path(scores)
        names = [name, free_name(self._names())]
        split = [
            Turn(start, end, names[half])
            for start, end, half in resegmentation.path_spans(spans, path, gap=0.0)
        ]
        if len({turn.speaker for turn in split}) < 2:
            raise ValueError(f"A split needs two voices. Received: one, {name}")
        labels = self.windows.labels.astype(object)  # of which names have any length
        labels[rows] = np.array(names, object)[halves]
        turns = sorted(split + [turn for turn in self.turns if turn.speaker != name])
        identities = {n: one for n, one in self.identities.items() if n != name}
        return self._replace(turns, labels, identities, self.embeddings)

    def relabel(self, names) -> "Diarization":
        """Rename speakers; those who get the same name are merged.

        Args:
            names: Old name to new name; speakers without one keep theirs.
        """
        spans = [(t.start, t.end, names.get(t.speaker, t.speaker)) for t in self.turns]
        spans = merge_spans(spans, resegmentation.MIN_GAP_S)
        labels = [names.get(name, name) for name in self.windows.labels.tolist()]
        new = [names.get(name, name) for name in self.speakers]
        known = {names.get(name, name): e for name, e in self.embeddings.items()}
        identities = {names.get(n, n): one for n, one in self.identities.items()}
        identities = {n: one for n, one in identities.items() if new.count(n) == 1}
        return self._replace([Turn(*s) for s in spans], labels, identities, known)

    def save(self, path, *, recording=None):
        """Write the format of the suffix, atomically.

        `.json` has all but the identities, to be read again; for `.rttm`, `.csv`,
        `.srt` and `.txt`, and for `recording`, see `timbre.turns.write`.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ValueError(f"A file ends in one of {FORMATS}. Received: {path}")
        if suffix != ".json":
            turn_files.write(path, self.turns, recording=recording)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            unfinished.write_text(formats.to_json(self), "utf-8", newline="\n")

    @classmethod
    def read(cls, path) -> "Diarization":
        """Read what `save` wrote as `.json`; nothing in the file is executed."""
        held = formats.read_json(path)
        return cls(**{**held, "windows": Windows(*held["windows"])})

    def _replace(self, turns, labels, identities, known):
        """With other turns and labels of windows, and the embeddings they make."""
        windows = dataclasses.replace(self.windows, labels=np.array(labels, str))
        return dataclasses.replace(
            self,
            turns=turns,
            windows=windows,
            identities=identities,
            embeddings=speaker_embeddings(turns, windows, known),
        )

    def _names(self):
        return {*self.speakers, *self.embeddings, *self.windows.labels.tolist()}

    def _known(self, *names):
        missing = [name for name in names if name not in self.speakers]
        if missing:
            raise KeyError(f"No speaker {missing[0]!r}; there are {[*self.speakers]}")


def free_name(taken) -> str:
    """The first of `speaker 1`, `speaker 2`, ... that is free."""
    number = 1
    while f"speaker {number}" in taken:
        number += 1
    return f"speaker {number}"


def speaker_embeddings(turns, windows, known=None) -> dict[str, np.ndarray]:
    """The mean direction of the windows of each speaker of the turns.

    Args:
        turns: Of all speakers.
        windows: A `Windows`.
        known: For speakers without windows, name to unit `[dim]`.

    Returns:
        Name to unit vector, float32 `[dim]`, in the order of the turns.
    """
    found = {}
    for name in dict.fromkeys(turn.speaker for turn in turns):
        rows = windows.embeddings[windows.labels == name]
        if len(rows):
            found[name] = clustering.centroids(rows, np.zeros(len(rows), int))[0]
        elif known and name in known:
            found[name] = known[name]
    return found
