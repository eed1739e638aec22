"""Diarization error rate (DER), Jaccard error rate (JER), purity and coverage.

    DER = (missed + false_alarm + confusion) / total

`total` is the speech time of every reference speaker, summed. Where `r` reference and
`h` hypothesis speakers talk at once, `max(r - h, 0)` of them are missed,
`max(h - r, 0)` are false alarms, and of the other `min(r, h)` those are confused whom
the mapping of hypothesis to reference speakers does not pair. The mapping is one to
one and maximises the shared time (Hungarian algorithm); of several such ones it is the
one that pyannote.metrics takes, by the order of names; only JER depends on the choice.

Time is counted exactly, in integer ticks of 0.1 ns between the boundaries of turns:
nothing is sampled, and boundaries that should meet do.

Overlapping turns of one speaker count once, as in NIST's md-eval. pyannote.metrics
scores tracks and counts such time twice, unless it is given `Annotation.support()`;
elsewhere the figures are the same.

References:
    pyannote.metrics: a toolkit for reproducible evaluation, diagnostic, and error
    analysis of speaker diarization systems (Bredin, 2017),
    https://doi.org/10.21437/Interspeech.2017-411
    The Second DIHARD Diarization Challenge (Ryant et al., 2019),
    https://arxiv.org/abs/1906.07839
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from timbre.metrics.tables import format_table
from timbre.turns import MAX_TIME_S, Turn, merge_spans

TICKS = 10**10  # in a second: a whole number in a millisecond, or a sample at 16 kHz
COLUMNS = {
    "file": lambda name, row: name,
    "speakers": lambda name, row: f"{row.num_speakers}/{row.num_found}",
    "DER %": lambda name, row: f"{100 * row.der:.2f}",
    "missed": lambda name, row: f"{100 * row.share(row.missed):.2f}",
    "false alarm": lambda name, row: f"{100 * row.share(row.false_alarm):.2f}",
    "confusion": lambda name, row: f"{100 * row.share(row.confusion):.2f}",
    "JER %": lambda name, row: f"{100 * row.jer:.2f}",
}


@dataclasses.dataclass(frozen=True)
class DiarizationErrors:
    """Components of the error rates, in seconds of speaker time. `+` pools recordings.

    Pooled rates are sums over sums, so long recordings weigh more, except that the JER
    averages over speakers. `DiarizationErrors()` is that of no recording, the start
    for `sum`.

    Args:
        total: Reference speaker time; where two speak it counts twice.
        missed: Reference speaker time in excess of the hypothesis.
        false_alarm: Hypothesis speaker time in excess of the reference.
        confusion: Time in which both speak but are not mapped.
        found: Hypothesis speaker time.
        pure: The part of `found` shared with the reference speaker who shares most
            with the hypothesis one.
        covered: The part of `total` shared with the hypothesis speaker who shares most
            with the reference one.
        jaccard: Sum over reference speakers of `1 - intersection / union` with the
            hypothesis speaker they are mapped to; 1 for one who is not mapped.
        num_scored: Reference speakers in that sum: those with scored speech.
        num_speakers: Reference speakers with speech in the UEM, also in parts that
            collars or overlap exclude.
        num_found: The same of hypothesis speakers.
        mapping: Hypothesis to reference name, pairs that share some time; empty if
            pooled.
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
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return DiarizationErrors(**sums)

    def share(self, seconds: float) -> float:
        """Seconds per second of `total`; without any, 0 for none and 1 for some."""
        return seconds / self.total if self.total else float(seconds > 0)

    @property
    def der(self) -> float:
        """The diarization error rate: 0 is perfect, more than 1 is possible.

        Without reference speech it is 0 if nothing was found and 1 otherwise, as in
        pyannote.metrics.
        """
        return self.share(self.missed + self.false_alarm + self.confusion)

    @property
    def jer(self) -> float:
        """The Jaccard error rate, from 0 to 1: reference speakers weigh equally.

        Without reference speech it is as `der`; pyannote.metrics says 1 even if
        nothing was found.
        """
        return self.jaccard / self.num_scored if self.num_scored else self.der

    @property
    def purity(self) -> float:
        """Cluster purity, `pure / found`; 1 where nothing was found."""
        return self.pure / self.found if self.found else 1.0

    @property
    def coverage(self) -> float:
        """Cluster coverage, `covered / total`; 1 without reference speech."""
        return self.covered / self.total if self.total else 1.0


