"""Evaluation of a speaker generator: fidelity, diversity, memorisation, collisions.

The floor is the result of real embeddings: one half of the held-out speakers, compared
with the other as generated embeddings are. Baselines (a Gaussian, a mixture, white
noise) stand beside.
"""

import contextlib
import dataclasses
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from diffusion.speakers import memorisation
from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics import generation, privacy
from timbre.metrics.arrays import normalise_rows, subsample
from timbre.metrics.rates import eer, eer_threshold
from timbre.metrics.trials import all_pairs

NUM_GENERATED = 10_000  # enough to count collisions
MAX_ROWS = 1000  # of a side, and generated ones whose neighbours are searched
MIN_ROWS = 10  # of a side that `timbre.metrics.generation.compare` needs
BATCH = 1000  # embeddings generated at a time
MAX_SCORED_ROWS = 2000  # all pairs of them, or 10 of each where speakers have several
FALSE_ACCEPT_RATE = 1e-3  # of the threshold where speakers have one row each
BASELINES = {"Gaussian": "gaussian", "GMM(10)": "mixture", "white noise": "white"}


def evaluate(
    generator, train, held_out, *, count=None, seed=0, labels=None, **overrides
):
    """Evaluates generated embeddings, with the floor and the baselines beside them.

    Args:
        generator: A `diffusion.speakers.generator.SpeakerGenerator`.
        train: Its training data: an `EmbeddingSet`, or an array `[n, dim]` whose rows
            are one speaker each.
        held_out: The same of other speakers.
        count: How many embeddings to generate, at least 10. Defaults to 10,000.
        seed: Of all that is random. Defaults to `0`.
        labels: Dict of a label's name to its value to generate; of sets with the label
            only rows of that value count. Defaults to none.
        **overrides: For `SpeakerGenerator.generate`.

    Returns:
        Dict, ready for JSON:

        - `rows`: `timbre.metrics.generation.compare` of `generated`, `unseen real`,
          `training voices`, `Gaussian`, `GMM(10)` and `white noise`, all of one size
          and against the same real embeddings. Without `unseen real` if fewer than 20
          rows are held out, and empty if fewer than 10 are.
        - `privacy`: of `memorisation.measure`; empty if a part has but one speaker.
        - `collisions`: those of `generated` and of `real` embeddings, and `threshold`.
        - `sizes`, `schedule`, and `notes`, which say what could not be measured.
    """
    count = NUM_GENERATED if count is None else count
    if count < MIN_ROWS:
        raise ValueError(f"`count` must be at least {MIN_ROWS}. Received: {count}")
    train = _select(train, "train", labels or {})
    held_out = _select(held_out, "held_out", labels or {})
    with ignore_schedule_warning(), threadpool_limits(1):  # faster: threads would wait
        fake = generate_batches(generator, count, seed, labels=labels, **overrides)
        rows, notes = _compare(generator.model.scaler, fake, train, held_out, seed)
        found = {"rows": rows, "privacy": {}}
        if min(len({*part.speaker}) for part in (train, held_out)) > 1:
            found["privacy"] = memorisation.measure(
                fake[:MAX_ROWS], train, held_out, seed
            )
        else:
            notes.append("Memorisation is not measured: that takes two speakers.")
        found["collisions"] = _collisions(fake, train, held_out, seed)
    sizes = {
        name: {"rows": len(part), "speakers": len({*part.speaker})}
        for name, part in (("train", train), ("held", held_out))
    }
    return {
        **found,
        "sizes": {**sizes, "generated": count},
        "schedule": describe_schedule_end(generator.model),
        "notes": notes,
    }


def generate_batches(generator, count, seed=0, **overrides):
    """As `SpeakerGenerator.generate`, `[count, dim]` in batches of `BATCH`."""
    return np.concatenate(
        [
            generator.generate(min(BATCH, count - start), seed + start, **overrides)
            for start in range(0, count, BATCH)
        ]
    )


@contextlib.contextmanager
def ignore_schedule_warning():
    """Silences what `describe_schedule_end` gives, for schedules made many times."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "at its last time the schedule", UserWarning)
        yield


def describe_schedule_end(model) -> dict:
    """The end of a schedule: `steps`, `alpha_bar` there, and its `warning` or `""`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schedule = model.schedule
    return {
        "steps": int(schedule.steps),
        "alpha_bar": float(schedule.alpha_bar[-1]),
        "warning": " ".join(str(one.message) for one in caught),
    }


