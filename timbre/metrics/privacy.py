"""Privacy of generated and anonymised voices: memorisation, collisions, attacks.

A generator may reproduce training speakers (`memorisation`) or generate one voice twice
(`collisions`); an anonymised voice may still be traced to its speaker
(`reidentification`, and `timbre.metrics.linkability`). An error rate is that of an
attacker: a weak one flatters the protection, so every result names its attacker, and
none proves that there is no stronger one.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.stats import binomtest, hypergeom
from sklearn.covariance import ledoit_wolf

from timbre.metrics.arrays import (
    check_rows,
    check_same_width,
    normalise_rows,
    row_blocks,
    subsample_equally,
)
from timbre.metrics.neighbours import nearest_neighbours
from timbre.metrics.rates import auc, eer
from timbre.metrics.verification import bootstrap_by_speaker

ATTACKERS = ("ignorant", "lazy", "semi-informed")


def memorisation(
    fake: ArrayLike,
    train: ArrayLike,
    held_out: ArrayLike,
    *,
    seed: int = 0,
    threshold: float | None = None,
) -> dict[str, float]:
    """Whether generated voices are nearer to training speakers than to unseen ones.

    All by cosines. `train` and `held_out` must be of one kind: both means of speakers,
    or both utterances, of *different* speakers. Where they are compared, both are
    subsampled to equal sizes, since a larger set has nearer neighbours.

    Args:
        fake, train, held_out: Generated embeddings, those that the generator was
            trained on, and real unseen ones, `[rows, dim]`, of any numbers of rows.
        seed: Of the subsampling. Defaults to `0`.
        threshold: Cosine from which two voices count as one, if shares are wanted.

    Returns:
        `nearest_train`, `nearest_held`: mean cosine of a fake to its nearest row.
        `nearer_train`: share of fakes nearer to a training row, `.5` is ideal, with
        its binomial 95 % interval `nearer_train_low`, `nearer_train_high` (of
        independent fakes and given sets).
        `authenticity`: share of fakes farther from their nearest training row than
        that row is from its own nearest one; 0 for copies. To compare with
        `authenticity_held`, the same of unseen real rows.
        `membership_auc`: AUC of a membership inference attack from the fakes alone,
        by the nearest fake of a row; .5 is ideal.
        `above_train`, `above_held`: with a threshold, share of fakes with a training
        row, and with an unseen one, of that cosine or higher.

    Reference:
        How Faithful is your Synthetic Data? (Alaa et al., 2022), authenticity,
        https://arxiv.org/abs/2102.08921; GAN-Leaks (Chen et al., 2020), membership,
        https://arxiv.org/abs/1909.03935
    """
    fake, train, held_out = check_same_width(fake=fake, train=train, held_out=held_out)
    seen, unseen = subsample_equally(train, held_out, seed=seed)
    to_seen, _ = nearest_neighbours(fake, seen)
    to_unseen, _ = nearest_neighbours(fake, unseen)
    nearer = np.mean(to_seen > to_unseen) + np.mean(to_seen == to_unseen) / 2
    test = binomtest(round(nearer * len(fake)), len(fake))
    low, high = test.proportion_ci(0.95, method="wilson")
    own, _ = nearest_neighbours(train)
    members = np.repeat([True, False], [len(seen), len(unseen)])
    to_fake, _ = nearest_neighbours(np.concatenate([seen, unseen]), fake)
    found = {
        "nearest_train": float(to_seen.mean()),
        "nearest_held": float(to_unseen.mean()),
        "nearer_train": float(nearer),
        "nearer_train_low": float(low),
        "nearer_train_high": float(high),
        "authenticity": _authenticity(fake, train, own),
        "authenticity_held": _authenticity(held_out, train, own),
        "membership_auc": auc(members, to_fake),
    }
    if threshold is not None:
        found["above_train"] = float(np.mean(to_seen >= threshold))
        found["above_held"] = float(np.mean(to_unseen >= threshold))
    return found


def _authenticity(rows, train, own) -> float:
    cosine, index = nearest_neighbours(rows, train)
    return float(np.mean(cosine < own[index]))


def collisions(
    voices: ArrayLike,
    threshold: float,
    *,
    counts: Sequence[int] = (10, 100, 1000, 10_000),
) -> list[dict[str, float]]:
    """How often two of `n` generated voices are one speaker to a verifier.

    Args:
        voices: Generated, in the order of generation, `[rows, dim]`.
        threshold: Cosine from which a verifier accepts two voices as one.
        counts: Numbers of voices; those above `rows` are left out.

    Returns:
        For each `n`: `voices`; `pairs`, share of pairs that collide, and `doubles`,
        share of voices that collide with at least one other, both expected of `n`
        random ones of all rows; `nearest`, highest cosine among the first `n`.
    """
    rows = normalise_rows(check_rows(voices, "voices"))
    wanted = [n for n in counts if 2 <= n <= len(rows)]
    if not wanted:
        raise ValueError(
            "`counts` must hold a number from 2 to that of the voices. "
            f"Received: {counts} for {len(rows)} voices"
        )
    doubles, best = np.zeros(len(rows), int), np.full(len(rows), -np.inf)
    for block in row_blocks(len(rows), len(rows)):
        cosine = np.clip(rows[block] @ rows.T, -1, 1)
        here = np.arange(block.start, block.stop)
        cosine[here - block.start, here] = -np.inf
        doubles[block] = (cosine >= threshold).sum(axis=1)
        cosine[np.arange(len(rows)) >= here[:, None]] = -np.inf  # earlier voices only
        best[block] = cosine.max(axis=1)
    others = len(rows) - 1
    return [
        {
            "voices": n,
            "pairs": float(doubles.mean() / others),
            "doubles": float(hypergeom.sf(0, others, doubles, n - 1).mean()),
            "nearest": float(best[:n].max()),
        }
        for n in wanted
    ]


def fit_semi_informed(
    train_protected: ArrayLike, speakers: ArrayLike
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit the back-end of a semi-informed attacker, who has used the protection.

    Linear discriminant analysis of protected utterances with known speakers, its
    within-speaker covariance shrunk (Ledoit-Wolf) so that few suffice. The attacker of
    the VoicePrivacy Challenge retrains a whole encoder on protected speech; from
    embeddings only a back-end can be learned, so this attacker is weaker and its error
    rate an upper bound for that one's.

    Args:
        train_protected: Of speakers who are in no trial, `[utterances, dim]`.
        speakers: Who speaks in each, two or more in more utterances, `[utterances]`.

    Returns:
        A function from embeddings `[rows, dim]` to float64 `[rows, directions]`. If the
        utterances of no speaker differ, it only centres.

    Reference:
        The VoicePrivacy 2024 Challenge Evaluation Plan (Tomashenko et al., 2024),
        https://arxiv.org/abs/2404.02677
    """
    train = check_rows(train_protected, "train_protected")
    names, rows = np.unique(np.asarray(speakers), return_inverse=True)
    if rows.shape != (len(train),) or not 2 <= len(names) < len(rows):
        raise ValueError(
            "`speakers` must name two or more, one an utterance, with more utterances "
            f"than speakers. Received: {len(names)} of shape {rows.shape} for "
            f"{len(train)} utterances"
        )
    counts, middle = np.bincount(rows), train.mean(axis=0)
    means = np.zeros((len(names), train.shape[1]))
    np.add.at(means, rows, train)
    means /= counts[:, None]
    residuals = train - means[rows]
    if np.abs(residuals).max() < 1e-9:
        return lambda embeddings: np.asarray(embeddings, np.float64) - middle
    within = ledoit_wolf(residuals, assume_centered=True)[0]
    spread = (means - middle) * np.sqrt(counts / len(rows))[:, None]
    _, directions = eigh(spread.T @ spread, within)  # the most discriminative come last
    directions = directions[:, -(len(names) - 1) :]
    return lambda embeddings: (np.asarray(embeddings, np.float64) - middle) @ directions


