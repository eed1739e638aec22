"""Calibrations of encoders: fitted on trials, kept beside the weights they are for.

A calibration file is JSON: the numbers (`timbre.metrics.calibration`), the sha256 of the
weights whose cosines they were fitted on, the corpora and trials of the fit, and what
scores are like in each corpus (`timbre.metrics.score_adaptation`). It is refused beside any other
weights, since it would answer with confidence and be wrong.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from timbre.files import atomic_write
from timbre.metrics.calibration import KINDS, Calibration, from_json
from timbre.metrics.score_adaptation import ScoreDistribution

FILE = "calibration.json"


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a calibration file holds.

    Args:
        calibration: A `timbre.metrics.calibration.Calibration`.
        places: Name of a corpus to the `timbre.metrics.score_adaptation.ScoreDistribution` of one voice and of
            two in it; empty if the calibration is to be believed as it is.
        about: Dict of everything else in the file.
    """

    calibration: Calibration
    places: dict[str, tuple[ScoreDistribution, ScoreDistribution]]
    about: dict


def fit(evaluations, extractor, *, kind="logistic", elsewhere=()):
    """Learns from cosines what evidence they are; each corpus counts alike.

    Args:
        evaluations: `voiceemb.evaluate.Evaluation`s of speakers never trained on.
        extractor: Name of the extractor in them.
        kind: `"logistic"`, two numbers that keep the order of scores, or `"isotonic"`,
            a staircase that needs many trials. Defaults to `"logistic"`.
        elsewhere: `Evaluation`s of more corpora. If there are some, what scores are
            like in all corpora is kept, and a store of people adapts to that. Defaults
            to none: stores believe the calibration as it is.

    Returns:
        A `timbre.metrics.calibration.Calibration`, and a dict that says what it was fitted on.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {list(KINDS)}. Received: {kind!r}")
    label, scores, weights, corpora = [], [], [], {}
    for one in evaluations:
        trials = one.trials["all-pairs"]
        label.append(trials.label)
        scores.append(one.scores["all-pairs", extractor])
        counts = np.bincount(trials.label, minlength=2)
        weights.append(1 / counts[trials.label.astype(int)])
        corpora[one.corpus] = {"trials": len(trials), "sha256": trials.digest()}
    calibration = KINDS[kind].fit(
        np.concatenate(label),
        np.concatenate(scores),
        weights=np.concatenate(weights),
    )
    about = {"protocol": evaluations[0].protocol, "corpora": corpora}
    if elsewhere:
        everywhere = (*evaluations, *elsewhere)
        places = {one.corpus: _place(one, extractor) for one in everywhere}
        about["places"] = to_json(places)
    return calibration, about


def _place(one, extractor):
    """`Scores` of one voice and of two in an evaluation."""
    scores, label = one.scores["all-pairs", extractor], one.trials["all-pairs"].label
    try:
        return _parted(
            one.corpus,
            ScoreDistribution.from_scores(scores[label]),
            ScoreDistribution.from_scores(scores[~label]),
        )
    except ValueError as error:
        raise ValueError(f"Scores in {one.corpus!r} tell nothing: {error}") from error


def _parted(name, same, different):
    """Both kinds of `Scores`, if the first is the higher one."""
    if same.mean <= different.mean:
        raise ValueError(
            f"Scores of one voice must be higher in {name!r} than those of two. "
            f"Received: {same.mean:.6g} and {different.mean:.6g}"
        )
    return same, different


def write(path, calibration, *, sha256, about):
    """Writes a calibration, whole or not at all.

    Args:
        path: The file.
        calibration: A `timbre.metrics.calibration.Calibration`.
        sha256: Of the weights it was fitted for.
        about: What it was fitted on, ready for JSON.
    """
    numbers = json.loads(calibration.to_json())
    text = json.dumps({"calibration": numbers, "weights": sha256, **about}, indent=2)
    with atomic_write(Path(path)) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def read(path, *, sha256):
    """Reads a calibration file; nothing in it is executed.

    Args:
        path: What `write` wrote.
        sha256: Of the weights it is to be used with.

    Returns:
        A `Kept`.

    Raises:
        ValueError: If it is no calibration, or one for other weights.
    """
    try:
        held = json.loads(Path(path).read_text("utf-8"))
        numbers, weights = held.pop("calibration"), held.pop("weights")
        places = {
            name: _parted(
                name,
                ScoreDistribution(*kinds["same"]),
                ScoreDistribution(*kinds["different"]),
            )
            for name, kinds in held.pop("places", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            "A calibration file is JSON with `calibration` and `weights`. "
            f"Received: {path} ({error!r})"
        ) from error
    if weights != sha256:
        raise ValueError(
            "A calibration holds for the weights it was fitted on, those of sha256 "
            f"{str(weights)[:12]}. Received: {path} beside those of {sha256[:12]}"
        )
    return Kept(from_json(numbers), places, held)


def to_json(places) -> dict:
    """The places of a `Kept`, ready for JSON, as `about` of `write` has them."""
    return {
        name: {
            "same": dataclasses.astuple(same),
            "different": dataclasses.astuple(different),
        }
        for name, (same, different) in places.items()
    }
