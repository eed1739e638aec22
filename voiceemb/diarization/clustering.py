"""Clustering: which windows are of one voice, and how many voices there are.

A voice is a point drawn from `N(0, likeness / dim)`, and each look at it adds
`N(0, (1 - likeness) / dim)`: the model of PLDA, with one number. A partition into
voices, of which the `k`-th has `n_k` looks that sum to `S_k`, is then likelier than
noise by, for each of the dimensions,

    evidence = sum_k likeness * |S_k|**2 / (2 * w * (w + likeness * n_k))
               - log(1 + likeness * n_k / w) / 2,      w = 1 - likeness

The first term asks for pure voices, the second for few of them. Nothing in it wants
voices to speak equally long, as cuts of a graph and `k` means do, and it says one where
the eigengap of a short recording says anything. So scikit-learn proposes partitions,
and the evidence chooses among them.

Embeddings are unit vectors `[windows, dim]`, with the `seconds` that each stands for.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from voiceemb.diarization import partitions
from voiceemb.encoder import unit

METHODS = ("spectral", "agglomerative")  # of `voiceemb.diarization.partitions`
LIKENESS = 0.5  # cosine of two looks at one voice, of about 1.5 s each
LOOK_S = 3.5  # seconds of speech that say as much as one look at a voice of its own
MOST_ALIKE = 0.65  # cosine of two voices' means from which they are one, however long
LEAST_S = 1.0  # of speech; a voice that has less is a phantom, unless it is asked for
MOST_VOICES = 50  # that can be asked for; the cost rises faster than their number
MOST_WINDOWS = 1000  # that are compared with each other; the cost is their square
BLOCK = 4096  # windows that are assigned at once


def cluster(
    embeddings, seconds, *, num=None, least=1, most=8, method="spectral", look_s=LOOK_S
):
    """Parts windows by voice.

    The cost is linear in the windows: of more than `MOST_WINDOWS`, evenly drawn ones
    are clustered, and all are given to the nearest mean.

    Args:
        embeddings: Unit vectors, `[windows, dim]`, in the order of time.
        seconds: Of speech that each stands for, `[windows]`.
        num: Exact number of voices. Defaults to `None`: it is estimated.
        least, most: Bounds of an estimate. Default to `1` and `8`.
        method: What proposes partitions: `"spectral"` (k means of the eigenvectors of
            the pruned affinities) or `"agglomerative"` (average linkage of cosines).
        look_s: Seconds of speech that count as one look. Defaults to `3.5`.

    Returns:
        Voice of each window, int `[windows]`, numbered by first appearance. There are
        fewer voices than asked for only where there are fewer windows.

    Raises:
        ValueError: If a bound or the method is none, or shapes do not fit.

    References:
        Probabilistic Linear Discriminant Analysis (Ioffe, 2006),
        https://doi.org/10.1007/11744085_41
        Speaker Diarization with LSTM (Wang et al., 2018), section 3, for the pruning of
        affinities, https://arxiv.org/abs/1710.10468
    """
    least, most = check_asked(num, least, most, method)
    embeddings, seconds = _checked(embeddings, seconds)
    total = len(embeddings)
    if not total:
        return np.zeros(0, int)
    drawn = np.unique(np.linspace(0, total - 1, min(total, MOST_WINDOWS)).astype(int))
    share = np.diff([0, *((drawn[1:] + drawn[:-1] + 1) // 2), total])
    parts = np.split(seconds, np.cumsum(share)[:-1])
    total_s = np.array([part.sum() for part in parts])
    voices = _Voices(embeddings[drawn], total_s, look_s)
    low, high = min(least, len(drawn)), min(most, len(drawn))
    # So little work is slower on several threads, and very slow on a busy machine.
    with threadpool_limits(1):
        labels = voices.best(
            getattr(partitions, method)(voices.points, high), low, high
        )
        everyone = nearest(embeddings, means(embeddings[drawn], labels))
        everyone[drawn] = labels
        if num is None:
            everyone = without_phantoms(embeddings, everyone, seconds, low)
    return by_appearance(everyone)


def check_asked(num, least, most, method):
    """The least and the most voices that are asked for, as of `cluster`.

    Raises:
        ValueError: If a number is under 1 or not whole, `most` is under `least`, or the
            method is none.
    """
    low, high = (least, most) if num is None else (num, num)
    whole = all(isinstance(bound, int | np.integer) for bound in (low, high))
    if not whole or not 1 <= low <= high <= MOST_VOICES:
        raise ValueError(
            f"The number of speakers must be whole, from 1 to {MOST_VOICES}, and the "
            f"least not above the most. Received: {num}, from {least} to {most}"
        )
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: {method!r}")
    return low, high


def evidence(embeddings, labels, looks):
    """How well voices explain windows, in nats for each dimension; see the module.

    Args:
        embeddings: Unit vectors, `[windows, dim]`.
        labels: Voice of each, int from 0, `[windows]`.
        looks: How much each window counts, `[windows]`; windows that overlap tell less
            than their number.
    """
    member = np.eye(labels.max() + 1)[labels].T * looks  # [voices, windows]
    return float(_gains(member.sum(axis=1), member @ embeddings).sum())


def _gains(count, sums):
    """What each voice adds to the evidence, of its looks and the sum of them."""
    noise, inner = 1 - LIKENESS, (sums**2).sum(axis=-1)
    fit = LIKENESS * inner / (noise * (noise + LIKENESS * count))
    return (fit - np.log1p(LIKENESS * count / noise)) / 2


def without_phantoms(embeddings, labels, seconds, least):
    """Gives away voices that are too short or too alike, while there are over `least`.

    Args:
        embeddings: Unit vectors, `[windows, dim]`.
        labels: Voice of each, int from 0, `[windows]`.
        seconds: Of speech that each stands for, `[windows]`.
        least: Voices that stay in any case.

    Returns:
        Voice of each window, int `[windows]`.
    """
    while labels.max() + 1 > least:
        share = np.bincount(labels, seconds)
        centres = means(embeddings, labels)
        alike = centres @ centres.T - 2 * np.eye(len(centres))
        if share.min() < LEAST_S:
            rows = labels == share.argmin()
            others = np.delete(np.arange(len(centres)), share.argmin())
            labels = labels.copy()
            labels[rows] = others[nearest(embeddings[rows], centres[others])]
        elif alike.max() > MOST_ALIKE:
            one, other = np.unravel_index(alike.argmax(), alike.shape)
            labels = np.where(labels == other, one, labels)
        else:
            break
        labels = by_appearance(labels)
    return labels


def means(embeddings, labels):
    """Mean direction of each voice, float32 `[voices, dim]`; zero where it has none."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]), np.float32)
    np.add.at(sums, labels, embeddings)
    return unit(sums)


