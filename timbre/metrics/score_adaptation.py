"""Adaptation of score statistics to a new domain, by maximum a posteriori (MAP).

Scores of one kind (same or different speakers) are taken as normal. Their mean differs
between domains by `t` around the mean of all domains, and between speakers by `s`
around the mean of a domain; so after `n` speakers the mean of a domain is known as

    mean = a * domain_mean + (1 - a) * prior_mean,    a = n / (n + s**2 / t**2)

and the next score has the variance

    variance = b * domain_variance + (1 - b) * prior_variance,    b = a of n - 1

where `prior_variance` contains the variance between domains, `t**2`: as long as little
is known of the domain, both kinds are wider and likelihood ratios are nearer to 1. One
speaker says nothing of how speakers vary, hence `n - 1`. Reynolds' term for the
distance of both means is left out: `t**2` stands for it.

Reference:
    Speaker Verification Using Adapted Gaussian Mixture Models (Reynolds, Quatieri and
    Dunn, 2000), equations 11 to 14, where `s**2 / t**2` is the relevance factor,
    https://doi.org/10.1006/dspr.1999.0361
"""

import dataclasses
from collections.abc import Iterable
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.calibration import LogisticCalibration

NUM_TRIALS = 200  # of each kind, to which a calibration is fitted


@dataclasses.dataclass(frozen=True)
class ScoreDistribution:
    """Normal distribution of the scores of one kind.

    Args:
        mean: Finite.
        deviation: Standard deviation, above 0.
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
    def from_scores(cls, scores: ArrayLike) -> Self:
        """Mean and deviation of scores `[scores]` that are not all equal."""
        scores = np.asarray(scores, np.float64)
        return cls(float(scores.mean()), float(scores.std()))

    @classmethod
    def from_corpora(cls, corpora: Iterable[Self]) -> Self:
        """Prior for a new domain from those of some corpora, which weigh equally.

        `variance = mean of the variances + variance of the means`
        """
        means, deviations = np.array([(one.mean, one.deviation) for one in corpora]).T
        variance = np.mean(deviations**2) + means.var()
        return cls(float(means.mean()), float(np.sqrt(variance)))

    def scale(self, factor: float) -> "ScoreDistribution":
        """The distribution of scores `factor` times as high."""
        return ScoreDistribution(factor * self.mean, factor * self.deviation)

    def adapt(
        self, mean: float, variance: float, num_speakers: int, *, relevance: float
    ) -> "ScoreDistribution":
        """MAP estimate for a domain of which some scores are known.

        Args:
            mean, variance: Of the domain's scores.
            num_speakers: Number of speakers they come from, at least 1.
            relevance: Relevance factor above 0: the number of speakers that weighs as
                much as the prior.
        """
        share = num_speakers / (num_speakers + relevance)
        mean = share * mean + (1 - share) * self.mean
        share = (num_speakers - 1) / (num_speakers - 1 + relevance)
        variance = share * variance + (1 - share) * self.deviation**2
        return ScoreDistribution(float(mean), float(np.sqrt(variance)))


def fit_calibration(
    same: ScoreDistribution, different: ScoreDistribution
) -> LogisticCalibration:
    """Logistic calibration of scores of two normal distributions.

    With one deviation `s` the exact llr is `(m1 - m0) / s**2 * (x - (m1 + m0) / 2)`;
    with two it is a parabola, which would turn back beyond some score: the line of
    least error is kept. It is fitted to 200 scores of each kind at evenly spaced
    quantiles, and so by Platt's targets as certain as that many trials make it, and no
    more: real scores have wider tails than normals.

    Raises:
        ValueError: If same-speaker scores are no higher.
    """
    shares = (np.arange(NUM_TRIALS) + 0.5) / NUM_TRIALS
    quantiles = np.array([NormalDist().inv_cdf(share) for share in shares])
    scores = [kind.mean + kind.deviation * quantiles for kind in (same, different)]
    label = np.repeat([True, False], NUM_TRIALS)
    return LogisticCalibration.fit(label, np.concatenate(scores))
