"""Speaker verification reports: error rates with intervals, by protocol.

A figure is of one of two protocols, never of both: *open-set*, where no speaker was
seen in training, and *closed-set*, where only the utterances are new. Every report
and every printed line names its protocol, its number of speakers and trials, and the
SHA-256 of its trial list (`timbre.metrics.trials`).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.rates import (
    auc,
    best_f1,
    check_trials,
    detection_cost,
    eer,
    eer_threshold,
    equal_error_point,
    min_dcf,
    sort_trials,
    tpr_at_fpr,
)
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.tables import format_table
from timbre.metrics.trials import Trials, all_pairs, deep_speaker_trials

PROTOCOLS = {
    "open-set": "open-set, unseen speakers",
    "closed-set": "closed-set, unseen utterances",
}
LISTS = {"all-pairs": all_pairs, "deep-speaker": deep_speaker_trials}
COLUMNS = {
    "": lambda row: row["name"],
    "protocol": lambda row: row["protocol"],
    "trials": lambda row: f"{row['num_trials']} {row['trial_list']}",
    "speakers": lambda row: str(row["num_speakers"] or "unknown"),
    "EER %": lambda row: f"{100 * row['eer']:.2f}",
    "95 %": lambda row: _interval(row["eer_interval"]),
    "DCF .01": lambda row: f"{row['min_dcf_p01']:.3f}",
    "DCF .05": lambda row: f"{row['min_dcf_p05']:.3f}",
    "AUC": lambda row: f"{row['auc']:.4f}",
    "TPR@1%": lambda row: f"{row['tpr_at_fpr_p01']:.3f}",
    "F TPR ACC": lambda row: _best_f(row.get("best_f")),
    "list": lambda row: row["trials_sha256"][:12],
}
CONFIDENCE = 0.95  # share of the resamples inside an interval


def bootstrap_by_speaker(
    labels: ArrayLike,
    scores: ArrayLike,
    enrol: ArrayLike,
    test: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
    costs: Sequence[float] = (),
) -> dict[str, list[float]]:
    """95 % confidence intervals of the EER and of costs, by a bootstrap over speakers.

    Trials of one speaker are not independent, speakers are: a resample draws as many
    speakers as there are, with replacement. If speaker `a` is drawn `c[a]` times, its
    same trials count `c[a]` times and a trial of speakers `a` and `b` `c[a] * c[b]`
    times. Two copies of one speaker never make a different trial. A resample without
    both kinds of trial has no rates and is left out.

    Args:
        labels: True where both sides are one speaker, `[trials]`.
        scores: Larger means more alike, `[trials]`.
        enrol, test: Speakers of the known and of the claimed side, `[trials]` each.
        resamples, seed: Of the bootstrap. Default to `1000` and `0`.
        costs: Priors `p_target` whose `min_dcf` gets an interval too.

    Returns:
        `[low, high]` under `eer` and under each prior of `costs`.

    Raises:
        ValueError: If no resample has rates.
    """
    labels, scores = check_trials(labels, scores)
    sides = np.concatenate([np.asarray(enrol, str), np.asarray(test, str)])
    names, rows = np.unique(sides, return_inverse=True)
    order, ends, _ = sort_trials(labels, scores)
    left, right = rows[: len(labels)][order], rows[len(labels) :][order]
    same = labels[order]
    if (left[same] != right[same]).any() or (left[~same] == right[~same]).any():
        raise ValueError(
            "`labels` must be true where `enrol` and `test` are one speaker, only there"
        )
    rates = _weighted_rates(same, left, right, ends)
    measures: dict[Any, Callable] = {"eer": lambda *rates: equal_error_point(*rates)[0]}
    measures |= {p: functools.partial(detection_cost, p_target=p) for p in costs}
    found, rng = [], np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(len(names), size=len(names))
        curve = rates(np.bincount(drawn, minlength=len(names)))
        if curve is not None:
            found.append([measure(*curve) for measure in measures.values()])
    if not found:
        raise ValueError(f"Too few speakers to resample. Received: {len(names)}")
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(found, [tail, 1 - tail], axis=0)
    return dict(zip(measures, bounds.T.tolist(), strict=True))


def _weighted_rates(same, left, right, ends):
    """A function from counts of speakers to `(fpr, fnr)`, or None without a kind."""
    speaker = left[same]
    left, right = left[~same], right[~same]
    num_same = np.append(0, np.cumsum(same)[ends - 1])
    num_different = np.append(0, ends) - num_same

    def rates(counts):
        accepted = np.append(0, np.cumsum(counts[speaker]))
        rejected = np.append(0, np.cumsum(counts[left] * counts[right]))
        if not accepted[-1] or not rejected[-1]:
            return None
        fpr = rejected[num_different] / rejected[-1]
        return fpr, (accepted[-1] - accepted[num_same]) / accepted[-1]

    return rates


def report(
    trials: Trials,
    scores: ArrayLike,
    *,
    protocol: str,
    name: str = "",
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """All figures of one scored trial list, ready for JSON and for `table`.

    Args:
        trials: The pairs.
        scores: Score of each, larger means more alike, `[trials]`.
        protocol: `open-set` or `closed-set`. There is no default: say which it is.
        name: What was tested, for the table.
        resamples, seed: Of the 95 % interval, which `resamples=0` omits. Default to
            `1000` and `0`.

    Returns:
        Plain values: `name`, `protocol`, `trial_list`, `num_speakers`, `num_trials`,
        `num_same`, `trials_sha256`, `note`, `eer`, `eer_interval`, `eer_threshold`,
        `min_dcf_p01`, `min_dcf_p05`, `auc`, `tpr_at_fpr_p01`; for a deep-speaker list
        also `best_f` with `f`, `tpr`, `acc` at the threshold of the best F.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {list(PROTOCOLS)}. Received: {protocol!r}"
        )
    label, scores = check_trials(trials.label, scores)
    notes = [trials.note] if trials.note else []
    result = {
        "name": name,
        "protocol": PROTOCOLS[protocol],
        "trial_list": trials.kind,
        "num_speakers": None,
        "num_trials": len(trials),
        "num_same": int(label.sum()),
        "trials_sha256": trials.digest(),
        "eer": eer(label, scores),
        "eer_interval": None,
        "eer_threshold": eer_threshold(label, scores),
        "min_dcf_p01": min_dcf(label, scores, p_target=0.01),
        "min_dcf_p05": min_dcf(label, scores, p_target=0.05),
        "auc": auc(label, scores),
        "tpr_at_fpr_p01": tpr_at_fpr(label, scores, max_fpr=0.01),
    }
    if trials.speakers is not None:
        sides = [trials.speakers[rows] for rows in (trials.enrol, trials.test)]
        result["num_speakers"] = len(np.union1d(*sides))
        if resamples:
            intervals = bootstrap_by_speaker(
                label, scores, *sides, resamples=resamples, seed=seed
            )
            result["eer_interval"] = intervals["eer"]
    if trials.kind == "deep-speaker":
        result["best_f"] = best_f1(label, scores)
        rate = 1 - label.mean()
        notes.append(f"ACC counts trials: always answering no gives {rate:.3f}")
    return result | {"note": "; ".join(notes)}


