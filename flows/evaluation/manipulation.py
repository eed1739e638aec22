"""Evaluation of factor manipulation and of speaker verification in latent space.

For every pair of a row and a wrong class the latent is shifted by the difference of
class means:

`x' = decode(encode(x) + centre[target] - centre[source])`

Probe classifiers trained on real data (`flows.evaluation.probes`) report the posterior
of the target class, which should rise to 1, and of the row's classes of the *other*
factors, which should not change, before and after. Pairs are all there are, or a
uniform random sample of them, the same for every model.

Verification compares embeddings of unseen speakers by cosines, raw and as latents.

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

MAX_DEVIATIONS = 1e6  # of the data, beyond which rows are not classified
MAX_TRIALS = 2_000_000


def encode_rows(model, rows):
    """Dict of the latents of rows, `code` `[n, D]`, and of their parts `[n, d]`."""
    z = map_batches(model.encode, rows.x)
    return {"code": z} | split_parts(model, z)


def split_parts(model, z):
    """Dict of the parts of latents, NumPy; empty for a model without parts."""
    parts = {name: np.asarray(part) for name, part in model.split_latents(z).items()}
    return parts if len(parts) > 1 else {}


def factor_labels(rows, vocabulary, factor):
    """Class indices of one factor, int `[n]`."""
    if factor not in vocabulary:
        raise ValueError(
            f"A factor must be one of {list(vocabulary)}. Received: {factor!r}"
        )
    return np.asarray(rows.labels)[:, list(vocabulary).index(factor)]


def sample_pairs(labels, num_classes, max_pairs, seed=0):
    """Pairs of a row and a class that is not its own, sampled uniformly.

    Args:
        labels: Class of each row, -1 if unknown: it is in no pair, `[rows]`.
        num_classes: Of the factor.
        max_pairs: Sample so many, without replacement; of fewer all are taken.
        seed: Defaults to `0`.

    Returns:
        Row, its class and the target class, int `[pairs]` each, in the order of rows.
    """
    known, others = np.flatnonzero(labels >= 0), num_classes - 1
    total = len(known) * others
    if max_pairs < 1 or not total:
        raise ValueError(
            "There must be a pair of a row and a wrong class, and at least one pair to "
            f"sample. Received: {len(known)} labelled rows, {num_classes} classes, "
            f"max_pairs={max_pairs}"
        )
    pairs = np.arange(total)
    if total > max_pairs:
        rng = np.random.default_rng(seed)
        pairs = np.sort(rng.choice(total, max_pairs, replace=False))
    index = known[pairs // others]
    source, target = labels[index], pairs % others
    target = target + (target >= source)
    return index, source.astype("int32"), target.astype("int32")


def evaluate_manipulation(models, rows, probes, factor, *, pairs=20_000, seed=0):
    """Changes a factor of rows to wrong classes, and probes the result.

    Args:
        models: Dict, kind to a trained `LatentModel`; all get the same pairs.
        rows: `Rows` with labels, whose features are changed.
        probes: Dict, factor to its `flows.evaluation.probes.Probe`.
        factor: What is changed.
        pairs: Most pairs of a row and a wrong class. Defaults to `20000`.
        seed: Of their sample. Defaults to `0`.

    Returns:
        Dict, kind to `pairs`, their number; `target`: mean posterior of the target
        class `before` and `after`, and the `change`; `others`: for every other factor
        the same of the row's own class, over rows where it is known; and `lost`: how
        many rows, if any, are out of range (not finite, or a million deviations away),
        whose posteriors count as 0.
    """
    vocabulary = next(iter(models.values())).vocabulary
    index, source, target = sample_pairs(
        factor_labels(rows, vocabulary, factor), len(vocabulary[factor]), pairs, seed
    )
    classes = {f: factor_labels(rows, vocabulary, f)[index] for f in vocabulary}
    classes = {f: own for f, own in classes.items() if (own >= 0).any()}
    classes[factor] = target  # of which each probe reports the posterior
    before = {f: probes[f].posterior(rows.x)[index, classes[f]] for f in classes}
    x, found = rows.x[index], {}
    for kind, model in models.items():

        def manipulate(x, to, source, model=model):
            return model.manipulate(x, factor, to, source=source)

        changed = map_batches(manipulate, x, target, source)
        valid = _in_range(changed, probes[factor])
        rates = {}
        for name, own in classes.items():
            after = np.zeros_like(before[name])
            after[valid] = _posterior_of(probes[name], changed[valid], own[valid])
            rates[name] = _mean_change(before[name], after, own >= 0)
        found[kind] = {"pairs": len(x), "target": rates.pop(factor), "others": rates}
        if not valid.all():
            found[kind]["lost"] = int((~valid).sum())
    return found


def evaluate_verification(models, data, *, seed=0):
    """Equal error rates of cosines between embeddings of unseen speakers.

    Args:
        models: Dict, kind to a trained `LatentModel` of embeddings.
        data: The splits of embeddings; rows without the name of a speaker are left out.
        seed: Of a sample of two million trials of more. Defaults to `0`.

    Returns:
        Dict of rates: `before`, of embeddings as they are; `centred`, less the mean of
        training rows; `lda`, after a linear discriminant analysis of those; `<kind>`,
        of latents standardised by those of training rows, and `<kind>/speaker`, of a
        part of that name. It is empty without trials of one speaker and of two. And a
        note on what could not be measured, or `""`.
    """
    unseen, train = _with_speaker(data.unseen), _with_speaker(data.train)
    counts = np.unique(unseen.speaker, return_counts=True)[1] if unseen else ()
    if len(counts) < 2 or max(counts) < 2:
        return {}, "No error rates: they take two unseen speakers, one with two rows."
    flat = np.reshape(unseen.x, (len(unseen), -1))
    train_flat = np.reshape(train.x, (len(train), -1))
    sets = {"before": flat, "centred": flat - train_flat.mean(axis=0, dtype=float)}
    if 1 < len({*train.speaker}) < len(train.x):
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        lda = LinearDiscriminantAnalysis().fit(train_flat, train.speaker)
        sets["lda"] = lda.transform(flat)
    for kind, model in models.items():
        latents, of_train = encode_rows(model, unseen), encode_rows(model, train)
        for part in ("code", *({"speaker"} & {*latents})):
            mean, deviation = fit_scale(of_train[part])
            name = kind if part == "code" else f"{kind}/{part}"
            sets[name] = (latents[part] - mean) / deviation
    trials = all_pairs(unseen.speaker, max_trials=MAX_TRIALS, seed=seed)
    rates = {
        name: eer(trials.label, cosine_scores(z, trials)) for name, z in sets.items()
    }
    return rates, f"Error rates are of {trials.note}." if trials.note else ""


def _in_range(x, probe):
    """Which rows are features that a network can classify, bool `[rows]`."""
    with np.errstate(invalid="ignore", over="ignore"):
        standard = (x.reshape(len(x), -1) - probe.mean) / probe.deviation
    return (np.abs(standard) < MAX_DEVIATIONS).all(axis=1)  # not where it is NaN


def _posterior_of(probe, x, classes):
    """Posterior of one class of each row, `[rows]`, without keeping all of them."""
    found = [np.zeros(0, np.float32)]
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        posterior = probe.posterior(x[rows])
        found.append(np.take_along_axis(posterior, classes[rows, None], axis=1)[:, 0])
    return np.concatenate(found)


def _mean_change(before, after, known):
    """Mean posteriors of known classes, and their difference."""
    before = float(before[known].mean(dtype=float))
    after = float(after[known].mean(dtype=float))
    return {"before": before, "after": after, "change": after - before}


def _with_speaker(rows):
    """Rows whose speaker has a name."""
    return rows and rows.subset(np.asarray(rows.speaker) != "")
