"""Two-sample tests: are two sets samples of one distribution?

Maximum mean discrepancy of a kernel (`mmd`), a trained classifier (`c2st`), Wasserstein
distance of random one-dimensional projections (`sliced_wasserstein`),
Kolmogorov-Smirnov distance of single columns (`ks_per_column`) and of row norms
(`compare_norms`). Each is sensitive to other differences; none proves equality.

`real` and `fake` are `[rows, dim]`, of any two numbers of rows.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, ks_2samp
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timbre.metrics.arrays import check_same_width, subsample_equally

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def rbf_kernel(rows: np.ndarray) -> np.ndarray:
    """`exp(-d**2 / (2 * s**2))`, `s**2` the median squared distance of all pairs."""
    squares = cdist(rows, rows, "sqeuclidean")
    width = np.median(squares[np.triu_indices(len(rows), 1)])
    if width == 0:  # most rows are equal: any width that separates the others
        width = squares.mean() or 1.0
    return np.exp(-squares / (2 * width))


def cubic_kernel(rows: np.ndarray) -> np.ndarray:
    """`(x @ y / dim + 1)**3`, which compares means, variances and skewness."""
    return (rows @ rows.T / rows.shape[1] + 1) ** 3


KERNELS = {"rbf": rbf_kernel, "cubic": cubic_kernel}


def mmd(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    kernel: str = "rbf",
    seed: int = 0,
    permutations: int = 200,
    max_rows: int = 2000,
) -> dict[str, float]:
    """Squared maximum mean discrepancy, unbiased, and its permutation p-value.

    `mean k(x, x') + mean k(y, y') - 2 * mean k(x, y)` over pairs of different rows;
    unbiased, so it is negative about half the time when both are one distribution.
    `p = (1 + permutations at least as large) / (1 + permutations)`: uniform then. One
    kernel matrix serves all permutations.

    Args:
        kernel: `rbf` (median bandwidth) or `cubic`. Defaults to `rbf`.
        seed: Of the permutations and of the subsampling. Defaults to `0`.
        permutations: How many; `p` is at least one over them. Defaults to `200`.
        max_rows: Rows of each set used, sampled if there are more: the matrix has
            `4 * max_rows**2` entries. Both are cut to equal sizes. Defaults to `2000`.

    Returns:
        `mmd2` and `p`.

    Reference:
        A Kernel Two-Sample Test (Gretton et al., 2012), eq. 3; Demystifying MMD GANs
        (Bińkowski et al., 2018), the cubic kernel, https://arxiv.org/abs/1801.01401
    """
    if kernel not in KERNELS:
        raise ValueError(f"`kernel` must be one of {list(KERNELS)}. Received: {kernel}")
    real, fake = subsample_equally(
        *check_same_width(real=real, fake=fake), seed=seed, max_rows=max_rows
    )
    count = len(real)
    matrix = KERNELS[kernel](np.concatenate([real, fake]))
    np.fill_diagonal(matrix, 0)
    rng = np.random.default_rng(seed)
    first = np.zeros((2 * count, 1 + permutations))
    first[:count, 0] = 1  # column 0 holds the sets as they are
    for column in first.T[1:]:
        column[rng.permutation(2 * count)[:count]] = 1
    within = np.einsum("np,np->p", first, matrix @ first)  # sums of k(x, x')
    leaving = matrix.sum(axis=0) @ first  # sums of k(x, .), of x and of y
    across = leaving - within
    other = matrix.sum() - 2 * leaving + within
    values = (within + other) / (count * (count - 1)) - 2 * across / count**2
    above = np.sum(values[1:] >= values[0])
    return {"mmd2": float(values[0]), "p": float((1 + above) / (1 + permutations))}


def c2st(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    seed: int = 0,
    folds: int = 5,
    classifier: str = "mlp",
) -> dict[str, float]:
    """Classifier two-sample test: cross-validated accuracy of real against fake.

    `0.5` is ideal, 1 means that every fake is recognised. Below .5 is chance, or both
    sets share rows: a copy in another fold is classified as its twin was labelled.

    Args:
        real, fake: At least `folds` rows, and 10. The larger set is subsampled to the
            size of the smaller one, so that guessing scores .5.
        seed: Of the folds, the weights and the subsampling. Defaults to `0`.
        folds: Number of classifiers. Defaults to `5`.
        classifier: `mlp`, one hidden layer of 64 with strong weight decay, or `knn`,
            5 neighbours, which finds clusters but little else. Defaults to `mlp`.

    Returns:
        `accuracy` and its binomial (Wilson) 95 % interval `low` and `high`, which takes
        the rows as independent and the classifiers as given.

    Reference:
        Revisiting Classifier Two-Sample Tests (Lopez-Paz and Oquab, 2017),
        https://arxiv.org/abs/1610.06545
    """
    classifiers = {
        "mlp": MLPClassifier(
            64, alpha=1.0, learning_rate_init=3e-3, max_iter=40, random_state=seed
        ),
        "knn": KNeighborsClassifier(5),
    }
    if classifier not in classifiers or folds < 2:
        raise ValueError(
            f"`classifier` must be one of {list(classifiers)} and `folds` at least 2. "
            f"Received: {classifier!r} and {folds}"
        )
    real, fake = check_same_width(real=real, fake=fake, min_rows=max(folds, 10))
    real, fake = subsample_equally(real, fake, seed=seed)
    rows, labels = np.concatenate([real, fake]), np.repeat([0, 1], len(real))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), classifiers[classifier])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 40 rounds are the budget
        predicted = cross_val_predict(model, rows, labels, cv=splits)
    test = binomtest(int(np.sum(predicted == labels)), len(labels))
    low, high = test.proportion_ci(0.95, method="wilson")
    return {"accuracy": float(test.statistic), "low": float(low), "high": float(high)}


def sliced_wasserstein(
    real: ArrayLike, fake: ArrayLike, *, projections: int = 200, seed: int = 0
) -> float:
    """Sliced Wasserstein-2 distance: of one-dimensional projections, root mean square.

    `sqrt(mean over u of W_2(real @ u, fake @ u)**2)`, directions `u` uniform on the
    sphere; of two points `|x - y| / sqrt(dim)` in the mean. In one dimension `W_2` is
    the L2 distance of the quantile functions, computed exactly for any two sizes. The
    directions are `projections` (default `200`), drawn with `seed`.

    Reference:
        Sliced and Radon Wasserstein Barycenters of Measures (Bonneel et al., 2015),
        https://doi.org/10.1007/s10851-014-0506-3
    """
    real, fake = check_same_width(real=real, fake=fake, min_rows=1)
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(real.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    sizes = len(real), len(fake)
    levels = np.unique(np.concatenate([np.arange(n + 1) / n for n in sizes]))
    middles, shares = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    quantiles = [  # of both sets, [levels, projections]
        np.sort(rows @ directions, axis=0)[(middles * len(rows)).astype(int)]
        for rows in (real, fake)
    ]
    squares = shares @ (quantiles[0] - quantiles[1]) ** 2
    return float(np.sqrt(squares.mean()))


def ks_per_column(real: ArrayLike, fake: ArrayLike) -> np.ndarray:
    """Kolmogorov-Smirnov distance of each column, between distribution functions.

    float64 `[dim]`, each in [0, 1]. A test at 5 % rejects above
    `1.358 * sqrt((n + m) / (n * m))`.
    """
    real, fake = check_same_width(real=real, fake=fake)
    test: Any = ks_2samp
    return test(real, fake, method="asymp", axis=0).statistic


def compare_norms(real: ArrayLike, fake: ArrayLike) -> dict:
    """Distributions of the row norms: are real and fake rows on a sphere?

    Norms are compared to six digits of their mean, so that unit vectors count as
    equal whatever rounding left of them.

    Returns:
        `levels` and the quantiles `real` and `fake` there, lists of floats; `ks`, the
        Kolmogorov-Smirnov distance, and `p`, that of its test.
    """
    sets = check_same_width(real=real, fake=fake)
    norms = [np.linalg.norm(rows, axis=1) for rows in sets]
    scale = norms[0].mean() or 1.0
    rounded = [np.round(lengths / scale, 6) for lengths in norms]
    test: Any = ks_2samp(*rounded, method="asymp")
    return {
        "levels": list(QUANTILES),
        "real": np.quantile(norms[0], QUANTILES).tolist(),
        "fake": np.quantile(norms[1], QUANTILES).tolist(),
        "ks": float(test.statistic),
        "p": float(test.pvalue),
    }
