"""A conversation: who spoke when in a recording, to be corrected and to be kept.

    turns  = [(start, end, speaker), ...]      nobody twice at once, sorted by time
    windows: what the turns were made of, so that a speaker can be parted once more

What `diarization.diarize` finds. It does not change: each correction gives another one,
so an interface can take steps back. On disk it is a JSON object of data only.
"""

import dataclasses
from pathlib import Path

import numpy as np

from timbre.files import atomic_write
from timbre.turns import Turn, write_rttm
from voiceemb.diarization import clustering, formats, resegmentation
from voiceemb.names import checked_name

FORMATS = (".json", ".rttm", *formats.TEXTS)


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of speech, each long enough to tell a voice.

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
    def none(cls, dim=0):
        """No window."""
        nothing = np.zeros(0)
        return cls(nothing, nothing, np.zeros((0, dim), np.float32), np.zeros(0, str))


@dataclasses.dataclass(frozen=True, eq=False)
class Diarization:
    """Who speaks when.

    Args:
        turns: Of all speakers, sorted.
        duration_s: Of the recording.
        embeddings: Mean direction of the windows of each speaker, name to unit `[dim]`.
        identities: Who each is among enrolled people, name to `enrolment.Identity`;
            empty where there were none. It is not kept on disk.
        stages: Seconds that each stage of the work took; over `duration_s` they are the
            real-time factors.
        windows: What the turns were made of.
        notes: What a user should know, plain sentences.

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
    windows: Windows = dataclasses.field(default_factory=Windows.none)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def speakers(self) -> dict[str, float]:
        """Seconds that each speaker talks, the most first."""
        seconds = {}
        for turn in self.turns:
            seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.duration
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def rename(self, old, new) -> "Diarization":
        """Calls a speaker by another name, which must be nobody else's.

        Raises:
            KeyError: If there is no speaker `old`.
            ValueError: If `new` is taken, blank, or can not be printed.
        """
        self._known(old)
        new = checked_name(new)
        if new != old and new in self._names():
            raise ValueError(
                f"Two speakers need two names; merge them. Received: {new}"
            )
        return self.called({old: new})

    def merge(self, one, other) -> "Diarization":
        """Makes `other` a part of `one`.

        Raises:
            KeyError: If there is no speaker of these names.
            ValueError: If they are the same.
        """
        self._known(one, other)
        if one == other:
            raise ValueError(f"Two speakers are merged. Received: {one} twice")
        return self.called({other: one})

    def split(self, name) -> "Diarization":
        """Parts a speaker in two by the voices in their windows.

        Who has more windows keeps the name, the other becomes the first `speaker <n>`
        that is free.

        Raises:
            KeyError: If there is no speaker of this name.
            ValueError: If the windows do not tell two voices apart.
        """
        self._known(name)
        rows = np.flatnonzero(self.windows.labels == name)
        points, starts = self.windows.embeddings[rows], self.windows.starts_s[rows]
        halves = clustering.cluster(points, np.ones(len(rows)), num=2)
        if not halves.any():
            raise ValueError(
                "A speaker is split by their windows, of which it takes two. "
                f"Received: {name} with {len(rows)}"
            )
        halves ^= int(halves.mean() > 0.5)  # 0 keeps the name
        cosines = points @ clustering.means(points, halves).T
        spans = [(t.start, t.end) for t in self.turns if t.speaker == name]
        cells = int(max(end for _, end in spans) / resegmentation.CELL_S) + 1
        ends = self.windows.ends_s[rows]
        path = resegmentation.best_path(
            resegmentation.scores(starts, ends, cosines, cells)
        )
        names = [name, free_name(self._names())]
        parted = [
            Turn(start, end, names[one])
            for start, end, one in resegmentation.spans(spans, path, gap=0.0)
        ]
        if len({turn.speaker for turn in parted}) < 2:
            raise ValueError(
                f"Two voices are needed for a split. Received: one, {name}"
            )
        labels = self.windows.labels.astype(object)  # of which names have any length
        labels[rows] = np.array(names, object)[halves]
        turns = sorted(parted + [turn for turn in self.turns if turn.speaker != name])
        windows = dataclasses.replace(self.windows, labels=labels.astype(str))
        return dataclasses.replace(
            self,
            turns=turns,
            windows=windows,
            identities={n: one for n, one in self.identities.items() if n != name},
            embeddings=voices(turns, windows, self.embeddings),
        )

    def called(self, names) -> "Diarization":
        """The same with other names; speakers who get one name become one.

        Args:
            names: Old name to new name; who is missing keeps theirs.
        """
        spans = [(t.start, t.end, names.get(t.speaker, t.speaker)) for t in self.turns]
        spans = resegmentation.joined(spans, resegmentation.LEAST_GAP_S)
        labels = [names.get(name, name) for name in self.windows.labels.tolist()]
        new = [names.get(name, name) for name in self.speakers]
        known = {names.get(name, name): e for name, e in self.embeddings.items()}
        identities = {
            names.get(name, name): identity
            for name, identity in self.identities.items()
            if new.count(names.get(name, name)) == 1
        }
        windows = dataclasses.replace(self.windows, labels=np.array(labels, str))
        turns = [Turn(*span) for span in spans]
        return dataclasses.replace(
            self,
            turns=turns,
            windows=windows,
            identities=identities,
            embeddings=voices(turns, windows, known),
        )

    def save(self, path):
        """Writes what the suffix names, whole or not at all.

        `.rttm` is the form of the field, `.json` is all but the identities, to be read
        again; for `.csv`, `.srt` and `.txt` see `voiceemb.diarization.formats`.

        Raises:
            ValueError: If the suffix is another one, or a name has no place in RTTM.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ValueError(f"A file ends in one of {FORMATS}. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".rttm":
            write_rttm(path, {path.stem: self.turns})
            return
        if suffix == ".json":
            text = formats.to_json(self)
        else:
            text = formats.TEXTS[suffix](self.turns)
        with atomic_write(path) as unfinished:
            unfinished.write_text(text, "utf-8", newline="\n")

    @classmethod
    def read(cls, path) -> "Diarization":
        """Reads what `save` wrote as `.json`; nothing in the file is executed.

        Raises:
            ValueError: If the file is none of these, or its parts do not fit.
        """
        held = formats.read_json(path)
        return cls(**{**held, "windows": Windows(*held["windows"])})

    def _names(self):
        return {*self.speakers, *self.embeddings, *self.windows.labels.tolist()}

    def _known(self, *names):
        missing = [name for name in names if name not in self.speakers]
        if missing:
            raise KeyError(f"No speaker {missing[0]!r}; there are {[*self.speakers]}")


def free_name(taken) -> str:
    """The first of `speaker 1`, `speaker 2`, ... that is not taken."""
    number = 1
    while f"speaker {number}" in taken:
        number += 1
    return f"speaker {number}"


def voices(turns, windows, known=None) -> dict[str, np.ndarray]:
    """The mean direction of the windows of each speaker of the turns.

    Args:
        turns: Of all speakers.
        windows: A `Windows`.
        known: What a speaker without windows gets, name to unit `[dim]`.

    Returns:
        Name to unit vector, float32 `[dim]`, in the order of the turns.
    """
    found = {}
    for name in dict.fromkeys(turn.speaker for turn in turns):
        rows = windows.embeddings[windows.labels == name]
        if len(rows):
            found[name] = clustering.means(rows, np.zeros(len(rows), int))[0]
        elif known and name in known:
            found[name] = known[name]
    return found
