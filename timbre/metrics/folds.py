"""Parts of labelled rows that come in groups, such as windows of one recording."""

import numpy as np

NUM_FOLDS = 5


def classes_in_groups(labels, groups, min_groups=2) -> np.ndarray:
    """Classes of which there are rows in so many groups.

    Args:
        labels: Class of each row, -1 if unknown, `[rows]`.
        groups: Name or number of the group of each, `[rows]`.
        least: Fewest groups. Defaults to `2`.

    Returns:
        The classes, sorted.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    if groups.shape != labels.shape:
        raise ValueError(
            "`groups` must be one a row. "
            f"Received: {groups.shape} for labels {labels.shape}"
        )
    number = np.unique(groups, return_inverse=True)[1]
    each = np.unique(np.stack([labels, number]), axis=1)  # once of every group
    names, counts = np.unique(each[0], return_counts=True)
    return names[(names >= 0) & (counts >= min_groups)]


def assign_folds(labels, groups, seed) -> np.ndarray:
    """Which of `FOLDS` parts each row is in: groups whole, classes as evenly as can be.

    Group by group, those with the rarest class first, into the part where it leaves no
    class without rows elsewhere, that has least of its classes, that is smallest. Where
    each group is a row, rows are dealt out class by class.

    Args:
        labels: Class of each row, from 0, `[rows]`.
        groups: Number of the group of each, from 0, `[rows]`.
        seed: Of the order.

    Returns:
        Part of each row, int `[rows]`.
    """
    drawn, part = shuffle_by_class(labels, seed), np.empty(len(labels), int)
    if groups.max() + 1 == len(groups):
        part[drawn] = np.arange(len(labels)) % NUM_FOLDS
        return part
    has = np.zeros((groups.max() + 1, labels.max() + 1), bool)
    has[groups, labels] = True
    total, sizes = has.sum(axis=0), np.bincount(groups)
    held, rows = np.zeros((NUM_FOLDS, len(total)), int), np.zeros(NUM_FOLDS, int)
    order = groups[drawn[np.argsort(total[labels[drawn]], kind="stable")]]
    for group in order[np.sort(np.unique(order, return_index=True)[1])]:
        own = has[group]
        last = (held[:, own] == total[own] - 1).sum(axis=1)
        share = (held[:, own] / total[own]).sum(axis=1)
        chosen = np.lexsort((rows, share, last))[0]
        held[chosen] += own
        rows[chosen] += sizes[group]
        part[groups == group] = chosen
    return part


def shuffle_by_class(labels, seed) -> np.ndarray:
    """Rows of each class together, in an order drawn by lot, int `[rows]`."""
    drawn = np.random.default_rng(seed).permutation(len(labels))
    return drawn[np.argsort(labels[drawn], kind="stable")]
