"""Checks, scaling and subsampling of sample arrays `[rows, dim]`.

Two samples compare fairly when they have the same columns, the same scale and the
same number of rows. The scale is that of the *training* rows and of no other set:
standardised by itself, a set has mean 0 and variance 1 whatever it holds.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

BLOCK_BYTES = 2**25  # of a block of a product of many rows


def check_rows(rows: ArrayLike, name: str, *, min_rows: int = 2) -> np.ndarray:
    """Check rows and return them as float64 `[rows, dim]`.

    Raises:
        ValueError: By `name`, if the shape is wrong, there are fewer than `min_rows`,
            or one is not finite.
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
    """Check named sets of rows: each by `check_rows`, and all of one width."""
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
    Both are float64 `[dim]`, of rows `train` `[rows, dim]`.
    """
    train = check_rows(train, "train")
    constant = train.max(axis=0) == train.min(axis=0)
    return train.mean(axis=0), np.where(constant, 1.0, train.std(axis=0))


def row_norms(rows: np.ndarray) -> np.ndarray:
    """Length of each row, float64 `[rows]`; 1 for a zero row."""
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    norms[norms == 0] = 1
    return norms


def normalise_rows(rows: ArrayLike) -> np.ndarray:
    """Rows scaled to unit length, float64; a zero row stays zero."""
    rows = check_rows(rows, "rows", min_rows=1)
    return rows / row_norms(rows)[:, None]


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices over `count` rows so that `[block, width]` float64 fits `BLOCK_BYTES`."""
    size = max(1, BLOCK_BYTES // (8 * max(1, width)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
