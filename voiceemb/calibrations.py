"""Calibrations of encoders: fitted on trials, kept beside the weights they are for.

A calibration file is JSON: the numbers (`metrics.calibration`), the sha256 of the
weights whose cosines they were fitted on, and the corpora and trials of the fit. It is
refused beside any other weights, since it would answer with confidence and be wrong.
"""

import json
from pathlib import Path

import numpy as np

from files import replacing
from metrics.calibration import KINDS, from_json

FILE = "calibration.json"


def fit(evaluations, extractor, *, kind="logistic"):
    """Learns from cosines what evidence they are; each corpus counts alike.

    Args:
        evaluations: `voiceemb.evaluation.Evaluation`s of speakers never trained on.
        extractor: Name of the extractor in them.
        kind: `"logistic"`, two numbers that keep the order of scores, or `"isotonic"`,
            a staircase that needs many trials. Defaults to `"logistic"`.

    Returns:
        A `metrics.calibration.Calibration`, and a dict that says what it was fitted on.
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
    return calibration, {"protocol": evaluations[0].protocol, "corpora": corpora}


def write(path, calibration, *, sha256, about):
    """Writes a calibration, whole or not at all.

    Args:
        path: The file.
        calibration: A `metrics.calibration.Calibration`.
        sha256: Of the weights it was fitted for.
        about: What it was fitted on, ready for JSON.
    """
    numbers = json.loads(calibration.to_json())
    text = json.dumps({"calibration": numbers, "weights": sha256, **about}, indent=2)
    with replacing(Path(path)) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def read(path, *, sha256):
    """Reads a calibration; nothing in the file is executed.

    Args:
        path: What `write` wrote.
        sha256: Of the weights it is to be used with.

    Returns:
        A `metrics.calibration.Calibration`.

    Raises:
        ValueError: If it is no calibration, or one for other weights.
    """
    try:
        held = json.loads(Path(path).read_text("utf-8"))
        numbers, weights = held["calibration"], held["weights"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            "A calibration file is JSON with `calibration` and `weights`. "
            f"Received: {path} ({error!r})"
        ) from error
    if weights != sha256:
        raise ValueError(
            "A calibration holds for the weights it was fitted on, those of sha256 "
            f"{str(weights)[:12]}. Received: {path} beside those of {sha256[:12]}"
        )
    return from_json(numbers)
