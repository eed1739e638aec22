"""Memorisation: whether a model generates new speakers or its training speakers.

A memorised embedding is much nearer to one training speaker than to any other, which
real ones of unseen speakers are by chance only. Besides, a new embedding is as often
nearer to a training row than to an unseen one as not; the effect of which speakers are
held out is measured by permutation.
"""

import numpy as np
from scipy.stats import betabinom

from timbre.metrics import arrays, privacy
from timbre.metrics.neighbours import nearest_cosines, nearest_neighbours

QUANTILE = 0.05  # of the distance ratios of unseen real embeddings, the threshold
MIN_MEMORISED = 0.5  # share from which a model memorises
MIN_PARTLY_MEMORISED = 0.2  # share below which there is a trace of memorisation
MAX_ROWS = 1000  # real unseen rows
PERMUTATIONS = 1000  # of speakers, for the chance interval


def measure(fake, train, held_out, seed=0) -> dict:
    """Measures of memorisation of generated embeddings.

    Args:
        fake: Generated embeddings `[n, dim]`.
        train: `EmbeddingSet` of two training speakers or more.
        held_out: The same of other speakers.
        seed: Of subsampling and permutation. Defaults to `0`.

    Returns:
        All of `timbre.metrics.privacy.memorisation`, and

        - `chance_low`, `chance_high`: see `chance_interval`;
        - `low_ratio`, `low_ratio_expected`, `low_ratio_high`, `memorised`: see
          `measure_ratios`;
        - `to_train`, `to_train_real`, `to_train_own`: `nearest_cosines` to training
          rows, of generated, of unseen and of other training rows.
    """
    seen, unseen = _balance_speakers(train, held_out, seed)
    found = privacy.memorisation(fake, seen.embeddings, unseen.embeddings, seed=seed)
    low, high = chance_interval(fake, seen, unseen, seed)
    real = arrays.subsample(held_out.embeddings, MAX_ROWS, seed=[seed, 0])
    return {
        **found,
        "chance_low": low,
        "chance_high": high,
        **measure_ratios(fake, train, held_out, seed),
        "to_train": nearest_cosines(fake, train.embeddings),
        "to_train_real": nearest_cosines(real, train.embeddings),
        "to_train_own": nearest_cosines(train.embeddings),
    }


def summarise(found) -> str:
    """Whether a model memorises speakers or generates new ones: `measure` in words."""
    share, beyond = found["nearer_train"], found["nearer_train"] > found["chance_high"]
    if found["memorised"] >= MIN_MEMORISED:
        verdict = "memorises training speakers"
    elif found["memorised"] >= MIN_PARTLY_MEMORISED:
        verdict = "memorises training speakers in part"
    elif found["memorised"] or beyond:
        verdict = "generates new speakers, with a trace of memorisation"
    else:
        verdict = "generates new speakers"
    generated, real, own = (
        found[key] for key in ("to_train", "to_train_real", "to_train_own")
    )
    text = (
        f"The model {verdict}: {found['low_ratio']:.1%} of its embeddings are as close "
        f"to a single training speaker as {found['low_ratio_expected']:.1%} of unseen "
        f"real ones are (by chance up to {found['low_ratio_high']:.1%}); {share:.1%} "
        "are nearer to a training row than to an unseen one (50 %, by chance up to "
        f"{found['chance_high']:.1%}). Mean cosine to the nearest training row: "
        f"{generated['mean']:.3f}, of unseen real rows {real['mean']:.3f}, of training "
        f"rows themselves {own['mean']:.3f}. Authenticity {found['authenticity']:.1%}, "
        f"of unseen real rows {found['authenticity_held']:.1%}."
    )
    if generated["median"] < real["p05"]:
        text += (
            " But they are hardly speakers: most are farther from every training row "
            "than 95 % of unseen real rows are."
        )
    return text


