"""Diarization: how well it was found who spoke when.

    DER = (missed + false_alarm + confusion) / total

`total` is the time each reference speaker talks, summed over speakers. Where `r`
reference and `h` found speakers talk at once, `max(r - h, 0)` of them are missed,
`max(h - r, 0)` are false alarms, and of the other `min(r, h)` those are confused whom
the mapping of found to reference speakers does not pair. The mapping is one to one,
and the one that agrees for the longest time; of several such ones it is the one that
pyannote.metrics takes, by the order of names; of the rates only JER tells them apart.

All is counted exactly, in whole ticks of a tenth of a nanosecond between the
boundaries of turns: nothing is sampled, and boundaries that should meet do.

Nobody speaks twice at once: turns of one speaker that overlap count once, as in NIST's
md-eval. pyannote.metrics scores tracks and counts such time twice, unless it is given
`Annotation.support()`; elsewhere the figures are the same.

References:
    pyannote.metrics: a toolkit for reproducible evaluation, diagnostic, and error
    analysis of speaker diarization systems (Bredin, 2017),
    https://doi.org/10.21437/Interspeech.2017-411
    The Second DIHARD Diarization Challenge (Ryant et al., 2019),
    https://arxiv.org/abs/1906.07839
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from timbre.turns import LATEST, Turn

TICKS = 10**10  # in a second: a whole number in a millisecond, or a sample at 16 kHz
COLUMNS = {
    "file": lambda name, row: name,
    "speakers": lambda name, row: f"{row.num_speakers}/{row.num_found}",
    "DER %": lambda name, row: f"{100 * row.rate:.2f}",
    "missed": lambda name, row: f"{100 * row.share(row.missed):.2f}",
    "false alarm": lambda name, row: f"{100 * row.share(row.false_alarm):.2f}",
    "confusion": lambda name, row: f"{100 * row.share(row.confusion):.2f}",
    "JER %": lambda name, row: f"{100 * row.jer:.2f}",
}


@dataclasses.dataclass(frozen=True)
class DiarizationErrors:
    """What went wrong, in seconds of speakers' time. `+` pools recordings.

    Pooled rates are sums over sums, so long recordings weigh more, except that the JER
    averages over speakers. `DiarizationErrors()` is that of no recording, the start
    for `sum`.

    Args:
        total: Time of reference speakers, seconds; where two speak it counts twice.
        missed: Time of reference speakers in excess of those found, seconds.
        false_alarm: Time of found speakers in excess of the reference, seconds.
        confusion: Time of speakers found but not the right ones, seconds.
        found: Time of found speakers, seconds.
        pure: The part of `found` in which the reference speaker who shares most with
            the found one talks, seconds.
        covered: The part of `total` in which the found speaker who shares most with
            the reference one talks, seconds.
        jaccard: Sum over reference speakers of `1 - intersection / union` with the
            found speaker they are mapped to; 1 for one who is mapped to nobody.
        num_scored: Reference speakers in that sum: those heard where it is scored.
        num_speakers: Reference speakers heard in the region; whom only collars or
            overlaps keep from being scored is among them.
        num_found: The same of found speakers.
        mapping: Found to reference name, pairs that share some time; empty if pooled.
    """

    total: float = 0.0
    missed: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    found: float = 0.0
    pure: float = 0.0
    covered: float = 0.0
    jaccard: float = 0.0
    num_scored: int = 0
    num_speakers: int = 0
    num_found: int = 0
    mapping: dict[str, str] = dataclasses.field(default_factory=dict)

    def __add__(self, other) -> "DiarizationErrors":
        if not isinstance(other, DiarizationErrors):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)][:-1]
        return DiarizationErrors(*(getattr(self, n) + getattr(other, n) for n in names))

    def share(self, seconds) -> float:
        """Seconds per second of `total`; without any, 0 for none and 1 for some."""
        return seconds / self.total if self.total else float(seconds > 0)

    @property
    def rate(self) -> float:
        """The diarization error rate: 0 is perfect, more than 1 is possible.

        Without reference speech it is 0 if nothing was found and 1 otherwise, as in
        pyannote.metrics.
        """
        return self.share(self.missed + self.false_alarm + self.confusion)

    @property
    def jer(self) -> float:
        """The Jaccard error rate, from 0 to 1: every reference speaker weighs alike.

        Without reference speech it is as `rate`; pyannote.metrics says 1 even if
        nothing was found.
        """
        return self.jaccard / self.num_scored if self.num_scored else self.rate

    @property
    def purity(self) -> float:
        """The share of what was found that is of one speaker each; 1 of nothing."""
        return self.pure / self.found if self.found else 1.0

    @property
    def coverage(self) -> float:
        """The share of the reference found under one name each; 1 of nothing."""
        return self.covered / self.total if self.total else 1.0


class _Side(NamedTuple):
    """Turns of either side in ticks; those of one speaker lie apart."""

    names: list[str]  # sorted
    speaker: np.ndarray  # of each turn, a row of `names`, `[turns]`
    start: np.ndarray  # `[turns]`
    end: np.ndarray
    boundaries: np.ndarray  # of the turns as they came, before any were joined


def score(
    reference: Iterable[Turn],
    hypothesis: Iterable[Turn],
    *,
    region: Iterable[tuple[float, float]] | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> DiarizationErrors:
    """Compare the turns found in one recording with the true ones.

    Region, collar and overlap decide what is scored, and that holds for every figure,
    the mapping, purity and coverage included.

    Args:
        reference: The true turns, in any order.
        hypothesis: The turns found, in any order; names need not be the true ones.
        region: Parts to score, `(start, end)` in seconds, as of `rttm.read_uem`; they
            may overlap. Defaults to all of it.
        collar: Seconds on each side of every boundary of a reference turn, also one
            where turns of a speaker meet, that are not scored: md-eval's `-c`, and half
            of pyannote's `collar`, which is the whole width. Defaults to `0`.
        skip_overlap: Whether time in which several reference speakers talk is not
            scored. Defaults to `False`.

    Returns:
        The errors, to be pooled by `+`.

    Raises:
        TypeError: If a turn is no `Turn`.
        ValueError: If a time is out of range, or a part ends before it starts.
    """
    true, found = _side(reference, "reference"), _side(hypothesis, "hypothesis")
    margin, parts = _ticks(collar, "collar"), _parts(region)
    start, end = true.boundaries - margin, true.boundaries + margin
    boundaries = (true.boundaries, found.boundaries, parts.ravel(), start, end)
    edges = np.unique(np.concatenate(boundaries))
    heard, claimed = _activity(true, edges), _activity(found, edges)
    length = np.diff(edges)
    if region is not None:
        length[_depth(*parts.T, edges) == 0] = 0
    scored = length.copy()
    scored[_depth(start, end, edges) > 0] = 0
    if skip_overlap:
        scored[heard.sum(axis=0) > 1] = 0
    return dataclasses.replace(
        _compare(true.names, found.names, heard, claimed, scored),
        num_speakers=int((heard @ length > 0).sum()),
        num_found=int((claimed @ length > 0).sum()),
    )


def _compare(names, labels, heard, claimed, scored) -> DiarizationErrors:
    """Errors of activities `[speakers, pieces]` in pieces of `scored` ticks."""
    weighed = heard.multiply(scored[None]).tocsr()
    shared = (weighed @ claimed.T).toarray()  # [true, found]
    time, claim = heard @ scored, claimed @ scored
    rows, columns = linear_sum_assignment(shared, maximize=True)
    met = shared[rows, columns] > 0
    rows, columns = rows[met], columns[met]
    agreed = shared[rows, columns]
    jaccard = (time > 0).astype(float)
    jaccard[rows] -= agreed / (time[rows] + claim[columns] - agreed)
    talking, told = heard.sum(axis=0), claimed.sum(axis=0)
    pairs = zip(columns.tolist(), rows.tolist(), strict=True)
    ticks = {
        "total": time.sum(),
        "missed": scored @ np.maximum(talking - told, 0),
        "false_alarm": scored @ np.maximum(told - talking, 0),
        "confusion": scored @ np.minimum(talking, told) - agreed.sum(),
        "found": claim.sum(),
        "pure": shared.max(axis=0, initial=0).sum(),
        "covered": shared.max(axis=1, initial=0).sum(),
    }
    return DiarizationErrors(
        **{name: int(count) / TICKS for name, count in ticks.items()},
        jaccard=float(jaccard.sum()),
        num_scored=int((time > 0).sum()),
        mapping={labels[column]: names[row] for column, row in sorted(pairs)},
    )


def table(rows) -> str:
    """Errors as text, one line each; missed, false alarm, confusion are parts of DER.

    Speakers are true/found. For a line of all, append `sum(errors, start)` with
    `start = DiarizationErrors()`.

    Args:
        rows: Pairs of a name and its `DiarizationErrors`, or a dictionary of them.
    """
    rows = rows.items() if isinstance(rows, dict) else rows
    lines = [tuple(COLUMNS)]
    lines += [tuple(show(name, row) for show in COLUMNS.values()) for name, row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _ticks(seconds, name) -> np.ndarray:
    """Times as whole ticks, int64."""
    seconds = np.asarray(seconds, np.float64)
    if not ((seconds >= 0) & (seconds <= LATEST)).all():
        raise ValueError(
            f"Times of `{name}` must be seconds from 0 to {LATEST:g}. "
            f"Received: {seconds.min()} to {seconds.max()}"
        )
    return np.rint(seconds * TICKS).astype(np.int64)


def _side(turns, name) -> _Side:
    """Turns by speaker, those that overlap or meet joined."""
    turns = list(turns)
    strange = [turn for turn in turns if not isinstance(turn, Turn)]
    if strange:
        raise TypeError(
            f"`{name}` must be the turns of one recording. Received: {strange[0]!r}"
        )
    turns.sort(key=lambda turn: (turn.speaker, turn.start))
    times = _ticks([(turn.start, turn.end) for turn in turns], name).reshape(-1, 2)
    spans = {}
    for turn, (start, end) in zip(turns, times.tolist(), strict=True):
        own = spans.setdefault(turn.speaker, [])
        if own and start <= own[-1][1]:
            own[-1][1] = max(own[-1][1], end)
        else:
            own.append([start, end])
    speaker = np.repeat(np.arange(len(spans)), [len(own) for own in spans.values()])
    joined = np.array([span for own in spans.values() for span in own], np.int64)
    return _Side([*spans], speaker, *joined.reshape(-1, 2).T, times.ravel())


def _parts(region) -> np.ndarray:
    """The parts of a region in ticks, `[parts, 2]`."""
    parts = np.array([] if region is None else list(region), np.float64)
    pairs = parts if parts.size else parts.reshape(0, 2)
    if pairs.shape[1:] != (2,) or (pairs[:, 1] < pairs[:, 0]).any():
        raise ValueError(
            "`region` must be pairs of start and end in seconds, none ending before it "
            f"starts. Received: {str(parts.tolist())[:80]}"
        )
    return _ticks(pairs, "region")


def _depth(start, end, edges) -> np.ndarray:
    """How many of the intervals cover each piece between edges, `[pieces]`."""
    steps = np.zeros(len(edges), np.int64)
    np.add.at(steps, np.searchsorted(edges, start), 1)
    np.subtract.at(steps, np.searchsorted(edges, end), 1)
    return np.cumsum(steps)[:-1]


def _activity(side, edges) -> csr_array:
    """1 where a speaker talks, `[speakers, pieces]`, sparse."""
    first, last = np.searchsorted(edges, side.start), np.searchsorted(edges, side.end)
    counts = last - first
    before = np.cumsum(counts) - counts
    pieces = np.arange(counts.sum()) + np.repeat(first - before, counts)
    where = (np.repeat(side.speaker, counts), pieces)
    shape = (len(side.names), max(len(edges) - 1, 0))
    return csr_array((np.ones(len(pieces), np.int64), where), shape=shape)
