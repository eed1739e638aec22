"""What the flows learn from, and what they are judged by.

Rows are chosen and divided (`flows.segments.splits`) by their labels; only the features of
those that stay are read.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from flows.segments import splits
from flows.segments.features import front_end, num_bands
from flows.segments.sources import open_source
from flows.segments.splits import PARTS

__all__ = ["FACTS", "Parts", "Rows", "front_end", "prepare"]

FACTS = "flow.json"  # what the data decided: classes, shape, front end, sizes, digests


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Segments and what is known of them.

    Args:
        x: Features, float32 `[n, *shape]`.
        labels: Codes of the factors' classes, int32 `[n, F]`, -1 where nobody knows.
        recording: Name of the recording of each, str `[n]`.
        speaker: Name of its speaker, str `[n]`, `""` where unknown.
    """

    x: np.ndarray
    labels: np.ndarray
    recording: np.ndarray
    speaker: np.ndarray

    def __len__(self):
        return len(self.x)

    def subset(self, index) -> "Rows":
        """Some of the rows, in the order of `index`: integers, or a mask `[n]`."""
        names = [field.name for field in dataclasses.fields(self)]
        return Rows(**{name: getattr(self, name)[index] for name in names})


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """Rows, divided.

    Args:
        train: `Rows` to learn from, with all their labels; see `shown`.
        valid: Those by which weights are chosen.
        test: Those kept for the report.
        unseen: Those of speakers who are in no other part, -1 in the factor `speaker`;
            `None` if there are none.
        shown: Labels of `train` that learning may see, int32 `[len(train), F]`, hidden
            ones -1. Who judges goes by `train.labels`.
        vocabulary: Dict, each factor to a tuple of its classes, in the order of codes.
        about: Where the rows are from, how their features are computed, and how many
            were left out, and why.
    """

    train: Rows
    valid: Rows
    test: Rows
    unseen: Rows | None
    shown: np.ndarray
    vocabulary: dict
    about: dict

    def rows(self, part):
        """A part by name, for `timbre.training.array_dataset.batches`; of `train` the labels `shown`.

        Raises:
            ValueError: If there is no such part.
        """
        rows = getattr(self, part) if part in PARTS else None
        if rows is None:
            raise ValueError(
                f"A part must be one of {', '.join(self._present)}. Received: {part!r}"
            )
        return {"x": rows.x, "labels": self.shown if part == "train" else rows.labels}

    @property
    def _present(self):
        return {name: getattr(self, name) for name in PARTS if getattr(self, name)}

    @functools.cached_property
    def facts(self):
        """All that the data decided, ready for JSON."""
        parts = self._present
        return {
            "vocabulary": {name: list(v) for name, v in self.vocabulary.items()},
            "shape": list(self.train.x.shape[1:]),
            "about": self.about,
            "sizes": {name: len(rows) for name, rows in parts.items()},
            "speakers": {
                name: sorted({*r.speaker} - {""}) for name, r in parts.items()
            },
            "sha256": {
                name: _digest(rows, *([self.shown] if name == "train" else []))
                for name, rows in parts.items()
            },
        }

    def remember(self, run):
        """Writes the facts; a run never goes on with other rows.

        Raises:
            ValueError: If the run began with other rows.
        """
        run.remember(FACTS, self.facts)


def prepare(
    *,
    source,
    factors,
    segment,
    rows,
    classes,
    least_rows,
    valid,
    test,
    unseen,
    missing,
    seed,
    split_seed=None,
    **place,
):
    """Reads segments, or makes them up, and divides them.

    Args:
        source: Where from, and all others, as `flows.config.Data` says.
        factors: Names of columns of labels.
        segment: Dict of a `flows.config.Segment`.
        rows: Most rows to keep, by lot.
        classes: Most classes of a factor; those with most rows stay.
        least_rows: Classes with fewer are left out.
        valid, test: Shares of the recordings.
        unseen: Share of the speakers.
        missing: Share of the labels of `train` that are hidden.
        seed: Of what is made up.
        split_seed: Of the lot, the division and what is hidden. Defaults to `seed`.
        **place: `path`, `speakers`, `utterances`, `corpus`, `cache`, `clean` and
            `fold`.

    Returns:
        `Parts`. The same arguments give the same bytes.

    Raises:
        ValueError: If a factor has fewer than two classes, features are not finite,
            speakers are not known, or rows are too few to be divided.
    """
    draw = seed if split_seed is None else split_seed
    segment = {**segment, "bands": num_bands(source, segment)}
    made_up = {"rows": rows, "classes": classes, "seed": seed}
    found = open_source(source, factors=factors, segment=segment, **made_up, **place)
    limits = {"rows": rows, "classes": classes, "least_rows": least_rows}
    chosen, left_out = splits.choose(found.columns, seed=draw, **limits)
    columns = {name: column[chosen] for name, column in found.columns.items()}
    speaker, recording = found.speaker[chosen], found.recording[chosen]
    out = splits.unseen(speaker, found.family[chosen], unseen, seed=draw)
    vocabulary = splits.vocabulary(columns, out)
    labels = splits.codes(columns, vocabulary)
    index = splits.divide(recording, labels, out, shares=(valid, test), seed=draw)
    splits.check(labels[index["train"]], vocabulary)
    left_out["beside unseen"] = len(chosen) - sum(map(len, index.values()))
    names = np.array(found.recordings, str)[recording]
    everything = Rows(_features(found, chosen), labels, names, speaker)
    parts = {part: everything.subset(where) for part, where in index.items()}
    shown = splits.hidden(parts["train"].labels, missing, seed=draw)
    parts["unseen"] = parts["unseen"] if out.any() else None
    about = {**found.about, "left_out": {**found.left_out, **left_out}}
    return Parts(**parts, shown=shown, vocabulary=vocabulary, about=about)


def _features(found, chosen):
    x = found.read(chosen)
    finite = np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        name = found.recordings[found.recording[chosen[bad[0]]]]
        raise ValueError(
            "Features must be finite. Received: NaN or infinity in "
            f"{len(bad)} of {len(x)} rows, the first of recording {name}"
        )
    return x


def _digest(rows, *more):
    """SHA-256 of all numbers and names of a part."""
    sha = hashlib.sha256("\n".join([*rows.recording, *rows.speaker]).encode())
    for numbers in (rows.labels, rows.x, *more):
        sha.update(np.ascontiguousarray(numbers).tobytes())
    return sha.hexdigest()
