"""What models of speech are worth, measured on rows that none of them learned from.

What their codes tell (structure), what else they tell (leakage: a part of the code and
a factor it is not for), how normal they are, how probable features are, whether a code
gives its row back, and what comes of changing a factor.
"""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from flows import probes as judges
from flows.tables import codes, column, divided, manipulation, mapped, verification
from metrics import clusters
from metrics.samples import scale_of
from progress import Bar

__all__ = [
    "bayes",
    "codes",
    "density",
    "evaluate",
    "gaussianity",
    "manipulation",
    "round_trip",
    "structures",
    "verification",
]


def evaluate(
    models, parts, *, pairs=20_000, hidden=(256, 256), seed=0, probes=None, shown=True
):
    """Measures models side by side.

    Args:
        models: Dict, kind (`vae`, `nf`, `dnf-<factor>`, `fdnf`) to a trained `Coder`.
        parts: The `flows.data.Parts` they learned from.
        pairs: Most pairs of a test row and a wrong class, for each factor. Defaults to
            `20000`.
        hidden: Widths of the probes. Defaults to `(256, 256)`.
        seed: Of the probes and of all that is drawn. Defaults to `0`.
        probes: Dict, factor to a trained `flows.probes.Probe`. By default they are
            trained on `parts.train`.
        shown: Whether progress is. Defaults to `True`.

    Returns:
        Dict, ready for JSON:

        - `factors`: factor to its number of classes; `sizes`: rows of `train`,
          `valid`, `test` and `unseen`, and `dim`, the numbers of a row.
        - `probes`: factor to `accuracy` on test rows and `chance`.
        - `manipulation`: factor to kind to what `manipulation` says; a model of one
          factor stands under its own only.
        - `models`: kind to `bits`, `round_trip`, `bayes`, `parts` (of `structures`)
          and `gaussianity`: what the functions of these names say.
        - `verification`: the rates of `flows.tables.verification`; empty if the rows
          are no embeddings.
        - `notes`: sentences on what else a reader must know.
    """
    if not models:
        raise ValueError("There must be a model to evaluate. Received: none")
    if probes is None:
        told = {"hidden": hidden, "seed": seed, "shown": shown}
        probes = judges.fit(parts.train, parts.vocabulary, **told)
    results = {
        "factors": {name: len(classes) for name, classes in parts.vocabulary.items()},
        "sizes": _sizes(parts),
        "probes": _accuracies(probes, parts),
        "manipulation": {factor: {} for factor in parts.vocabulary},
        "models": {},
        "verification": {},
        "notes": [],
    }
    with threadpool_limits(1):  # threads would wait for each other
        for kind, model in models.items():
            factors = _changed(kind, parts.vocabulary)
            with Bar(f"judging {kind}", 2 + len(factors), shown=shown) as bar:
                results["models"][kind] = _judged(model, parts, seed, bar)
                for factor in factors:
                    drawing = {"pairs": pairs, "seed": seed}
                    given = {kind: model}, parts.test, probes, factor
                    results["manipulation"][factor] |= manipulation(*given, **drawing)
                    bar.update()
        if parts.about.get("source") == "embeddings":
            rates, note = verification(models, parts, seed=seed)
            results["verification"] = rates
            results["notes"] += [note] * bool(note)
    results["notes"] += _notes(results)
    return results


def structures(model, rows, *, seed=0):
    """What each part of the codes tells of each factor.

    Args:
        model: A `Coder`.
        rows: `Rows` with labels.
        seed: See `metrics.clusters.structure`. Defaults to `0`.

    Returns:
        Dict, part (`code`, and those that the model divides it into) to factor to what
        `metrics.clusters.structure` says. Factors of which rows have not two classes
        are left out.
    """
    return _structures(codes(model, rows), model.vocabulary, rows, seed)


def gaussianity(model, rows):
    """How normal the codes of a class are, factor by factor.

    A factor with a part of its own is looked at there, others in the whole code;
    centres are the model's where it has some, and else averages of these codes.

    Args:
        model: A `Coder`.
        rows: `Rows` with labels.

    Returns:
        Dict, factor to what `metrics.clusters.gaussianity` says.
    """
    return _gaussianity(model, codes(model, rows), rows)


