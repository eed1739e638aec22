"""Measures of one model on held-out rows.

Class structure of its latents and leakage (a part that encodes another factor),
normality of the classes, density in bits per dimension, reconstruction error and
classification accuracy.
"""

import math

import numpy as np

from flows.batching import bits_per_dim, map_batches
from flows.evaluation.manipulation import encode_rows, factor_labels, split_parts
from timbre.metrics import clusters
from timbre.metrics.arrays import fit_scale

MAX_RECONSTRUCTED = 300  # rows


def evaluate_model(model, data, bar, *, pairs, seed):
    """All measures of one model; two steps of a progress bar.

    Returns:
        Dict of `bits`, `round_trip` (of `pairs` rows at most), `bayes`, `parts` and
        `gaussianity`.
    """
    rows = data.test
    latents = encode_rows(model, rows)
    structure = class_separability(latents, model.vocabulary, rows, seed=seed)
    bar.update()
    max_rows = min(MAX_RECONSTRUCTED, pairs)
    found = {
        "bits": density(model, data),
        "round_trip": reconstruction_error(model, rows, max_rows=max_rows, seed=seed),
        "bayes": classification_accuracy(model, rows),
        "parts": structure,
        "gaussianity": gaussianity(model, latents, rows),
    }
    bar.update()
    return found


def class_separability(latents, vocabulary, rows, *, seed=0):
    """What each part of the latents encodes of each factor.

    Args:
        latents: What `encode_rows` returns.
        vocabulary: Dict, each factor to the names of its classes.
        rows: `Rows` with labels. Their recordings are the groups of
            `timbre.metrics.clusters.class_separability`: a row is classified by rows
            of other recordings only.
        seed: See there. Defaults to `0`.

    Returns:
        Dict, part to factor to what `clusters.class_separability` returns. Factors
        without two classes of two rows are left out.
    """
    labels = _measurable(rows, vocabulary)
    return {
        part: {
            factor: clusters.class_separability(
                z, column, seed=seed, groups=rows.recording
            )
            for factor, column in labels.items()
        }
        for part, z in latents.items()
    }


def gaussianity(model, latents, rows):
    """Normality of the latents of each class, factor by factor.

    A factor with a part of its own is measured there, others in the whole latent;
    centres are the model's where it has some, and else class means of these latents,
    which are, as the rows, those of `class_separability`.

    Returns:
        Dict, factor to what `timbre.metrics.clusters.gaussianity` returns.
    """
    found = {}
    for factor, labels in _measurable(rows, model.vocabulary).items():
        centres = None
        if factor in model.factors:
            centres = np.asarray(model.centres(factor))
            centres = split_parts(model, centres).get(factor, centres)
        z = latents.get(factor, latents["code"])
        found[factor] = clusters.gaussianity(z, labels, centres)
    return found


def density(model, data):
    """Bits per dimension of rows, `-log2 p(x) / D`, on average.

    Densities of features in other units, of another kind or number do not compare.
    Without labels classes are marginalised: models with classes compare with those
    without, and seen speakers with `unseen` ones. Given labels the density is
    conditional, on the more factors the more a model has.

    Returns:
        Dict of `test` and `unseen`, of rows without labels, and `given`, a dict of the
        same two, of rows with labels; floats, `None` where there are no rows or the
        density is not finite. `bound` is there, and true, where these are upper bounds,
        as of a VAE. `None` for a model without densities.
    """
    if not hasattr(model, "log_prob"):
        return None
    splits = {"test": data.test, "unseen": data.unseen}
    found = {name: _bits(model, rows, False) for name, rows in splits.items()}
    found["given"] = {name: _bits(model, rows, True) for name, rows in splits.items()}
    return found | ({"bound": True} if _is_bounded(model) else {})


def reconstruction_error(model, rows, *, max_rows=MAX_RECONSTRUCTED, seed=0):
    """Distance of `decode(encode(x))` from `x`, in deviations of each number.

    Args:
        model: A `LatentModel`.
        rows: `Rows`, of which deviations are taken.
        max_rows: Most rows to reconstruct, at random by `seed`. Defaults to `300`.

    Returns:
        The largest error; of a model that is not invertible, as a VAE, the root mean
        square.
    """
    keep = np.sort(np.random.default_rng(seed).permutation(len(rows))[:max_rows])
    decoded = map_batches(lambda x: model.decode(model.encode(x)), rows.x[keep])
    flat = np.reshape(rows.x, (len(rows), -1)).astype(float)
    decoded = np.reshape(decoded, (len(keep), -1)).astype(float)
    error = (decoded - flat[keep]) / fit_scale(flat)[1]
    if _is_bounded(model):
        return float(np.sqrt((error**2).mean()))
    return float(np.abs(error).max())


def classification_accuracy(model, rows):
    """Accuracy of a model's own most probable class, by Bayes' rule, by factor."""
    found = {}
    for factor, posterior in map_batches(model.posterior, rows.x).items():
        labels = factor_labels(rows, model.vocabulary, factor)
        known = labels >= 0
        if known.any():
            right = posterior[known].argmax(axis=1) == labels[known]
            found[factor] = float(right.mean())
    return found


def _is_bounded(model):
    """Whether a model has a bound of its densities only, and no exact inverse."""
    return hasattr(model, "elbo")


def _measurable(rows, vocabulary):
    """Labels of the factors with two classes of two rows, a dict."""
    labels = {factor: factor_labels(rows, vocabulary, factor) for factor in vocabulary}
    return {
        factor: column
        for factor, column in labels.items()
        if (np.bincount(column[column >= 0]) > 1).sum() > 1
    }


def _bits(model, rows, given):
    """Mean bits per dimension, labels given or not; `None` if there are none."""
    if rows is None or not len(rows):
        return None
    labels = np.asarray(rows.labels, np.int32)
    labels = labels if given else np.full_like(labels, -1)
    found = bits_per_dim(model.log_prob, rows.x, labels)
    return found if math.isfinite(found) else None
