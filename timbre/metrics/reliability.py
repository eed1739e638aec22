"""Reliability: whether probabilities mean what they say.

Of all pairs called 80 % the same, four in five must be. Trials count as in
`timbre.metrics.likelihood_ratio`: same pairs weigh `prior` together, so that a list with a
hundred different pairs for each same one is judged at the prior it is used with.
"""

import numpy as np

from timbre.metrics.likelihood_ratio import weight_trials
from timbre.metrics.rates import check_trials


def reliability(
    label, probability, *, bins=15, prior=0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was said and what was so, in bins of equal width.

    Args:
        label: True where both sides are one speaker, `[trials]`.
        probability: What was said, in `[0, 1]`, at this prior, `[trials]`.
        bins: Number of bins from 0 to 1. Defaults to `15`.
        prior: Weight of all same pairs together; None counts every trial once.
            Defaults to `0.5`.

    Returns:
        Mean probability, share of same pairs and weight of every bin that holds a
        trial, float64 `[filled bins]` each; the weights sum to 1.
    """
    label, probability = check_trials(label, probability)
    if not 0 <= probability.min() <= probability.max() <= 1 or bins < 1:
        raise ValueError(
            "`probability` must be in [0, 1] and `bins` at least 1. Received: "
            f"{probability.min()} to {probability.max()}, {bins} bins"
        )
    weights = weight_trials(label, label.mean() if prior is None else prior)
    which = np.minimum((probability * bins).astype(int), bins - 1)
    weight = np.bincount(which, weights, bins)
    said = np.bincount(which, weights * probability, bins)
    so = np.bincount(which, weights * label, bins)
    filled = weight > 0
    weight = weight[filled]
    return said[filled] / weight, so[filled] / weight, weight


def expected_calibration_error(label, probability, *, bins=15, prior=0.5) -> float:
    """Mean distance between what was said and what was so, over bins of equal width.

    `sum_b weight_b |share_b - probability_b|`

    0 for a perfect calibration of endless trials; of few, chance alone adds to it.

    Args:
        label: True where both sides are one speaker, `[trials]`.
        probability: What was said, in `[0, 1]`, at this prior, `[trials]`.
        bins: Number of bins from 0 to 1. Defaults to `15`.
        prior: Weight of all same pairs together; None counts every trial once.
            Defaults to `0.5`.

    Reference:
        On Calibration of Modern Neural Networks (Guo et al., 2017), equation 3,
        https://arxiv.org/abs/1706.04599
    """
    said, so, weight = reliability(label, probability, bins=bins, prior=prior)
    return float(np.sum(weight * np.abs(so - said)))
