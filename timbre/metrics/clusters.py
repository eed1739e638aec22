"""Clusters: how much of a label can be seen in codes, and how Gaussian its classes are.

Codes `z` are `[rows, dim]`, labels are ints `[rows]`. Rows labelled -1 are unknown and
left out, and so are those of a class that has one row: it has no spread, and no
neighbour of its own. Wherever classes are averaged, each counts alike, however many
rows it has.

Rows may come in groups, as windows of one recording that share a room, or overlap:
codes then tell a group, and with it the class, without knowing what makes a class. So
where groups are given a row is judged by those of other groups only, and a class that
lies in one group is left out, as one of a single row is.
"""

import numpy as np

from timbre.metrics.arrays import check_rows
from timbre.metrics.folds import assign_folds, classes_in_groups, shuffle_by_class

MAX_SILHOUETTE_ROWS = 2000  # rows of a silhouette: its cost grows with their square
BLOCK_ROWS = 1024  # rows whose neighbours are looked for at once
MIN_SPREAD = 1e-12  # share of a column's size below which its spread is rounding


def fisher_ratio(z, labels) -> float:
    """Spread of the class means over the spread inside the classes.

    `mean_k ||mu_k - mu||**2 / mean_k E ||z - mu_k||**2`, `mu` the mean of all `mu_k`

    About `(K - 1) / (K * n)` for codes that know nothing of `K` classes of `n` rows.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.

    Returns:
        The ratio, from 0 upwards.

    Raises:
        ValueError: Of this and all of this module, if codes are not finite, if there
            are fewer than two classes of two rows, or nothing varies inside classes.
    """
    z, labels = _known(z, labels)
    means, inner = _centred(z, labels)
    within = _class_means((inner**2).sum(axis=1), labels).mean()
    if within <= (MIN_SPREAD * np.abs(z).max()) ** 2:
        raise ValueError("Codes must vary inside classes. Received: equal rows in each")
    return float(((means - means.mean(axis=0)) ** 2).sum(axis=1).mean() / within)


def knn_accuracy(z, labels, k=5, groups=None) -> float:
    """How often the `k` nearest other rows know the class of a row.

    They vote; of the classes with as many votes the one of the nearest row wins. Codes
    that know nothing reach `chance`, or less.

    Args:
        z: Codes, `[rows, dim]`, more than `k` outside of each group.
        labels: Class of each, -1 if unknown, `[rows]`.
        k: How many neighbours vote. Defaults to `5`.
        groups: Name or number of the group of each, `[rows]`: rows of the same have no
            vote. Defaults to none: each row is its own.
    """
    from sklearn.neighbors import NearestNeighbors

    z, labels, groups = _apart(z, labels, groups)
    largest = np.bincount(groups).max()
    if not 1 <= k <= len(z) - largest:
        raise ValueError(
            "`k` must be at least 1 and less than the rows with a label, those of one "
            f"group aside. Received: k={k} for {len(z)} rows, {largest} in one group"
        )
    z = z - z.mean(axis=0)  # distances lose fewer digits around the origin
    finder, right = NearestNeighbors(n_neighbors=k + largest).fit(z), 0
    for start in range(0, len(z), BLOCK_ROWS):
        own = slice(start, start + BLOCK_ROWS)
        near = finder.kneighbors(z[own], return_distance=False)
        beside = np.argsort(groups[near] == groups[own, None], axis=1, kind="stable")
        near = np.take_along_axis(near, beside[:, :k], axis=1)
        classes = labels[near]  # [rows, k], the nearest first
        votes = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
        winner = np.take_along_axis(classes, votes.argmax(axis=1)[:, None], axis=1)
        right += (winner[:, 0] == labels[own]).sum()
    return float(right / len(z))


def silhouette(z, labels, *, max_rows=MAX_SILHOUETTE_ROWS, seed=0) -> float:
    """How much nearer a row is to its own class than to the next, on average.

    `(b - a) / max(a, b)`, `a` the mean distance to the other rows of its class and `b`
    to those of the nearest other class: 1 for points, 0 for classes that overlap.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        most: Most rows to take, each class in proportion. Defaults to `2000`.
        seed: Which rows. Defaults to `0`.

    Reference:
        Silhouettes (Rousseeuw, 1987), https://doi.org/10.1016/0377-0427(87)90125-7
    """
    from sklearn.metrics import silhouette_score

    z, labels = _known(z, labels)
    if len(z) > max_rows:
        order = shuffle_by_class(labels, seed)
        taken = order[np.linspace(0, len(z) - 1, max_rows).astype(int)]
        z, labels = _known(z[taken], labels[taken])
    return float(silhouette_score(z - z.mean(axis=0), labels))


