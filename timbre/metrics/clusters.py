"""Class structure of latents: Fisher ratio, k-NN, silhouette, probe, Gaussianity.

Latents `z` are `[rows, dim]`, labels are class indices, int `[rows]`. Rows labelled -1
are unknown and left out, and so are those of a class with a single row, which has no
spread and no neighbour. Averages over classes weigh every class equally.

Rows may come in groups, such as overlapping windows of one recording in one room: then
neighbours give away the group, and with it the class, without representing the class.
So where `groups`, a name or number of each row, are given, a row is classified by rows
of other groups only, and a class that lies in one group is left out. By default each
row is its own group.

All raise a ValueError if latents are not finite, if there are fewer than two classes
of two rows, or nothing varies within classes.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.arrays import check_rows
from timbre.metrics.folds import assign_folds, classes_in_groups, shuffle_by_class

BLOCK_ROWS = 1024  # whose neighbours are searched at once
MIN_SPREAD = 1e-12  # relative to a column's size; below, a spread is rounding


def fisher_ratio(z: ArrayLike, labels: ArrayLike) -> float:
    """Fisher ratio: variance between class means over variance within classes.

    `mean_k ||mu_k - mu||**2 / mean_k E ||z - mu_k||**2`, `mu` the mean of all `mu_k`

    About `(K - 1) / (K * n)` for latents independent of `K` classes of `n` rows.
    """
    z, labels, _ = _known(z, labels)
    means = _class_means(z, labels)
    within = _class_means(((z - means[labels]) ** 2).sum(axis=1), labels).mean()
    if within <= (MIN_SPREAD * np.abs(z).max()) ** 2:
        raise ValueError(
            "Latents must vary within classes. Received: equal rows in each"
        )
    return float(((means - means.mean(axis=0)) ** 2).sum(axis=1).mean() / within)


def knn_accuracy(
    z: ArrayLike, labels: ArrayLike, k: int = 5, groups: ArrayLike | None = None
) -> float:
    """Leave-one-out accuracy of a `k`-nearest-neighbour classifier.

    Of classes with equal votes the one of the nearest row wins. There must be `k` rows
    outside of each group. Latents independent of the labels reach `majority_rate`, or
    less.
    """
    from sklearn.neighbors import NearestNeighbors

    z, labels, groups = _grouped(z, labels, groups)
    largest = np.bincount(groups).max()
    if not 1 <= k <= len(z) - largest:
        raise ValueError(
            "`k` must be at least 1 and at most the labelled rows outside of a group. "
            f"Received: k={k} for {len(z)} rows, {largest} in one group"
        )
    centred = z - z.mean(axis=0)  # distances lose fewer digits around the origin
    finder, right = NearestNeighbors(n_neighbors=k + largest).fit(centred), 0
    for start in range(0, len(centred), BLOCK_ROWS):
        own = slice(start, start + BLOCK_ROWS)
        near = finder.kneighbors(centred[own], return_distance=False)
        beside = np.argsort(groups[near] == groups[own, None], axis=1, kind="stable")
        near = np.take_along_axis(near, beside[:, :k], axis=1)
        classes = labels[near]  # [rows, k], the nearest first
        votes = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
        winner = np.take_along_axis(classes, votes.argmax(axis=1)[:, None], axis=1)
        right += (winner[:, 0] == labels[own]).sum()
    return float(right / len(centred))


def silhouette(
    z: ArrayLike, labels: ArrayLike, *, max_rows: int = 2000, seed: int = 0
) -> float:
    """Silhouette coefficient, the mean of `(b - a) / max(a, b)` over rows.

    `a` is the mean distance to the other rows of a row's class and `b` to those of the
    nearest other class: 1 for classes that are points, 0 for classes that overlap. The
    cost grows with the square of the rows: of more than `max_rows`, which defaults to
    `2000`, so many are sampled with `seed`, of each class in proportion.

    Reference:
        Silhouettes (Rousseeuw, 1987), https://doi.org/10.1016/0377-0427(87)90125-7
    """
    from sklearn.metrics import silhouette_score

    z, labels, _ = _known(z, labels)
    if len(z) > max_rows:
        order = shuffle_by_class(labels, seed)
        taken = order[np.linspace(0, len(z) - 1, max_rows).astype(int)]
        z, labels, _ = _known(z[taken], labels[taken])
    return float(silhouette_score(z - z.mean(axis=0), labels))


def probe_accuracy(
    z: ArrayLike, labels: ArrayLike, seed: int = 0, groups: ArrayLike | None = None
) -> float:
    """Accuracy of a linear probe (linear discriminant analysis) by cross-validation.

    LDA has a closed form, and does not mask a class between two others, as regression
    to class indicators does. Five folds, classes evenly (`folds.assign_folds`, which
    takes the `seed`); groups stay whole.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from threadpoolctl import threadpool_limits

    z, labels, groups = _grouped(z, labels, groups)
    if np.ptp(z, axis=0).max() <= MIN_SPREAD * np.abs(z).max():
        raise ValueError("Latents must vary. Received: equal rows")
    folds = PredefinedSplit(assign_folds(labels, groups, seed))
    with threadpool_limits(1):  # faster here: threads wait for each other
        found = cross_val_predict(LinearDiscriminantAnalysis(), z, labels, cv=folds)
    return float(np.mean(found == labels))


