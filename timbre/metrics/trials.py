"""Trial lists of speaker verification: which pairs of utterances are compared.

A list is text, one `label enrol test` line per pair, label 1 where both sides are one
speaker. Its SHA-256 accompanies every figure computed from it, so that figures of the
same list can be recognised. Lists are made from a seed and bounded in size.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import ArrayLike

from timbre.files import atomic_write

LABELS = {"1": True, "target": True, "0": False, "nontarget": False}


@dataclass(frozen=True, eq=False)
class Trials:
    """Pairs of utterances and whether they are of one speaker.

    Args:
        label: True where both sides are one speaker, bool `[trials]`.
        enrol: Row of the known side in `segments`, int `[trials]`.
        test: Row of the claimed side in `segments`, int `[trials]`.
        segments: Names of the utterances, str `[utterances]`.
        speakers: Who speaks in each, str `[utterances]`, or None where unknown.
        kind: How the list was made: `all-pairs`, `deep-speaker` or `list`.
        note: What a reader of a figure must know about the list.
    """

    label: np.ndarray
    enrol: np.ndarray
    test: np.ndarray
    segments: np.ndarray
    speakers: np.ndarray | None = None
    kind: str = "list"
    note: str = ""

    def __len__(self) -> int:
        return len(self.label)

    def lines(self) -> Iterator[str]:
        """Yield the list as `label enrol test` lines.

        White space and `%` inside a name are written as `%` and two hex digits.
        """
        names = [re.sub(r"[\s%]", _escape, str(name)) for name in self.segments]
        for label, enrol, test in zip(self.label, self.enrol, self.test, strict=True):
            yield f"{int(label)} {names[enrol]} {names[test]}\n"

    def digest(self) -> str:
        """SHA-256 of the list as `write_trials` writes it, in hex."""
        sha = hashlib.sha256()
        for line in self.lines():
            sha.update(line.encode())
        return sha.hexdigest()

    def locate(self, segments: ArrayLike, speakers: ArrayLike | None = None) -> Self:
        """The same trials as rows of another list of utterances.

        Args:
            segments: Names in the order of the embeddings, `[utterances]`: those of
                the list must be among them, once.
            speakers: Who speaks in each, `[utterances]`, if known.
        """
        segments = np.asarray(segments, str)
        rows = {name: row for row, name in enumerate(segments.tolist())}
        if len(rows) < len(segments):
            raise ValueError(
                "Utterance names must differ. "
                f"Received: {len(segments)} names, {len(rows)} different"
            )
        missing = [name for name in self.segments.tolist() if name not in rows]
        if missing:
            raise ValueError(
                "Every utterance of a trial list must have an embedding. "
                f"Received: none for {len(missing)}, such as {missing[0]!r}"
            )
        where = np.array([rows[name] for name in self.segments.tolist()])
        enrol, test = where[self.enrol], where[self.test]
        speakers = None if speakers is None else np.asarray(speakers, str)
        return replace(
            self, enrol=enrol, test=test, segments=segments, speakers=speakers
        )


def _escape(match) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode())


def _names(speakers, segments) -> tuple[np.ndarray, np.ndarray]:
    speakers = np.asarray(speakers, str)
    segments = np.arange(len(speakers)) if segments is None else segments
    segments = np.asarray(segments, str)
    if segments.shape != speakers.shape or speakers.ndim != 1:
        raise ValueError(
            "`speakers` and `segments` must be vectors of one length. "
            f"Received: shapes {speakers.shape} and {segments.shape}"
        )
    names, counts = np.unique(speakers, return_counts=True)
    if len(names) < 2 or counts.max() < 2:
        raise ValueError(
            "Trials need two speakers, and one speaker with two utterances. "
            f"Received: {len(names)} speakers, {len(speakers)} utterances"
        )
    return speakers, segments


def _choose(rng, counts, first, limit) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a row `p` and one of its `counts[p]` partners from `first[p]` on."""
    until = np.cumsum(counts)
    total = int(until[-1])
    if total <= limit:
        index = np.arange(total)
    else:
        index = np.sort(rng.choice(total, limit, replace=False, shuffle=False))
    p = np.searchsorted(until, index, side="right")
    return p, first[p] + index - (until[p] - counts[p])


