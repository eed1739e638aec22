"""Diagonal normals: log-densities, and class means and priors estimated from rows."""

import math

import numpy as np
from keras import ops


def log_normal(z, mean, log_variance):
    """Log-densities `[batch]` of rows `[batch, dim]` under their own normal each."""
    square = ops.square(z - mean) * ops.exp(-ops.convert_to_tensor(log_variance))
    return -0.5 * ops.sum(square + log_variance + math.log(2 * math.pi), axis=-1)


def log_normals(z, means, log_variances):
    """Log-densities `[batch, K]` of rows `[batch, dim]` under normals `[K, dim]`.

    Without `batch * K * dim` numbers: the squares are multiplied out,
    `z**2 / v - 2 * z * mean / v + mean**2 / v`, around the middle of the means, where
    they lose fewest digits.
    """
    middle = ops.stop_gradient(ops.mean(means, axis=0))
    z, means = z - middle, means - middle
    log_variances = ops.broadcast_to(log_variances, ops.shape(means))
    precisions = ops.exp(-log_variances)
    square = ops.matmul(ops.square(z), ops.transpose(precisions))
    square = square - 2 * ops.matmul(z, ops.transpose(means * precisions))
    constants = ops.square(means) * precisions + log_variances + math.log(2 * math.pi)
    return -0.5 * (square + ops.sum(constants, axis=-1))


def class_means(z, labels, num_classes) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each class's rows, float64 `[K, dim]`, and their number, int `[K]`.

    Rows `z` are `[n, dim]`, labels int `[n]`, -1 where missing. A class without rows
    has the mean of all.
    """
    rows = np.bincount(labels[labels >= 0], minlength=num_classes)
    means = np.tile(z.mean(axis=0, dtype=np.float64), (num_classes, 1))
    for label in np.flatnonzero(rows):
        means[label] = z[labels == label].mean(axis=0, dtype=np.float64)
    return means, rows


def log_priors(rows) -> np.ndarray:
    """Log-priors `[K]` of classes with so many rows, by add-one smoothing."""
    return np.log((rows + 1) / (rows + 1).sum())