def measure_ratios(fake, train, held_out, seed=0) -> dict:
    """The share of embeddings that are memorised by their distance ratios.

    A ratio (see `distance_ratios`) is low below the `j`-th smallest of `m` unseen
    speakers, one row of each, where `j / (m + 1)` is about `QUANTILE`: the share
    expected without memorisation; the number of low ones is beta-binomial.

    Args:
        fake: Embeddings `[n, dim]`.
        train, held_out: `EmbeddingSet`s of two speakers or more.
        seed: Of the choice of unseen rows. Defaults to `0`.

    Returns:
        `low_ratio`, the share of low ratios; `low_ratio_expected`, the expected one;
        `low_ratio_high`, its quantile .975; `memorised`, the share in excess, 0 below
        that quantile.

    Reference:
        Diffusion Probabilistic Models Generalize when They Fail to Memorize (Yoon et
        al., 2023), by the two nearest rows, https://openreview.net/forum?id=shciCbSk9h
    """
    order = np.random.default_rng(seed).permutation(len(held_out))
    _, first = np.unique(held_out.speaker[order], return_index=True)
    real = distance_ratios(held_out.embeddings[order[first]][:MAX_ROWS], train)
    num, rank = len(real), max(1, round(QUANTILE * (len(real) + 1)))
    share = float(np.mean(distance_ratios(fake, train) < np.sort(real)[rank - 1]))
    expected = rank / (num + 1)
    high = betabinom(len(fake), rank, num + 1 - rank).ppf(0.975) / len(fake)
    return {
        "low_ratio": share,
        "low_ratio_expected": expected,
        "low_ratio_high": float(high),
        "memorised": (share - expected) / (1 - expected) if share > high else 0.0,
    }


def distance_ratios(rows, train) -> np.ndarray:
    """The distance of each row to the nearest training speaker, over that to the next.

    `ratio = (1 - cosine to the nearest) / (1 - cosine to the next)`, 0 for copies,
    float64 `[n]` in [0, 1]

    Args:
        rows: `[n, dim]`.
        train: `EmbeddingSet` of two speakers or more; the nearest row of each counts.
    """
    order = np.argsort(train.speaker, kind="stable")
    _, starts = np.unique(train.speaker[order], return_index=True)
    rows, known = (
        arrays.normalise_rows(rows),
        arrays.normalise_rows(train.embeddings[order]),
    )
    ratios = np.empty(len(rows))
    for block in arrays.row_blocks(len(rows), len(known)):
        distance = 1 - np.maximum.reduceat(rows[block] @ known.T, starts, axis=1)
        distance.partition(1, axis=1)
        distance = np.maximum(distance[:, :2], 1e-12)
        ratios[block] = distance[:, 0] / distance[:, 1]
    return ratios


def chance_interval(fake, train, held_out, seed=0) -> tuple[float, float]:
    """Quantiles .025 and .975 of the share nearer to `train`, were it not special.

    By a permutation test: speakers change sides, all rows of one together.

    Args:
        fake: Embeddings `[n, dim]`.
        train, held_out: `EmbeddingSet`s, subsampled to equal numbers of rows.
        seed: Of the permutations. Defaults to `0`.
    """
    rows = arrays.subsample_equally(train.embeddings, held_out.embeddings, seed=seed)
    speaker = np.concatenate(
        arrays.subsample_equally(train.speaker, held_out.speaker, seed=seed)
    )
    names, owner = np.unique(speaker, return_inverse=True)
    _, row = nearest_neighbours(fake, np.concatenate(rows))
    wins = np.bincount(owner[row], minlength=len(names)) / len(fake)
    num_train = len(np.unique(owner[: len(rows[0])]))
    rng = np.random.default_rng(seed)
    shares = [rng.permutation(wins)[:num_train].sum() for _ in range(PERMUTATIONS)]
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def _balance_speakers(train, held_out, seed):
    """Both with equal numbers of speakers, if these have several rows each."""
    parts = (train, held_out)
    names = [np.unique(part.speaker) for part in parts]
    if all(len(n) == len(p) for n, p in zip(names, parts, strict=True)):
        return parts  # rows are subsampled later, and authenticity needs them all
    chosen = arrays.subsample_equally(*names, seed=seed)
    return [
        part.subset(np.isin(part.speaker, some))
        for part, some in zip(parts, chosen, strict=True)
    ]
