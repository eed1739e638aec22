"""Imitation: does a model invent speakers, or does it do the voices of those it knows?

A voice that imitates keeps to one training speaker: it is much nearer to that one than
to any other. How much that can happen to a voice nobody has learned from, real unseen
ones tell. Besides, an invented voice is as often nearer to a training row than to an
unseen one as not; what the luck of who was held out makes of that, shuffling tells.
"""

import numpy as np
from scipy.stats import betabinom

from timbre.metrics import privacy
from timbre.metrics.arrays import (
    normalise_rows,
    row_blocks,
    subsample,
    subsample_equally,
)
from timbre.metrics.neighbours import nearest_cosines, nearest_neighbours

RARE = 0.05  # share of unseen real voices that keep to one training speaker so closely
MOST = 0.5  # share of imitations that makes an imitator
PART = 0.2  # less of them is a trace
ROWS = 1000  # real unseen rows that are looked at


def measure(fake, train, held, seed=0) -> dict:
    """Whom voices resemble: those learned from, or nobody in particular.

    Args:
        fake: Generated voices `[n, dim]`.
        train: `EmbeddingSet` of two speakers or more that were learned from.
        held: The same of other speakers.
        seed: Of thinning and shuffling. Defaults to `0`.

    Returns:
        All of `timbre.metrics.privacy.memorisation`, and

        - `chance_low`, `chance_high`: see `chance_interval`;
        - `low_ratio`: share of the voices that keep to one training speaker as few
          unseen real ones do, of which `low_ratio_expected` are expected, and by chance
          at most `low_ratio_high` (in 97.5 % of all cases);
        - `memorised`: share of the voices that this says are imitations;
        - `to_train`, `to_train_real`, `to_train_own`: the `nearest` training rows of
          generated, of unseen and of other training rows.
    """
    seen, unseen = _as_many(train, held, seed)
    found = privacy.memorisation(fake, seen.embeddings, unseen.embeddings, seed=seed)
    low, high = chance_interval(fake, seen, unseen, seed)
    some = subsample(held.embeddings, ROWS, seed=[seed, 0])
    return {
        **found,
        "chance_low": low,
        "chance_high": high,
        **measure_ratios(fake, train, held, seed),
        "to_train": nearest_cosines(fake, train.embeddings),
        "to_train_real": nearest_cosines(some, train.embeddings),
        "to_train_own": nearest_cosines(train.embeddings),
    }


def summarise(found) -> str:
    """Whether a model imitates training speakers or invents new ones, in plain words.

    Args:
        found: What `measure` returns.
    """
    share, beyond = found["nearer_train"], found["nearer_train"] > found["chance_high"]
    imitated = found["memorised"]
    if imitated >= MOST:
        verdict = "imitates training speakers"
    elif imitated >= PART:
        verdict = "imitates training speakers in part"
    elif imitated or beyond:
        verdict = "invents new speakers, with a trace of imitation"
    else:
        verdict = "invents new speakers"
    drawn, real, own = (
        found[key] for key in ("to_train", "to_train_real", "to_train_own")
    )
    return (
        f"The model {verdict}: {found['low_ratio']:.1%} of its voices keep to one "
        f"training speaker as closely as {found['low_ratio_expected']:.1%} of unseen real "
        f"ones do (by chance up to {found['low_ratio_high']:.1%}); {share:.1%} are "
        f"nearer to a training row than to an unseen one (50 %, by chance up to "
        f"{found['chance_high']:.1%}). Mean cosine to the nearest training row: "
        f"{drawn['mean']:.3f}, of unseen real rows {real['mean']:.3f}, of training "
        f"rows themselves {own['mean']:.3f}. Authenticity {found['authenticity']:.1%}, "
        f"of unseen real rows {found['authenticity_held']:.1%}."
        f"{_unlike(drawn, real)}"
    )


