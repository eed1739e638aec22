"""Recognition: who of those we know speaks, or nobody of them.

    P(i) ∝ prior_i * LR_i,   P(nobody) ∝ stranger,   prior_i = (1 - stranger) / n

`LR_i` is what the score against person `i` is worth (`timbre.metrics.calibration`): how
much likelier it is when they speak than when somebody else does. That is Bayes' rule
where the scores against all others say nothing more, as then their densities cancel
out. The prior of a stranger is the user's: how often, where this is used, nobody of
those enrolled speaks.
"""

import dataclasses

import numpy as np

from timbre.metrics.likelihood_ratio import check_prior

WAYS = ("centroid", "max", "top", "mean-distance")
TOP = 3  # nearest samples that count in the way `top`


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a voice is the one it is said to be.

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
    """Whose voice it is, of those enrolled.

    Args:
        name: None if it is nobody's.
        probability: Of this answer: that it is `name`, or that it is nobody of them;
            None without a calibration.
        score: Of the most alike person; None if nobody is enrolled.
        candidates: `(name, score, probability)` of everybody, the most alike first.
    """

    name: str | None
    probability: float | None
    score: float | None
    candidates: list[tuple[str, float, float | None]]


class Gallery:
    """Samples of people by name, ready to be compared with a voice.

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

    def scores(self, embeddings, *, way="centroid") -> np.ndarray:
        """How alike voices are to each person; larger is more alike.

        Args:
            embeddings: Unit vectors, `[..., dim]`.
            way: `"centroid"`, the cosine with the mean direction of all samples;
                `"max"`, the highest cosine with a sample; `"top"`, the mean of the
                three highest; `"mean-distance"`, the mean Euclidean distance to all
                samples, with a minus. Defaults to `"centroid"`.

        Returns:
            float64 `[..., people]`.
        """
        check_way(way)
        embeddings = np.asarray(embeddings, np.float64)
        if way == "centroid":
            return embeddings @ self._centroids.T
        cosines = embeddings @ self._rows.T
        if way == "max":
            return np.maximum.reduceat(cosines, self._starts, axis=-1)
        if way == "mean-distance":
            distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
            return -np.add.reduceat(distances, self._starts, axis=-1) / self._counts
        parts = np.split(cosines, self._starts[1:], axis=-1)
        best = [np.sort(part, axis=-1)[..., -TOP:].mean(axis=-1) for part in parts]
        return np.stack(best, axis=-1)


def check_way(way):
    """Raises ValueError unless `way` is a way to score."""
    if way not in WAYS:
        raise ValueError(f"`way` must be one of {WAYS}. Received: {way!r}")


def posterior(llr, *, stranger=0.5) -> np.ndarray:
    """Probability of each person and of nobody.

    Args:
        llr: Log-likelihood ratio of the score against each person, `[people]`.
        stranger: Probability that it is nobody of them, before the scores are known.
            0 where that can not be. Defaults to `0.5`.

    Returns:
        float64 `[people + 1]`, the last is nobody; the sum is 1.
    """
    llr = np.asarray(llr, np.float64)
    if not 0 <= stranger < 1:
        raise ValueError(f"`stranger` must be in [0, 1). Received: {stranger}")
    if not len(llr):
        return np.ones(1)
    with np.errstate(divide="ignore"):  # log(0): it can not be a stranger
        nobody = np.log(stranger)
    logs = np.append(llr + np.log1p(-stranger) - np.log(len(llr)), nobody)
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def identify(names, scores, *, calibration=None, stranger=0.5, threshold=None):
    """Names a voice, or nobody.

    Args:
        names: Of the people, `[people]`.
        scores: Larger is more alike, `[people]`.
        calibration: A `timbre.metrics.calibration.Calibration` of such scores. Defaults
            to
            none: then there are no probabilities.
        stranger: See `posterior`. Defaults to `0.5`.
        threshold: The score from which the most alike person is named. Defaults to
            what is likeliest.

    Returns:
        An `Identity`.

    Raises:
        ValueError: If there is neither a calibration nor a threshold.
    """
    check_decidable(calibration, threshold)
    if not names:
        return Identity(None, 1.0, None, [])
    order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    chances = [None] * (len(names) + 1)
    if calibration is not None:
        chances = posterior(calibration.llr(scores), stranger=stranger).tolist()
    candidates = [(names[i], float(scores[i]), chances[i]) for i in order]
    name, score, chance = candidates[0]
    nobody = chances[-1]
    known = chance >= nobody if threshold is None else score >= threshold
    return Identity(
        name if known else None, chance if known else nobody, score, candidates
    )


def verify(score, *, calibration=None, prior=0.5, threshold=None) -> Decision:
    """Says whether a voice is the one it is said to be.

    Args:
        score: Against that person.
        calibration: A `timbre.metrics.calibration.Calibration` of such scores. Defaults
            to
            none: then there is no probability.
        prior: How often it is, before the score is known. Defaults to `0.5`.
        threshold: The score from which to accept. Defaults to the one from which
            accepting is more often right than wrong.

    Raises:
        ValueError: If there is neither a calibration nor a threshold.
    """
    check_decidable(calibration, threshold)
    check_prior(prior)
    probability = None
    if calibration is not None:
        probability = float(calibration.probability(score, prior=prior))
    same = probability >= 0.5 if threshold is None else score >= threshold
    return Decision(float(score), probability, bool(same))


def check_decidable(calibration, threshold):
    """Raises ValueError if nothing says from which score on voices are the same."""
    if calibration is None and threshold is None:
        raise ValueError(
            "A decision needs a calibration of these scores (`calibrate`) or a "
            "`threshold`; to rank without one, take `scores`. Received: neither"
        )


def trials(embeddings, speaker, *, samples=1, way="centroid", draws=5, seed=0):
    """Scores of voices against people of several samples, with the right answers.

    In each draw, `samples` utterances of everybody who has more are enrolled, and all
    other utterances are scored against all of them: scores as they come in use, which
    are higher than those of pairs of single utterances.

    Args:
        embeddings: Unit vectors, `[utterances, dim]`.
        speaker: Who speaks in each, `[utterances]`.
        samples: Utterances enrolled of each person. Defaults to `1`.
        way: See `Gallery.scores`. Defaults to `"centroid"`.
        draws: How often utterances are drawn. Defaults to `5`.
        seed: Of the draws. Defaults to `0`.

    Returns:
        Label, True where both sides are one speaker, and score, `[trials]` each.

    Raises:
        ValueError: If fewer than two speakers have more than `samples` utterances.
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
    for _ in range(draws):
        order = rng.permutation(len(speaker))
        rows = {name: order[speaker[order] == name][:samples] for name in names}
        rest = np.setdiff1d(order, np.concatenate([*rows.values()]))
        gallery = Gallery({name: embeddings[own] for name, own in rows.items()})
        scores = gallery.scores(embeddings[rest], way=way)
        found.append((speaker[rest][:, None] == names, scores))
    label, scores = zip(*found, strict=True)
    return np.concatenate(label, axis=None), np.concatenate(scores, axis=None)