def nearest(embeddings, centres):
    """The mean that is most like each window, int `[windows]`, a block at a time."""
    blocks = range(0, len(embeddings), BLOCK)
    found = [(embeddings[b : b + BLOCK] @ centres.T).argmax(axis=1) for b in blocks]
    return np.concatenate([np.zeros(0, int), *found])


def by_appearance(labels):
    """Labels numbered from 0 in the order in which they first come."""
    values, first, which = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(values), int)
    rank[np.argsort(first)] = np.arange(len(values))
    return rank[which]


class _Voices:
    """Windows that are compared with each other, and the choice of a partition."""

    def __init__(self, points, seconds, look_s):
        self.points, self.looks = points, seconds / look_s

    def best(self, proposed, low, high):
        """The partition of `low` to `high` voices with the most evidence."""
        found = {1: np.zeros(len(self.points), int)}  # the best of each number
        for labels in proposed:
            for some in (labels, nearest(self.points, means(self.points, labels))):
                some = by_appearance(some)
                count = some.max() + 1
                if count not in found or self._of(some) > self._of(found[count]):
                    found[count] = some
        # A smaller number's best, parted once more, may beat what was proposed.
        for count in range(2, high + 1):
            parted = self._parted(found[count - 1])
            if count not in found or self._of(parted) > self._of(found[count]):
                found[count] = parted
        return max((found[count] for count in range(low, high + 1)), key=self._of)

    def _of(self, labels):
        return evidence(self.points, labels, self.looks)

    def _parted(self, labels):
        """The partition with one voice more, parted where that costs least evidence."""
        best, most = None, -np.inf
        weighed = self.points * self.looks[:, None]
        for voice in range(labels.max() + 1):
            rows = np.flatnonzero(labels == voice)
            whole, count = weighed[rows].sum(axis=0), self.looks[rows].sum()
            for part in partitions.parts(self.points[rows]):
                inside = rows[part]
                some, share = weighed[inside].sum(axis=0), self.looks[inside].sum()
                gain = _gains(share, some) + _gains(count - share, whole - some)
                if gain - _gains(count, whole) > most:
                    best, most = inside, gain - _gains(count, whole)
        parted = labels.copy()
        parted[best] = labels.max() + 1
        return parted


def _checked(embeddings, seconds):
    embeddings = np.asarray(embeddings, np.float32)
    seconds = np.asarray(seconds, np.float64)
    if embeddings.ndim != 2 or seconds.shape != embeddings.shape[:1]:
        raise ValueError(
            "Windows are embeddings [windows, dim] with their seconds [windows]. "
            f"Received: shapes {embeddings.shape} and {seconds.shape}"
        )
    some = np.abs(embeddings).max(axis=1, initial=0)
    if not (np.isfinite(some) & (some > 0) & (seconds > 0)).all():
        raise ValueError(
            "Embeddings must be finite and not zero, seconds above 0. Received: others"
        )
    return embeddings, seconds