def all_pairs(
    speakers: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    max_trials: int = 200_000,
    seed: int = 0,
) -> Trials:
    """Every utterance against every other, subsampled when there are too many.

    All same pairs are kept while they fill at most half of `max_trials`; different
    pairs fill the rest. `note` says what was left out.

    Args:
        speakers: Who speaks in each utterance, `[utterances]`.
        segments: Name of each utterance. Defaults to the row number.
        max_trials: Most trials to keep. Defaults to `200_000`.
        seed: Of the subsampling. Defaults to `0`.
    """
    speakers, segments = _names(speakers, segments)
    if max_trials < 2:
        raise ValueError(f"`max_trials` must be at least 2. Received: {max_trials}")
    rng = np.random.default_rng(seed)
    by_speaker = np.argsort(speakers, kind="stable")
    ordered = speakers[by_speaker]
    rows = np.arange(len(ordered))
    end = np.searchsorted(ordered, ordered, side="right")
    num_same, num_different = int((end - rows - 1).sum()), int((len(rows) - end).sum())
    keep_same = min(num_same, max(max_trials // 2, max_trials - num_different))
    same = _choose(rng, end - rows - 1, rows + 1, keep_same)
    different = _choose(rng, len(rows) - end, end, max_trials - keep_same)
    enrol, test = by_speaker[np.concatenate([same, different], axis=1)]
    label = np.arange(len(enrol)) < keep_same
    note = ""
    if len(label) < num_same + num_different:
        note = (
            f"{keep_same} of {num_same} same and {len(label) - keep_same} of "
            f"{num_different} different pairs, seed {seed}"
        )
    return Trials(label, enrol, test, segments, speakers, "all-pairs", note)


def deep_speaker_trials(
    speakers: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    negatives: int = 99,
    seed: int = 0,
) -> Trials:
    """The deep-speaker list: per speaker one anchor, one positive, 99 negatives.

    Negatives come from as many other speakers as there are, one utterance of each,
    then a second, and so on; none is used twice for one anchor. Speakers with a single
    utterance have no positive and serve as negatives only. `note` says where there
    were fewer negatives than asked for.

    Args:
        speakers, segments: As for `all_pairs`.
        negatives: Different pairs per anchor. Defaults to `99`.
        seed: Of the sampling. Defaults to `0`.
    """
    speakers, segments = _names(speakers, segments)
    rng = np.random.default_rng(seed)
    names, which, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])
    pairs = []
    for own in np.flatnonzero(counts > 1):
        anchor, positive = rng.choice(groups[own], 2, replace=False)
        others = _negatives(rng, groups, own, negatives)
        pairs.append((True, anchor, positive))
        pairs += [(False, anchor, other) for other in others]
    label, enrol, test = map(np.array, zip(*pairs, strict=True))
    note = _shortages(counts, negatives)
    return Trials(label, enrol, test, segments, speakers, "deep-speaker", note)


def _negatives(rng, groups, own, limit) -> list[int]:
    """Rows of other speakers: one of each before a second of any."""
    others = np.delete(np.arange(len(groups)), own)
    drawn = [rng.permutation(groups[i]) for i in rng.permutation(others)[:limit]]
    chosen = []
    for turn in range(max(map(len, drawn))):
        chosen += [rows[turn] for rows in drawn if turn < len(rows)]
        if len(chosen) >= limit:
            break
    return chosen[:limit]


def _shortages(counts, negatives) -> str:
    """What a list with these numbers of utterances per speaker lacks, in words."""
    notes, single = [], int((counts < 2).sum())
    if single:
        notes.append(f"{single} speakers of one utterance have no anchor")
    fewest = int(counts.sum() - counts.max())
    if fewest < negatives:
        notes.append(f"down to {fewest} negatives an anchor instead of {negatives}")
    if len(counts) <= negatives:
        notes.append(f"negatives from {len(counts) - 1} other speakers only")
    return "; ".join(notes)


def write_trials(
    path: str | os.PathLike, trials: Trials, *, scores: ArrayLike | None = None
) -> str:
    """Write a trial list atomically, and return its SHA-256 in hex.

    Scores, if given, are written beside it as `<name>.scores`, one a line in the order
    of the list.
    """
    path = Path(path)
    if scores is not None:
        scores = np.asarray(scores)
        if len(scores) != len(trials):
            raise ValueError(
                "Every trial must have one score. "
                f"Received: {len(scores)} scores, {len(trials)} trials"
            )
        _write_lines(path.with_suffix(".scores"), (f"{s:.9g}\n" for s in scores))
    _write_lines(path, trials.lines())
    return trials.digest()


def _write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)


def read_trials(path: str | os.PathLike) -> Trials:
    """Read `label enrol test` lines; labels are 1 and 0, or target and nontarget.

    Raises:
        ValueError: If a line has another form, with its number.
    """
    rows, label, enrol, test = {}, [], [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != 3 or fields[0] not in LABELS:
                raise ValueError(
                    f"{path}: line {number} must be `label enrol test`, the label "
                    f"0 or 1. Received: {line.strip()[:80]!r}"
                )
            label.append(LABELS[fields[0]])
            enrol.append(rows.setdefault(unquote(fields[1]), len(rows)))
            test.append(rows.setdefault(unquote(fields[2]), len(rows)))
    columns = (np.array(label, bool), np.array(enrol, int), np.array(test, int))
    return Trials(*columns, np.array(list(rows), str))
