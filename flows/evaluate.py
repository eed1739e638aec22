"""Evaluation of latent-variable models side by side on held-out rows.

Beside the measures of each model (`flows.evaluation.measures`): factor manipulation,
by probe classifiers, and verification of unseen speakers
(`flows.evaluation.manipulation`).
"""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from flows.evaluation import probes as probe_classifiers
from flows.evaluation.manipulation import (
    evaluate_manipulation,
    evaluate_verification,
    factor_labels,
)
from flows.evaluation.measures import evaluate_model
from timbre.metrics.folds import classes_in_groups
from timbre.progress import ProgressBar


def evaluate(
    models, data, *, pairs=20_000, hidden=(256, 256), seed=0, probes=None, shown=True
):
    """Measures models side by side.

    Args:
        models: Dict, kind (`vae`, `nf`, `dnf-<factor>`, `fdnf`) to a trained
            `flows.models.latent_model.LatentModel`.
        data: The `flows.data.Parts` of their training.
        pairs: Most pairs of a test row and a wrong class, for each factor, and most
            rows that are decoded for anything else. Defaults to `20000`.
        hidden: Widths of the probes. Defaults to `(256, 256)`.
        seed: Of the probes and of all samples. Defaults to `0`.
        probes: Dict, factor to a trained `flows.evaluation.probes.Probe`. By default
            trained on `data.train`, with early stopping by `data.valid`.
        shown: Whether progress is. Defaults to `True`.

    Returns:
        Dict, ready for JSON:

        - `factors`: factor to its number of classes; `sizes`: rows of `train`,
          `valid`, `test` and `unseen`, and `dim`, the numbers of a row.
        - `probes`: factor to `accuracy` on test rows and `chance`, the share of the
          most frequent class.
        - `manipulation`: factor to kind to what `evaluate_manipulation` returns; a
          model of one factor is under its own only. A factor without a labelled test
          row is missing, here and in `probes`.
        - `models`: kind to what `flows.evaluation.measures.evaluate_model` returns.
        - `verification`: the rates of `evaluate_verification`, of embeddings only.
        - `notes`: sentences on what else a reader must know.
    """
    if not models:
        raise ValueError("There must be a model to evaluate. Received: none")
    if probes is None:
        probes = probe_classifiers.fit(
            data.train,
            data.vocabulary,
            valid=data.valid,
            hidden=hidden,
            seed=seed,
            shown=shown,
        )
    labelled = _labelled(data.test, data.vocabulary)
    results = {
        "factors": {name: len(classes) for name, classes in data.vocabulary.items()},
        "sizes": _sizes(data),
        "probes": _accuracies(probes, data.test, labelled),
        "manipulation": {factor: {} for factor in data.vocabulary},
        "models": {},
        "verification": {},
        "notes": [],
    }
    with threadpool_limits(1):  # threads would wait for each other
        for kind, model in models.items():
            factors = [f for f in _changed(kind, data.vocabulary) if f in labelled]
            title, one = f"evaluating {kind}", {kind: model}
            with ProgressBar(title, 2 + len(factors), enabled=shown) as bar:
                measured = evaluate_model(model, data, bar, pairs=pairs, seed=seed)
                results["models"][kind] = measured
                for factor in factors:
                    results["manipulation"][factor] |= evaluate_manipulation(
                        one, data.test, probes, factor, pairs=pairs, seed=seed
                    )
                    bar.update()
        if data.about.get("source") == "embeddings":
            rates, note = evaluate_verification(models, data, seed=seed)
            results["verification"] = rates
            results["notes"] += [note] * bool(note)
    results["notes"] += _notes(results)
    results["notes"] += _notes_on_rows(data.test, labelled, data.vocabulary)
    return results


def _changed(kind, vocabulary):
    """Factors that a model of this kind is evaluated to change."""
    own = [factor for factor in vocabulary if kind == f"dnf-{factor}"]
    return own if kind.startswith("dnf-") else list(vocabulary)


def _sizes(data):
    sets = {name: getattr(data, name) for name in ("train", "valid", "test", "unseen")}
    sizes = {name: 0 if rows is None else len(rows) for name, rows in sets.items()}
    return sizes | {"dim": math.prod(data.train.x.shape[1:])}


def _labelled(rows, vocabulary):
    """Labels of the factors of which rows have any, a dict."""
    labels = {factor: factor_labels(rows, vocabulary, factor) for factor in vocabulary}
    return {factor: own for factor, own in labels.items() if (own >= 0).any()}


def _accuracies(probes, rows, labelled):
    """Accuracy of the probes, and of always naming the most frequent class."""
    return {
        factor: {
            "accuracy": probes[factor].accuracy(rows.x, labels),
            "chance": float(np.bincount(labels[labels >= 0]).max() / sum(labels >= 0)),
        }
        for factor, labels in labelled.items()
    }


def _notes(results):
    """Sentences on numbers that would be misread without."""
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
                    f"{kind}: {row['lost']} of {row['pairs']} rows are out of range "
                    f"after changing {factor}; their posteriors count as 0."
                )
    return notes


def _notes_on_rows(rows, labelled, vocabulary):
    """Sentences on what could not be measured on these rows."""
    notes = []
    for factor in vocabulary:
        if factor not in labelled:
            notes.append(f"{factor}: no test row has a label, so it is not measured.")
            continue
        several = classes_in_groups(labelled[factor], np.arange(len(rows)))
        across = classes_in_groups(labelled[factor], rows.recording)
        if len(across) < 2 <= len(several):
            notes.append(
                f"{factor}: not two classes are in two test recordings each, so its "
                "class structure is also that of recordings."
            )
        elif len(across) < len(several):
            notes.append(
                f"{factor}: {len(several) - len(across)} of {len(several)} classes are "
                "in one test recording only and left out of its class structure."
            )
    return notes
