"""Stratified folds for cross-validation of rows that come in groups.

A group, such as the windows of one recording, lies in one fold.
"""

import numpy as np
from numpy.typing import ArrayLike

NUM_FOLDS = 5


def classes_in_groups(
    labels: ArrayLike, groups: ArrayLike, min_groups: int = 2
) -> np.ndarray:
    """Classes that have rows in at least `min_groups` groups, sorted.

    Args:
        labels: Class index of each row, -1 if unknown, `[rows]`.
        groups: Name or number of the group of each, `[rows]`.
        min_groups: Defaults to `2`.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    if groups.shape != labels.shape:
        shapes = f"{groups.shape} for labels {labels.shape}"
        raise ValueError(f"`groups` must be one a row. Received: {shapes}")
    number = np.unique(groups, return_inverse=True)[1]
    pairs = np.unique(np.stack([labels, number]), axis=1)
    classes, counts = np.unique(pairs[0], return_counts=True)
    return classes[(classes >= 0) & (counts >= min_groups)]


def assign_folds(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each row, of `NUM_FOLDS`: groups whole, classes as even as possible.

    Greedy: groups with the rarest class come first. A group goes to the fold, in this
    order of preference, that does not end up with all rows of a class, that has the
    smallest share of the group's classes, that has the fewest rows. If every group is
    a single row, rows are assigned class by class in turn.

    Args:
        labels: Class index of each row, from 0, int `[rows]`.
        groups: Number of the group of each, from 0, int `[rows]`.
        seed: Of the order.
    """
    shuffled, fold = shuffle_by_class(labels, seed), np.empty(len(labels), int)
    if groups.max() + 1 == len(groups):
        fold[shuffled] = np.arange(len(labels)) % NUM_FOLDS
        return fold
    has = np.zeros((groups.max() + 1, labels.max() + 1), bool)
    has[groups, labels] = True
    total, sizes = has.sum(axis=0), np.bincount(groups)
    held, rows = np.zeros((NUM_FOLDS, len(total)), int), np.zeros(NUM_FOLDS, int)
    order = groups[shuffled[np.argsort(total[labels[shuffled]], kind="stable")]]
    for group in order[np.sort(np.unique(order, return_index=True)[1])]:
        own = has[group]
        takes_all = (held[:, own] == total[own] - 1).sum(axis=1)
        share = (held[:, own] / total[own]).sum(axis=1)
        chosen = np.lexsort((rows, share, takes_all))[0]
        held[chosen] += own
        rows[chosen] += sizes[group]
        fold[groups == group] = chosen
    return fold


def shuffle_by_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """Indices of rows, class by class, at random within each, int `[rows]`."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]
