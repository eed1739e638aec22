"""Timeline events: who speaks in half a second of a stream, as one line of JSON."""

import json
import math
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class TimelineEvent:
    """Voice activity, level and speaker from `start` to `end`.

    Args:
        start: Seconds from the beginning of the stream.
        end: Seconds, more than `start`.
        speech_prob: Mean probability of speech, in [0, 1].
        is_speech: Whether half of it or more is speech.
        energy_db: Level without the mean, in dB re full scale, finite; a sine of
            amplitude 1 has -3 dB, see `voiceemb.vad.base.level_db`.
        embedding: Of the newest speech, float32 `[dim]`; `None` with too little of it.
        speaker: Name of the speaker; `None`, as are the others by default, if unknown.
        score: Against the most similar speaker, or `None`.
        probability: That `speaker` is right, unknown included, or `None`.
    """

    start: float
    end: float
    speech_prob: float
    is_speech: bool
    energy_db: float
    embedding: np.ndarray | None = None
    speaker: str | None = None
    score: float | None = None
    probability: float | None = None

    def __post_init__(self):
        optional = [n for n in ("score", "probability") if getattr(self, n) is not None]
        for name in ("start", "end", "speech_prob", "energy_db", *optional):
            object.__setattr__(self, name, _number(getattr(self, name), name))
        if not 0 <= self.start < self.end:
            raise ValueError(
                "An event needs 0 <= start < end. "
                f"Received: {self.start} s to {self.end} s"
            )
        for name in ("speech_prob", "probability"):
            value = getattr(self, name)
            if not 0 <= (value or 0.0) <= 1:
                raise ValueError(f"`{name}` lies in [0, 1]. Received: {value}")
        if not isinstance(self.is_speech, bool | np.bool_):
            raise TypeError(f"`is_speech` is a bool. Received: {self.is_speech!r}")
        object.__setattr__(self, "is_speech", bool(self.is_speech))
        if not isinstance(self.speaker, str | None):
            raise TypeError(f"`speaker` is a name or None. Received: {self.speaker!r}")
        if self.speaker == "":
            raise ValueError("A `speaker` has a name. Received: ''")
        if self.embedding is not None:
            object.__setattr__(self, "embedding", _vector(self.embedding))

    def __eq__(self, other):
        """Whether all is the same, to the bit."""
        if not isinstance(other, TimelineEvent):
            return NotImplemented
        return to_json_line(self) == to_json_line(other)  # which loses nothing

    def __hash__(self):
        return hash(to_json_line(self))


def to_json_line(event) -> bytes:
    """An event as a line of JSON, without loss.

    Numbers of an embedding have nine digits, which is all that a float32 holds.
    """
    if not isinstance(event, TimelineEvent):
        raise TypeError(f"A timeline is made of events. Received: {event!r}")
    held = {field.name: getattr(event, field.name) for field in fields(event)}
    if event.embedding is not None:
        held["embedding"] = [float(f"{x:.9g}") for x in event.embedding.tolist()]
    return json.dumps(held, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def from_json_line(line) -> TimelineEvent:
    """The event in a line of JSON; others are a `ValueError` or a `TypeError`."""
    try:
        held = json.loads(line)
    except RecursionError as error:
        raise ValueError("lists are nested too deep") from error
    known = [field.name for field in fields(TimelineEvent)]
    if not isinstance(held, dict) or set(held) - set(known):
        raise ValueError(f"an event has the values {known}")
    return TimelineEvent(**held)


def _number(value, name) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` is a number. Received: {value!r}")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer that no float can be
        finite = False
    if not finite:
        raise ValueError(f"`{name}` is finite. Received: {value}")
    return float(value)


def _vector(embedding) -> np.ndarray:
    embedding = np.array(embedding)
    if embedding.ndim != 1 or embedding.dtype.kind not in "fiu" or not embedding.size:
        raise TypeError(
            "An embedding is an array of numbers [dim]. "
            f"Received: {embedding.dtype} {embedding.shape}"
        )
    embedding = embedding.astype(np.float32)
    if not np.isfinite(embedding).all():
        raise ValueError(f"An embedding is finite. Received: {embedding}")
    embedding.setflags(write=False)
    return embedding