def measure_ratios(fake, train, held, seed=0) -> dict:
    """How many voices keep to one training speaker, for all that is known by chance.

    A voice is attached whose ratio (see `distance_ratios`) is below the `j`-th smallest of `m`
    unseen speakers, one row of each, where `j / (m + 1)` is about `RARE`: that is the
    share expected of voices that were drawn as the unseen ones were, and their number
    is beta-binomial.

    Args:
        fake: Voices `[n, dim]`.
        train, held: `EmbeddingSet`s of two speakers or more.
        seed: Of the choice of unseen rows. Defaults to `0`.

    Returns:
        `low_ratio`, `low_ratio_expected`, `low_ratio_high` and `memorised`, see `measure`.

    Reference:
        Diffusion Probabilistic Models Generalize when They Fail to Memorize (Yoon et
        al., 2023), who compare the two nearest rows in this way,
        https://openreview.net/forum?id=shciCbSk9h
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(held))
    _, first = np.unique(held.speaker[order], return_index=True)
    real = distance_ratios(held.embeddings[order[first]][:ROWS], train)
    num, rank = len(real), max(1, round(RARE * (len(real) + 1)))
    share = float(np.mean(distance_ratios(fake, train) < np.sort(real)[rank - 1]))
    expected = rank / (num + 1)
    most = betabinom(len(fake), rank, num + 1 - rank).ppf(0.975) / len(fake)
    imitated = (share - expected) / (1 - expected) if share > most else 0.0
    return {
        "low_ratio": share,
        "low_ratio_expected": expected,
        "low_ratio_high": float(most),
        "memorised": imitated,
    }


def distance_ratios(rows, train) -> np.ndarray:
    """How near each row is to one training speaker for being that far from the next.

    `ratio = (1 - cosine to the nearest) / (1 - cosine to the next)`, 0 for copies

    Args:
        rows: `[n, dim]`.
        train: `EmbeddingSet` of two speakers or more; a speaker is as near as the
            nearest row.

    Returns:
        float64 `[n]`, each in [0, 1].
    """
    order = np.argsort(train.speaker, kind="stable")
    _, starts = np.unique(train.speaker[order], return_index=True)
    rows, known = normalise_rows(rows), normalise_rows(train.embeddings[order])
    found = np.empty(len(rows))
    for block in row_blocks(len(rows), len(known)):
        away = 1 - np.maximum.reduceat(rows[block] @ known.T, starts, axis=1)
        away.partition(1, axis=1)
        away = np.maximum(away[:, :2], 1e-12)
        found[block] = away[:, 0] / away[:, 1]
    return found


def chance_interval(fake, train, held, seed=0, draws=1000) -> tuple[float, float]:
    """What share of voices would be nearer to `train` if its speakers were no other.

    All speakers are shuffled between the two sides, rows of one together; voices stay
    where they are. What is left is the luck of who was held out.

    Args:
        fake: Voices `[n, dim]`.
        train, held: `EmbeddingSet`s; thinned to as many rows, as in `memorisation`.
        seed: Of the shuffling. Defaults to `0`.
        draws: Number of shufflings. Defaults to `1000`.

    Returns:
        The quantiles .025 and .975 of the share.
    """
    points = subsample_equally(train.embeddings, held.embeddings, seed=seed)
    speaker = np.concatenate(subsample_equally(train.speaker, held.speaker, seed=seed))
    names, owner = np.unique(speaker, return_inverse=True)
    _, row = nearest_neighbours(fake, np.concatenate(points))
    wins = np.bincount(owner[row], minlength=len(names)) / len(fake)
    members = len(np.unique(owner[: len(points[0])]))
    rng = np.random.default_rng(seed)
    shares = [rng.permutation(wins)[:members].sum() for _ in range(draws)]
    return tuple(float(bound) for bound in np.quantile(shares, [0.025, 0.975]))


def _as_many(train, held, seed):
    """Both, thinned to as many speakers if those have several rows each."""
    parts = (train, held)
    names = [np.unique(part.speaker) for part in parts]
    if all(len(n) == len(p) for n, p in zip(names, parts, strict=True)):
        return parts  # rows will be thinned, and authenticity wants them all
    chosen = subsample_equally(*names, seed=seed)
    return [
        part.subset(np.isin(part.speaker, some))
        for part, some in zip(parts, chosen, strict=True)
    ]


def _unlike(drawn, real):
    """What keeps new voices from being voices, if anything."""
    if drawn["median"] >= real["p05"]:
        return ""
    return (
        " But they are hardly voices: most are farther from every training row than "
        "95 % of unseen real rows are."
    )
