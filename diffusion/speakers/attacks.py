"""Attacks on other voices: what they find before and after, by one protocol.

Speakers of two utterances or more are looked for, 300 at most, by lot. Half of each
one's utterances, 20 in all at most, are in the attacker's hands as they were, with
names; the others are the trials, as they are published. He holds every trial against
every speaker.

    ignorant       takes his utterances as they are
    lazy           gives them voices in the same way and at the same level
    semi-informed  gives each a voice of its own, and has learned from such voices of
                   other speakers, 1,000 at most, what speakers leave in them (linear
                   discriminant analysis)

Each draws by seeds of his own: whoever knows the published seed needs no attack, he
draws the same voices again. Where a semi-informed attacker takes part, half of the
speakers or more are for him to learn from, and all attackers look for the others.
"""

import dataclasses

import numpy as np

from diffusion.speakers.anonymisation import (
    LEAST,
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
LOOKED_FOR = 300  # speakers, at most
STUDIED = 1000  # speakers that the semi-informed attacker learns from, at most
EACH = 20  # utterances of a speaker, at most
OTHERS = 100_000  # pairs of two speakers for linkability, at most
LOWEST = -60  # gain in dB below which it does not matter how far
VOICES = 10_000  # held against each other for collisions, at most
PROTOCOL = (
    "protocol: {num_speakers} speakers, {num_trials} comparisons; half of a speaker's "
    "utterances enrolled, the others tried as published; attackers draw voices by "
    "seeds of their own; EER .5: they guess"
)
CAUTION = (
    "This reports what these attackers find in this set. A stronger one may find more, "
    "and an embedding is not all that tells a speaker: do not call the result "
    "anonymous."
)


@dataclasses.dataclass(frozen=True)
class AttackerSplit:
    """Who plays which part in the protocol.

    Args:
        enrolled: Rows in the attacker's hands, with names.
        trials: Rows of the same speakers that he is to find.
        training: Rows of other speakers, that a semi-informed attacker learns from.
        missing: Dict of each attacker that can not take part to the reason.
    """

    enrolled: np.ndarray
    trials: np.ndarray
    training: np.ndarray
    missing: dict[str, str]


def split_speakers(speaker, attackers, seed) -> AttackerSplit:
    """Casts the protocol for a set, by lot.

    Args:
        speaker: Whose each row is, `[n]`; empty where unknown.
        attackers: Some of `ATTACKERS`.
        seed: Of the lot.
    """
    rng = np.random.default_rng(derive_seed(seed, 1))
    groups = _groups(np.asarray(speaker, str))
    able = [groups[i] for i in rng.permutation(len(groups))]
    none, missing = np.zeros(0, int), {}
    if len(able) < 2:
        why = (
            f"it needs 2 speakers of two utterances or more, and there are {len(able)}"
        )
        return AttackerSplit(none, none, none, dict.fromkeys(attackers, why))
    looked_for, studied = able[:LOOKED_FOR], []
    if "semi-informed" in attackers:
        if len(able) >= 2 * LEAST:
            half = min(LOOKED_FOR, len(able) // 2)
            looked_for, studied = able[:half], able[half:][:STUDIED]
        else:
            missing["semi-informed"] = (
                f"it needs {2 * LEAST} speakers of two utterances or more, half of "
                f"them to learn from, and there are {len(able)}"
            )
    drawn = [rng.permutation(rows)[:EACH] for rows in looked_for]
    return AttackerSplit(
        np.concatenate([rows[: len(rows) // 2] for rows in drawn]),
        np.concatenate([rows[len(rows) // 2 :] for rows in drawn]),
        np.concatenate([none, *(rng.permutation(rows)[:EACH] for rows in studied)]),
        missing,
    )


def measure(voices, new, protect, split, *, attackers, level, seed, **drawing) -> dict:
    """All figures of a replacement.

    Args:
        voices: The `EmbeddingSet` as it was.
        new: The `PseudoSpeakers` that is published.
        protect, level: As `replace` was told.
        cast: The `AttackerSplit`; attackers that are missing there are left out.
        attackers: Some of `ATTACKERS`.
        seed: The published seed; attackers draw by others that depend on it.
        **drawing: `blocks` of `replace`, and `resamples` of
            `timbre.metrics.privacy.reidentification`.

    Returns:
        Plain values: `level`, `rows`, `voices`, `cosine_mean`, `cosine_most`;
        `attackers`, a list of what `reidentification` gives, each with its
        `linkability` and what that is `by_chance`, speakers shuffled;
        `missing`, a dict of attackers to reasons; `distinctiveness`, what that
        function gives, with `None` for `-inf`, or `None`; `threshold`, the cosine at
        which the originals have equal errors, or `None`; `collisions`, a list;
        `labels`, what `label_accuracy` gives.
    """
    threshold, llr = _judge(voices, split)
    counts = sorted({10, 100, 1000, min(len(new.voices), VOICES)})
    several = threshold is not None and len(new.voices) > 1
    return {
        "level": level,
        "rows": len(voices),
        "voices": len(new.voices),
        "cosine_mean": float(new.cosines.mean()),
        "cosine_most": float(new.cosines.max()),
        "attackers": [
            _attacked(voices, new, protect, split, who, level, seed, **drawing)
            for who in attackers
            if who not in split.missing
        ],
        "missing": split.missing,
        "distinctiveness": llr and _told_apart(voices, new, split, llr),
        "threshold": threshold,
        "collisions": privacy.collisions(new.voices[:VOICES], threshold, counts=counts)
        if several
        else [],
        "labels": label_accuracy(voices, new, seed),
    }


def format_report(results) -> str:
    """The report as text; it never says that the voices are anonymous.

    Args:
        results: What `measure` gives.
    """
    lines = [
        f"{results['voices']} new voices for {results['rows']} rows; cosine to the "
        f"old one {results['cosine_mean']:.3f}, at most {results['cosine_most']:.3f}",
        *_attacks(results["attackers"]),
    ]
    lines += [
        f"{name}: not measured, {why}" for name, why in results["missing"].items()
    ]
    if results["distinctiveness"]:
        found = results["distinctiveness"]
        gain = found["gain_db"]
        gain = f"{gain:.2f}" if gain is not None and gain > LOWEST else f"< {LOWEST}"
        lines.append(
            f"de-identification {found['de_identification']:.3f} (1 if new voices "
            "point to no speaker), gain of voice distinctiveness "
            f"{gain} dB (0 if they differ as the old ones did)"
        )
    for row in results["collisions"]:
        lines.append(
            f"of {row['voices']} new voices {row['doubles']:.2%} are like another one "
            f"to a verifier (cosine from {results['threshold']:.3f})"
        )
    for name, row in results["labels"].items():
        lines.append(
            f"{name} is heard right in {row['after']:.1%} of rows, before "
            f"{row['before']:.1%}, by chance {row['most_frequent']:.1%} "
            f"({row['speakers']} speakers)"
        )
    return "\n".join([*lines, CAUTION])


def _attacks(rows):
    """A table of the attackers, and their protocol."""
    if not rows:
        return []
    lines = [
        f"{'attacker':<14} {'EER before':<21} {'EER after (95 %)':<21} "
        "linkability (by chance)"
    ]
    for row in rows:
        rates = [
            f"{row[f'eer_{when}']:.3f} [{low:.3f}, {high:.3f}]"
            for when in ("before", "after")
            for low, high in [row[f"interval_{when}"]]
        ]
        lines.append(
            f"{row['attacker']:<14} {rates[0]:<21} {rates[1]:<21} "
            f"{row['linkability']:.3f} ({row['by_chance']:.3f})"
        )
    return [*lines, PROTOCOL.format(**rows[0])]


def _attacked(
    voices, new, protect, split, attacker, level, seed, *, blocks=(), resamples=200
):
    """What one attacker finds."""
    his, tried = (voices.subset(rows) for rows in (split.enrolled, split.trials))
    backend, known = None, his.embeddings
    if attacker == "lazy":
        draw = derive_seed(seed, 3)
        known = anonymise(his, protect, draw, level=level, blocks=blocks).rows
    elif attacker == "semi-informed":
        known, _ = protect(his.embeddings, derive_seed(seed, 4))
        studied = voices.subset(split.training)
        learned, _ = protect(studied.embeddings, derive_seed(seed, 5))
        backend = privacy.fit_semi_informed(learned, studied.speaker)
    there = new.rows[split.trials]
    found = privacy.reidentification(
        np.concatenate([his.embeddings, tried.embeddings]),
        np.concatenate([known, there]),
        np.concatenate([his.speaker, tried.speaker]),
        np.arange(len(his) + len(tried)) < len(his),
        attacker=attacker,
        backend=backend,
        resamples=resamples,
    )
    left, right = (known, there) if backend is None else map(backend, (known, there))
    return found | _linked(left, right, his.speaker, tried.speaker)


def _linked(left, right, his, tried, shuffles=10):
    """Linkability of the cosines of all pairs, and what it is by chance.

    Utterances of a speaker may have one voice, so chance shuffles whole speakers.
    """
    left, right = (
        normalise_rows(np.asarray(side, np.float64)) for side in (left, right)
    )
    cosines, rng = left @ right.T, np.random.default_rng(0)
    names, rows = np.unique(np.concatenate([his, tried]), return_inverse=True)
    ours, theirs = rows[: len(his)], rows[len(his) :]

    def link(order):
        same = order[ours][:, None] == theirs
        mated, other = cosines[same], cosines[~same]
        if len(other) > OTHERS:
            other = other[rng.integers(len(other), size=OTHERS)]
        return linkability(mated, other, permutations=0)["linkability"]

    chance = [link(rng.permutation(len(names))) for _ in range(shuffles)]
    found = link(np.arange(len(names)))
    return {"linkability": found, "by_chance": float(np.mean(chance))}


def _told_apart(voices, new, split, llr):
    """How well speakers and new voices are told apart, ready for JSON."""
    rows = np.concatenate([split.enrolled, split.trials])
    found = distinctiveness(
        voices.embeddings[rows], new.rows[rows], voices.speaker[rows], llr
    )
    gain = found["gain_db"]
    return found | {"gain_db": gain if np.isfinite(gain) else None}


def _judge(voices, split):
    """A verifier of the originals: its threshold, and its evidence if it has any.

    It is calibrated on speakers who are not looked for, if there are such.
    """
    rows = np.concatenate([split.enrolled, split.trials])
    rows = split.training if len(split.training) else rows
    if not len(rows):
        return None, None
    trials = all_pairs(voices.speaker[rows])
    scores = cosine_scores(voices.embeddings[rows], trials)
    try:
        llr = LogisticCalibration.fit(trials.label, scores).llr
    except ValueError:  # too few trials, or originals that tell nobody apart
        llr = None
    return eer_threshold(trials.label, scores), llr


def _groups(speaker):
    """The rows of each known speaker of two or more, speakers sorted."""
    order = np.argsort(speaker, kind="stable")
    names, first = np.unique(speaker[order], return_index=True)
    groups = zip(names, np.split(order, first[1:]), strict=True)
    return [rows for name, rows in groups if name != "" and len(rows) > 1]
