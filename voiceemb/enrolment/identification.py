"""Open-set speaker identification: which enrolled speaker it is, or none of them.

    P(i) ∝ prior_i * LR_i,   P(unknown) ∝ unknown_prior
    prior_i = (1 - unknown_prior) / n

`LR_i` is the likelihood ratio of the score against speaker `i`, by a calibration
(`timbre.metrics.calibration`): how much likelier it is when they speak than when
somebody else does. This is Bayes' rule where the scores against all others carry no
further information, as their densities then cancel out. `unknown_prior`, the prior of a
speaker outside the enrolled set, is the user's choice.
"""

import dataclasses

import numpy as np

from timbre.metrics.likelihood_ratio import check_prior
from timbre.training.networks import check_choice

SCORINGS = ("centroid", "max", "top", "mean-distance")
TOP = 3  # nearest samples that count in the scoring `top`


@dataclasses.dataclass(frozen=True)
class Decision:
    """The result of a verification: whether it is the claimed speaker.

    Args:
        score: Larger is more alike.
        probability: That it is the same voice; None without a calibration.
        same: Whether to accept it.
    """

    score: float
    probability: float | None
    same: bool


@dataclasses.dataclass(frozen=True)
class Identity:
    """The result of an identification.

    Args:
        name: Of the enrolled speaker; None if it is none of them.
        probability: Of this answer, be it a name or none; None without a calibration.
        score: Of the most alike speaker; None if nobody is enrolled.
        candidates: `(name, score, probability)` of everybody, the most alike first.
    """

    name: str | None
    probability: float | None
    score: float | None
    candidates: list[tuple[str, float, float | None]]


class Gallery:
    """Enrolled samples by name, ready to be scored against.

    Args:
        samples: Name to unit embeddings `[samples, dim]`, at least one each.

    Attributes:
        names: In the order of `samples`.
    """

    def __init__(self, samples):
        self.names = list(samples)
        counts = [len(rows) for rows in samples.values()]
        self._rows = np.concatenate([*samples.values()], dtype=np.float64)
        self._starts = np.cumsum([0, *counts[:-1]])
        self._counts = np.array(counts)
        sums = np.add.reduceat(self._rows, self._starts)
        self._centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)

    def scores(self, embeddings, *, scoring="centroid") -> np.ndarray:
        """Score embeddings against each person; larger is more alike.

        Args:
            embeddings: Unit vectors, `[..., dim]`.
            scoring: `"centroid"`, the cosine with the mean direction of all samples;
                `"max"`, the highest cosine with a sample; `"top"`, the mean of the
                three highest; `"mean-distance"`, the mean Euclidean distance to all
                samples, with a minus. Defaults to `"centroid"`.

        Returns:
            float64 `[..., people]`.
        """
        check_choice("scoring", scoring, SCORINGS)
        embeddings = np.asarray(embeddings, np.float64)
        if scoring == "centroid":
            return embeddings @ self._centroids.T
        cosines = embeddings @ self._rows.T
        if scoring == "max":
            return np.maximum.reduceat(cosines, self._starts, axis=-1)
        if scoring == "mean-distance":
            distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
            return -np.add.reduceat(distances, self._starts, axis=-1) / self._counts
        parts = np.split(cosines, self._starts[1:], axis=-1)
        best = [np.sort(part, axis=-1)[..., -TOP:].mean(axis=-1) for part in parts]
        return np.stack(best, axis=-1)


