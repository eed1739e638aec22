"""Probes: judges from outside, who say what they see in sound or in features.

What a flow made of a segment is shown to classifiers that never saw the flow: one
for each factor, trained on real rows. Their posteriors before and after are what a
manipulation is measured by.
"""

import copy
import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from timbre.metrics.folds import shuffle_by_class
from timbre.progress import ProgressBar

BLOCK = 8192  # rows judged at once
EPOCHS = 40  # at most, or what makes STEPS steps if that is more
STEPS = 1000
PATIENCE = 8  # training stops when an 8th of all epochs brought no progress
BATCH = 256  # or a tenth of the rows if that is less
ASIDE = 10  # a tenth of the rows says when to stop, if no others are given


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A classifier of one factor: a network of dense layers, on standardised rows.

    Args:
        network: A trained `sklearn.neural_network.MLPClassifier`.
        mean: Of each number of a row, float32 `[D]`.
        deviation: The same.
        num_classes: Of the factor, whether or not rows of each were seen.
    """

    network: object
    mean: np.ndarray
    deviation: np.ndarray
    num_classes: int

    @classmethod
    def fit(
        cls,
        x,
        labels,
        num_classes,
        *,
        valid=None,
        groups=None,
        hidden=(256, 256),
        seed=0,
        epochs=None,
    ):
        """Trains one on real rows. One thread, hence the same bits on any machine.

        The weights are those that gave held-out rows the highest likelihood: by
        accuracy, training would end while posteriors are still timid. Held out are
        `valid`, or else about a tenth of the groups, which leave every class some to
        learn from; where no group can be spared, a tenth of the rows. Rows
        labelled -1 are left out, and so is a class of a single row: its posterior is 0.

        Args:
            x: `[rows, ...]`, of any shape.
            labels: Class of each row, -1 if unknown, `[rows]`.
            num_classes: How many classes the factor has.
            valid: Rows `[m, ...]` and their labels `[m]` that are not learned from;
                where none has a known class, as if they were not given. Defaults to
                none.
            groups: Name of the group of each row, as its recording, `[rows]`: what is
                held out shares none with what is learned from. Defaults to none.
            hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
            seed: Of the weights, of the batches and of the rows held out. Defaults
                to `0`.
            epochs: Most passes over the rows. Defaults to `40`, or more where rows are
                so few that these would not make a thousand steps. Training stops
                before, when rows held out become no more probable.

        Raises:
            ValueError: If rows are not finite, a label is out of range, or fewer than
                two classes have two rows.
        """
        x, labels = _flat(x), _checked(labels, len(x), num_classes)
        counts = np.bincount(labels[labels >= 0], minlength=num_classes)
        seen = np.flatnonzero(counts > 1)
        if len(seen) < 2:
            raise ValueError(
                "A probe needs at least two classes with two rows or more. "
                f"Received: {len(seen)} such of {num_classes}"
            )
        keep = np.isin(labels, seen)
        x, labels = x[keep], labels[keep]
        told = _known(valid, seen, num_classes)
        if told is None:
            groups = None if groups is None else np.asarray(groups)[keep]
            aside = _hold_out(labels, groups, seed)
            told = x[aside], labels[aside]
            x, labels = x[~aside], labels[~aside]
        mean = x.mean(axis=0, dtype="float64")
        deviation = x.std(axis=0, dtype="float64")
        deviation = np.where(np.ptp(x, axis=0) == 0, 1.0, deviation)
        scale = mean.astype("float32"), deviation.astype("float32")
        rows = ((each - scale[0]) / scale[1] for each in (x, told[0]))
        settings = {"hidden": hidden, "seed": seed, "epochs": epochs}
        with threadpool_limits(1):
            network = _trained(*rows, labels, told[1], **settings)
        return cls(network, *scale, num_classes)

    def posterior(self, x):
        """What it takes rows for.

        Args:
            x: `[rows, ...]`, shaped as it was trained on.

        Returns:
            float32 `[rows, num_classes]`, columns in the order of the codes; 0 for a
            class that it was not taught.
        """
        x = _flat(x)
        if x.shape[1] != len(self.mean):
            raise ValueError(
                f"A row must have {len(self.mean)} numbers. Received: {x.shape[1]}"
            )
        found = np.zeros((len(x), self.num_classes), np.float32)
        with threadpool_limits(1):
            for start in range(0, len(x), BLOCK):
                rows = slice(start, start + BLOCK)
                standard = (x[rows] - self.mean) / self.deviation
                found[rows, self.network.classes_] = self.network.predict_proba(
                    standard
                )
        return found

    def accuracy(self, x, labels):
        """Share of the rows with a known class that it takes for just that.

        Args:
            x: `[rows, ...]`.
            labels: Class of each, -1 if unknown, `[rows]`.
        """
        labels = _checked(labels, len(x), self.num_classes)
        known = labels >= 0
        if not known.any():
            raise ValueError("Rows must have a known class. Received: none that has")
        guess = self.posterior(np.asarray(x)[known]).argmax(axis=1)
        return float((guess == labels[known]).mean())


def fit(
    rows, vocabulary, *, valid=None, hidden=(256, 256), seed=0, shown=True, epochs=None
):
    """Trains one probe for each factor.

    Args:
        rows: `Rows` to learn from: `x`, true `labels` `[rows, factors]`, `recording`.
        vocabulary: Dict, each factor's name to those of its classes, in the order of
            the columns.
        valid: `Rows` of other recordings, by which training ends. By default these are
            held out of `rows`, by recording.
        hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
        seed: Defaults to `0`.
        shown: Whether progress is. Defaults to `True`.
        epochs: See `Probe.fit`.

    Returns:
        Dict, each factor's name to its `Probe`.
    """
    found = {}
    with ProgressBar("probes", len(vocabulary), enabled=shown) as bar:
        for column, (name, classes) in enumerate(vocabulary.items()):
            labels, told = np.asarray(rows.labels)[:, column], None
            if valid is not None and len(valid.x):
                told = valid.x, np.asarray(valid.labels)[:, column]
            found[name] = Probe.fit(
                *(rows.x, labels, len(classes)),
                **{"valid": told, "groups": rows.recording, "epochs": epochs},
                **{"hidden": hidden, "seed": seed},
            )
            bar.update()
    return found


def _known(valid, seen, num_classes):
    """Held-out rows of classes that are taught, and their labels; `None` if none is."""
    if valid is None:
        return None
    x = _flat(valid[0])
    labels = _checked(valid[1], len(x), num_classes)
    keep = np.isin(labels, seen)
    return (x[keep], labels[keep]) if keep.any() else None


def _hold_out(labels, groups, seed):
    """About a tenth of the rows, in groups of their own where they can be, a mask."""
    aside, left = np.zeros(len(labels), bool), np.bincount(labels)
    names, number = np.unique(
        np.arange(len(labels)) if groups is None else groups, return_inverse=True
    )
    lots = np.random.default_rng(seed).permutation(len(names))
    for group in lots if len(names) < len(labels) else ():
        mine = number == group
        less = left - np.bincount(labels[mine], minlength=len(left))
        if less[labels[mine]].all() and 2 * less.sum() >= len(labels):
            aside, left = aside | mine, less
        if ASIDE * aside.sum() >= len(labels):
            return aside
    if not aside.any():
        aside[shuffle_by_class(labels, seed)[::ASIDE]] = (
            True  # two rows of a class: one stays
        )
    return aside


def _trained(x, told, labels, truth, *, hidden, seed, epochs):
    """A network with the weights of the epoch that rows `told` liked best."""
    from sklearn.neural_network import MLPClassifier

    state, classes = np.random.RandomState(seed), np.unique(labels)
    place = np.searchsorted(classes, truth)
    batch = min(BATCH, max(1, len(x) // 10))
    if epochs is None:
        epochs = max(EPOCHS, STEPS * batch // len(x))
    network = MLPClassifier(tuple(hidden), batch_size=batch, random_state=state)
    best, since, kept = np.inf, 0, None
    for _ in range(epochs):
        network.partial_fit(x, labels, classes=classes)
        found = network.predict_proba(told)[np.arange(len(told)), place]
        loss, since = -np.log(np.maximum(found, 1e-30)).mean(dtype=float), since + 1
        if loss < best:
            best, since = loss, 0
            kept = copy.deepcopy((network.coefs_, network.intercepts_))
        elif since >= max(1, epochs // PATIENCE):
            break
    network.coefs_, network.intercepts_ = kept
    return network


def _flat(x):
    """Rows as float32 `[rows, D]`, finite."""
    x = np.asarray(x, np.float32)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"`x` must be [rows, ...]. Received: shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("`x` must be finite. Received: NaN or infinity")
    return x.reshape(len(x), -1)


def _checked(labels, count, num_classes):
    labels = np.asarray(labels)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`labels` must be integers, one a row. "
            f"Received: {labels.dtype} {labels.shape} for {count} rows"
        )
    if count and not -1 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"`labels` must be -1, or classes below {num_classes}. "
            f"Received: {labels.min()} to {labels.max()}"
        )
    return labels