def reidentification(
    original: ArrayLike,
    protected: ArrayLike,
    speakers: ArrayLike,
    enrolled: ArrayLike,
    *,
    attacker: str,
    backend: Callable[[np.ndarray], np.ndarray] | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict:
    """Equal error rate of a re-identification attack, before and after protection.

    The attacker averages the enrolled utterances of each speaker, of unit length, and
    compares every other utterance with every speaker by cosine. After protection,

        ignorant       enrols originals,           trials are protected
        lazy           enrols protected voices,    trials are protected
        semi-informed  as lazy, with a `backend` fitted to protected voices

    .5 is ideal: the attacker guesses. Protect enrolment and trials with different
    seeds: if a speaker is given the same voice in both, an attacker who also protects
    the enrolment links them trivially and the rate is 0 by construction.

    Args:
        original, protected: Embeddings of the same utterances in the same order,
            `[utterances, dim]` each.
        speakers: Who speaks in each, `[utterances]`.
        enrolled: True for the utterances known to the attacker, bool `[utterances]`.
        attacker: `ignorant`, `lazy` or `semi-informed`. There is no default: a rate
            without its attacker says nothing.
        backend: For `semi-informed` alone: of `fit_semi_informed`.
        resamples, seed: Of the bootstrap of the 95 % intervals. Default to `200`, `0`.

    Returns:
        `attacker`, `num_speakers`, `num_trials`, `eer_before`, `eer_after`, and
        `interval_before`, `interval_after`, `[low, high]` by speakers.
    """
    if attacker not in ATTACKERS or (attacker == "semi-informed") != bool(backend):
        raise ValueError(
            f"`attacker` must be one of {list(ATTACKERS)}, with a `backend` if it is "
            f"semi-informed and only then. Received: {attacker!r}, backend={backend}"
        )
    original, protected = check_same_width(original=original, protected=protected)
    speakers, enrolled = np.asarray(speakers, str), np.asarray(enrolled)
    shapes = {len(original), len(protected), *speakers.shape, *enrolled.shape}
    if len(shapes) > 1 or enrolled.dtype != bool or len(np.unique(enrolled)) < 2:
        raise ValueError(
            "`speakers` and bool `enrolled` must go with every utterance of both "
            "versions, and `enrolled` must have both values. "
            f"Received: {original.shape}, {protected.shape}, {speakers.shape}, "
            f"{enrolled.shape} {enrolled.dtype}"
        )
    backend = backend or (lambda rows: rows)
    known = original if attacker == "ignorant" else protected
    result = {"attacker": attacker}
    for when, sides in {
        "before": (original[enrolled], original[~enrolled]),
        "after": (backend(known[enrolled]), backend(protected[~enrolled])),
    }.items():
        trials = _attack(*sides, speakers[enrolled], speakers[~enrolled])
        bounds = bootstrap_by_speaker(*trials, resamples=resamples, seed=seed)
        result |= {f"eer_{when}": eer(*trials[:2]), f"interval_{when}": bounds["eer"]}
    counts = {"num_speakers": len(np.unique(trials[2])), "num_trials": len(trials[0])}
    return result | counts


def _attack(enrol, test, enrol_speakers, test_speakers):
    """Labels, scores and both speakers of every enrolled speaker and every trial."""
    names, rows = np.unique(enrol_speakers, return_inverse=True)
    models = np.eye(len(names))[rows].T @ normalise_rows(enrol)
    scores = normalise_rows(models) @ normalise_rows(test).T  # [speakers, utterances]
    left, right = np.repeat(names, len(test)), np.tile(test_speakers, len(names))
    return left == right, scores.ravel(), left, right
