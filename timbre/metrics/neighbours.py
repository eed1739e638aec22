"""Nearest neighbours within a set and between two: cosines, PRDC.

Distances and cosines are computed in blocks: memory does not grow with the product of
the sizes. Within one set a row is never its own neighbour.
"""

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.arrays import check_same_width, normalise_rows, row_blocks


def prdc(real: ArrayLike, fake: ArrayLike, *, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage (PRDC) by nearest-neighbour balls.

    A ball `B(x)` reaches to the `k`-th nearest neighbour of `x` in its own set.

        precision = share of fakes that lie in a ball of some real row
        recall    = share of real rows that lie in a ball of some fake
        density   = balls of real rows around a fake, on average, over k
        coverage  = share of real rows whose ball holds a fake

    For two samples of one distribution density is near 1 and coverage is
    `1 - (n - 1)...(n - k) / (2n - 1)...(2n - k)`, about `1 - 2**-k` (.97 for 5), while
    precision and recall fall with the dimension: prefer the other two. All four
    depend on the numbers of rows: compare at equal ones.

    Args:
        real, fake: `[rows, dim]` and `[other rows, dim]`, more than `k` rows each.
        k: Which neighbour. Defaults to `5`.

    Reference:
        Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al.,
        2020), https://arxiv.org/abs/2002.09797
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: {k}")
    real, fake = check_same_width(real=real, fake=fake, min_rows=k + 1)
    middle = real.mean(axis=0)  # distances lose fewer digits around the origin
    a, b = real - middle, fake - middle
    reach_a, reach_b = _kth_distances(a, k), _kth_distances(b, k)
    recalled, covered = np.empty((2, len(a)), bool)
    balls = np.zeros(len(b), int)
    for block in row_blocks(len(a), len(b)):
        distances = _square_distances(a[block], b)
        recalled[block] = (distances < reach_b).any(axis=1)
        covered[block] = distances.min(axis=1) < reach_a[block]
        balls += (distances < reach_a[block, None]).sum(axis=0)
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls.mean() / k),
        "coverage": float(covered.mean()),
    }


def nearest_neighbours(
    a: ArrayLike, b: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The row of `b` with the highest cosine to each row of `a`.

    Args:
        a: `[rows, dim]`, of any norm.
        b: `[other rows, dim]`. Defaults to the other rows of `a`.

    Returns:
        Its cosine, float64 `[rows]`, and its index, int `[rows]`.
    """
    left, right = _sides(a, b)
    cosine, index = np.empty(len(left)), np.empty(len(left), int)
    for block in row_blocks(len(left), len(right)):
        products = left[block] @ right.T
        rows = np.arange(len(products))
        if b is None:
            products[rows, rows + block.start] = -np.inf
        index[block] = products.argmax(axis=1)
        cosine[block] = products[rows, index[block]]
    return np.clip(cosine, -1, 1), index


def nearest_cosines(a: ArrayLike, b: ArrayLike | None = None) -> dict[str, float]:
    """Distribution of the cosines of rows with their nearest neighbours.

    For a good generator real to real, fake to real and fake to fake are equal. Fakes
    too near to real rows are copies, too far are unrealistic; fakes too near to each
    other are a mode collapse. A larger `b` has nearer neighbours: compare at equal
    sizes. Arguments as of `nearest_neighbours`.

    Returns:
        `mean`, `median` and the quantiles `p05` and `p95` of the nearest cosines.

    Reference:
        Speaker Generation (Stanton et al., 2021), its distances are `1 - cosine`,
        https://arxiv.org/abs/2111.05095
    """
    cosine, _ = nearest_neighbours(a, b)
    low, median, high = np.quantile(cosine, [0.05, 0.5, 0.95]).tolist()
    return {"mean": float(cosine.mean()), "median": median, "p05": low, "p95": high}


def cosine_distribution(
    a: ArrayLike, b: ArrayLike | None = None, *, bins: int = 100
) -> dict:
    """Distribution of all cosines between two sets, or between the rows of one.

    Args:
        a, b: As for `nearest_neighbours`.
        bins: Of the histogram over [-1, 1]. Defaults to `100`.

    Returns:
        `mean`, `deviation`, `least` and `most`, floats; `edges` `[bins + 1]` and
        `shares` `[bins]`, the histogram, which sums to 1.
    """
    left, right = _sides(a, b)
    edges = np.linspace(-1, 1, bins + 1)
    counts, total, squares = np.zeros(bins, int), 0.0, 0.0
    least, most = np.inf, -np.inf
    for block in row_blocks(len(left), len(right)):
        products = np.clip(left[block] @ right.T, -1, 1)
        if b is None:
            rows = np.arange(len(products))
            others = np.ones(products.shape, bool)
            others[rows, rows + block.start] = False
            products = products[others]
        counts += np.histogram(products, edges)[0]
        total, squares = total + products.sum(), squares + np.sum(products**2)
        least, most = min(least, products.min()), max(most, products.max())
    pairs = counts.sum()
    mean = total / pairs
    return {
        "mean": float(mean),
        "deviation": float(np.sqrt(max(squares / pairs - mean**2, 0))),
        "least": float(least),
        "most": float(most),
        "edges": edges,
        "shares": counts / pairs,
    }


def _sides(a, b) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows of both sides."""
    if b is None:
        left = normalise_rows(*check_same_width(a=a))
        return left, left
    left, right = check_same_width(a=a, b=b, min_rows=1)
    return normalise_rows(left), normalise_rows(right)


def _square_distances(left, right) -> np.ndarray:
    """Squared distances `[rows, other rows]`; exactly 0 between equal rows."""
    sizes = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1)
    distances = left @ right.T
    distances *= -2
    distances += sizes
    distances[distances < 1e-12 * sizes] = 0  # what rounding leaves of equal rows
    return distances


def _kth_distances(rows, k) -> np.ndarray:
    """Squared distance of each row to its `k`-th nearest other row, `[rows]`."""
    reach = np.empty(len(rows))
    for block in row_blocks(len(rows), len(rows)):
        distances = _square_distances(rows[block], rows)
        inside = np.arange(len(distances))
        distances[inside, inside + block.start] = np.inf
        distances.partition(k - 1, axis=1)
        reach[block] = distances[:, k - 1]
    return reach
