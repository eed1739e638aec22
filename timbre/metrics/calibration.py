"""Score calibration: from scores to log-likelihood ratios, probabilities, decisions.

    logit(probability) = llr(score) + logit(prior)

The log-likelihood ratio `llr` is fitted once, to labelled trials
(`timbre.metrics.likelihood_ratio`); the prior is the user's and may change at any time.

A calibration is a few finite numbers, kept as JSON. It holds for scores like those it
was fitted on: of the same encoder, normalisation and recording conditions.
"""

import abc
import dataclasses
import json
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.likelihood_ratio import (
    bayes_threshold,
    check_prior,
    logistic,
    logit,
    pool_adjacent_violators,
    weight_trials,
)
from timbre.metrics.rates import check_trials

MIN_TRIALS = 10  # of each kind: fewer do not even determine the offset
MAX_KNOTS = 100_000


class Calibration(abc.ABC):
    """A function from scores to log-likelihood ratios, fitted to labelled trials.

    Members are frozen dataclasses of finite numbers, made by `fit` or `from_json`.
    """

    @classmethod
    @abc.abstractmethod
    def fit(
        cls, label: ArrayLike, scores: ArrayLike, *, weights: ArrayLike | None = None
    ) -> Self:
        """Fits a calibration to labelled trials, at least 10 of each kind.

        Args:
            label: True where both sides are one speaker, `[trials]`.
            scores: Larger means more alike, finite, `[trials]`.
            weights: Of each trial among its kind, such as one over the number of
                trials of its corpus. Defaults to equal ones.
        """

    @abc.abstractmethod
    def llr(self, scores: ArrayLike) -> np.ndarray:
        """Natural logarithm of the likelihood ratio of each score, same shape."""

    @abc.abstractmethod
    def llr_to_score(self, llr: float) -> float:
        """The lowest score with this log-likelihood ratio or a higher one.

        `-inf` when every score has it, `inf` when none has.
        """

    def probability(self, scores: ArrayLike, *, prior: float = 0.5) -> np.ndarray:
        """Probability that both sides are one speaker, for scores of any shape.

        `prior` is that before the score is known. Defaults to `0.5`.
        """
        check_prior(prior)
        return logistic(self.llr(scores) + logit(prior))

    def threshold(
        self, prior: float = 0.5, c_miss: float = 1, c_fa: float = 1
    ) -> float:
        """The score from which to accept so that the expected cost is least.

        `inf` where accepting never pays, `-inf` where it always does. The arguments are
        those of `bayes_threshold`.
        """
        return self.llr_to_score(bayes_threshold(prior, c_miss, c_fa))

    def to_json(self) -> str:
        """The calibration as a JSON object of its kind and its numbers."""
        kind = next(name for name, member in KINDS.items() if member is type(self))
        return json.dumps({"kind": kind} | vars(self), allow_nan=False)