class _Speakers(NamedTuple):
    """Turns of reference or hypothesis in ticks, overlaps within a speaker merged."""

    names: list[str]  # sorted
    speaker: np.ndarray  # of each turn, a row of `names`, `[turns]`
    start: np.ndarray  # `[turns]`
    end: np.ndarray
    boundaries: np.ndarray  # of the turns before merging


def score(
    reference: Iterable[Turn],
    hypothesis: Iterable[Turn],
    *,
    uem: Iterable[tuple[float, float]] | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> DiarizationErrors:
    """Compare the hypothesis of one recording with the reference.

    UEM, collar and overlap decide what is scored, for every figure: mapping, purity and
    coverage included.

    Args:
        reference, hypothesis: The true turns and those found, in any order.
        uem: Scored regions, `(start, end)` in seconds, as of `timbre.turns.read_uem`;
            they may overlap. Defaults to the whole recording.
        collar: Seconds on each side of every boundary of a reference turn, also one
            where turns of a speaker meet, that are not scored: md-eval's `-c`, and half
            of pyannote's `collar`, which is the whole width. Defaults to `0`.
        skip_overlap: Whether time in which several reference speakers talk is not
            scored. Defaults to `False`.

    Raises:
        TypeError: If a turn is no `Turn`.
        ValueError: If a time is out of range, or a region ends before it starts.
    """
    true, found = _speakers(reference, "reference"), _speakers(hypothesis, "hypothesis")
    margin, regions = _ticks(collar, "collar"), _regions(uem)
    start, end = true.boundaries - margin, true.boundaries + margin
    boundaries = (true.boundaries, found.boundaries, regions.ravel(), start, end)
    edges = np.unique(np.concatenate(boundaries))
    spoken, hypothesised = _activity(true, edges), _activity(found, edges)
    length = np.diff(edges)
    if uem is not None:
        length[_depth(regions[:, 0], regions[:, 1], edges) == 0] = 0
    scored = length.copy()
    scored[_depth(start, end, edges) > 0] = 0
    if skip_overlap:
        scored[spoken.sum(axis=0) > 1] = 0
    return dataclasses.replace(
        _errors(true.names, found.names, spoken, hypothesised, scored),
        num_speakers=int((spoken @ length > 0).sum()),
        num_found=int((hypothesised @ length > 0).sum()),
    )


def _errors(names, found_names, spoken, hypothesised, scored) -> DiarizationErrors:
    """Errors of activities `[speakers, segments]` in segments of `scored` ticks."""
    shared = (spoken.multiply(scored[None]).tocsr() @ hypothesised.T).toarray()
    spoken_time, found_time = spoken @ scored, hypothesised @ scored
    rows, columns = linear_sum_assignment(shared, maximize=True)  # optimal mapping
    mapped = shared[rows, columns] > 0
    rows, columns = rows[mapped], columns[mapped]
    correct = shared[rows, columns]
    jaccard = (spoken_time > 0).astype(float)
    jaccard[rows] -= correct / (spoken_time[rows] + found_time[columns] - correct)
    num_spoken, num_found = spoken.sum(axis=0), hypothesised.sum(axis=0)
    pairs = zip(columns.tolist(), rows.tolist(), strict=True)
    ticks = {
        "total": spoken_time.sum(),
        "missed": scored @ np.maximum(num_spoken - num_found, 0),
        "false_alarm": scored @ np.maximum(num_found - num_spoken, 0),
        "confusion": scored @ np.minimum(num_spoken, num_found) - correct.sum(),
        "found": found_time.sum(),
        "pure": shared.max(axis=0, initial=0).sum(),
        "covered": shared.max(axis=1, initial=0).sum(),
    }
    seconds: dict[str, Any] = {k: int(count) / TICKS for k, count in ticks.items()}
    return DiarizationErrors(
        **seconds,
        jaccard=float(jaccard.sum()),
        num_scored=int((spoken_time > 0).sum()),
        mapping={found_names[column]: names[row] for column, row in sorted(pairs)},
    )


def table(rows: dict[str, DiarizationErrors] | Iterable[tuple]) -> str:
    """Errors by name as text, one line each; missed and so on are parts of the DER.

    Speakers are reference/hypothesis. For a line of all, append `sum(errors, start)`
    with `start = DiarizationErrors()`.
    """
    pairs = rows.items() if isinstance(rows, dict) else rows
    lines = [[show(name, row) for show in COLUMNS.values()] for name, row in pairs]
    return format_table([[*COLUMNS], *lines])


def _ticks(seconds, name) -> np.ndarray:
    """Times as whole ticks, int64."""
    seconds = np.asarray(seconds, np.float64)
    if not ((seconds >= 0) & (seconds <= MAX_TIME_S)).all():
        raise ValueError(
            f"Times of `{name}` must be seconds from 0 to {MAX_TIME_S:g}. "
            f"Received: {seconds.min()} to {seconds.max()}"
        )
    return np.rint(seconds * TICKS).astype(np.int64)


def _speakers(turns, name) -> _Speakers:
    """Turns by speaker, those that overlap or meet merged."""
    turns = list(turns)
    for turn in turns:
        if not isinstance(turn, Turn):
            rule = f"`{name}` must be the turns of one recording"
            raise TypeError(f"{rule}. Received: {turn!r}")
    turns.sort(key=lambda turn: (turn.speaker, turn.start))
    times = _ticks([(turn.start, turn.end) for turn in turns], name).reshape(-1, 2)
    spans = merge_spans(
        (start, end, turn.speaker)
        for turn, (start, end) in zip(turns, times.tolist(), strict=True)
    )
    index = {name: i for i, name in enumerate(dict.fromkeys(n for *_, n in spans))}
    speaker = np.array([index[name] for *_, name in spans], np.int64)
    start, end = np.array([span[:2] for span in spans], np.int64).reshape(-1, 2).T
    return _Speakers([*index], speaker, start, end, times.ravel())


def _regions(uem) -> np.ndarray:
    """Scored regions in ticks, `[regions, 2]`."""
    regions = np.array([] if uem is None else list(uem), np.float64)
    pairs = regions if regions.size else regions.reshape(0, 2)
    if pairs.shape[1:] != (2,) or (pairs[:, 1] < pairs[:, 0]).any():
        raise ValueError(
            "`uem` must be pairs of start and end in seconds, none ending before it "
            f"starts. Received: {str(regions.tolist())[:80]}"
        )
    return _ticks(pairs, "uem")


def _depth(start, end, edges) -> np.ndarray:
    """How many of the intervals cover each segment between edges, `[segments]`."""
    steps = np.zeros(len(edges), np.int64)
    np.add.at(steps, np.searchsorted(edges, start), 1)
    np.subtract.at(steps, np.searchsorted(edges, end), 1)
    return np.cumsum(steps)[:-1]


def _activity(side, edges) -> csr_array:
    """1 where a speaker talks, `[speakers, segments]`, sparse."""
    first, last = np.searchsorted(edges, side.start), np.searchsorted(edges, side.end)
    counts = last - first
    before = np.cumsum(counts) - counts
    segments = np.arange(counts.sum()) + np.repeat(first - before, counts)
    where = (np.repeat(side.speaker, counts), segments)
    shape = (len(side.names), max(len(edges) - 1, 0))
    return csr_array((np.ones(len(segments), np.int64), where), shape=shape)
