"""Error rates of verification: DET curve, EER, minDCF, AUC, TPR at FPR, F1.

A trial is accepted when `score >= threshold`. Lowering the threshold through the
distinct scores walks from `(fpr, fnr) = (0, 1)`, accept nothing, to `(1, 0)`, accept
everything; trials of one score move together. Between two neighbouring points the
curve is a straight line (a random choice between both thresholds); no convex hull.
Only the order of the scores matters: a monotone transform changes no rate.

`labels` are true where both sides are one speaker, larger `scores` mean more alike,
both `[trials]`; every function refuses them as `check_trials` does.
"""

import numpy as np
from numpy.typing import ArrayLike


def check_trials(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check labels and scores and return them as bool and float64 arrays `[trials]`.

    Raises:
        ValueError: If shapes differ, a score is not finite or a kind is missing.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(
            "`labels` and `scores` must be vectors of one length. "
            f"Received: shapes {labels.shape} and {scores.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"`labels` must be 0 or 1. Received: {np.unique(labels)[:5].tolist()}"
        )
    labels = labels.astype(bool)
    if labels.all() or not labels.any():
        raise ValueError(
            "Trials must hold both kinds, same and different. "
            f"Received: {int(labels.sum())} same of {len(labels)}"
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise ValueError(f"`scores` must be finite. Received: {bad} that are not")
    return labels, scores


def sort_trials(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order trials from the highest score down and find where the score changes.

    Returns:
        `order` `[trials]`; `ends` `[distinct]`, how many trials score at least each
        distinct score; `thresholds` `[distinct + 1]`, `inf` and the distinct scores.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)) + 1, len(ordered))
    return order, ends, np.append(np.inf, ordered[ends - 1])


def det_curve(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False accepts and false rejects at every threshold.

    Returns:
        `fpr` (rising from 0 to 1), `fnr` (falling from 1 to 0) and `thresholds`
        (falling from `inf`), each `[distinct scores + 1]`.
    """
    labels, scores = check_trials(labels, scores)
    order, ends, thresholds = sort_trials(labels, scores)
    accepted = np.append(0, np.cumsum(labels[order])[ends - 1])
    rejected = np.append(0, ends) - accepted
    missed = accepted[-1] - accepted  # ratios of integers: equal rates compare equal
    return rejected / rejected[-1], missed / accepted[-1], thresholds


def equal_error_point(fpr: np.ndarray, fnr: np.ndarray) -> tuple[float, int, float]:
    """Where a DET curve meets `fpr = fnr`.

    Returns:
        The rate there, the index `k` of the first point with `fpr >= fnr`, and the
        share `w` of the way from point `k - 1` to point `k`.
    """
    k = int(np.searchsorted(fpr - fnr, 0.0))
    before, after = fpr[k - 1] - fnr[k - 1], fpr[k] - fnr[k]
    w = -before / (after - before)
    return float(fpr[k - 1] + w * (fpr[k] - fpr[k - 1])), k, float(w)


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate: where as many pairs are wrongly accepted as rejected.

    `0` when every same pair scores above every different one, `0.5` when scores are
    uninformative. For two Gaussians of unit variance `d` apart it is `Phi(-d / 2)`.
    """
    fpr, fnr, _ = det_curve(labels, scores)
    return equal_error_point(fpr, fnr)[0]


def eer_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The score from which to accept so that both errors are about the EER.

    Between two points the threshold is interpolated as the rate is; where a point
    meets the EER exactly, it lies midway to the next score, so that a perfect
    separation is cut in the middle of its gap.
    """
    fpr, fnr, thresholds = det_curve(labels, scores)
    _, k, w = equal_error_point(fpr, fnr)
    if w == 1 and k + 1 < len(thresholds):
        return float((thresholds[k] + thresholds[k + 1]) / 2)
    if k == 1:  # nothing to interpolate with: the point before is at `inf`
        return float(thresholds[1])
    return float(thresholds[k - 1] + w * (thresholds[k] - thresholds[k - 1]))


def detection_cost(
    fpr: np.ndarray,
    fnr: np.ndarray,
    *,
    p_target: float,
    c_miss: float = 1,
    c_fa: float = 1,
) -> float:
    """Lowest normalised cost over the points of a curve, see `min_dcf`."""
    if not 0 < p_target < 1:
        raise ValueError(f"`p_target` must be in (0, 1). Received: {p_target}")
    miss, false_alarm = c_miss * p_target, c_fa * (1 - p_target)
    return float(np.min(miss * fnr + false_alarm * fpr) / min(miss, false_alarm))


def min_dcf(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> float:
    """Minimum normalised detection cost (minDCF); `1` if the scores are uninformative.

    `min (c_miss * p * fnr + c_fa * (1 - p) * fpr) / min(c_miss * p, c_fa * (1 - p))`

    Args:
        p_target: Prior `p` of a same pair. Defaults to `0.01`.
        c_miss, c_fa: Costs of a false reject and of a false accept. Default to `1`.
    """
    fpr, fnr, _ = det_curve(labels, scores)
    return detection_cost(fpr, fnr, p_target=p_target, c_miss=c_miss, c_fa=c_fa)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: how often same pairs score above different ones."""
    fpr, fnr, _ = det_curve(labels, scores)
    return float(np.trapezoid(1 - fnr, fpr))


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = 0.01) -> float:
    """Largest share of same pairs accepted while `fpr <= max_fpr`.

    Only scores of the trials are thresholds: no interpolation, hence never optimistic.
    """
    if not 0 <= max_fpr <= 1:
        raise ValueError(f"`max_fpr` must be in [0, 1]. Received: {max_fpr}")
    fpr, fnr, _ = det_curve(labels, scores)
    return float(1 - fnr[np.searchsorted(fpr, max_fpr, side="right") - 1])


def best_f1(labels: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """Threshold of the best F1 score, `2 * tp / (2 * tp + fp + fn)`, and its figures.

    Returns:
        `f`, `precision`, `tpr`, `acc` and `threshold`.
    """
    fpr, fnr, thresholds = det_curve(labels, scores)
    labels = np.asarray(labels).astype(bool)
    same, different = int(labels.sum()), int((~labels).sum())
    tp, fp = (1 - fnr) * same, fpr * different
    f = 2 * tp / (tp + fp + same)
    k = int(np.argmax(f))
    return {
        "f": float(f[k]),
        "precision": float(tp[k] / max(tp[k] + fp[k], 1)),
        "tpr": float(tp[k] / same),
        "acc": float((tp[k] + different - fp[k]) / (same + different)),
        "threshold": float(thresholds[k]),
    }
