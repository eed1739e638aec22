"""Evaluation: are generated voices like real ones, and are they as many?

The floor is what real voices score: held-out speakers are split in two halves, and
rows of one half are judged against the other exactly as generated ones are. Baselines
that know little stand beside. Whom voices resemble is asked in `imitation`.
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

COUNT = 10_000  # voices drawn, so that collisions can be counted
MOST = 1000  # rows of a side, and voices whose neighbours are looked at
LEAST = 10  # rows of a side that `timbre.metrics.generation.compare` needs
BATCH = 1000  # voices drawn at a time
ONE_IN = 1000  # pairs of different speakers, where no utterances part same from other


def evaluate(voices, train, held, *, count=None, seed=0, labels=None, **drawing):
    """Measures what a model draws, with the floor and the baselines beside it.

    Args:
        voices: A `diffusion.speakers.generator.SpeakerGenerator`.
        train: What it learned from: an `EmbeddingSet`, or an array `[n, dim]` whose
            rows are one speaker each.
        held: The same of other speakers.
        count: How many voices to draw, at least 10. Defaults to 10,000.
        seed: Of all that is drawn. Defaults to `0`.
        labels: Dict of a label's name to its value, that is asked for; where the sets
            know the label, only real rows of that value count. Defaults to none.
        **drawing: For `SpeakerGenerator.generate`.

    Returns:
        Dict, ready for JSON:

        - `rows`: `timbre.metrics.generation.compare` by name: `generated`, `unseen real`,
          `training voices`, `Gaussian`, `GMM(10)` and `white noise`, all of one size
          and against the same real voices. Without `unseen real` if fewer than 20
          rows are held out, and empty if fewer than 10 are.
        - `privacy`: what `imitation.measure` returns; empty if a part has but one
          speaker.
        - `collisions`: those of `generated` and of `real` voices, and `threshold`.
        - `sizes`, `schedule`, and `notes`, which say what could not be measured.
    """
    count = COUNT if count is None else count
    if count < LEAST:
        raise ValueError(f"`count` must be at least {LEAST}. Received: {count}")
    train, held = (
        _chosen(part, name, labels or {})
        for part, name in ((train, "train"), (held, "held"))
    )
    with (
        ignore_schedule_warning(),
        threadpool_limits(1),
    ):  # threads would wait for each other
        fake = generate_batches(voices, count, seed, labels=labels, **drawing)
        rows, notes = _rows(voices.model.scaler, fake, train, held, seed)
        found = {"rows": rows, "privacy": {}}
        if min(len({*part.speaker}) for part in (train, held)) > 1:
            found["privacy"] = memorisation.measure(fake[:MOST], train, held, seed)
        else:
            notes.append(
                "Nothing says whom the voices resemble: that takes two speakers."
            )
        found["collisions"] = _collisions(fake, train, held, seed)
    sizes = {
        name: {"rows": len(part), "speakers": len({*part.speaker})}
        for name, part in (("train", train), ("held", held))
    }
    sizes["generated"] = count
    end = describe_schedule_end(voices.model)
    return {**found, "sizes": sizes, "schedule": end, "notes": notes}


def generate_batches(voices, count, seed=0, **drawing):
    """Voices float32 `[count, dim]`, some at a time; the first do not hang on `count`.

    Args:
        voices: A `diffusion.speakers.generator.SpeakerGenerator`.
        count: How many.
        seed: Which. Defaults to `0`.
        **drawing: For `SpeakerGenerator.generate`.
    """
    starts = range(0, count, BATCH)
    return np.concatenate(
        [
            voices.generate(min(BATCH, count - start), seed + start, **drawing)
            for start in starts
        ]
    )


@contextlib.contextmanager
def ignore_schedule_warning():
    """Keeps a schedule that never reaches noise from saying so each time it is made.

    `describe_schedule_end` says it once.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "at its last time the schedule", UserWarning)
        yield


