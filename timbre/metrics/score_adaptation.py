"""Adaptation: what scores are worth here, from a few of here and from elsewhere.

Scores of one kind are thought normal. Their mean differs from place to place, by `t`
around the mean of all places, and people differ by `s` around the mean of a place; so
after `n` people the mean of this place is known as (Gauss)

    mean = a * mean_here + (1 - a) * mean_elsewhere,    a = n / (n + s**2 / t**2)

and the next score has the variance

    variance = b * variance_here + (1 - b) * variance_elsewhere,    b = a of n - 1

where `variance_elsewhere` holds the variance among places, `t**2`: what is not known of
this place yet makes scores of both kinds wider and answers less sure. One person says
nothing of how people vary, hence `n - 1`. Reynolds' term for how far both means are
apart is left out: `t**2` stands for it.

Reference:
    Speaker Verification Using Adapted Gaussian Mixture Models (Reynolds, Quatieri and
    Dunn, 2000), equations 11 to 14, where `s**2 / t**2` is the relevance factor,
    https://doi.org/10.1006/dspr.1999.0361
"""

import dataclasses
from statistics import NormalDist

import numpy as np

from timbre.metrics.calibration import LogisticCalibration

NUM_TRIALS = 200  # of each kind, as many as a line is as sure as


@dataclasses.dataclass(frozen=True)
class ScoreDistribution:
    """What scores of one kind are like.

    Args:
        mean: Finite.
        deviation: Their standard deviation, above 0.
    """

    mean: float
    deviation: float

    def __post_init__(self):
        for name in ("mean", "deviation"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(f"`{name}` must be a number. Received: {number!r}")
        if not np.isfinite([self.mean, self.deviation]).all() or self.deviation <= 0:
            raise ValueError(
                "`mean` must be finite and `deviation` above 0. "
                f"Received: {self.mean}, {self.deviation}"
            )

    @classmethod
    def of(cls, scores):
        """Those of scores at hand, `[scores]`, which are not all equal."""
        return cls(float(np.mean(scores)), float(np.std(scores)))

    @classmethod
    def anywhere(cls, places):
        """Those of a place nobody knows, from the `Scores` of some; each counts alike.

        `variance = mean of the variances + variance of the means`
        """
        means, deviations = np.array([(one.mean, one.deviation) for one in places]).T
        variance = np.mean(deviations**2) + means.var()
        return cls(float(means.mean()), float(np.sqrt(variance)))

    def scaled(self, factor):
        """Those of scores `factor` times as high."""
        return ScoreDistribution(factor * self.mean, factor * self.deviation)

    def adapted(self, mean, variance, people, *, strength):
        """Those of a place of which there is something to see.

        Args:
            mean: Of the scores here.
            variance: Of the scores here, 0 or more.
            people: How many people they are of, at least 1.
            strength: Number of people, above 0, who say as much as was known before.
        """
        share = people / (people + strength)
        mean = share * mean + (1 - share) * self.mean
        share = (people - 1) / (people - 1 + strength)
        variance = share * variance + (1 - share) * self.deviation**2
        return ScoreDistribution(float(mean), float(np.sqrt(variance)))


def fit_calibration(same, different) -> LogisticCalibration:
    """The calibration of scores of two normals, by logistic regression.

    Of one deviation the true ratio is `(m1 - m0) / s**2 * (x - (m1 + m0) / 2)`; of two
    it is a parabola, which would turn back beyond some score: a line stays that errs
    least. It is fitted to two hundred scores of each kind, at evenly spaced quantiles,
    and so by Platt's targets as sure as so many trials make one, and no surer: true
    scores have wider tails than normals.

    Args:
        same: `Scores` of one voice.
        different: `Scores` of two, with a lower mean.

    Raises:
        ValueError: If scores of one voice are no higher.
    """
    at = (np.arange(NUM_TRIALS) + 0.5) / NUM_TRIALS
    at = np.array([NormalDist().inv_cdf(share) for share in at])
    scores = [kind.mean + kind.deviation * at for kind in (same, different)]
    label = np.repeat([True, False], NUM_TRIALS)
    return LogisticCalibration.fit(label, np.concatenate(scores))
