"""Candidate partitions of windows, by spectral and agglomerative clustering.

`voiceemb.diarization.clustering` selects among them. Embeddings are unit vectors
`[windows, dim]`, labels ints `[windows]` from 0.
"""

import warnings

import numpy as np

from voiceemb.inference import unit

KEPT = (0.15, 0.3)  # shares of its neighbours that a window keeps in the graph
BRANCHES = 8  # of the tree of a cluster, that are tried as one half


def affinities(embeddings, kept):
    """Affinity matrix in [0, 1], pruned to the nearest neighbours of each window.

    `(1 + cosine) / 2`, zero but for the share `kept` that is largest in its row, made
    symmetric by the mean with its transpose; float `[windows, windows]`, zero diagonal.
    """
    full = (1 + embeddings @ embeddings.T) / 2
    np.fill_diagonal(full, 0)
    rank = len(full) - min(max(round(kept * len(full)), 2), len(full))
    floor = np.partition(full, rank, axis=1)[:, rank, None]
    pruned = np.where(full >= floor, full, 0)
    return np.clip((pruned + pruned.T) / 2, 0, None)


def spectral(embeddings, max_clusters):
    """Partitions into 2 to `max_clusters`, for the graphs of `KEPT`; yields labels.

    K means of the rows, at unit length, of the first eigenvectors of the normalised
    affinities `D**-0.5 @ A @ D**-0.5`, computed once for all numbers of clusters.

    Reference:
        On Spectral Clustering (Ng, Jordan and Weiss, 2001),
        https://proceedings.neurips.cc/paper/2001/hash/801272ee79cfde7fa5960571fee36b9b
    """
    from scipy.linalg import eigh

    num = len(embeddings)
    for kept in KEPT if num > 2 and max_clusters > 1 else ():
        graph = affinities(embeddings, kept)
        scale = 1 / np.sqrt(np.maximum(graph.sum(axis=1), 1e-9))
        top = [max(num - max_clusters, 0), num - 1]
        vectors = eigh(graph * scale[:, None] * scale, subset_by_index=top)[1][:, ::-1]
        for count in range(2, min(max_clusters, num - 1) + 1):
            yield _k_means(unit(vectors[:, :count]), count)


def agglomerative(embeddings, max_clusters):
    """Partitions into 2 to `max_clusters` by average linkage; yields labels."""
    children = _tree(embeddings)
    for count in range(2, min(max_clusters, len(embeddings)) + 1):
        yield _cut(children, len(embeddings), count)


def bipartitions(embeddings):
    """Candidate splits in two, as masks: by two means, and branches of the tree."""
    num = len(embeddings)
    if num > 1:
        halves = _k_means(embeddings, 2) == 1
        if halves.any():  # not where all embeddings are equal
            yield halves
        children, branches = _tree(embeddings), {}
        for count in range(2, min(BRANCHES, num) + 1):
            labels = _cut(children, num, count)
            for branch in (labels == i for i in range(count)):
                branches[branch.tobytes()] = branch
        yield from branches.values()


def _k_means(embeddings, count):
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # fewer points than clusters, where many are equal
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(count, n_init=4, random_state=0).fit_predict(embeddings)


def _tree(embeddings):
    """Merges of average linkage, int `[windows - 1, 2]`, the last the root."""
    from sklearn.cluster import AgglomerativeClustering

    if len(embeddings) < 2:
        return np.zeros((0, 2), int)
    tree = AgglomerativeClustering(
        None, metric="cosine", linkage="average", distance_threshold=0.0
    )
    return tree.fit(embeddings).children_


def _cut(children, num, count):
    """Labels of the `count` branches that are left without the last merges."""
    owner = np.arange(num + len(children))
    for node in range(len(children) - 1, -1, -1):  # from the root down
        if node < num - count:
            owner[children[node]] = owner[num + node]
    return np.unique(owner[:num], return_inverse=True)[1]
