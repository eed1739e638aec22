"""Clusters: how much of a label can be seen in codes, and how Gaussian its classes are.

Codes `z` are `[rows, dim]`, labels are ints `[rows]`. Rows labelled -1 are unknown and
left out, and so are those of a class that has one row: it has no spread, and no
neighbour of its own. Wherever classes are averaged, each counts alike, however many
rows it has.
"""

import numpy as np

from metrics.samples import as_samples

MOST = 2000  # rows of a silhouette: its cost grows with their square
FOLDS = 5
FLAT = 1e-12  # share of a column's size below which its spread is rounding


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
    if within <= (FLAT * np.abs(z).max()) ** 2:
        raise ValueError("Codes must vary inside classes. Received: equal rows in each")
    return float(((means - means.mean(axis=0)) ** 2).sum(axis=1).mean() / within)


def discriminability(z, labels) -> float:
    """The same in the units of the classes themselves: `tr(Sw**-1 Sb)`.

    `Sb` is the covariance of the class means, `Sw` the mean of those inside classes.
    No invertible linear map changes it; of one dimension it is the Fisher ratio.

    Args:
        z: Codes, `[rows, dim]`, that vary inside classes in every direction.
        labels: Class of each, -1 if unknown, `[rows]`.

    Reference:
        Introduction to Statistical Pattern Recognition (Fukunaga, 1990), section 10.2
    """
    z, labels = _known(z, labels)
    means, inner = _centred(z, labels)
    share = 1 / np.bincount(labels)[labels] / len(means)  # of a row, so that all make 1
    within = (inner * share[:, None]).T @ inner
    scale = np.sqrt(np.diag(within))
    flat = scale <= FLAT * np.abs(z).max(axis=0)
    if not flat.any():
        within = within / np.outer(scale, scale)
    if flat.any() or np.linalg.eigvalsh(within)[0] < 1e-10:
        raise ValueError(
            "Codes must vary inside classes in every direction: take fewer dimensions "
            f"or more rows. Received: shape {z.shape}"
        )
    between = np.cov((means / scale).T, bias=True).reshape(within.shape)
    return float(np.trace(np.linalg.solve(within, between)))


def neighbour_accuracy(z, labels, k=5) -> float:
    """How often the `k` nearest other rows know the class of a row.

    They vote; of the classes with as many votes the one of the nearest row wins. Codes
    that know nothing reach `chance`, or less.

    Args:
        z: Codes, `[rows, dim]`, more than `k`.
        labels: Class of each, -1 if unknown, `[rows]`.
        k: How many neighbours vote. Defaults to `5`.
    """
    from sklearn.neighbors import NearestNeighbors

    z, labels = _known(z, labels)
    if not 1 <= k < len(z):
        raise ValueError(
            "`k` must be at least 1 and less than the rows with a label. "
            f"Received: k={k} for {len(z)} rows"
        )
    z = z - z.mean(axis=0)  # distances lose fewer digits around the origin
    near = NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False)
    classes = labels[near]  # [rows, k], the nearest first
    votes = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    winner = np.take_along_axis(classes, votes.argmax(axis=1)[:, None], axis=1)
    return float((winner[:, 0] == labels).mean())


def silhouette(z, labels, *, most=MOST, seed=0) -> float:
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
    if len(z) > most:
        by_class = _by_class(labels, seed)
        taken = by_class[np.linspace(0, len(z) - 1, most).astype(int)]
        z, labels = _known(z[taken], labels[taken])
    return float(silhouette_score(z - z.mean(axis=0), labels))


def probe_accuracy(z, labels, seed=0) -> float:
    """How often a linear classifier, trained on other rows, knows the class of a row.

    The classifier is linear discriminant analysis, in a closed form: no steps to
    take, and none of many classes hides behind two others, as in regression to their
    indicators. Rows are divided into five parts, classes evenly; the other four teach
    how to judge a part.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        seed: Of the division. Defaults to `0`.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from threadpoolctl import threadpool_limits

    z, labels = _known(z, labels)
    if np.ptp(z, axis=0).max() <= FLAT * np.abs(z).max():
        raise ValueError("Codes must vary. Received: equal rows")
    part = np.empty(len(z), int)
    part[_by_class(labels, seed)] = np.arange(len(z)) % FOLDS
    right = np.zeros(len(z), bool)
    with threadpool_limits(1):  # faster here: threads wait for each other
        for held in (part == i for i in np.unique(part)):
            probe = LinearDiscriminantAnalysis().fit(z[~held], labels[~held])
            right[held] = probe.predict(z[held]) == labels[held]
    return float(right.mean())


def chance(labels) -> float:
    """How often who always says the most frequent class is right.

    `1 / K` for `K` classes of as many rows: what can be reached without any code.

    Args:
        labels: Class of each row, -1 if unknown, `[rows]`.
    """
    _, labels = _known(np.zeros((len(labels), 1)), labels)
    return float(np.bincount(labels).max() / len(labels))


def structure(z, labels, *, k=5, seed=0) -> dict[str, float]:
    """All that says how clearly a label shows in codes.

    Args:
        z: Codes, `[rows, dim]`.
        labels: Class of each, -1 if unknown, `[rows]`.
        k: How many neighbours vote; fewer if there are no more rows. Defaults to `5`.
        seed: Of the silhouette's rows and the probe's division. Defaults to `0`.

    Returns:
        `fisher`, `knn`, `silhouette`, `probe` and `chance`, to which `knn` and
        `probe` compare.
    """
    z, labels = _known(z, labels)
    return {
        "fisher": fisher_ratio(z, labels),
        "knn": neighbour_accuracy(z, labels, min(k, len(z) - 1)),
        "silhouette": silhouette(z, labels, seed=seed),
        "probe": probe_accuracy(z, labels, seed),
        "chance": chance(labels),
    }


def gaussianity(z, labels, centres=None) -> dict[str, float]:
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
    counts, fitted = np.bincount(labels), centres is None
    if fitted:
        centres = _class_means(z, labels)
    else:
        centres = _of_classes(centres, names, z.shape[1])
    inner = z - centres[labels]
    squares = (inner**2).sum(axis=0) / (len(z) - fitted * len(counts))
    shared = np.sqrt(squares)
    varies = shared > FLAT * np.abs(z).max()
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
    centres = as_samples(centres, "centres", least=1)
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
    z, labels = as_samples(z, "z"), np.asarray(labels)
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


def _by_class(labels, seed) -> np.ndarray:
    """Rows of each class together, in an order drawn by lot."""
    drawn = np.random.default_rng(seed).permutation(len(labels))
    return drawn[np.argsort(labels[drawn], kind="stable")]
