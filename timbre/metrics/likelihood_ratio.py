"""Log-likelihood ratios: decisions at a prior, and their cost (cllr, min cllr, DCF).

    llr(s) = log p(s | same) - log p(s | different)
    logit(probability) = llr(s) + logit(prior)

The ratio is a property of the score; the prior, the rate of same-speaker pairs where
the probability is used, is the user's. So trials are weighted: same pairs have the
total weight `prior`, however many of them a list has.

`label` is true where both sides are one speaker, larger `scores` mean more alike, both
`[trials]`.
"""

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.rates import check_trials, detection_cost


def logit(probability: ArrayLike) -> np.ndarray:
    """`log(p / (1 - p))`, the inverse of the logistic function."""
    probability = np.asarray(probability, np.float64)
    return np.log(probability) - np.log1p(-probability)


def logistic(x: ArrayLike) -> np.ndarray:
    """`1 / (1 + exp(-x))`, the inverse of `logit`."""
    return np.exp(-np.logaddexp(0, -np.asarray(x, np.float64)))  # without overflow


def check_prior(prior: float) -> None:
    """Raises ValueError unless `prior` lies between 0 and 1, both excluded."""
    if not 0 < prior < 1:
        raise ValueError(f"`prior` must be in (0, 1). Received: {prior}")


def weight_trials(
    label: np.ndarray, prior: float, weights: ArrayLike | None = None
) -> np.ndarray:
    """Weights that sum to `prior` over same pairs and to `1 - prior` over others.

    They are float64 `[trials]`, proportional to `weights` among trials of one kind,
    which default to equal ones.
    """
    check_prior(prior)
    weights = np.ones(len(label)) if weights is None else np.array(weights, np.float64)
    if weights.shape != np.shape(label) or not np.isfinite(weights).all():
        raise ValueError(
            "`weights` must be finite, one a trial. "
            f"Received: shape {weights.shape} for {len(label)} trials"
        )
    for kind, share in ((label, prior), (~label, 1 - prior)):
        total = weights[kind].sum()
        if weights.min() < 0 or total <= 0:
            raise ValueError(
                "`weights` must be 0 or more, and above 0 for some trial of each kind. "
                f"Received: least {weights.min()}, sum {total}"
            )
        weights[kind] *= share / total
    return weights


def bayes_threshold(prior: float = 0.5, c_miss: float = 1, c_fa: float = 1) -> float:
    """The log-likelihood ratio from which accepting costs less than rejecting.

    `log(c_fa / c_miss) - logit(prior)`

    Args:
        prior: Of a same pair. Defaults to `0.5`.
        c_miss, c_fa: Costs of a false reject and of a false accept. Default to `1`.
    """
    check_prior(prior)
    if not (0 < c_miss < np.inf and 0 < c_fa < np.inf):
        costs = f"{c_miss} and {c_fa}"
        raise ValueError(f"Costs must be above 0 and finite. Received: {costs}")
    return float(np.log(c_fa / c_miss) - logit(prior))


def pool_adjacent_violators(
    label: np.ndarray, scores: ArrayLike, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Isotonic regression of the labels on the scores (pool adjacent violators).

    Trials of one score have one share. `weights` are 0 or more, `[trials]`.

    Returns:
        The first and the last score of every pool, rising, and the share of same pairs
        there, each float64 `[knots]`.
    """
    from sklearn.isotonic import isotonic_regression

    scores = np.asarray(scores)
    weighty = weights > 0
    values, where = np.unique(scores[weighty], return_inverse=True)
    total = np.bincount(where, weights[weighty])
    same = np.bincount(where, (weights * label)[weighty])
    share = isotonic_regression(same / total, sample_weight=total, y_min=0, y_max=1)
    inner = (np.diff(share, prepend=-1) == 0) & (np.diff(share, append=2) == 0)
    return values[~inner], share[~inner]


def cllr(label: ArrayLike, llr: ArrayLike) -> float:
    """Cost of log-likelihood ratios (cllr), averaged over all priors, in bits.

    `(mean_same log2(1 + exp(-llr)) + mean_different log2(1 + exp(llr))) / 2`

    0 for a perfect system and 1 for `llr = 0`, no information; above 1, the ratios
    mislead more than none would. `llr` are natural logarithms, finite, `[trials]`.

    Reference:
        Application-independent Evaluation of Speaker Detection (Brümmer and du Preez,
        2006), https://doi.org/10.1016/j.csl.2005.08.001
    """
    label, llr = check_trials(label, llr)
    same = np.logaddexp(0, -llr[label]).mean()
    different = np.logaddexp(0, llr[~label]).mean()
    return float((same + different) / (2 * np.log(2)))


def min_cllr(label: ArrayLike, scores: ArrayLike) -> float:
    """Lowest `cllr` of any rising function of the scores: loss of discrimination."""
    label, scores = check_trials(label, scores)
    weights = weight_trials(label, 0.5)
    knots, share = pool_adjacent_violators(label, scores, weights)
    share = share[np.searchsorted(knots, scores)]  # of the pool that holds the score
    likely = np.where(label, share, 1 - share)  # above 0: the trial is in its pool
    return float(np.sum(weights * np.log2(1 / likely)))


def actual_dcf(
    label: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> float:
    """Actual detection cost, at a threshold chosen before; at least `min_dcf`.

    `(c_miss * p * fnr + c_fa * (1 - p) * fpr) / min(c_miss * p, c_fa * (1 - p))`

    Args:
        threshold: Accepted is `score >= threshold`; see `Calibration.threshold`.
        p_target, c_miss, c_fa: As for `min_dcf`.
    """
    label, scores = check_trials(label, scores)
    accepted = scores >= threshold
    fpr, fnr = accepted[~label].mean(), 1 - accepted[label].mean()
    return detection_cost(fpr, fnr, p_target=p_target, c_miss=c_miss, c_fa=c_fa)
