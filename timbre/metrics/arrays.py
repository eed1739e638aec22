"""Samples: rows that stand for the distribution they were drawn from.

Two samples compare fairly when they have the same columns, the same scale and the
same number of rows. The scale is that of the *training* rows and of no other set: a
set measured in its own units has mean 0 and variance 1 whatever it holds.
"""

import numpy as np

from timbre.metrics.scoring import centre


def check_rows(rows, name, *, min_rows=2) -> np.ndarray:
    """Check rows and return them as float64 `[rows, dim]`.

    Args:
        rows: `[rows, dim]`.
        name: What the caller calls them, for the error.
        least: Fewest rows that will do. Defaults to `2`.

    Raises:
        ValueError: If the shape is another, rows are too few, or one is not finite.
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


def check_same_width(*, min_rows=2, **sets) -> list[np.ndarray]:
    """Check sets that are to be compared: each by `as_samples`, all of one width.

    Args:
        least: Fewest rows of each. Defaults to `2`.
        **sets: Rows by the caller's name for them.
    """
    checked = [check_rows(rows, name, min_rows=min_rows) for name, rows in sets.items()]
    if len({rows.shape[1] for rows in checked}) > 1:
        shapes = {name: np.shape(rows) for name, rows in sets.items()}
        raise ValueError(f"Sets must have as many columns. Received: {shapes}")
    return checked


def subsample(rows, count, *, seed) -> np.ndarray:
    """`count` of the rows, drawn without replacement; all, in order, if that is all."""
    if count >= len(rows):
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
    return rows[np.sort(chosen)]


def subsample_equally(*sets, seed, max_rows=None) -> list[np.ndarray]:
    """The sets thinned to the size of the smallest, and to `most` rows.

    Each has a draw of its own: rows that are paired in two sets do not stay so.
    """
    count = min(map(len, sets)) if max_rows is None else min(max_rows, *map(len, sets))
    return [subsample(rows, count, seed=[seed, i]) for i, rows in enumerate(sets)]


def fit_scale(train) -> tuple[np.ndarray, np.ndarray]:
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


def normalise_rows(rows) -> np.ndarray:
    """Rows brought to length 1, float64; a zero row stays zero."""
    return centre(rows, mean=np.zeros(np.shape(rows)[1]))


def row_blocks(count, width, *, block_bytes=2**25):
    """Slices over `count` rows so that `[block, width]` float64 fits the memory."""
    size = max(1, block_bytes // (8 * max(1, width)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
