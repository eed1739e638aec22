"""Probe classifiers: one for each factor, trained on real rows only.

A manipulation is measured by their posteriors of its input and of its output.
"""

import copy
import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from flows.validation import validate_labels
from timbre.metrics.folds import shuffle_by_class
from timbre.progress import ProgressBar

BLOCK = 8192  # rows classified at once
MAX_EPOCHS = 40  # or what makes MIN_STEPS steps if that is more
MIN_STEPS = 1000
PATIENCE = 8  # training stops when an 8th of all epochs brought no progress
BATCH = 256  # or a tenth of the rows if that is less
HELD_OUT = 10  # a tenth of the rows is for early stopping, if no others are given


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A classifier of one factor: a multilayer perceptron on standardised rows.

    Args:
        network: A trained `sklearn.neural_network.MLPClassifier`.
        mean: Of each number of a row, float32 `[D]`.
        deviation: The same.
        num_classes: Of the factor, with or without training rows.
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
        """Trains one on real rows, in one thread: the same bits on any machine.

        Early stopping is by the likelihood of held-out rows; by accuracy, posteriors
        would stay underconfident. Held out are `valid`, or else about a tenth of the
        groups, such that every class keeps training rows, or of the rows. Rows labelled
        -1 are left out, and so is a class of a single row: its posterior is 0.

        Args:
            x: `[rows, ...]`, of any shape.
            labels: Class of each row, -1 if unknown, `[rows]`.
            num_classes: How many classes the factor has.
            valid: Validation rows `[m, ...]` and their labels `[m]`; ignored where none
                has a known class. Defaults to none.
            groups: Name of the group of each row, as its recording, `[rows]`; no group
                is divided. Defaults to none.
            hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
            seed: Of the weights, the batches and the held-out rows. Defaults to `0`.
            epochs: Most epochs. Defaults to `40`, or what makes a thousand steps.

        Raises:
            ValueError: If rows are not finite, a label is out of range, or fewer than
                two classes have two rows.
        """
        x, labels = _flat(x), _validate_labels(labels, len(x), num_classes)
        counts = np.bincount(labels[labels >= 0], minlength=num_classes)
        seen = np.flatnonzero(counts > 1)
        if len(seen) < 2:
            raise ValueError(
                "A probe needs at least two classes with two rows or more. "
                f"Received: {len(seen)} of {num_classes} classes"
            )
        keep = np.isin(labels, seen)
        x, labels = x[keep], labels[keep]
        held = _known(valid, seen, num_classes)
        if held is None:
            groups = None if groups is None else np.asarray(groups)[keep]
            held_out = _hold_out(labels, groups, seed)
            held = x[held_out], labels[held_out]
            x, labels = x[~held_out], labels[~held_out]
        mean = x.mean(axis=0, dtype="float64")
        deviation = x.std(axis=0, dtype="float64")
        deviation = np.where(np.ptp(x, axis=0) == 0, 1.0, deviation)
        mean, deviation = mean.astype("float32"), deviation.astype("float32")
        with threadpool_limits(1):
            network = _train(
                (x - mean) / deviation,
                labels,
                (held[0] - mean) / deviation,
                held[1],
                hidden=hidden,
                seed=seed,
                epochs=epochs,
            )
        return cls(network, mean, deviation, num_classes)

    def posterior(self, x):
        """Posteriors of the classes of rows, shaped as in training.

        They are float32 `[rows, num_classes]`, 0 for a class without training rows.
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
                posterior = self.network.predict_proba(standard)
                found[rows, self.network.classes_] = posterior
        return found

    def accuracy(self, x, labels):
        """Accuracy on the rows with a known class; those labelled -1 have none."""
        labels = _validate_labels(labels, len(x), self.num_classes)
        known = labels >= 0
        if not known.any():
            raise ValueError("Some rows must have a known class")
        guess = self.posterior(np.asarray(x)[known]).argmax(axis=1)
        return float((guess == labels[known]).mean())


def fit(
    rows, vocabulary, *, valid=None, hidden=(256, 256), seed=0, shown=True, epochs=None
):
    """Trains one probe for each factor.

    Args:
        rows: Training `Rows`: `x`, true `labels` `[rows, factors]`, `recording`.
        vocabulary: Dict, each factor's name to those of its classes, in the order of
            the columns.
        valid: `Rows` of other recordings, for early stopping. By default these are
            held out of `rows`, by recording.
        hidden, seed, epochs: See `Probe.fit`.
        shown: Whether progress is. Defaults to `True`.

    Returns:
        Dict, each factor's name to its `Probe`.
    """
    found = {}
    with ProgressBar("probes", len(vocabulary), enabled=shown) as bar:
        for column, (name, classes) in enumerate(vocabulary.items()):
            held = None
            if valid is not None and len(valid.x):
                held = valid.x, np.asarray(valid.labels)[:, column]
            found[name] = Probe.fit(
                rows.x,
                np.asarray(rows.labels)[:, column],
                len(classes),
                valid=held,
                groups=rows.recording,
                hidden=hidden,
                seed=seed,
                epochs=epochs,
            )
            bar.update()
    return found


def _known(valid, seen, num_classes):
    """Validation rows of classes with training rows, and labels; `None` without any."""
    if valid is None:
        return None
    x = _flat(valid[0])
    labels = _validate_labels(valid[1], len(x), num_classes)
    keep = np.isin(labels, seen)
    return (x[keep], labels[keep]) if keep.any() else None


def _hold_out(labels, groups, seed):
    """Mask of about a tenth of the rows, of whole groups where that is possible."""
    held, left = np.zeros(len(labels), bool), np.bincount(labels)
    names, number = np.unique(
        np.arange(len(labels)) if groups is None else groups, return_inverse=True
    )
    order = np.random.default_rng(seed).permutation(len(names))
    for group in order if len(names) < len(labels) else ():
        rows = number == group
        fewer = left - np.bincount(labels[rows], minlength=len(left))
        if fewer[labels[rows]].all() and 2 * fewer.sum() >= len(labels):
            held, left = held | rows, fewer
        if HELD_OUT * held.sum() >= len(labels):
            return held
    if not held.any():
        # of two rows of a class one stays
        held[shuffle_by_class(labels, seed)[::HELD_OUT]] = True
    return held


def _train(x, labels, held, held_labels, *, hidden, seed, epochs):
    """Trains a network, with early stopping by the likelihood of held-out rows."""
    from sklearn.neural_network import MLPClassifier

    state, classes = np.random.RandomState(seed), np.unique(labels)
    column = np.searchsorted(classes, held_labels)
    batch = min(BATCH, max(1, len(x) // 10))
    if epochs is None:
        epochs = max(MAX_EPOCHS, MIN_STEPS * batch // len(x))
    network = MLPClassifier(tuple(hidden), batch_size=batch, random_state=state)
    best_loss, num_worse, best = np.inf, 0, None
    for _ in range(epochs):
        network.partial_fit(x, labels, classes=classes)
        posterior = network.predict_proba(held)[np.arange(len(held)), column]
        loss = -np.log(np.maximum(posterior, 1e-30)).mean(dtype=float)
        num_worse += 1
        if loss < best_loss:
            best_loss, num_worse = loss, 0
            best = copy.deepcopy((network.coefs_, network.intercepts_))
        elif num_worse >= max(1, epochs // PATIENCE):
            break
    network.coefs_, network.intercepts_ = best
    return network


def _flat(x):
    """Rows as float32 `[rows, D]`, finite."""
    x = np.asarray(x, np.float32)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"`x` must be [rows, ...]. Received: shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("`x` must be finite. Received: NaN or infinity")
    return x.reshape(len(x), -1)


def _validate_labels(labels, rows, num_classes):
    """Class indices of one factor, `[rows]`."""
    return validate_labels(np.asarray(labels)[:, None], rows, (num_classes,))[:, 0]