def split_in_halves(part, seed=0):
    """An `EmbeddingSet` in two of about as many rows that share no speaker.

    The second may be empty.
    """
    names, counts = np.unique(part.speaker, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    first = np.isin(part.speaker, names[order][before < len(part) / 2])
    return part.subset(first), part.subset(~first)


def normalise_blocks(rows, blocks=()):
    """Rows `[n, dim]`, each part of `blocks` dimensions normalised to length 1."""
    ends = np.cumsum(blocks, dtype=int)[:-1]
    return np.concatenate(
        [normalise_rows(part) for part in np.split(rows, ends, axis=1)], axis=1
    )


def verification_threshold(embeddings, speaker, seed=0) -> dict:
    """The cosine from which a verifier takes two embeddings for one speaker.

    Args:
        embeddings: Real rows `[n, dim]`, two or more.
        speaker: Who they are, `[n]`.
        seed: Of the subsample of pairs. Defaults to `0`.

    Returns:
        `value`, and its `rule`: the equal error rate if most speakers have several
        rows, else a false acceptance rate of one in a thousand.
    """
    rows = normalise_rows(embeddings)
    if np.median(np.unique(speaker, return_counts=True)[1]) > 1:
        trials = all_pairs(speaker, seed=seed, max_trials=10 * MAX_SCORED_ROWS)
        scores = np.sum(rows[trials.enrol] * rows[trials.test], axis=1)
        rate = eer(trials.label, scores)
        return {
            "value": eer_threshold(trials.label, scores),
            "rule": f"the equal error rate of real rows, {100 * rate:.1f} %",
        }
    rows = subsample(rows, MAX_SCORED_ROWS, seed=seed)
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return {
        "value": float(np.quantile(pairs, 1 - FALSE_ACCEPT_RATE)),
        "rule": f"1 in {1 / FALSE_ACCEPT_RATE:.0f} pairs of real different speakers "
        "exceeds it",
    }


def _select(part, name, labels):
    """An `EmbeddingSet` of the rows that have these labels."""
    if not isinstance(part, EmbeddingSet):
        rows = np.asarray(part, np.float32)
        empty = np.full(rows.shape[:1], "", "U1")
        part = EmbeddingSet(rows, empty, empty, {})
    own = np.array([f"{name} row {i}" for i in range(len(part))], str)
    speaker = np.where(np.asarray(part.speaker, str) == "", own, part.speaker)
    keep = np.ones(len(part), bool)
    for label, value in labels.items():
        if label in part.labels:
            keep &= np.asarray(part.labels[label], str) == str(value)
    if not keep.any():
        raise ValueError(
            f"No real rows of `{name}` to compare with. Received: {labels}"
        )
    return dataclasses.replace(part, speaker=speaker).subset(keep)


def _compare(scaler, fake, train, held_out, seed):
    """The table, and notes on what is missing in it."""
    reference, floor = split_in_halves(held_out, seed)
    notes = []
    if min(len(reference), len(floor)) < MIN_ROWS:
        if min(len(held_out), len(train)) < MIN_ROWS:
            return {}, [f"No table: that takes {MIN_ROWS} rows of each split."]
        reference, floor = held_out, None
        notes.append(
            f"No floor: {len(held_out)} held-out rows of {len({*held_out.speaker})} "
            f"speakers make no two halves of {MIN_ROWS}; all rows are the reference."
        )
    sides = [part for part in (reference, floor, train) if part is not None]
    num = min(MAX_ROWS, len(fake), *map(len, sides))
    learned = train.embeddings
    sets = {"generated": fake[:num]}
    if floor is not None:
        sets["unseen real"] = subsample(floor.embeddings, num, seed=[seed, 1])
    sets["training voices"] = subsample(learned, num, seed=[seed, 2])
    for name, key in BASELINES.items():
        rows = generation.BASELINES[key](learned, num, seed)
        sets[name] = normalise_blocks(rows, scaler.blocks) if scaler.unit else rows
    real = subsample(reference.embeddings, num, seed=[seed, 0])
    rows = {k: generation.compare(real, v, learned, seed=seed) for k, v in sets.items()}
    return rows, notes


def _collisions(fake, train, held_out, seed):
    """How often a verifier takes two embeddings for one speaker."""
    speaker = np.concatenate([train.speaker, held_out.speaker])
    embeddings = np.concatenate([train.embeddings, held_out.embeddings])
    threshold = verification_threshold(embeddings, speaker, seed)
    _, first = np.unique(speaker, return_index=True)
    order = np.random.default_rng(seed).permutation(first)[:NUM_GENERATED]
    found = {"threshold": threshold, "generated": [], "real": []}
    for name, rows in (("generated", fake), ("real", embeddings[order])):
        if len(rows) >= MIN_ROWS:
            found[name] = privacy.collisions(rows, threshold["value"])
    return found