def posterior(llr, *, unknown_prior=0.5) -> np.ndarray:
    """Posterior probabilities of each person and of an unknown one, `[people + 1]`.

    Args:
        llr: Log-likelihood ratio of the score against each person, `[people]`.
        unknown_prior: Prior probability of an unknown speaker; 0 for a closed set.
            Defaults to `0.5`.
    """
    llr = np.asarray(llr, np.float64)
    if not 0 <= unknown_prior < 1:
        raise ValueError(
            f"`unknown_prior` must be in [0, 1). Received: {unknown_prior}"
        )
    if not len(llr):
        return np.ones(1)
    with np.errstate(divide="ignore"):  # log(0): a closed set
        unknown = np.log(unknown_prior)
    logs = np.append(llr + np.log1p(-unknown_prior) - np.log(len(llr)), unknown)
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def identify(names, scores, *, calibration=None, unknown_prior=0.5, threshold=None):
    """Identify a speaker by their scores against enrolled people.

    Args:
        names: Of the people, `[people]`.
        scores: Larger is more alike, `[people]`.
        calibration: A `timbre.metrics.calibration.Calibration` of such scores. Defaults
            to none: then there are no probabilities.
        unknown_prior: See `posterior`. Defaults to `0.5`.
        threshold: The score from which the most alike person is named. Defaults to
            the maximum of the posterior. It or a calibration is required.

    Returns:
        An `Identity`.
    """
    check_decidable(calibration, threshold)
    if not names:
        return Identity(None, 1.0, None, [])
    order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    probabilities = [None] * (len(names) + 1)
    if calibration is not None:
        llr = calibration.llr(scores)
        probabilities = posterior(llr, unknown_prior=unknown_prior).tolist()
    candidates = [(names[i], float(scores[i]), probabilities[i]) for i in order]
    name, score, probability = candidates[0]
    unknown = probabilities[-1]
    known = probability >= unknown if threshold is None else score >= threshold
    if not known:
        name, probability = None, unknown
    return Identity(name, probability, score, candidates)


def verify(score, *, calibration=None, prior=0.5, threshold=None) -> Decision:
    """Decide whether a voice is the claimed person's.

    Args:
        score: Against that person.
        calibration: As for `identify`.
        prior: Prior probability that it is. Defaults to `0.5`.
        threshold: The score from which to accept. Defaults to the one where the
            posterior is a half.
    """
    check_decidable(calibration, threshold)
    check_prior(prior)
    probability = None
    if calibration is not None:
        probability = float(calibration.probability(score, prior=prior))
    same = probability >= 0.5 if threshold is None else score >= threshold
    return Decision(float(score), probability, bool(same))


def check_decidable(calibration, threshold):
    """Raise ValueError if there is neither a calibration nor a threshold."""
    if calibration is None and threshold is None:
        raise ValueError(
            "A decision needs a calibration of these scores (`calibrate`) or a "
            "`threshold`; to rank without one, take `scores`."
        )


def trials(embeddings, speaker, *, samples=1, scoring="centroid", repeats=5, seed=0):
    """Verification trials against enrolled speakers of one or several samples.

    In each repetition, `samples` utterances of everybody who has more, two speakers at
    least, are enrolled, and all others are scored against all of them.

    Args:
        embeddings: Unit vectors, `[utterances, dim]`.
        speaker: Who speaks in each, `[utterances]`.
        samples: Utterances enrolled of each person. Defaults to `1`.
        scoring: See `Gallery.scores`. Defaults to `"centroid"`.
        repeats, seed: Of the sampling of utterances. Default to `5` and `0`.

    Returns:
        Label, True where both sides are one speaker, and score, `[trials]` each.
    """
    embeddings, speaker = np.asarray(embeddings), np.asarray(speaker, str)
    names, counts = np.unique(speaker, return_counts=True)
    names = names[counts > samples]
    if len(names) < 2 or samples < 1:
        raise ValueError(
            "Trials need two speakers or more with more utterances than `samples`, "
            f"which is 1 or more. Received: {len(names)} with more than {samples}"
        )
    rng, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        order = rng.permutation(len(speaker))
        rows = {name: order[speaker[order] == name][:samples] for name in names}
        rest = np.setdiff1d(order, np.concatenate([*rows.values()]))
        gallery = Gallery({name: embeddings[own] for name, own in rows.items()})
        scores = gallery.scores(embeddings[rest], scoring=scoring)
        found.append((speaker[rest][:, None] == names, scores))
    label, scores = zip(*found, strict=True)
    return np.concatenate(label, axis=None), np.concatenate(scores, axis=None)