@dataclasses.dataclass(frozen=True)
class LogisticCalibration(Calibration):
    """Logistic regression, a straight line `llr = slope * score + offset`.

    Exact when the scores of both kinds are Gaussians of one variance; elsewhere robust,
    with two parameters, and monotone.

    Args:
        slope: Above 0.
        offset: The llr at score 0.

    Reference:
        Probabilistic Outputs for Support Vector Machines (Platt, 1999);
        Application-independent Evaluation of Speaker Detection (Brümmer and du Preez,
        2006), https://doi.org/10.1016/j.csl.2005.08.001
    """

    slope: float
    offset: float

    def __post_init__(self):
        slope, offset = _finite((self.slope, self.offset), "`slope` and `offset`")
        if slope <= 0:
            raise ValueError(f"`slope` must be above 0. Received: {self.slope}")
        object.__setattr__(self, "slope", float(slope))
        object.__setattr__(self, "offset", float(offset))

    @classmethod
    def fit(
        cls,
        label: ArrayLike,
        scores: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        prior: float = 0.5,
    ) -> Self:
        """Weighted logistic regression, by Newton's method.

        The targets are Platt's, `(n + 1) / (n + 2)` and `1 / (n + 2)` of `n` trials of
        a kind, so the line stays finite where a score parts both kinds perfectly.

        Args:
            label, scores, weights: As for `Calibration.fit`.
            prior: At which the fit is best: a low one weights high scores. Ratios can
                be used at any other. Defaults to `0.5`.

        Raises:
            ValueError: Also if same pairs do not score higher than different ones.
        """
        label, scores, weights = _weighted_trials(label, scores, prior, weights)
        means = [np.average(scores[k], weights=weights[k]) for k in (~label, label)]
        centre, spread = np.mean(means), scores.std()
        if means[1] - means[0] <= 1e-9 * spread or spread == 0:
            raise ValueError(
                "Same pairs must score higher on average than different ones. "
                f"Received: {means[1]:.6g} and {means[0]:.6g}"
            )
        kinds = (weights[~label], weights[label])
        counts = [kind.sum() ** 2 / (kind**2).sum() for kind in kinds]
        target = np.where(label, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
        x = (scores - centre) / spread
        slope, offset = _newton(x, target, weights, logit(prior))
        return cls(slope / spread, offset - slope * centre / spread)

    def llr(self, scores: ArrayLike) -> np.ndarray:
        return self.slope * np.asarray(scores, np.float64) + self.offset

    def llr_to_score(self, llr: float) -> float:
        return float((llr - self.offset) / self.slope)


@dataclasses.dataclass(frozen=True)
class IsotonicCalibration(Calibration):
    """Isotonic regression (pool adjacent violators), linear between the pools.

    Nonparametric: it assumes only that `llr` rises with the score, so it needs many
    trials and may overfit them. Scores of one pool become equal.

    No ratio is infinite: at the highest and at the lowest score, one trial of each kind
    is added (Laplace's rule of succession), so that `n` of `N` same pairs above all of
    `M` different ones have the ratio `(n + 1) / N` to `1 / M`. Beyond the scores it
    was fitted on, it is constant.

    Args:
        scores: Knots, rising, at least one.
        ratios: Log-likelihood ratio at each, not falling.

    Reference:
        Transforming Classifier Scores into Accurate Multiclass Probability Estimates
        (Zadrozny and Elkan, 2002), https://doi.org/10.1145/775047.775151
    """

    scores: tuple[float, ...]
    ratios: tuple[float, ...]

    def __post_init__(self):
        scores = _finite(self.scores, "`scores`")
        ratios = _finite(self.ratios, "`ratios`")
        if scores.shape != ratios.shape or not 0 < len(scores) <= MAX_KNOTS:
            raise ValueError(
                f"`scores` and `ratios` must be 1 to {MAX_KNOTS} numbers each. "
                f"Received: {len(scores)} and {len(ratios)}"
            )
        if (np.diff(scores) <= 0).any() or (np.diff(ratios) < 0).any():
            raise ValueError("`scores` must rise and `ratios` must not fall")
        object.__setattr__(self, "scores", tuple(scores.tolist()))
        object.__setattr__(self, "ratios", tuple(ratios.tolist()))

    @classmethod
    def fit(
        cls, label: ArrayLike, scores: ArrayLike, *, weights: ArrayLike | None = None
    ) -> Self:
        label, scores, weights = _weighted_trials(label, scores, 0.5, weights)
        one = [(weights[k] ** 2).sum() / weights[k].sum() for k in (label, ~label)]
        ends = np.array([scores.min(), scores.max()])
        label = np.append(label, [True, True, False, False])
        scores = np.append(scores, [*ends, *ends])
        weights = np.append(weights, np.repeat(one, 2))
        knots, posterior = pool_adjacent_violators(label, scores, weights)
        return cls(tuple(knots), tuple(logit(posterior)))

    def llr(self, scores: ArrayLike) -> np.ndarray:
        return np.interp(np.asarray(scores, np.float64), self.scores, self.ratios)

    def llr_to_score(self, llr: float) -> float:
        scores, ratios = np.array(self.scores), np.array(self.ratios)
        k = int(np.searchsorted(ratios, llr))  # the first that reaches it
        if k == 0:
            return -np.inf
        if k == len(ratios):
            return np.inf
        share = (llr - ratios[k - 1]) / (ratios[k] - ratios[k - 1])
        return float(scores[k - 1] + share * (scores[k] - scores[k - 1]))


KINDS = {"logistic": LogisticCalibration, "isotonic": IsotonicCalibration}


def from_json(text: str | dict) -> Calibration:
    """Reads what `to_json` wrote, or the dictionary in it.

    Raises:
        ValueError: If it is not a kind of `KINDS` with its finite numbers.
    """
    try:
        fields = dict(json.loads(text) if isinstance(text, str) else text)
        return KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"A calibration is a JSON object with a `kind` of {list(KINDS)} and its "
            f"finite numbers. Received: {str(text)[:80]} ({error!r})"
        ) from error


def _weighted_trials(label, scores, prior, weights):
    """Trials of positive weight, and their weights at the prior."""
    label, scores = check_trials(label, scores)
    weights = weight_trials(label, prior, weights)
    keep = weights > 0
    fewest = min(int(label[keep].sum()), int((~label[keep]).sum()))
    if fewest < MIN_TRIALS:
        raise ValueError(
            f"A calibration needs {MIN_TRIALS} trials of each kind. Received: {fewest}"
        )
    return label[keep], scores[keep], weights[keep]


def _finite(numbers, name) -> np.ndarray:
    """The numbers as a float64 vector, if they are finite numbers and nothing else."""
    numbers = np.asarray(numbers)
    is_vector = numbers.ndim == 1 and numbers.dtype.kind in "iuf"
    if not is_vector or not np.isfinite(numbers).all():
        received = str(numbers)[:80]
        raise ValueError(f"{name} must be finite numbers. Received: {received}")
    return numbers.astype(np.float64)


def _newton(x, target, weights, shift) -> tuple[float, float]:
    """Slope and offset that minimise the weighted cross-entropy with the target.

    The prediction is `logistic(slope * x + offset + shift)`. The cost is convex; a
    step is halved until it lowers it.
    """
    inputs = np.stack([x, np.ones_like(x)])

    def cost(line):
        z = line @ inputs + shift
        return np.sum(weights * (np.logaddexp(0, z) - target * z))

    line = np.zeros(2)
    for _ in range(100):
        predicted = logistic(line @ inputs + shift)
        gradient = inputs @ (weights * (predicted - target))
        hessian = (inputs * (weights * predicted * (1 - predicted))) @ inputs.T
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        while cost(line - step) > cost(line) and np.abs(step).max() > 1e-9:
            step /= 2
        line = line - step
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])
