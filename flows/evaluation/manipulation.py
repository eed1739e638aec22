"""Tables: what is drawn from rows that models have changed.

Two tables say what a model is for: how well it changes a factor of a row and leaves
the others alone, and how well its codes tell speakers apart that it never met.

To make a row `x` of class `c1` one of class `c2` a model moves its code:

`x' = decode(encode(x) + centre[c2] - centre[c1])`

Judges from outside (`flows.evaluation.probes`) say how probable the new class has become, which
should rise to 1, and how probable the row's classes of the *other* factors have
stayed, which should not change. Pairs of a row and a wrong class are all there are, or
an unbiased draw of them, the same for every model.

Reference:
    Deep Generative Factorization for Speech Signal (Sun et al., 2021), section 4,
    https://arxiv.org/abs/2010.14242
"""

import numpy as np

from flows.batching import BLOCK, map_batches
from timbre.metrics.arrays import fit_scale
from timbre.metrics.rates import eer
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import all_pairs

FAR = 1e6  # deviations of the data from which on a row can not be judged
MOST_TRIALS = 2_000_000


def codes(model, rows):
    """Codes of rows, whole and in parts.

    Args:
        model: A `LatentModel`.
        rows: `Rows`, one or more.

    Returns:
        Dict: `code`, the whole, `[n, D]`, and if the model divides it, each part by
        its name, `[n, d]`.
    """
    z = map_batches(model.encode, rows.x)
    return {"code": z} | divided(model, z)


def divided(model, z):
    """Dict of the parts of codes, NumPy; empty for a model of one part."""
    parts = {name: np.asarray(part) for name, part in model.parts(z).items()}
    return parts if len(parts) > 1 else {}


def column(rows, vocabulary, factor):
    """Labels of one factor, int `[n]`."""
    if factor not in vocabulary:
        raise ValueError(
            f"A factor must be one of {list(vocabulary)}. Received: {factor!r}"
        )
    return np.asarray(rows.labels)[:, list(vocabulary).index(factor)]


