"""What models of speech are worth, measured side by side on rows that none has seen.

Beside what is measured of each (`flows.evaluation.measures`): what comes of changing a factor, by
judges from outside, and how well unseen speakers are told apart.
"""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from flows.evaluation import probes as judges
from flows.evaluation.manipulation import column, manipulation, verification
from flows.evaluation.measures import evaluate_model
from timbre.metrics.folds import classes_in_groups
from timbre.progress import ProgressBar


def evaluate(
    models, parts, *, pairs=20_000, hidden=(256, 256), seed=0, probes=None, shown=True
):
    """Measures models side by side.

    Args:
        models: Dict, kind (`vae`, `nf`, `dnf-<factor>`, `fdnf`) to a trained `LatentModel`.
        parts: The `flows.data.Parts` they learned from.
        pairs: Most pairs of a test row and a wrong class, for each factor, and most
            rows that are decoded for anything else. Defaults to `20000`.
        hidden: Widths of the probes. Defaults to `(256, 256)`.
        seed: Of the probes and of all that is drawn. Defaults to `0`.
        probes: Dict, factor to a trained `flows.evaluation.probes.Probe`. By default they are
            trained on the true labels of `parts.train`, until `parts.valid` says stop.
        shown: Whether progress is. Defaults to `True`.

    Returns:
        Dict, ready for JSON:

        - `factors`: factor to its number of classes; `sizes`: rows of `train`,
          `valid`, `test` and `unseen`, and `dim`, the numbers of a row.
        - `probes`: factor to `accuracy` on test rows and `chance`, the share of the
          most frequent class.
        - `manipulation`: factor to kind to what `manipulation` says; a model of one
          factor stands under its own only. Of a factor without a labelled test row
          there is nothing, here and in `probes`, and a note says so.
        - `models`: kind to `bits`, `round_trip`, `bayes`, `parts` (of `structures`)
          and `gaussianity`: what the functions of these names say.
        - `verification`: the rates of `flows.evaluation.manipulation.verification`; empty if the rows
          are no embeddings.
        - `notes`: sentences on what else a reader must know.
    """
    if not models:
        raise ValueError("There must be a model to evaluate. Received: none")
    if probes is None:
        told = {"hidden": hidden, "seed": seed, "shown": shown}
        probes = judges.fit(parts.train, parts.vocabulary, valid=parts.valid, **told)
    labelled = _labelled(parts.test, parts.vocabulary)
    results = {
        "factors": {name: len(classes) for name, classes in parts.vocabulary.items()},
        "sizes": _sizes(parts),
        "probes": _accuracies(probes, parts.test, labelled),
        "manipulation": {factor: {} for factor in parts.vocabulary},
        "models": {},
        "verification": {},
        "notes": [],
    }
    with threadpool_limits(1):  # threads would wait for each other
        for kind, model in models.items():
            factors = [f for f in _changed(kind, parts.vocabulary) if f in labelled]
            with ProgressBar(f"judging {kind}", 2 + len(factors), enabled=shown) as bar:
                drawing = {"pairs": pairs, "seed": seed}
                results["models"][kind] = evaluate_model(model, parts, bar, **drawing)
                for factor in factors:
                    given = {kind: model}, parts.test, probes, factor
                    results["manipulation"][factor] |= manipulation(*given, **drawing)
                    bar.update()
        if parts.about.get("source") == "embeddings":
            rates, note = verification(models, parts, seed=seed)
            results["verification"] = rates
            results["notes"] += [note] * bool(note)
    results["notes"] += _notes(results) + _notes_on_rows(
        parts.test, labelled, parts.vocabulary
    )
    return results


def _changed(kind, vocabulary):
    """Factors that a model of this kind is shown to change."""
    own = [factor for factor in vocabulary if kind == f"dnf-{factor}"]
    return own if kind.startswith("dnf-") else list(vocabulary)


def _sizes(parts):
    sets = {name: getattr(parts, name) for name in ("train", "valid", "test", "unseen")}
    sizes = {name: 0 if rows is None else len(rows) for name, rows in sets.items()}
    return sizes | {"dim": math.prod(parts.train.x.shape[1:])}


def _labelled(rows, vocabulary):
    """Labels of the factors of which rows have any, a dict."""
    labels = {factor: column(rows, vocabulary, factor) for factor in vocabulary}
    return {factor: own for factor, own in labels.items() if (own >= 0).any()}


def _accuracies(probes, rows, labelled):
    """How good the judges are, beside who always names the most frequent class."""
    return {
        factor: {
            "accuracy": probes[factor].accuracy(rows.x, labels),
            "chance": float(np.bincount(labels[labels >= 0]).max() / sum(labels >= 0)),
        }
        for factor, labels in labelled.items()
    }


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
            if bits and None in (bits[name], bits["given"][name]) and sizes[name]:
                notes.append(f"{kind}: the density of {name} rows is not finite.")
    for factor, rows in results["manipulation"].items():
        for kind, row in rows.items():
            if "lost" in row:
                notes.append(
                    f"{kind}: {row['lost']} of {row['pairs']} rows became no features "
                    f"as {factor} was changed; their posteriors count as 0."
                )
    return notes


def _notes_on_rows(rows, labelled, vocabulary):
    """Sentences on what these rows can not tell."""
    notes = []
    for factor in vocabulary:
        if factor not in labelled:
            notes.append(
                f"{factor}: no test row has a label, so nothing is said of it."
            )
            continue
        several = classes_in_groups(labelled[factor], np.arange(len(rows)))
        apart = classes_in_groups(labelled[factor], rows.recording)
        if len(apart) < 2 <= len(several):
            notes.append(
                f"{factor}: not two classes are in two test recordings each, so its "
                "class structure is also that of recordings."
            )
        elif len(apart) < len(several):
            notes.append(
                f"{factor}: {len(several) - len(apart)} of {len(several)} classes are "
                "in one test recording only and left out of its class structure."
            )
    return notes
