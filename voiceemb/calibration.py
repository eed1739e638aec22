"""Calibration of an encoder's cosines: fit on trials, and file beside the weights.

A calibration file is JSON: the parameters (`timbre.metrics.calibration`), the sha256
of the weights they were fitted for, the corpora and trials of the fit, and the
distributions of scores in each corpus (`timbre.metrics.score_adaptation`). It is
refused beside other weights, for which its probabilities would be wrong.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from timbre.files import write_json
from timbre.metrics.calibration import KINDS, Calibration, from_json
from timbre.metrics.score_adaptation import ScoreDistribution
from timbre.training.networks import check_choice

FILE = "calibration.json"


@dataclasses.dataclass(frozen=True)
class EncoderCalibration:
    """The content of a calibration file.

    Args:
        calibration: A `timbre.metrics.calibration.Calibration`.
        corpus_scores: Name of a corpus to the `ScoreDistribution`s of trials of one
            speaker and of two; empty if the calibration is not to be adapted.
        about: Dict of everything else in the file.
    """

    calibration: Calibration
    corpus_scores: dict[str, tuple[ScoreDistribution, ScoreDistribution]]
    about: dict


def fit(evaluations, extractor, *, kind="logistic", other_corpora=()):
    """Fits a map from cosines to log-likelihood ratios; each corpus counts equally.

    Args:
        evaluations: `voiceemb.evaluate.Evaluation`s of speakers never trained on.
        extractor: Name of the extractor in them.
        kind: `"logistic"` (the default), two parameters that keep the order of scores,
            or `"isotonic"`, a step function that needs many trials.
        other_corpora: `Evaluation`s of more corpora. With them the distributions of
            scores in all corpora are kept, by which stores of enrolled speakers adapt
            the calibration. Defaults to none.

    Returns:
        The `timbre.metrics.calibration.Calibration`, and a dict about its data.
    """
    check_choice("kind", kind, list(KINDS))
    label, scores, weights, corpora = [], [], [], {}
    for one in evaluations:
        trials = one.trials["all-pairs"]
        label.append(trials.label)
        scores.append(one.scores["all-pairs", extractor])
        counts = np.bincount(trials.label, minlength=2)
        weights.append(1 / counts[trials.label.astype(int)])
        corpora[one.corpus] = {"trials": len(trials), "sha256": trials.digest()}
    calibration = KINDS[kind].fit(
        np.concatenate(label), np.concatenate(scores), weights=np.concatenate(weights)
    )
    about = {"protocol": evaluations[0].protocol, "corpora": corpora}
    if other_corpora:
        corpus_scores = {
            one.corpus: _scores(one, extractor)
            for one in (*evaluations, *other_corpora)
        }
        about["places"] = scores_to_json(corpus_scores)
    return calibration, about


def _scores(one, extractor):
    """`ScoreDistribution` of trials of one speaker and of two in an evaluation."""
    scores, label = one.scores["all-pairs", extractor], one.trials["all-pairs"].label
    try:
        return _check_order(
            one.corpus,
            ScoreDistribution.from_scores(scores[label]),
            ScoreDistribution.from_scores(scores[~label]),
        )
    except ValueError as error:
        raise ValueError(
            f"Scores in {one.corpus!r} can not be used: {error}"
        ) from error


def _check_order(name, same, different):
    """Both kinds of `ScoreDistribution`, if those of one speaker are higher."""
    if same.mean <= different.mean:
        raise ValueError(
            f"Scores of one speaker must be higher in {name!r} than those of two. "
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
    parameters = json.loads(calibration.to_json())
    write_json(path, {"calibration": parameters, "weights": sha256, **about})


def read(path, *, sha256):
    """Reads an `EncoderCalibration`; nothing in the file is executed.

    Args:
        path: What `write` wrote.
        sha256: Of the weights it is to be used with.

    Raises:
        ValueError: If it is no calibration, or one for other weights.
    """
    try:
        held = json.loads(Path(path).read_text("utf-8"))
        parameters, weights = held.pop("calibration"), held.pop("weights")
        corpus_scores = {
            name: _check_order(
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
    return EncoderCalibration(from_json(parameters), corpus_scores, held)


def scores_to_json(corpus_scores) -> dict:
    """Scores of corpora ready for JSON, as `"places"` in `about` of `write`."""
    numbers = dataclasses.astuple
    return {
        name: {"same": numbers(same), "different": numbers(different)}
        for name, (same, different) in corpus_scores.items()
    }