def sample_pairs(labels, num_classes, most, seed=0):
    """Pairs of a row and a class that is not its own, each as likely as any other.

    Args:
        labels: Class of each row, -1 if unknown: it is in no pair, `[rows]`.
        num_classes: Of the factor.
        most: Draw so many, without replacement; if there are not more, all are taken.
        seed: Which. Defaults to `0`.

    Returns:
        Index of the row, its class and the other class, int `[pairs]` each, in the
        order of the rows.
    """
    known, others = np.flatnonzero(labels >= 0), num_classes - 1
    total = len(known) * others
    if most < 1 or not total:
        raise ValueError(
            "There must be a pair of a row and a wrong class, and `most` at least 1. "
            f"Received: {len(known)} labelled rows, {num_classes} classes, most={most}"
        )
    drawn = np.arange(total)
    if total > most:
        drawn = np.random.default_rng(seed).choice(total, most, replace=False)
        drawn = np.sort(drawn)
    index = known[drawn // others]
    source, target = labels[index], drawn % others
    target = target + (target >= source)
    return index, source.astype("int32"), target.astype("int32")


def manipulation(models, rows, probes, factor, *, pairs=20_000, seed=0):
    """Changes a factor of rows to wrong classes, and asks the judges.

    Args:
        models: Dict, kind to a trained `LatentModel`; all get the same pairs.
        rows: `Rows` with labels, whose features are changed.
        probes: Dict, factor to its `flows.evaluation.probes.Probe`.
        factor: What is changed.
        pairs: Most pairs of a row and a wrong class. Defaults to `20000`.
        seed: Which, where there are more. Defaults to `0`.

    Returns:
        Dict, kind to `pairs`, their number; `target`: mean posterior of the new class
        `before` and `after`, and the `change`; `others`: for every other factor the
        same of the class that the row has, over rows where it is known. `lost` is
        there if rows became no features (not finite, or a million deviations away):
        how many; their posteriors count as 0.
    """
    vocabulary = next(iter(models.values())).vocabulary
    labels = column(rows, vocabulary, factor)
    drawing = len(vocabulary[factor]), pairs, seed
    index, source, target = sample_pairs(labels, *drawing)
    asked = {f: column(rows, vocabulary, f)[index] for f in vocabulary}
    asked = {f: wanted for f, wanted in asked.items() if (wanted >= 0).any()}
    asked[factor] = target  # of which class each judge is to say how probable it is
    before = {f: probes[f].posterior(rows.x)[index, asked[f]] for f in asked}
    x, found = rows.x[index], {}
    for kind, model in models.items():

        def moved(x, to, source, model=model):
            return model.manipulate(x, factor, to, source=source)

        changed = map_batches(moved, x, target, source)
        fine = _readable(changed, probes[factor])
        found[kind] = {"pairs": len(x), "target": {}, "others": {}}
        for name, wanted in asked.items():
            after = np.zeros_like(before[name])
            after[fine] = _said(probes[name], changed[fine], wanted[fine])
            row = _compared(before[name], after, wanted >= 0)
            if name == factor:
                found[kind]["target"] = row
            else:
                found[kind]["others"][name] = row
        if not fine.all():
            found[kind]["lost"] = int((~fine).sum())
    return found


def _readable(x, probe):
    """Which rows are features that a network can look at, bool `[rows]`."""
    with np.errstate(invalid="ignore", over="ignore"):
        standard = (x.reshape(len(x), -1) - probe.mean) / probe.deviation
    return (np.abs(standard) < FAR).all(axis=1)  # not where it is NaN


def _said(probe, x, wanted):
    """Posterior of the class asked for of each row, `[rows]`; no more is kept."""
    found = [np.zeros(0, np.float32)]
    for start in range(0, len(x), BLOCK):
        some = slice(start, start + BLOCK)
        own = wanted[some, None]
        found.append(np.take_along_axis(probe.posterior(x[some]), own, axis=1)[:, 0])
    return np.concatenate(found)


def _compared(before, after, known):
    """Mean posteriors of the classes asked for, where they are known."""
    means = [float(said[known].mean(dtype=float)) for said in (before, after)]
    return {"before": means[0], "after": means[1], "change": means[1] - means[0]}


def verification(models, parts, *, seed=0):
    """Equal error rates of cosines between embeddings of unseen speakers.

    Args:
        models: Dict, kind to a trained `LatentModel` of embeddings.
        parts: `Parts` of embeddings; speakers are told apart by their names, and rows
            without one are left out.
        seed: Which pairs, should there be more than two million. Defaults to `0`.

    Returns:
        Dict of rates: `before`, of embeddings as they are; `centred`, less the mean of
        those learned from; `lda`, after a linear discriminant analysis of those; under
        the kind of each model, of its codes in units of the codes of those; and as
        `<kind>/speaker` of a part with that name. And a sentence on what can not be
        said, or `""`. Rates are missing if there are no pairs of one speaker or of two.
    """
    unseen, train = (_spoken(rows) for rows in (parts.unseen, parts.train))
    counts = np.unique(unseen.speaker, return_counts=True)[1] if unseen else ()
    if len(counts) < 2 or max(counts) < 2:
        return {}, "No error rates: they take two unseen speakers, one with two rows."
    flat, learned = (np.reshape(rows.x, (len(rows), -1)) for rows in (unseen, train))
    sets = {"before": flat, "centred": flat - learned.mean(axis=0, dtype=float)}
    if 1 < len({*train.speaker}) < len(train.x):
        sets["lda"] = _discriminant(learned, train.speaker, flat)
    for kind, model in models.items():
        own, of_train = codes(model, unseen), codes(model, train)
        for part in ("code", *({"speaker"} & {*own})):
            mean, deviation = fit_scale(of_train[part])
            name = kind if part == "code" else f"{kind}/{part}"
            sets[name] = (own[part] - mean) / deviation
    trials = all_pairs(unseen.speaker, max_trials=MOST_TRIALS, seed=seed)
    rates = {
        name: eer(trials.label, cosine_scores(z, trials)) for name, z in sets.items()
    }
    return rates, f"Error rates are of {trials.note}." if trials.note else ""


def _spoken(rows):
    """Rows whose speaker has a name."""
    return rows and rows.subset(np.asarray(rows.speaker) != "")


def _discriminant(train, speakers, rows):
    """Rows in the directions that tell the speakers of `train` apart."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis().fit(train, speakers).transform(rows)
