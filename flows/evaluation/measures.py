"""What is measured of one model on rows that it has not learned from.

What its codes tell (structure), what else they tell (leakage: a part of the code and a
factor it is not for), how normal they are, how probable features are, and whether a
code gives its row back.
"""

import math

import numpy as np

from flows.batching import bits, map_batches
from flows.evaluation.manipulation import codes, column, divided
from timbre.metrics import clusters
from timbre.metrics.arrays import fit_scale

ROUNDS = 300  # rows whose code is turned back


def evaluate_model(model, parts, bar, *, pairs, seed):
    """All of these on one model; two steps of a bar.

    Args:
        model: A `LatentModel`.
        parts: `Parts`.
        bar: A `progress.ProgressBar`.
        pairs: Most rows to decode.
        seed: Of what is drawn.

    Returns:
        Dict of `bits`, `round_trip`, `bayes`, `parts` and `gaussianity`.
    """
    rows = parts.test
    own = codes(model, rows)
    told = _structures(own, model.vocabulary, rows, seed)
    bar.update()
    found = {
        "bits": density(model, parts),
        "round_trip": round_trip(model, rows, most=min(ROUNDS, pairs), seed=seed),
        "bayes": bayes(model, rows),
        "parts": told,
        "gaussianity": _gaussianity(model, own, rows),
    }
    bar.update()
    return found


def structures(model, rows, *, seed=0):
    """What each part of the codes tells of each factor.

    Args:
        model: A `LatentModel`.
        rows: `Rows` with labels. Where they share recordings, only rows of other
            recordings judge a row, as `timbre.metrics.clusters.class_separability` says of groups.
        seed: See there. Defaults to `0`.

    Returns:
        Dict, part (`code`, and those that the model divides it into) to factor to what
        `timbre.metrics.clusters.class_separability` says. Factors of which rows have not two classes
        are left out.
    """
    return _structures(codes(model, rows), model.vocabulary, rows, seed)


def gaussianity(model, rows):
    """How normal the codes of a class are, factor by factor.

    A factor with a part of its own is looked at there, others in the whole code;
    centres are the model's where it has some, and else averages of these codes.

    Args:
        model: A `LatentModel`.
        rows: `Rows` with labels.

    Returns:
        Dict, factor to what `timbre.metrics.clusters.gaussianity` says.
    """
    return _gaussianity(model, codes(model, rows), rows)


def density(model, parts):
    """Bits that a row takes, for each of its numbers: `-log2 p(x) / D`, on average.

    Of features as they come, in their own unit: features of another unit, of another
    kind or in another number do not compare. Without labels a model takes the sum over
    all classes: so models with classes compare with those without, and voices it knows
    with `unseen` ones. Given labels it knows more, the more classes it has.

    Args:
        model: A `LatentModel`.
        parts: `Parts`, of which `test` and `unseen` are taken.

    Returns:
        Dict of `test` and `unseen`, of rows without any label, and `given`, a dict of
        the same two, of rows with the labels that are known and that the model has
        classes of; floats, `None` where there are no rows or the density is not
        finite. `bound` is there, and true, where these are an upper bound only, as of
        a VAE. `None` for a model without densities.
    """
    if not hasattr(model, "log_prob"):
        return None
    sets = {"test": parts.test, "unseen": parts.unseen}
    found = {name: _bits(model, rows, False) for name, rows in sets.items()}
    found["given"] = {name: _bits(model, rows, True) for name, rows in sets.items()}
    return found | ({"bound": True} if _is_bounded(model) else {})


def round_trip(model, rows, *, most=ROUNDS, seed=0):
    """How far `decode(encode(x))` is from `x`, in deviations of each number.

    Args:
        model: A `LatentModel`.
        rows: `Rows`, of which deviations are taken.
        most: Most rows to turn back, drawn by lot. Defaults to `300`.
        seed: Of the lot. Defaults to `0`.

    Returns:
        The largest error for a model that can be undone; for one that can not, as a
        VAE, the root of the mean square.
    """
    keep = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    back = map_batches(lambda x: model.decode(model.encode(x)), rows.x[keep])
    flat, back = (np.reshape(x, (len(x), -1)).astype(float) for x in (rows.x, back))
    error = (back - flat[keep]) / fit_scale(flat)[1]
    if _is_bounded(model):
        return float(np.sqrt((error**2).mean()))
    return float(np.abs(error).max())


def bayes(model, rows):
    """How often a model's own most probable class is the right one.

    Args:
        model: A `LatentModel`.
        rows: `Rows` with labels.

    Returns:
        Dict, each factor that the model knows to a share of the rows with a label.
    """
    found = {}
    for factor, posterior in map_batches(model.posterior, rows.x).items():
        labels = column(rows, model.vocabulary, factor)
        known = labels >= 0
        if known.any():
            right = posterior[known].argmax(axis=1) == labels[known]
            found[factor] = float(right.mean())
    return found


def _structures(own, vocabulary, rows, seed):
    told = {f: column(rows, vocabulary, f) for f in _told(rows, vocabulary)}
    return {
        part: {
            factor: clusters.class_separability(
                z, labels, seed=seed, groups=rows.recording
            )
            for factor, labels in told.items()
        }
        for part, z in own.items()
    }


def _gaussianity(model, own, rows):
    found = {}
    for factor in _told(rows, model.vocabulary):
        centres = None
        if factor in model.factors:
            centres = np.asarray(model.centres(factor))
            centres = divided(model, centres).get(factor, centres)
        labels, z = column(rows, model.vocabulary, factor), own.get(factor, own["code"])
        found[factor] = clusters.gaussianity(z, labels, centres)
    return found


def _is_bounded(model):
    """Whether a model knows but a bound of its densities, and has no inverse."""
    return hasattr(model, "elbo")


def _told(rows, vocabulary):
    """Factors of which there are two classes with two rows."""
    for factor in vocabulary:
        labels = column(rows, vocabulary, factor)
        if (np.bincount(labels[labels >= 0]) > 1).sum() > 1:
            yield factor


def _bits(model, rows, given):
    """Mean bits per dimension, labels given or not; `None` if there are none."""
    if rows is None or not len(rows):
        return None
    labels = np.asarray(rows.labels, np.int32)
    labels = labels if given else np.full_like(labels, -1)
    found = bits(model.log_prob, rows.x, labels)
    return found if math.isfinite(found) else None
