"""Evaluation of generated embeddings against held-out real ones.

    row = compare(held_out, fakes, train)
    floor = compare(held_out, unseen, train)

No figure says anything alone. Compare with the floor, *real* unseen embeddings, and
with simple baselines: `gaussian` has the right mean and covariance, `mixture` ten of
each, `white` only the scale. A model that does not beat the Gaussian has learned no
more than a covariance.

Distances and tests use rows standardised by the training rows; cosines, and figures
that begin with `unit_`, the rows as they are, scaled to unit length.

The baselines are fitted to training rows `[rows, dim]` and give `[count, dim]`.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from timbre.metrics.arrays import (
    check_rows,
    check_same_width,
    fit_scale,
    normalise_rows,
    subsample_equally,
)
from timbre.metrics.frechet import (
    covariance_error,
    default_shrinkage,
    effective_rank,
    frechet_distance,
)
from timbre.metrics.neighbours import cosine_distribution, nearest_cosines, prdc
from timbre.metrics.tables import format_table
from timbre.metrics.two_sample_tests import (
    c2st,
    compare_norms,
    ks_per_column,
    mmd,
    sliced_wasserstein,
)

COLUMNS = {
    "FD": ("frechet", "{:.2f}"),
    "MMD2": ("mmd2", "{:.4f}"),
    "p": ("mmd_p", "{:.3f}"),
    "prec.": ("precision", "{:.2f}"),
    "recall": ("recall", "{:.2f}"),
    "dens.": ("density", "{:.2f}"),
    "cov.": ("coverage", "{:.2f}"),
    "C2ST": ("c2st", "{:.3f}"),
    "SW": ("sliced_wasserstein", "{:.3f}"),
    "rank": ("effective_rank", "{:.1f}"),
    "to train": ("nearest_train", "{:.3f}"),
    "to real": ("nearest_fake_real", "{:.3f}"),
    "to fake": ("nearest_fake_fake", "{:.3f}"),
}


def sample_gaussian(train: ArrayLike, count: int, seed: int = 0) -> np.ndarray:
    """Samples of one Gaussian with the mean and full covariance of the training rows.

    They are float64 `[count, dim]`; of fewer rows than dimensions, in their span.
    """
    train = check_rows(train, "train")
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(train, rowvar=False)))
    noise = np.random.default_rng(seed).normal(size=(count, train.shape[1]))
    return train.mean(axis=0) + noise * np.sqrt(np.maximum(values, 0)) @ vectors.T


def sample_mixture(
    train: ArrayLike, count: int, seed: int = 0, *, components: int = 10
) -> np.ndarray:
    """Samples of a mixture of Gaussians, fitted to the standardised training rows.

    Covariances are full where each of the `components`, `10` by default, has at least
    as many rows as dimensions, on average, otherwise diagonal.

    Reference:
        Speaker Generation (Stanton et al., 2021), https://arxiv.org/abs/2111.05095
    """
    train = check_rows(train, "train", min_rows=max(2, components))
    mean, deviation = fit_scale(train)
    full = len(train) >= components * train.shape[1]
    model = GaussianMixture(
        components,
        covariance_type="full" if full else "diag",
        init_params="k-means++",
        reg_covar=1e-4,  # of a variance of 1
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough to compare
        model.fit((train - mean) / deviation)
    rows = model.sample(count)[0]  # ordered by component
    return mean + deviation * np.random.default_rng(seed).permutation(rows)


def sample_white_noise(train: ArrayLike, count: int, seed: int = 0) -> np.ndarray:
    """White noise with the mean and the scale of the training columns."""
    mean, deviation = fit_scale(train)
    noise = np.random.default_rng(seed).normal(size=(count, len(mean)))
    return mean + deviation * noise


BASELINES = {
    "gaussian": sample_gaussian,
    "mixture": sample_mixture,
    "white": sample_white_noise,
}


def compare(
    real: ArrayLike,
    fake: ArrayLike,
    train: ArrayLike,
    *,
    seed: int = 0,
    k: int = 5,
    permutations: int = 200,
    projections: int = 200,
    folds: int = 5,
) -> dict[str, float]:
    """All figures of one set of generated embeddings: a row of a report.

    Every argument is in the embedding's own space, neither standardised nor
    normalised. Real and fake rows are subsampled to equal numbers, on which every
    distance and every neighbourhood depends; compare rows of equal `rows` only.

    Args:
        real: Held-out real embeddings, `[rows, dim]`, none of them in `train`.
        fake: Generated embeddings, `[other rows, dim]`.
        train: Training data of the generator, `[train rows, dim]`: it gives the scale,
            and `nearest_train` is measured to all of it.
        seed: Of all sampling. Defaults to `0`.
        k, permutations, projections, folds: Of `prdc`, `mmd`, `sliced_wasserstein` and
            `c2st`, whose defaults they have.

    Returns:
        Plain numbers: `rows`, `dim`, `shrunk` (1 if covariances had to be, which is
        so under 5 rows a dimension), and by the functions of these names `frechet`,
        `mmd2`, `mmd_p`, `mmd2_cubic`, `precision`, `recall`, `density`, `coverage`,
        `c2st`, `c2st_low`, `c2st_high`, `c2st_knn`, `sliced_wasserstein`, `ks_mean`,
        `ks_most`, `covariance_error`, `effective_rank`, `effective_rank_real`,
        `unit_frechet`, `unit_density`, `unit_coverage`, `norm`, `norm_real`
        (medians), `norm_ks`, `cosine`, `cosine_real` (means of all pairs),
        `nearest_train`, `nearest_train_real`, `nearest_real_real`,
        `nearest_fake_real`, `nearest_fake_fake` (means).
    """
    real, fake, train = check_same_width(
        min_rows=max(10, k + 1), real=real, fake=fake, train=train
    )
    real, fake = subsample_equally(real, fake, seed=seed)
    mean, deviation = fit_scale(train)
    scaled = (real - mean) / deviation, (fake - mean) / deviation
    kernel = mmd(*scaled, permutations=permutations, seed=seed)
    classifier = c2st(*scaled, seed=seed, folds=folds)
    sliced = sliced_wasserstein(*scaled, projections=projections, seed=seed)
    columns = ks_per_column(*scaled)
    shrinkage = default_shrinkage(*scaled)
    return {
        "rows": len(real),
        "dim": real.shape[1],
        "shrunk": int(shrinkage != 0),
        "frechet": frechet_distance(*scaled, shrinkage=shrinkage),
        "mmd2": kernel["mmd2"],
        "mmd_p": kernel["p"],
        "mmd2_cubic": mmd(*scaled, kernel="cubic", seed=seed, permutations=0)["mmd2"],
        **prdc(*scaled, k=k),
        "c2st": classifier["accuracy"],
        "c2st_low": classifier["low"],
        "c2st_high": classifier["high"],
        "c2st_knn": c2st(*scaled, seed=seed, folds=folds, classifier="knn")["accuracy"],
        "sliced_wasserstein": sliced,
        "ks_mean": float(columns.mean()),
        "ks_most": float(columns.max()),
        "covariance_error": covariance_error(*scaled),
        "effective_rank": effective_rank(scaled[1]),
        "effective_rank_real": effective_rank(scaled[0]),
        **_directions(real, fake, train, k),
    }


def _directions(real, fake, train, k) -> dict[str, float]:
    """Figures of the rows as they are and of their directions."""
    sphere = normalise_rows(real), normalise_rows(fake)
    balls = prdc(*sphere, k=k)
    lengths = compare_norms(real, fake)
    middle = len(lengths["levels"]) // 2
    return {
        "unit_frechet": frechet_distance(*sphere, shrinkage=default_shrinkage(*sphere)),
        "unit_density": balls["density"],
        "unit_coverage": balls["coverage"],
        "norm": lengths["fake"][middle],
        "norm_real": lengths["real"][middle],
        "norm_ks": lengths["ks"],
        "cosine": cosine_distribution(fake)["mean"],
        "cosine_real": cosine_distribution(real)["mean"],
        "nearest_train": nearest_cosines(fake, train)["mean"],
        "nearest_train_real": nearest_cosines(real, train)["mean"],
        "nearest_real_real": nearest_cosines(real)["mean"],
        "nearest_fake_real": nearest_cosines(fake, real)["mean"],
        "nearest_fake_fake": nearest_cosines(fake)["mean"],
    }


def table(rows: dict[str, dict]) -> str:
    """Rows of `compare` as text, one line each, by the name of what was measured."""
    lines = [["", *COLUMNS]]
    for name, row in rows.items():
        lines.append([name, *(f.format(row[key]) for key, f in COLUMNS.values())])
    return format_table(lines)
