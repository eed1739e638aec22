"""Bystanders: what the people who are enrolled tell about voices nobody has heard.

Whoever is enrolled is a stranger to everybody else enrolled. So the store itself holds
scores of strangers, recorded where it is used; and of two samples of a person, scores
of one voice. By them, what scores are like in several corpora becomes what they are
like here (`timbre.metrics.score_adaptation`), without a recording more.
"""

import numpy as np

from timbre.metrics import score_adaptation
from timbre.metrics.score_adaptation import ScoreDistribution

# People who say as much of a place as other corpora do: means of scores of strangers
# have a variance of .030 among people and of .0076 among corpora (LibriSpeech, VCTK,
# Korean; cosines).
STRENGTH = 4
LEAST = 1e-3  # length of a mean: samples that cancel each other out have none


def calibration(places, samples, *, strength=STRENGTH):
    """What cosines with the mean of somebody's samples are worth in this store.

    Cosines of two utterances are known of the places. A mean of unit vectors is shorter
    than 1, and cosines with it are higher by so much: scores of the places are scaled
    by the mean of that in this store.

    Args:
        places: Name of a corpus to `Scores` of one voice and of two, at least one.
        samples: Name of a person to unit embeddings `[samples, dim]`.
        strength: Number of people who say as much as the places. Defaults to `4`.

    Returns:
        A `timbre.metrics.calibration.LogisticCalibration`. If people in the store sound
        no more like themselves than like others, it tells nothing, and that of the
        places stays.
    """
    same, different = (
        ScoreDistribution.anywhere(kinds)
        for kinds in zip(*places.values(), strict=True)
    )
    elsewhere = score_adaptation.fit_calibration(same, different)
    if not samples:
        return elsewhere
    rows = [np.asarray(own, np.float64) for own in samples.values()]
    lengths = [max(np.linalg.norm(own.mean(axis=0)), LEAST) for own in rows]
    factor = 1 / np.mean(lengths)
    same, different = same.scaled(factor), different.scaled(factor)
    if len(rows) > 1:
        found = _moments(*strangers(rows))
        different = different.adapted(*found, len(rows), strength=strength)
    several = [(own, n) for own, n in zip(rows, lengths, strict=True) if len(own) > 1]
    if several:
        found = _moments(*np.mean([_own(*one) for one in several], axis=0))
        same = same.adapted(*found, len(several), strength=strength)
    try:
        return score_adaptation.fit_calibration(same, different)
    except ValueError:
        return elsewhere


def strangers(rows):
    """Scores of everybody's samples against all others, each person counting alike.

    `sum_ab (x_a . c_b)**2 = trace(sum_a x_a x_a^T  sum_b c_b c_b^T)`: the sums over all
    pairs take time and memory in proportion to the number of people.

    Args:
        rows: Unit vectors `[samples, dim]` of each of two people or more.

    Returns:
        Mean of the scores and of their squares.
    """
    centres = np.array([own.mean(axis=0) for own in rows])
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    heads = centres / np.maximum(lengths, LEAST)
    weighed = np.concatenate([own / np.sqrt(len(own)) for own in rows])
    own = [one @ head for one, head in zip(rows, heads, strict=True)]
    pairs = len(rows) * (len(rows) - 1)
    total = centres.sum(axis=0) @ heads.sum(axis=0) - sum(one.mean() for one in own)
    squares = np.sum((weighed.T @ weighed) * (heads.T @ heads))
    squares -= sum(np.mean(one**2) for one in own)
    return total / pairs, squares / pairs


def _own(own, length):
    """Mean and mean square of a person's samples, each against the others.

    The mean cosine with the others is that of two utterances, however many they are;
    what is enrolled is the mean of all samples, of this `length`.
    """
    others = (own @ own.sum(axis=0) - 1) / (len(own) - 1) / length
    return others.mean(), np.mean(others**2)


def _moments(mean, square):
    """Mean and variance."""
    return mean, max(square - mean**2, 0.0)
