"""Probes: judges from outside, who say what they see in sound or in features.

What a flow made of a segment is shown to classifiers that never saw the flow: one
for each factor, trained on real rows. Their posteriors before and after are what a
manipulation is measured by.
"""

import copy
import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from progress import Bar

BLOCK = 8192  # rows judged at once
EPOCHS = 40  # at most, or what makes STEPS steps if that is more
STEPS = 1000
PATIENCE = 8  # training stops when an 8th of all epochs brought no progress
BATCH = 256  # or a tenth of the rows if that is less
ASIDE = 10  # every tenth row says when to stop


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
    def fit(cls, x, labels, num_classes, *, hidden=(256, 256), seed=0, epochs=None):
        """Trains one on real rows. One thread, hence the same bits on any machine.

        A tenth of the rows is kept aside, and the weights are those that gave these
        the highest likelihood: by accuracy, training would end while posteriors are
        still timid. Rows labelled -1 are left out, and so is a class of a single row:
        its posterior is 0.

        Args:
            x: `[rows, ...]`, of any shape.
            labels: Class of each row, -1 if unknown, `[rows]`.
            num_classes: How many classes the factor has.
            hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
            seed: Of the weights, of the batches and of the rows kept aside. Defaults
                to `0`.
            epochs: Most passes over the rows. Defaults to `40`, or more where rows are
                so few that these would not make a thousand steps. Training stops
                before, when rows kept aside become no more probable.

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
        mean, deviation = (
            x.mean(axis=0, dtype="float64"),
            x.std(axis=0, dtype="float64"),
        )
        deviation = np.where(np.ptp(x, axis=0) == 0, 1.0, deviation)
        scale = mean.astype("float32"), deviation.astype("float32")
        told = {"hidden": hidden, "seed": seed, "epochs": epochs}
        with threadpool_limits(1):
            network = _trained((x - scale[0]) / scale[1], labels, **told)
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


def fit(rows, vocabulary, *, hidden=(256, 256), seed=0, shown=True):
    """Trains one probe for each factor.

    Args:
        rows: `Rows` to learn from: `x`, and `labels` `[rows, factors]`.
        vocabulary: Dict, each factor's name to those of its classes, in the order of
            the columns.
        hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
        seed: Defaults to `0`.
        shown: Whether progress is. Defaults to `True`.

    Returns:
        Dict, each factor's name to its `Probe`.
    """
    found = {}
    with Bar("probes", len(vocabulary), shown=shown) as bar:
        for column, (name, classes) in enumerate(vocabulary.items()):
            labels = np.asarray(rows.labels)[:, column]
            found[name] = Probe.fit(
                rows.x, labels, len(classes), hidden=hidden, seed=seed
            )
            bar.update()
    return found


def _trained(x, labels, *, hidden, seed, epochs):
    """A network with the weights of its best epoch."""
    from sklearn.neural_network import MLPClassifier

    state, classes = np.random.RandomState(seed), np.unique(labels)
    by_class = state.permutation(len(x))
    by_class = by_class[np.argsort(labels[by_class], kind="stable")]
    aside = np.zeros(len(x), bool)
    aside[by_class[::ASIDE]] = True  # a class of two rows keeps one at least
    told, truth, x, labels = x[aside], labels[aside], x[~aside], labels[~aside]
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
