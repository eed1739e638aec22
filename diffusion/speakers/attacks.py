"""Attackers on an anonymised set: re-identification before and after, by one protocol.

The targets are random speakers of two utterances or more, 300 at most. Half of each
one's utterances, 20 in all at most, are enrolled: the attacker has the originals, with
names. The others are the trials, as published, each compared with every target.

    ignorant       compares with the originals
    lazy           anonymises the enrolled ones in the same way and at the same level
    semi-informed  anonymises each of them by itself, and has a backend (discriminant
                   analysis) trained on such embeddings of 1,000 others at most

Attackers have seeds of their own: with the published one they could generate the same
embeddings again. Where a semi-informed attacker takes part, half of the speakers or
more are training speakers, and the others are the targets of all attackers.
"""

import dataclasses

import numpy as np

from diffusion.speakers.anonymisation import (
    MIN_SPEAKERS,
    anonymise,
    derive_seed,
    label_accuracy,
)
from timbre.metrics import privacy
from timbre.metrics.arrays import normalise_rows
from timbre.metrics.calibration import LogisticCalibration
from timbre.metrics.linkability import distinctiveness, linkability
from timbre.metrics.rates import eer_threshold
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import all_pairs

ATTACKERS = privacy.ATTACKERS
MAX_TARGETS = 300  # speakers
MAX_TRAINING_SPEAKERS = 1000  # of the semi-informed attacker
MAX_UTTERANCES = 20  # of a speaker
MAX_NON_MATED = 100_000  # pairs of different speakers for linkability
MIN_GAIN_DB = -60  # below it the exact gain does not matter
MAX_COLLISION_ROWS = 10_000  # compared with each other for collisions
PROTOCOL = (
    "protocol: {num_speakers} speakers, {num_trials} comparisons; half of a speaker's "
    "utterances enrolled, the others tried as published; attackers anonymise with "
    "seeds of their own; EER .5: chance"
)
CAUTION = (
    "This reports what these attackers find in this set. A stronger one may find more, "
    "and a speaker is identified by more than an embedding: do not call the result "
    "anonymous."
)


@dataclasses.dataclass(frozen=True)
class AttackerSplit:
    """The rows of a set by their part in the protocol."""

    enrolled: np.ndarray  # of the targets, which the attacker has with names
    trials: np.ndarray  # the other rows of the targets
    training: np.ndarray  # of other speakers, to train a semi-informed attacker
    missing: dict[str, str]  # each attacker that can not take part: the reason

    @property
    def targets(self):
        """Rows of the targets."""
        return np.concatenate([self.enrolled, self.trials])