def density(model, parts):
    """Bits that a row takes, for each of its numbers: `-log2 p(x) / D`, on average.

    Of features as they come, in their own unit: features of another unit, of another
    kind or in another number do not compare. Labels are given where they are known;
    over those that are not, as who speaks in `unseen`, the model takes the sum.

    Args:
        model: A `Coder`.
        parts: `Parts`, of which `test` and `unseen` are taken.

    Returns:
        Dict of `test` and `unseen`, floats, `None` where there are no rows or the
        density is not finite. `bound` is there, and true, where these are an upper
        bound only, as of a VAE. `None` for a model without densities.
    """
    if not hasattr(model, "log_prob"):
        return None
    found = {}
    for name in ("test", "unseen"):
        rows, found[name] = getattr(parts, name), None
        if rows is not None and len(rows):
            labels = np.asarray(rows.labels, np.int32)
            nats = mapped(model.log_prob, rows.x, labels).mean(dtype=float)
            bits = -float(nats) / math.log(2) / math.prod(rows.x.shape[1:])
            found[name] = bits if math.isfinite(bits) else None
    return found | ({"bound": True} if _is_bounded(model) else {})


def round_trip(model, rows):
    """How far `decode(encode(x))` is from `x`, in deviations of each number.

    Args:
        model: A `Coder`.
        rows: `Rows`.

    Returns:
        The largest error for a model that can be undone; for one that can not, as a
        VAE, the root of the mean square.
    """
    back = mapped(lambda x: model.decode(model.encode(x)), rows.x)
    flat, back = (np.reshape(x, (len(x), -1)).astype(float) for x in (rows.x, back))
    error = (back - flat) / scale_of(flat)[1]
    if _is_bounded(model):
        return float(np.sqrt((error**2).mean()))
    return float(np.abs(error).max())


def bayes(model, rows):
    """How often a model's own most probable class is the right one.

    Args:
        model: A `Coder`.
        rows: `Rows` with labels.

    Returns:
        Dict, each factor that the model knows to a share of the rows with a label.
    """
    found = {}
    for factor, posterior in mapped(model.posterior, rows.x).items():
        labels = column(rows, model.vocabulary, factor)
        known = labels >= 0
        if known.any():
            right = posterior[known].argmax(axis=1) == labels[known]
            found[factor] = float(right.mean())
    return found


def _judged(model, parts, seed, bar):
    """All on one model but what changing factors does; two steps of the bar."""
    rows = parts.test
    own = codes(model, rows)
    told = _structures(own, model.vocabulary, rows, seed)
    bar.update()
    found = {
        "bits": density(model, parts),
        "round_trip": round_trip(model, rows),
        "bayes": bayes(model, rows),
        "parts": told,
        "gaussianity": _gaussianity(model, own, rows),
    }
    bar.update()
    return found


def _structures(own, vocabulary, rows, seed):
    return {
        part: {
            factor: clusters.structure(z, column(rows, vocabulary, factor), seed=seed)
            for factor in _told(rows, vocabulary)
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


def _changed(kind, vocabulary):
    """Factors that a model of this kind is shown to change."""
    own = [factor for factor in vocabulary if kind == f"dnf-{factor}"]
    return own if kind.startswith("dnf-") else list(vocabulary)


def _told(rows, vocabulary):
    """Factors of which there are two classes with two rows."""
    for factor in vocabulary:
        labels = column(rows, vocabulary, factor)
        if (np.bincount(labels[labels >= 0]) > 1).sum() > 1:
            yield factor


def _sizes(parts):
    sets = {name: getattr(parts, name) for name in ("train", "valid", "test", "unseen")}
    sizes = {name: 0 if rows is None else len(rows) for name, rows in sets.items()}
    return sizes | {"dim": math.prod(parts.train.x.shape[1:])}


def _accuracies(probes, parts):
    """How good the judges are, beside who always names the most frequent class."""
    found = {}
    for factor in parts.vocabulary:
        labels = column(parts.test, parts.vocabulary, factor)
        found[factor] = {
            "accuracy": probes[factor].accuracy(parts.test.x, labels),
            "chance": float(np.bincount(labels[labels >= 0]).max() / sum(labels >= 0)),
        }
    return found


def _notes(results):
    """Sentences on figures that would be misread without."""
    notes, sizes = [], results["sizes"]
    for kind, found in results["models"].items():
        bits = found["bits"]
        if bits and bits.get("bound"):
            notes.append(
                f"{kind}: bits are an upper bound; the round trip, which is not exact, "
                "is a root mean square error."
            )
        for name in ("test", "unseen"):
            if bits and bits[name] is None and sizes[name]:
                notes.append(f"{kind}: the density of {name} rows is not finite.")
    for factor, rows in results["manipulation"].items():
        for kind, row in rows.items():
            if "lost" in row:
                notes.append(
                    f"{kind}: {row['lost']} of {row['pairs']} rows became no features "
                    f"as {factor} was changed; their posteriors count as 0."
                )
    return notes