def probe_accuracy(z, labels, seed=0, groups=None) -> float:
    """How often a linear classifier, trained on other rows, knows the class of a row.

    The classifier is linear discriminant analysis, in a closed form: no steps to
    take, and none of many classes hides behind two others, as in regression to their
    indicators. Rows are divided into five parts, classes evenly; the other four teach
    how to judge a part. Groups stay whole, in parts such that no class is all in one.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        seed: Of the division. Defaults to `0`.
        groups: See `neighbour_accuracy`.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from threadpoolctl import threadpool_limits

    z, labels, groups = _apart(z, labels, groups)
    if np.ptp(z, axis=0).max() <= MIN_SPREAD * np.abs(z).max():
        raise ValueError("Codes must vary. Received: equal rows")
    part = assign_folds(labels, groups, seed)
    right = np.zeros(len(z), bool)
    with threadpool_limits(1):  # faster here: threads wait for each other
        for held in (part == i for i in np.unique(part)):
            probe = LinearDiscriminantAnalysis().fit(z[~held], labels[~held])
            right[held] = probe.predict(z[held]) == labels[held]
    return float(right.mean())


def majority_rate(labels) -> float:
    """How often who always says the most frequent class is right.

    `1 / K` for `K` classes of as many rows: what can be reached without any code.

    Args:
        labels: Class of each row, -1 if unknown, `[rows]`.
    """
    _, labels = _known(np.zeros((len(labels), 1)), labels)
    return float(np.bincount(labels).max() / len(labels))


def class_separability(z, labels, *, k=5, seed=0, groups=None) -> dict[str, float]:
    """All that says how clearly a label shows in codes.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        k: How many neighbours vote; fewer if there are no more rows. Defaults to `5`.
        seed: Of the silhouette's rows and the probe's division. Defaults to `0`.
        groups: Name or number of the group of each, `[rows]`: neighbours and probe
            judge rows by other groups. Where not two classes lie in two groups each,
            that can not be asked, and every row counts as its own group. Defaults to
            none.

    Returns:
        `fisher`, `knn`, `silhouette`, `probe` and `chance`, to which `knn` and
        `probe` compare: all of the same rows.
    """
    if groups is not None and len(classes_in_groups(labels, groups)) < 2:
        groups = None
    z, labels, groups = _apart(z, labels, groups)
    most = len(z) - np.bincount(groups).max()
    return {
        "fisher": fisher_ratio(z, labels),
        "knn": knn_accuracy(z, labels, min(k, most), groups),
        "silhouette": silhouette(z, labels, seed=seed),
        "probe": probe_accuracy(z, labels, seed, groups),
        "chance": majority_rate(labels),
    }


def gaussianity(z, labels, class_means=None) -> dict[str, float]:
    """Whether the classes are what a class-conditional normal takes them for.

    Every code is seen from the centre of its class, in units of the deviation that
    all classes share in that dimension. Dimensions that do not vary are left out.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        centres: The mean that a model gives each class, `[classes, dim]`. Defaults to
            the averages of the codes themselves.

    Returns:
        - `skewness`: mean over dimensions of its size; 0 for a normal.
        - `kurtosis`: mean over dimensions of its excess; 0 for a normal.
        - `ks`: mean over dimensions of the greatest distance between the cumulative
          distribution and that of N(0, 1); about `0.87 / sqrt(rows)` for a normal,
          less when centres are averages.
        - `deviation`: the shared deviation, its root mean square over dimensions.
        - `homogeneity`: the deviation of the variances of the classes, over their
          mean; about `sqrt(2 / (n * dim))` for equal classes of `n` rows.
    """
    from scipy import stats

    z, labels, names = _named(z, labels)
    counts, fitted = np.bincount(labels), class_means is None
    if fitted:
        class_means = _class_means(z, labels)
    else:
        class_means = _of_classes(class_means, names, z.shape[1])
    inner = z - class_means[labels]
    squares = (inner**2).sum(axis=0) / (len(z) - fitted * len(counts))
    shared = np.sqrt(squares)
    varies = shared > MIN_SPREAD * np.abs(z).max()
    if not varies.any():
        raise ValueError("Codes must vary inside classes. Received: equal rows in each")
    standard = inner[:, varies] / shared[varies]
    of_class = _class_means((inner[:, varies] ** 2).mean(axis=1), labels)
    of_class *= counts / (counts - fitted)
    return {
        "skewness": float(np.abs(stats.skew(standard)).mean()),
        "kurtosis": float(stats.kurtosis(standard).mean()),
        "ks": float(_distance_to_normal(standard).mean()),
        "deviation": float(np.sqrt(squares[varies].mean())),
        "homogeneity": float(of_class.std() / of_class.mean()),
    }


def _distance_to_normal(rows) -> np.ndarray:
    """Kolmogorov-Smirnov distance of each column to N(0, 1), `[dim]`."""
    from scipy.special import ndtr

    normal, count = ndtr(np.sort(rows, axis=0)), len(rows)
    steps = np.arange(count + 1)[:, None] / count
    return np.maximum(steps[1:] - normal, normal - steps[:-1]).max(axis=0)


def _of_classes(centres, names, dim) -> np.ndarray:
    """The rows of `centres` that belong to the classes `names`."""
    centres = check_rows(centres, "centres", min_rows=1)
    if centres.shape[1] != dim or names.max() >= len(centres):
        raise ValueError(
            f"`centres` must be [classes, {dim}] with a row for each of the labels. "
            f"Received: shape {centres.shape} for labels up to {names.max()}"
        )
    return centres[names]


def _known(z, labels):
    return _named(z, labels)[:2]


def _named(z, labels):
    """Codes with a known class, classes counted from 0, and the label of each."""
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
            f"Received: {len(names)} such in {len(labels)} rows"
        )
    keep = np.isin(labels, names)
    return z[keep], np.searchsorted(names, labels[keep]), names


def _apart(z, labels, groups):
    """As `_known`, of classes in two groups or more, and the number of the groups."""
    if groups is None:
        groups = np.arange(len(z))
    else:
        several = classes_in_groups(labels, groups)
        labels = np.where(np.isin(labels, several), labels, -1)
    z, inner, names = _named(z, labels)
    groups = np.asarray(groups)[np.isin(labels, names)]
    return z, inner, np.unique(groups, return_inverse=True)[1]


def _class_means(values, labels) -> np.ndarray:
    """Mean of the values of each class, `[classes, ...]`."""
    counts = np.bincount(labels)
    order, starts = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
    sums = np.add.reduceat(values[order], starts, axis=0)
    return (sums.T / counts).T


def _centred(z, labels):
    """Means of the classes, and each row seen from the mean of its own."""
    means = _class_means(z, labels)
    return means, z - means[labels]
