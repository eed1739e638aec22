"""Reliability diagram and expected calibration error (ECE) of probabilities.

Of all pairs with a probability of 80 %, four in five must be of one speaker. Trials are
weighted as in `timbre.metrics.likelihood_ratio`: same pairs have the total weight
`prior`, so a list with a hundred different pairs for each same one is evaluated at the
prior it is used with.
"""

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.likelihood_ratio import weight_trials
from timbre.metrics.rates import check_trials


def reliability(
    label: ArrayLike,
    probability: ArrayLike,
    *,
    bins: int = 15,
    prior: float | None = 0.5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and observed rate of same pairs, in bins of equal width.

    Args:
        label: True where both sides are one speaker, `[trials]`.
        probability: Predicted at this prior, in `[0, 1]`, `[trials]`.
        bins: Number of bins from 0 to 1. Defaults to `15`.
        prior: Total weight of the same pairs; None counts every trial once.
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
    predicted = np.bincount(which, weights * probability, bins)
    observed = np.bincount(which, weights * label, bins)
    filled = weight > 0
    weight = weight[filled]
    return predicted[filled] / weight, observed[filled] / weight, weight


def expected_calibration_error(
    label: ArrayLike,
    probability: ArrayLike,
    *,
    bins: int = 15,
    prior: float | None = 0.5,
) -> float:
    """Mean gap between predicted and observed rate, over bins of equal width.

    `sum_b weight_b |observed_b - predicted_b|`

    0 for a perfect calibration and endless trials; of few, chance alone adds to it.
    The arguments are those of `reliability`.

    Reference:
        On Calibration of Modern Neural Networks (Guo et al., 2017), equation 3,
        https://arxiv.org/abs/1706.04599
    """
    predicted, observed, weight = reliability(
        label, probability, bins=bins, prior=prior
    )
    return float(np.sum(weight * np.abs(observed - predicted)))