def split_speakers(speaker, attackers, seed) -> AttackerSplit:
    """Splits a set for the protocol, at random.

    Args:
        speaker: The speaker of each row, `[n]`; empty where unknown.
        attackers: Some of `ATTACKERS`.
        seed: Of the split.
    """
    rng = np.random.default_rng(derive_seed(seed, 1))
    groups = _rows_per_speaker(np.asarray(speaker, str))
    able = [groups[i] for i in rng.permutation(len(groups))]
    none, missing = np.zeros(0, int), {}
    if len(able) < 2:
        reason = (
            f"it needs 2 speakers of two utterances or more, and there are {len(able)}"
        )
        return AttackerSplit(none, none, none, dict.fromkeys(attackers, reason))
    targets, others = able[:MAX_TARGETS], []
    if "semi-informed" in attackers:
        if len(able) >= 2 * MIN_SPEAKERS:
            half = min(MAX_TARGETS, len(able) // 2)
            targets, others = able[:half], able[half:][:MAX_TRAINING_SPEAKERS]
        else:
            missing["semi-informed"] = (
                f"it needs {2 * MIN_SPEAKERS} speakers of two utterances or more, half "
                f"of them to train on, and there are {len(able)}"
            )
    chosen = [rng.permutation(rows)[:MAX_UTTERANCES] for rows in targets]
    training = [rng.permutation(rows)[:MAX_UTTERANCES] for rows in others]
    return AttackerSplit(
        enrolled=np.concatenate([rows[: len(rows) // 2] for rows in chosen]),
        trials=np.concatenate([rows[len(rows) // 2 :] for rows in chosen]),
        training=np.concatenate([none, *training]),
        missing=missing,
    )


def measure(
    original,
    new,
    anonymiser,
    split,
    *,
    attackers,
    level,
    seed,
    blocks=(),
    resamples=200,
) -> dict:
    """All measures of an anonymised set.

    Args:
        original: The `EmbeddingSet`.
        new: Its published `PseudoSpeakers`.
        anonymiser, level, blocks: Those of `anonymise`.
        split: The `AttackerSplit`; attackers that are missing there are left out.
        attackers: Some of `ATTACKERS`.
        seed: The published seed; attackers have others that depend on it.
        resamples: Of `timbre.metrics.privacy.reidentification`. Defaults to `200`.

    Returns:
        Plain values: `level`, `rows`, `voices`, `cosine_mean`, `cosine_most`;
        `attackers`, a list of what `reidentification` gives, each with its
        `linkability` and what that is `by_chance`, speakers permuted; `missing`, a dict
        of attackers to reasons; `distinctiveness`, what that function gives, with
        `None` for `-inf`, or `None`; `threshold`, the cosine of the originals' equal
        error rate, or `None`; `collisions`, a list; `labels`, of `label_accuracy`.
    """
    threshold, llr = _fit_verifier(original, split)
    num = len(new.embeddings)
    distinct, collisions = None, []
    if llr is not None:
        rows = split.targets
        distinct = distinctiveness(
            original.embeddings[rows], new.rows[rows], original.speaker[rows], llr
        )
        if not np.isfinite(distinct["gain_db"]):
            distinct["gain_db"] = None  # JSON has no -inf
    if threshold is not None and num > 1:
        collisions = privacy.collisions(
            new.embeddings[:MAX_COLLISION_ROWS],
            threshold,
            counts=sorted({10, 100, 1000, min(num, MAX_COLLISION_ROWS)}),
        )
    return {
        "level": level,
        "rows": len(original),
        "voices": num,
        "cosine_mean": float(new.cosines.mean()),
        "cosine_most": float(new.cosines.max()),
        "attackers": [
            _attack(
                original, new, anonymiser, split, who, level, seed, blocks, resamples
            )
            for who in attackers
            if who not in split.missing
        ],
        "missing": split.missing,
        "distinctiveness": distinct,
        "threshold": threshold,
        "collisions": collisions,
        "labels": label_accuracy(original, new, seed),
    }


def format_report(results) -> str:
    """What `measure` gives as text; it never says that the set is anonymous."""
    lines = [
        f"{results['voices']} new voices for {results['rows']} rows; cosine to the "
        f"old one {results['cosine_mean']:.3f}, at most {results['cosine_most']:.3f}"
    ]
    if rows := results["attackers"]:
        lines.append(
            f"{'attacker':<14} {'EER before':<21} {'EER after (95 %)':<21} "
            "linkability (by chance)"
        )
        for row in rows:
            before, after = (
                "{:.3f} [{:.3f}, {:.3f}]".format(
                    row[f"eer_{when}"], *row[f"interval_{when}"]
                )
                for when in ("before", "after")
            )
            lines.append(
                f"{row['attacker']:<14} {before:<21} {after:<21} "
                f"{row['linkability']:.3f} ({row['by_chance']:.3f})"
            )
        lines.append(PROTOCOL.format(**rows[0]))
    for name, reason in results["missing"].items():
        lines.append(f"{name}: not measured, {reason}")
    if found := results["distinctiveness"]:
        gain = found["gain_db"]
        large = gain is not None and gain > MIN_GAIN_DB
        lines.append(
            f"de-identification {found['de_identification']:.3f} (1 if new voices "
            "identify no speaker), gain of voice distinctiveness "
            f"{f'{gain:.2f}' if large else f'< {MIN_GAIN_DB}'} dB (0 if they differ as "
            "the old ones did)"
        )
    for row in results["collisions"]:
        lines.append(
            f"of {row['voices']} new voices {row['doubles']:.2%} are like another one "
            f"to a verifier (cosine from {results['threshold']:.3f})"
        )
    for name, row in results["labels"].items():
        lines.append(
            f"accuracy of {name} {row['after']:.1%}, before {row['before']:.1%}, by "
            f"chance {row['most_frequent']:.1%} ({row['speakers']} speakers)"
        )
    return "\n".join([*lines, CAUTION])


def _attack(original, new, anonymiser, split, attacker, level, seed, blocks, resamples):
    """Error rates and linkability of one attacker."""
    enrolled, speaker = original.subset(split.enrolled), original.speaker
    known, backend = enrolled.embeddings, None
    if attacker == "lazy":
        own = derive_seed(seed, 3)
        known = anonymise(enrolled, anonymiser, own, level=level, blocks=blocks).rows
    elif attacker == "semi-informed":
        known, _ = anonymiser(enrolled.embeddings, derive_seed(seed, 4))
        training = original.subset(split.training)
        learned, _ = anonymiser(training.embeddings, derive_seed(seed, 5))
        backend = privacy.fit_semi_informed(learned, training.speaker)
    published = new.rows[split.trials]
    found = privacy.reidentification(
        original.embeddings[split.targets],
        np.concatenate([known, published]),
        speaker[split.targets],
        np.arange(len(split.targets)) < len(enrolled),
        attacker=attacker,
        backend=backend,
        resamples=resamples,
    )
    if backend is not None:
        known, published = backend(known), backend(published)
    return found | _linkability(
        known, published, enrolled.speaker, speaker[split.trials]
    )


def _linkability(enrolled, published, enrolled_speaker, trial_speaker):
    """Linkability by all cosines, and by chance: whole speakers are permuted."""
    cosines = normalise_rows(enrolled) @ normalise_rows(published).T
    rng = np.random.default_rng(0)
    speaker = np.concatenate([enrolled_speaker, trial_speaker])
    names, index = np.unique(speaker, return_inverse=True)
    ours, theirs = np.split(index, [len(enrolled_speaker)])

    def link(order):
        same = order[ours][:, None] == theirs
        mated, non_mated = cosines[same], cosines[~same]
        if len(non_mated) > MAX_NON_MATED:
            non_mated = non_mated[rng.integers(len(non_mated), size=MAX_NON_MATED)]
        return linkability(mated, non_mated, permutations=0)["linkability"]

    chance = [link(rng.permutation(len(names))) for _ in range(10)]
    found = link(np.arange(len(names)))
    return {"linkability": found, "by_chance": float(np.mean(chance))}


def _fit_verifier(original, split):
    """The threshold and, if it has one, the calibration of a verifier of originals."""
    rows = split.training if len(split.training) else split.targets
    if not len(rows):
        return None, None
    trials = all_pairs(original.speaker[rows])
    scores = cosine_scores(original.embeddings[rows], trials)
    try:
        llr = LogisticCalibration.fit(trials.label, scores).llr
    except ValueError:  # too few trials, or speakers that do not differ
        llr = None
    return eer_threshold(trials.label, scores), llr


def _rows_per_speaker(speaker):
    """The rows of each known speaker of two or more, speakers sorted."""
    order = np.argsort(speaker, kind="stable")
    names, first = np.unique(speaker[order], return_index=True)
    groups = zip(names, np.split(order, first[1:]), strict=True)
    return [rows for name, rows in groups if name != "" and len(rows) > 1]