def describe_schedule_end(model) -> dict:
    """How a schedule ends: `steps`, `alpha_bar` there, and its `warning` or `""`."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        schedule = model.schedule
    return {
        "steps": int(schedule.steps),
        "alpha_bar": float(schedule.alpha_bar[-1]),
        "warning": " ".join(str(one.message) for one in said),
    }


def split_in_halves(part, seed=0):
    """A set in two that share no speaker and have about as many rows.

    Args:
        part: An `EmbeddingSet`.
        seed: Of who is on which side. Defaults to `0`.

    Returns:
        Two `EmbeddingSet`s; the second may be empty.
    """
    names, counts = np.unique(part.speaker, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    first = np.isin(part.speaker, names[order][before < len(part) / 2])
    return part.subset(first), part.subset(~first)


def _chosen(part, name, labels):
    """An `EmbeddingSet` of the rows that have these labels."""
    if not isinstance(part, EmbeddingSet):
        points = np.asarray(part, np.float32)
        empty = np.full(points.shape[:1], "", "U1")
        part = EmbeddingSet(points, empty, empty, {})
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


def _rows(scaler, fake, train, held, seed):
    """The table, and notes on what is missing in it."""
    reference, floor = split_in_halves(held, seed)
    notes = []
    if min(len(reference), len(floor)) < LEAST:
        if min(len(held), len(train)) < LEAST:
            return {}, [
                f"No table: that takes {LEAST} rows to learn from and as many held out."
            ]
        reference, floor = held, None
        notes.append(
            f"No floor: {len(held)} held-out rows of {len({*held.speaker})} speakers "
            f"make no two halves of {LEAST}; all the others are compared with them all."
        )
    sides = [part for part in (reference, floor, train) if part is not None]
    num = min(MOST, len(fake), *map(len, sides))
    real, learned = reference.embeddings, train.embeddings
    sets = {"generated": fake[:num]}
    if floor is not None:
        sets["unseen real"] = subsample(floor.embeddings, num, seed=[seed, 1])
    sets["training voices"] = subsample(learned, num, seed=[seed, 2])
    for name, key in (
        ("Gaussian", "gaussian"),
        ("GMM(10)", "mixture"),
        ("white noise", "white"),
    ):
        drawn = generation.BASELINES[key](learned, num, seed)
        sets[name] = normalise_blocks(drawn, scaler.blocks) if scaler.unit else drawn
    real = subsample(real, num, seed=[seed, 0])
    rows = {k: generation.compare(real, v, learned, seed=seed) for k, v in sets.items()}
    return rows, notes


def normalise_blocks(rows, blocks=()):
    """Rows, each part of a concatenation brought to length 1.

    Args:
        rows: `[n, dim]`.
        blocks: Dimensions of the parts. Defaults to one part.
    """
    ends = np.cumsum(blocks, dtype=int)[:-1]
    return np.concatenate(
        [normalise_rows(part) for part in np.split(rows, ends, axis=1)], axis=1
    )


def _collisions(fake, train, held, seed):
    """How often two voices are one to a verifier, generated ones and real ones."""
    speaker = np.concatenate([train.speaker, held.speaker])
    points = np.concatenate([train.embeddings, held.embeddings])
    limit = verification_threshold(points, speaker, seed)
    _, first = np.unique(speaker, return_index=True)
    order = np.random.default_rng(seed).permutation(first)[:COUNT]
    found = {"threshold": limit, "generated": [], "real": []}
    for name, rows in (("generated", fake), ("real", points[order])):
        if len(rows) >= LEAST:
            found[name] = privacy.collisions(rows, limit["value"])
    return found


def verification_threshold(points, speaker, seed=0, most=2000) -> dict:
    """The cosine from which two voices count as one.

    Args:
        points: Real rows `[n, dim]`, two or more.
        speaker: Who they are, `[n]`.
        seed: Of the pairs, if there are too many. Defaults to `0`.
        most: Rows whose pairs are looked at, where speakers have one each; otherwise a
            tenth of the pairs. Defaults to `2000`.

    Returns:
        `value`, and `rule`, which says where it is from: where both errors balance, if
        most speakers have several rows; otherwise what one pair of different speakers
        in a thousand exceeds.
    """
    rows = normalise_rows(points)
    if np.median(np.unique(speaker, return_counts=True)[1]) > 1:
        trials = all_pairs(speaker, seed=seed, max_trials=10 * most)
        scores = np.sum(rows[trials.enrol] * rows[trials.test], axis=1)
        rate = eer(trials.label, scores)
        return {
            "value": eer_threshold(trials.label, scores),
            "rule": f"where both errors on real rows are {100 * rate:.1f} %",
        }
    rows = subsample(rows, most, seed=seed)
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return {
        "value": float(np.quantile(pairs, 1 - 1 / ONE_IN)),
        "rule": f"1 in {ONE_IN} pairs of real different speakers exceeds it",
    }
