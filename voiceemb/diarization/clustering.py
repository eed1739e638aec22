"""Speaker clustering with model selection.

Candidate partitions (spectral, agglomerative: `voiceemb.diarization.partitions`) are
scored by the marginal likelihood of a PLDA model with one parameter, the within-speaker
correlation `rho`: a speaker's mean is `N(0, rho / dim)`, and observations (window
embeddings) around it are `N(0, (1 - rho) / dim)`. A partition into speakers, of whom
the `k`-th has `n_k` observations that sum to `S_k`, then has, over independent noise,
the log-likelihood ratio, for each dimension,

    llr = sum_k rho * |S_k|**2 / (2 * w * (w + rho * n_k))
          - log(1 + rho * n_k / w) / 2,      w = 1 - rho

The first term favours pure clusters, the second few of them. It favours no clusters of
equal size, and finds one speaker in short recordings, where the eigengap is unreliable.

Embeddings are unit vectors `[windows, dim]`, with the `seconds` of speech that each
stands for.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from timbre.training.networks import check_choice
from voiceemb.diarization import partitions
from voiceemb.inference import unit

METHODS = ("spectral", "agglomerative")  # of `voiceemb.diarization.partitions`
RHO = 0.5  # within-speaker correlation: cosine of two windows of about 1.5 s
OBSERVATION_S = 3.5  # seconds of speech that count as one independent observation
MERGE_COSINE = 0.65  # of the means of two clusters, from which they are one speaker
MIN_SPEECH_S = 1.0  # of a cluster; smaller ones are merged, unless asked for
MAX_SPEAKERS = 50  # that can be asked for; the cost rises faster than their number
MAX_WINDOWS = 1000  # that are compared with each other; the cost is their square
BLOCK = 4096  # windows that are assigned at once


def cluster(
    embeddings,
    seconds,
    *,
    num_speakers=None,
    min_speakers=1,
    max_speakers=8,
    method="spectral",
    observation_s=OBSERVATION_S,
):
    """Cluster windows by speaker.

    The cost is linear in the windows: of more than `MAX_WINDOWS`, evenly spaced ones
    are clustered, and all are assigned to the nearest mean.

    Args:
        embeddings: Unit vectors, `[windows, dim]`, in the order of time.
        seconds: Of speech that each stands for, `[windows]`.
        num_speakers: Exact number. Defaults to `None`: it is estimated.
        min_speakers, max_speakers: Bounds of the estimate. Default to `1` and `8`.
        method: Source of candidates: `"spectral"` (k means of the eigenvectors of
            the pruned affinities) or `"agglomerative"` (average linkage of cosines).
        observation_s: Of speech that counts as one observation. Defaults to `3.5`.

    Returns:
        Cluster of each window, int `[windows]`, numbered by first appearance. There are
        fewer clusters than asked for only where there are fewer windows.

    References:
        Probabilistic Linear Discriminant Analysis (Ioffe, 2006),
        https://doi.org/10.1007/11744085_41
        Speaker Diarization with LSTM (Wang et al., 2018), section 3, for the pruning of
        affinities, https://arxiv.org/abs/1710.10468
    """
    low, high = check_arguments(num_speakers, min_speakers, max_speakers, method)
    embeddings, seconds = _check_windows(embeddings, seconds)
    total = len(embeddings)
    if not total:
        return np.zeros(0, int)
    rows = np.unique(np.linspace(0, total - 1, min(total, MAX_WINDOWS)).astype(int))
    share = np.diff([0, *((rows[1:] + rows[:-1] + 1) // 2), total])
    parts = np.split(seconds, np.cumsum(share)[:-1])
    counts = np.array([part.sum() for part in parts]) / observation_s
    low, high = min(low, len(rows)), min(high, len(rows))
    # So little work is slower on several threads, and very slow on a busy machine.
    with threadpool_limits(1):
        candidates = getattr(partitions, method)(embeddings[rows], high)
        chosen = select_partition(embeddings[rows], counts, candidates, low, high)
        labels = assign_nearest(embeddings, centroids(embeddings[rows], chosen))
        labels[rows] = chosen
        if num_speakers is None:
            labels = merge_small_clusters(embeddings, labels, seconds, low)
    return renumber(labels)


def check_arguments(num_speakers, min_speakers, max_speakers, method):
    """Check arguments of `cluster`; the lowest and highest number of speakers."""
    low, high = min_speakers, max_speakers
    if num_speakers is not None:
        low = high = num_speakers
    whole = all(isinstance(bound, int | np.integer) for bound in (low, high))
    if not whole or not 1 <= low <= high <= MAX_SPEAKERS:
        raise ValueError(
            f"The number of speakers must be whole, from 1 to {MAX_SPEAKERS}, and the "
            "minimum not above the maximum. "
            f"Received: {num_speakers}, from {min_speakers} to {max_speakers}"
        )
    check_choice("method", method, METHODS)
    return low, high


def log_likelihood_ratio(embeddings, labels, counts):
    """The `llr` of the module docstring: of a partition over noise, in nats.

    Args:
        embeddings: Unit vectors, `[windows, dim]`.
        labels: Cluster of each, int from 0, `[windows]`.
        counts: Observations that each window counts as, `[windows]`.
    """
    member = np.eye(labels.max() + 1)[labels].T * counts  # [clusters, windows]
    return float(_cluster_llr(member.sum(axis=1), member @ embeddings).sum())


def _cluster_llr(count, sums):
    """The term of each cluster, from its number of observations and their sum."""
    noise, inner = 1 - RHO, (sums**2).sum(axis=-1)
    fit = RHO * inner / (noise * (noise + RHO * count))
    return (fit - np.log1p(RHO * count / noise)) / 2


def select_partition(embeddings, counts, candidates, low, high):
    """The partition of `low` to `high` clusters with the highest likelihood.

    Every candidate is tried as it is, and with its windows reassigned to the nearest
    mean. The best of each number of clusters is also split once more, which may beat
    the candidates of the next number.

    Args:
        embeddings, counts: As for `log_likelihood_ratio`.
        candidates: Labels, int `[windows]` each, as is the result.
        low, high: Numbers of clusters.
    """

    def llr(labels):
        return log_likelihood_ratio(embeddings, labels, counts)

    best = {1: np.zeros(len(embeddings), int)}  # of each number of clusters

    def keep(num, labels):
        if num not in best or llr(labels) > llr(best[num]):
            best[num] = labels

    for candidate in candidates:
        nearest = assign_nearest(embeddings, centroids(embeddings, candidate))
        for labels in (renumber(candidate), renumber(nearest)):
            keep(labels.max() + 1, labels)
    for num in range(2, high + 1):
        keep(num, _split_once(embeddings, counts, best[num - 1]))
    return max((best[num] for num in range(low, high + 1)), key=llr)


def _split_once(embeddings, counts, labels):
    """The partition with one cluster more that has the highest likelihood."""
    best, best_gain = None, -np.inf
    weighted = embeddings * counts[:, None]
    for index in range(labels.max() + 1):
        rows = np.flatnonzero(labels == index)
        total, count = weighted[rows].sum(axis=0), counts[rows].sum()
        for mask in partitions.bipartitions(embeddings[rows]):
            half = rows[mask]
            half_sum, half_count = weighted[half].sum(axis=0), counts[half].sum()
            gain = _cluster_llr(half_count, half_sum)
            gain = gain + _cluster_llr(count - half_count, total - half_sum)
            gain = gain - _cluster_llr(count, total)
            if gain > best_gain:
                best, best_gain = half, gain
    labels = labels.copy()
    labels[best] = labels.max() + 1
    return labels


def merge_small_clusters(embeddings, labels, seconds, min_speakers):
    """Merge clusters that are too short or too alike, while there are enough.

    Args:
        embeddings, seconds: As for `cluster`.
        labels: Cluster of each, int from 0, `[windows]`, as is the result.
        min_speakers: Clusters that stay in any case.
    """
    while labels.max() + 1 > min_speakers:
        cluster_s = np.bincount(labels, seconds)
        means = centroids(embeddings, labels)
        cosines = means @ means.T - 2 * np.eye(len(means))
        if cluster_s.min() < MIN_SPEECH_S:
            rows = labels == cluster_s.argmin()
            others = np.delete(np.arange(len(means)), cluster_s.argmin())
            labels = labels.copy()
            labels[rows] = others[assign_nearest(embeddings[rows], means[others])]
        elif cosines.max() > MERGE_COSINE:
            one, other = np.unravel_index(cosines.argmax(), cosines.shape)
            labels = np.where(labels == other, one, labels)
        else:
            break
        labels = renumber(labels)
    return labels


def centroids(embeddings, labels):
    """Mean direction of each cluster, float32 `[clusters, dim]`; zero if empty."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]), np.float32)
    np.add.at(sums, labels, embeddings)
    return unit(sums)


def assign_nearest(embeddings, means):
    """Index of the most similar mean of each window, int `[windows]`, in blocks."""
    blocks = range(0, len(embeddings), BLOCK)
    found = [(embeddings[b : b + BLOCK] @ means.T).argmax(axis=1) for b in blocks]
    return np.concatenate([np.zeros(0, int), *found])


def renumber(labels):
    """Labels numbered from 0 by first appearance."""
    values, first, which = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(values), int)
    rank[np.argsort(first)] = np.arange(len(values))
    return rank[which]


def _check_windows(embeddings, seconds):
    embeddings = np.asarray(embeddings, np.float32)
    seconds = np.asarray(seconds, np.float64)
    if embeddings.ndim != 2 or seconds.shape != embeddings.shape[:1]:
        raise ValueError(
            "Windows are embeddings [windows, dim] with their seconds [windows]. "
            f"Received: shapes {embeddings.shape} and {seconds.shape}"
        )
    largest = np.abs(embeddings).max(axis=1, initial=0)
    if not (np.isfinite(largest) & (largest > 0) & (seconds > 0)).all():
        raise ValueError("Embeddings must be finite and not zero, seconds above 0.")
    return embeddings, seconds
