"""Checks, scaling and subsampling of sample arrays `[rows, dim]`.

Two samples compare fairly when they have the same columns, the same scale and the
same number of rows. The scale is that of the *training* rows and of no other set:
standardised by itself, a set has mean 0 and variance 1 whatever it holds.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.scoring import centre


def check_rows(rows: ArrayLike, name: str, *, min_rows: int = 2) -> np.ndarray:
    """Check rows and return them as float64 `[rows, dim]`.

    Args:
        rows: `[rows, dim]`.
        name: What the caller calls them, for the error.
        min_rows: Fewest rows that will do. Defaults to `2`.

    Raises:
        ValueError: If the shape is wrong, rows are too few, or one is not finite.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or not rows.shape[1] or len(rows) < min_rows:
        raise ValueError(
            f"`{name}` must be [rows, dim] with at least {min_rows} rows. "
            f"Received: shape {rows.shape}"
        )
    if bad := int((~np.isfinite(rows)).any(axis=1).sum()):
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity in {bad} of "
            f"{len(rows)} rows"
        )
    return rows


def check_same_width(*, min_rows: int = 2, **sets: ArrayLike) -> list[np.ndarray]:
    """Check sets that are to be compared: each by `check_rows`, all of one width.

    Args:
        min_rows: Fewest rows of each. Defaults to `2`.
        **sets: Rows by the caller's name for them.
    """
    checked = [check_rows(rows, name, min_rows=min_rows) for name, rows in sets.items()]
    if len({rows.shape[1] for rows in checked}) > 1:
        shapes = {name: np.shape(rows) for name, rows in sets.items()}
        raise ValueError(f"Sets must have as many columns. Received: {shapes}")
    return checked


def subsample(rows: np.ndarray, count: int, *, seed: int | list[int]) -> np.ndarray:
    """`count` rows sampled without replacement, in order; all if there are no more."""
    if count >= len(rows):
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
    return rows[np.sort(chosen)]


def subsample_equally(
    *sets: np.ndarray, seed: int, max_rows: int | None = None
) -> list[np.ndarray]:
    """The sets subsampled to the size of the smallest, and to `max_rows` rows.

    Each is sampled by itself: rows that are paired in two sets do not stay so.
    """
    count = min(map(len, sets)) if max_rows is None else min(max_rows, *map(len, sets))
    return [subsample(rows, count, seed=[seed, i]) for i, rows in enumerate(sets)]


def fit_scale(train: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, the deviation 1 where it is 0.

    `standardised = (rows - mean) / deviation`; a constant column is only centred.

    Args:
        train: The rows that give the scale, `[rows, dim]`.

    Returns:
        float64 `[dim]` each.
    """
    train = check_rows(train, "train")
    constant = train.max(axis=0) == train.min(axis=0)
    return train.mean(axis=0), np.where(constant, 1.0, train.std(axis=0))


def normalise_rows(rows: ArrayLike) -> np.ndarray:
    """Rows scaled to unit length, float64; a zero row stays zero."""
    return centre(rows, mean=np.zeros(np.shape(rows)[1]))


def row_blocks(count: int, width: int, *, block_bytes: int = 2**25) -> Iterator[slice]:
    """Slices over `count` rows so that `[block, width]` float64 fits the memory."""
    size = max(1, block_bytes // (8 * max(1, width)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
