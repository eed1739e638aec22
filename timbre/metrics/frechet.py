"""Fréchet distance of two samples, as if both were Gaussian.

`|m_r - m_f|**2 + tr(C_r + C_f - 2 * (C_r**.5 @ C_f @ C_r**.5)**.5)`

with means `m` and covariances `C`. Two halves of one set are not at 0: estimation
errors of `dim**2 / 2` numbers add up, more the fewer the rows. A distance is read
beside its floor, that of unseen real rows, at equal numbers of rows. It compares two
moments only, so a full-covariance Gaussian is near the floor by construction.

`real` and `fake` are `[rows, dim]`, of any two numbers of rows.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.covariance import ledoit_wolf, shrunk_covariance

from timbre.metrics.arrays import check_rows, check_same_width

ROWS_PER_DIM = 5  # below this, eigenvalues of a sample covariance spread too far


def frechet_distance(
    real: ArrayLike, fake: ArrayLike, *, shrinkage: float | str | None = None
) -> float:
    """Fréchet distance of two samples (squared, as is customary).

    Args:
        shrinkage: How far both covariances are drawn to `tr(C) / dim * I`: a share in
            [0, 1], 0 for not at all, or `ledoit_wolf` for the share that estimates
            each best. Defaults to None: `ledoit_wolf`, with a warning, if a set has
            fewer than 5 rows a dimension, otherwise 0.

    Reference:
        GANs Trained by a Two Time-Scale Update Rule (Heusel et al., 2017), eq. 6,
        https://arxiv.org/abs/1706.08500; A Well-Conditioned Estimator for
        Large-Dimensional Covariance Matrices (Ledoit and Wolf, 2004),
        https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    real, fake = check_same_width(real=real, fake=fake)
    if shrinkage is None:
        shrinkage = default_shrinkage(real, fake)
        if shrinkage:
            warnings.warn(
                f"Covariances of {real.shape[1]} dimensions from {len(real)} and "
                f"{len(fake)} rows are shrunk (Ledoit-Wolf): under {ROWS_PER_DIM} rows "
                "a dimension. Compare with distances of as many rows only.",
                UserWarning,
                stacklevel=2,
            )
    first, second = _covariance(real, shrinkage), _covariance(fake, shrinkage)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)
    means = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    spread = np.trace(first) + np.trace(second) - 2 * np.sqrt(cross).sum()
    return float(max(means + spread, 0.0))


def default_shrinkage(*sets) -> float | str:
    """`ledoit_wolf` if a set has fewer than 5 rows a dimension, otherwise `0.0`."""
    few = any(len(rows) < ROWS_PER_DIM * rows.shape[1] for rows in sets)
    return "ledoit_wolf" if few else 0.0


def covariance_error(real: ArrayLike, fake: ArrayLike) -> float:
    """`|C_f - C_r| / |C_r|` in Frobenius norm: 0 if all second moments agree."""
    real, fake = check_same_width(real=real, fake=fake)
    first, second = _covariance(real, 0.0), _covariance(fake, 0.0)
    if not (size := np.linalg.norm(first)):
        raise ValueError("`real` must have rows that differ. Received: all equal")
    return float(np.linalg.norm(second - first) / size)


def effective_rank(rows: ArrayLike) -> float:
    """Effective number of directions in which the rows vary, from 1 to `dim`.

    `exp(-sum(p * log(p)))` of the eigenvalues of the covariance, `p` their shares.
    It is `dim` for white noise and `k` for `k` equal directions.

    Reference:
        The Effective Rank (Roy and Vetterli, 2007), there of singular values.
    """
    values = np.linalg.eigvalsh(_covariance(check_rows(rows, "rows"), 0.0))
    values = np.maximum(values, 0)
    if not values.sum():
        raise ValueError("`rows` must differ to have a rank. Received: all equal")
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _covariance(rows, shrinkage) -> np.ndarray:
    if shrinkage == "ledoit_wolf":
        return ledoit_wolf(rows)[0]
    if isinstance(shrinkage, str) or not 0 <= shrinkage <= 1:
        raise ValueError(
            f"`shrinkage` must be 'ledoit_wolf' or in [0, 1]. Received: {shrinkage!r}"
        )
    sample = np.atleast_2d(np.cov(rows, rowvar=False))
    return shrunk_covariance(sample, shrinkage=shrinkage)