def evaluate(
    embeddings: ArrayLike,
    speakers: ArrayLike,
    *,
    protocol: str,
    segments: ArrayLike | None = None,
    trials: str | Trials = "all-pairs",
    name: str = "",
    resamples: int = 1000,
    seed: int = 0,
    **options,
) -> dict:
    """Make trials, score them by cosine and `report`, in one call.

    Args:
        embeddings: One row per utterance, `[utterances, dim]`.
        speakers: Who speaks in each, `[utterances]`.
        protocol, name, resamples: As for `report`.
        segments: Name of each utterance. Defaults to the row number.
        trials: `all-pairs`, `deep-speaker`, or a `Trials` that names its utterances
            as `segments` does. Defaults to `all-pairs`.
        seed: Of the list and of the resampling. Defaults to `0`.
        **options: Of the list: `max_trials` or `negatives`.
    """
    if isinstance(trials, Trials):
        names = np.arange(len(np.asarray(speakers))) if segments is None else segments
        pairs = trials.locate(names, speakers)
    elif trials in LISTS:
        pairs = LISTS[trials](speakers, segments=segments, seed=seed, **options)
    else:
        raise ValueError(
            f"`trials` must be a Trials or one of {list(LISTS)}. Received: {trials!r}"
        )
    scores = cosine_scores(embeddings, pairs)
    return report(
        pairs, scores, protocol=protocol, name=name, resamples=resamples, seed=seed
    )


def table(rows: Iterable[dict]) -> str:
    """Dictionaries of `report` as text, one line each, with its protocol and trials."""
    rows = list(rows)
    lines = [[*COLUMNS], *([show(row) for show in COLUMNS.values()] for row in rows)]
    noted = (row for row in rows if row["note"])
    notes = ["{trial_list}, {protocol}: {note}".format(**row) for row in noted]
    return "\n".join([format_table(lines, align=str.ljust), *dict.fromkeys(notes)])


def _interval(bounds) -> str:
    return "-".join(f"{100 * bound:.2f}" for bound in bounds) if bounds else "-"


def _best_f(found) -> str:
    keys = ("f", "tpr", "acc")
    return " ".join(f"{found[key]:.3f}" for key in keys) if found else "-"
