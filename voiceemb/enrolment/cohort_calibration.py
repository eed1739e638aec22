"""Unsupervised score calibration from the enrolled cohort.

Every enrolled speaker is an impostor for all others: their cross-scores estimate the
impostor distribution, several samples of one speaker the target distribution. Both are
combined with other corpora's by MAP adaptation (`timbre.metrics.score_adaptation`).
"""

import numpy as np

from timbre.metrics import score_adaptation
from timbre.metrics.score_adaptation import ScoreDistribution

# Relevance factor: speakers that weigh as much as the corpora. Means of impostor scores
# have a variance of .030 among speakers and of .0076 among corpora (LibriSpeech, VCTK,
# Korean; cosines).
STRENGTH = 4
MIN_NORM = 1e-3  # of a mean of samples, which may cancel each other out


def calibrate(places, samples, *, strength=STRENGTH):
    """Calibrate cosines with the mean of a speaker's samples, for one store.

    The corpora's statistics are of cosines of two utterances. A mean of unit vectors is
    shorter than 1, and cosines with it are higher by as much: so they are scaled by the
    mean of `1 / norm` in this store.

    Args:
        places: Name of a corpus to its target and impostor `ScoreDistribution`, at
            least one.
        samples: Name of a speaker to unit embeddings `[samples, dim]`.
        strength: Number of speakers who weigh as much as the corpora. Defaults to `4`.

    Returns:
        A `timbre.metrics.calibration.LogisticCalibration`; that of the corpora alone
        if speakers of the store sound no more like themselves than like others.
    """
    targets, impostors = zip(*places.values(), strict=True)
    target = ScoreDistribution.from_corpora(targets)
    impostor = ScoreDistribution.from_corpora(impostors)
    corpora_only = score_adaptation.fit_calibration(target, impostor)
    if not samples:
        return corpora_only
    cohort = [np.asarray(own, np.float64) for own in samples.values()]
    norms = [max(np.linalg.norm(own.mean(axis=0)), MIN_NORM) for own in cohort]
    factor = 1 / np.mean(norms)
    target, impostor = target.scale(factor), impostor.scale(factor)
    if len(cohort) > 1:
        mean, variance = _mean_and_variance(*impostor_moments(cohort))
        impostor = impostor.adapt(mean, variance, len(cohort), relevance=strength)
    moments = [
        _target_moments(own, norm)
        for own, norm in zip(cohort, norms, strict=True)
        if len(own) > 1
    ]
    if moments:
        mean, variance = _mean_and_variance(*np.mean(moments, axis=0))
        target = target.adapt(mean, variance, len(moments), relevance=strength)
    try:
        return score_adaptation.fit_calibration(target, impostor)
    except ValueError:
        return corpora_only


def impostor_moments(cohort):
    """Mean of the scores of all samples against all other speakers, and of the squares.

    Each speaker counts alike. `sum_ab (x_a . c_b)**2 = trace(sum_a x_a x_a^T
    sum_b c_b c_b^T)`: sums over all pairs take time and memory linear in the speakers.

    Args:
        cohort: Unit vectors `[samples, dim]` of each of two speakers or more.
    """
    means = np.array([own.mean(axis=0) for own in cohort])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    centroids = means / np.maximum(norms, MIN_NORM)
    weighted = np.concatenate([own / np.sqrt(len(own)) for own in cohort])
    self_scores = [own @ c for own, c in zip(cohort, centroids, strict=True)]
    pairs = len(cohort) * (len(cohort) - 1)
    total = means.sum(axis=0) @ centroids.sum(axis=0)
    total = total - sum(scores.mean() for scores in self_scores)
    squares = np.sum((weighted.T @ weighted) * (centroids.T @ centroids))
    squares -= sum(np.mean(scores**2) for scores in self_scores)
    return total / pairs, squares / pairs


def _target_moments(own, norm):
    """Mean and mean square of the scores of a speaker's samples against the others.

    The mean cosine with the others is that of two utterances; what is enrolled is the
    mean of all samples, of this `norm`.
    """
    scores = (own @ own.sum(axis=0) - 1) / (len(own) - 1) / norm
    return scores.mean(), np.mean(scores**2)


def _mean_and_variance(mean, square):
    return mean, max(square - mean**2, 0.0)
