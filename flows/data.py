"""Segments of speech with labels: training, validation, test and unseen rows.

Rows are selected and split (`flows.segments.splits`) by their labels; only the features
of those that stay are read.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from flows.segments import splits
from flows.segments.features import front_end
from flows.segments.sources import open_source
from flows.segments.splits import SPLITS

__all__ = ["FACTS", "Rows", "SegmentSplits", "front_end", "prepare"]

FACTS = "flow.json"  # what the data decided: classes, shape, front end, sizes, digests


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Segments and what is known of them.

    Args:
        x: Features, float32 `[n, *shape]`.
        labels: Class indices of the factors, int32 `[n, F]`, -1 where unknown.
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
class SegmentSplits:
    """Training, validation, test and unseen rows.

    Args:
        train: `Rows` for training, with all their labels, as probe classifiers use.
        valid: Validation rows, which select weights.
        test: Test rows.
        unseen: Rows of speakers in no other split, -1 in the factor `speaker`; `None`
            if there are none.
        shown: Labels of `train` for training, int32 `[len(train), F]`, masked ones -1.
        vocabulary: Dict, each factor to a tuple of its classes, in order.
        about: Source of the rows, how features are computed, and counts left out.
    """

    train: Rows
    valid: Rows
    test: Rows
    unseen: Rows | None
    shown: np.ndarray
    vocabulary: dict
    about: dict

    def rows(self, part):
        """A split by name, for `array_dataset.batches`; labels of `train` as shown."""
        rows = getattr(self, part) if part in SPLITS else None
        if rows is None:
            raise ValueError(
                f"A part must be one of {', '.join(self._present)}. Received: {part!r}"
            )
        return {"x": rows.x, "labels": self.shown if part == "train" else rows.labels}

    @property
    def _present(self):
        return {name: getattr(self, name) for name in SPLITS if getattr(self, name)}

    @functools.cached_property
    def facts(self):
        """All that the data decided, ready for JSON."""
        parts = self._present
        return {
            "vocabulary": {name: list(v) for name, v in self.vocabulary.items()},
            "shape": list(self.train.x.shape[1:]),
            "about": self.about,
            "sizes": {name: len(rows) for name, rows in parts.items()},
            "speakers": {n: sorted({*r.speaker} - {""}) for n, r in parts.items()},
            "sha256": {
                name: _digest(rows, *([self.shown] if name == "train" else []))
                for name, rows in parts.items()
            },
        }


def prepare(config):
    """Read segments, or synthesise them, and split them.

    Args:
        config: A `flows.config.SpeechFlowConfig`; its `data.seed` is that of synthetic
            data, its `seed` that of the selection, the splits and what is masked.

    Returns:
        `SegmentSplits`. The same config gives the same bytes.

    Raises:
        ValueError: If there are too few classes, speakers or rows, or features are not
            finite.
    """
    wanted, seed = config.data, config.seed
    found = open_source(wanted, config.segment)
    selected, left_out = splits.select(
        found.columns,
        rows=wanted.rows,
        classes=wanted.classes,
        min_rows=wanted.min_rows,
        seed=seed,
    )
    columns = {name: column[selected] for name, column in found.columns.items()}
    speaker, recording = found.speaker[selected], found.recording[selected]
    group = found.group[selected]
    unseen = splits.select_unseen(speaker, group, wanted.unseen, seed=seed)
    vocabulary = splits.build_vocabulary(columns, unseen)
    labels = splits.encode_labels(columns, vocabulary)
    shares = wanted.valid, wanted.test
    index = splits.split(recording, labels, unseen, shares=shares, seed=seed)
    splits.check_all_classes(labels[index["train"]], vocabulary)
    left_out["beside unseen"] = len(selected) - sum(map(len, index.values()))
    names = np.array(found.recordings, str)[recording]
    everything = Rows(_features(found, selected), labels, names, speaker)
    parts = {part: everything.subset(where) for part, where in index.items()}
    shown = splits.mask_labels(parts["train"].labels, wanted.missing, seed=seed)
    parts["unseen"] = parts["unseen"] if unseen.any() else None
    about = {**found.about, "left_out": {**found.left_out, **left_out}}
    return SegmentSplits(**parts, shown=shown, vocabulary=vocabulary, about=about)


def _features(found, selected):
    x = found.read(selected)
    finite = np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        name = found.recordings[found.recording[selected[bad[0]]]]
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