def majority_rate(labels: ArrayLike) -> float:
    """Accuracy of always predicting the most frequent class: the chance level.

    `1 / K` for `K` classes of as many rows.
    """
    _, labels, _ = _known(np.zeros((np.size(labels), 1)), labels)
    return float(np.bincount(labels).max() / len(labels))


def class_separability(
    z: ArrayLike,
    labels: ArrayLike,
    *,
    k: int = 5,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, float]:
    """All measures of how well latents separate the classes of a label.

    Args:
        z: Latents, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        k: How many neighbours vote; fewer if there are no more rows. Defaults to `5`.
        seed: Of the silhouette's rows and the probe's folds. Defaults to `0`.
        groups: Group of each, `[rows]`, or None. Unless two classes lie in two groups
            each, every row counts as its own group.

    Returns:
        `fisher`, `knn`, `silhouette`, `probe` and `chance`, the level to compare `knn`
        and `probe` with: all of the same rows.
    """
    if groups is not None and len(classes_in_groups(labels, groups)) < 2:
        groups = None
    z, labels, groups = _grouped(z, labels, groups)
    most = len(z) - np.bincount(groups).max()
    return {
        "fisher": fisher_ratio(z, labels),
        "knn": knn_accuracy(z, labels, min(k, most), groups),
        "silhouette": silhouette(z, labels, seed=seed),
        "probe": probe_accuracy(z, labels, seed, groups),
        "chance": majority_rate(labels),
    }


def gaussianity(
    z: ArrayLike, labels: ArrayLike, class_means: ArrayLike | None = None
) -> dict[str, float]:
    """Deviations of the classes from normals with a shared diagonal covariance.

    Latents are standardised: the mean of their class is subtracted, then divided by
    the within-class deviation of that dimension, shared by all classes. Dimensions
    that do not vary are left out. `class_means` are those that a model gives each
    class, `[classes, dim]`; they default to the averages of the latents themselves.

    Returns:
        Dictionary of

        - `skewness`: mean over dimensions of its size; 0 for a normal.
        - `kurtosis`: mean over dimensions of its excess; 0 for a normal.
        - `ks`: mean over dimensions of the greatest distance between the cumulative
          distribution and that of N(0, 1); about `0.87 / sqrt(rows)` for a normal,
          less when the means are averages.
        - `deviation`: the shared deviation, its root mean square over dimensions.
        - `homogeneity`: the deviation of the variances of the classes, over their
          mean; about `sqrt(2 / (n * dim))` for equal classes of `n` rows.
    """
    from scipy import special, stats

    z, labels, names = _known(z, labels)
    counts, fitted = np.bincount(labels), class_means is None
    if class_means is None:
        class_means = _class_means(z, labels)
    else:
        class_means = check_rows(class_means, "class_means", min_rows=1)
        if class_means.shape[1] != z.shape[1] or names.max() >= len(class_means):
            raise ValueError(
                f"`class_means` must be [classes, {z.shape[1]}], a row for each of the "
                f"labels. Received: shape {class_means.shape} for labels up to "
                f"{names.max()}"
            )
        class_means = class_means[names]
    inner = z - class_means[labels]
    squares = (inner**2).sum(axis=0) / (len(z) - fitted * len(counts))
    shared = np.sqrt(squares)
    varies = shared > MIN_SPREAD * np.abs(z).max()
    if not varies.any():
        raise ValueError(
            "Latents must vary within classes. Received: equal rows in each"
        )
    standard = inner[:, varies] / shared[varies]
    of_class = _class_means((inner[:, varies] ** 2).mean(axis=1), labels)
    of_class *= counts / (counts - fitted)
    ks: Any = stats.ks_1samp(standard, special.ndtr, method="asymp", axis=0)
    return {
        "skewness": float(np.abs(stats.skew(standard)).mean()),
        "kurtosis": float(stats.kurtosis(standard).mean()),
        "ks": float(ks.statistic.mean()),
        "deviation": float(np.sqrt(squares[varies].mean())),
        "homogeneity": float(of_class.std() / of_class.mean()),
    }


def _known(z, labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latents of known classes, these counted from 0, and the label of each class."""
    z, labels = check_rows(z, "z"), np.asarray(labels)
    if labels.shape != z.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`labels` must be integers, one a row. "
            f"Received: {labels.dtype} {labels.shape} for {len(z)} rows"
        )
    if (least := labels.min()) < -1:
        raise ValueError(f"`labels` must be classes, -1 if unknown. Received: {least}")
    names, counts = np.unique(labels, return_counts=True)
    names = names[(names >= 0) & (counts > 1)]
    if len(names) < 2:
        raise ValueError(
            "There must be at least two classes with two rows or more. "
            f"Received: {len(names)} of them in {len(labels)} rows"
        )
    keep = np.isin(labels, names)
    return z[keep], np.searchsorted(names, labels[keep]), names


def _grouped(z, labels, groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_known`, of classes in two groups or more, and the number of each group."""
    if groups is None:
        groups = np.arange(len(z))
    else:
        several = classes_in_groups(labels, groups)
        labels = np.where(np.isin(labels, several), labels, -1)
    z, known, names = _known(z, labels)
    groups = np.asarray(groups)[np.isin(labels, names)]
    return z, known, np.unique(groups, return_inverse=True)[1]


def _class_means(values, labels) -> np.ndarray:
    """Mean of the values of each class, `[classes, ...]`."""
    counts = np.bincount(labels)
    order, starts = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
    sums = np.add.reduceat(values[order], starts, axis=0)
    return (sums.T / counts).T
