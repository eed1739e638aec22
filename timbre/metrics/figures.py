"""Figures of verification: DET curve, score histogram, reliability diagram.

A title should name the protocol, or what was fitted on what.

Reference:
    The DET curve in assessment of detection task performance (Martin et al., 1997)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.rates import check_trials, equal_error_point
from timbre.metrics.reliability import expected_calibration_error, reliability
from timbre.plotting import COLOURS, DASHES, MARKERS, apply_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@apply_style
def det_figure(
    curves: Mapping[str, tuple], *, title: str = "Detection error trade-off"
) -> Figure:
    """DET curves: misses against false alarms on normal-deviate axes.

    Gaussian scores of equal variance are straight lines of slope -1. `curves` maps a
    name to `(fpr, fnr, ...)`, as `det_curve` returns them.
    """
    from scipy.stats import norm

    figure, axes = new_figure(size=(5.6, 5.2))
    low, high = norm.ppf([DET_TICKS[0] * 0.8, 0.6])
    axes.plot([low, high], [low, high], color="#999999", linewidth=0.8)
    for i, (name, (fpr, fnr, *_)) in enumerate(curves.items()):
        x, y = np.clip(norm.ppf([fpr, fnr]), low, 5)
        rate = equal_error_point(np.asarray(fpr), np.asarray(fnr))[0]
        colour, label = COLOURS[i % len(COLOURS)], f"{name}: EER {100 * rate:.1f} %"
        axes.plot(x, y, color=colour, linestyle=DASHES[i % len(DASHES)], label=label)
        at = np.clip(norm.ppf(rate), low, high)
        axes.plot(at, at, color=colour, marker=MARKERS[i % len(MARKERS)])
    names = [f"{100 * tick:g}" for tick in DET_TICKS]
    axes.set_xticks(norm.ppf(DET_TICKS), names)
    axes.set_yticks(norm.ppf(DET_TICKS), names)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=title)
    axes.set(xlabel="different accepted, %", ylabel="same rejected, %")
    figure.legend(loc="outside lower left", ncols=min(2, len(curves)))
    return figure


@apply_style
def score_figure(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float | None = None,
    title: str = "Scores of pairs",
) -> Figure:
    """Score histograms of same and different pairs, and the decision threshold.

    Args:
        labels: True where both sides are one speaker, `[trials]`.
        scores: Cosines, `[trials]`.
        threshold: Of the decision, as `eer_threshold` finds it.
    """
    labels, scores = check_trials(labels, scores)
    figure, axes = new_figure()
    bins = np.linspace(scores.min() - 1e-9, scores.max() + 1e-9, 61)
    kinds = [("different", scores[~labels], COLOURS[1], "--")]
    kinds += [("same", scores[labels], COLOURS[0], "-")]
    for name, values, colour, dash in kinds:
        label = f"{name}: {len(values)} pairs"
        look = {"bins": bins, "density": True, "color": colour}
        axes.hist(values, **look, histtype="stepfilled", alpha=0.25)
        axes.hist(values, **look, histtype="step", linestyle=dash, linewidth=1.6)
        axes.plot([], [], color=colour, linestyle=dash, label=label)
    if threshold is not None:
        label = f"EER threshold {threshold:.3f}"
        axes.axvline(threshold, color="black", lw=1.2, linestyle=":", label=label)
    axes.set(title=title, xlabel="cosine", ylabel="density")
    figure.legend(loc="outside lower left", ncols=3)
    return figure


@apply_style
def reliability_figure(
    predictions: Mapping[str, tuple], *, title: str = "Reliability"
) -> Figure:
    """Reliability diagram: observed against predicted rate; below, how often.

    The area of a marker is the weight of its bin: small ones are chance. `predictions`
    maps a name to `(label, probability)`, each `[trials]`.
    """
    figure, (axes, below) = new_figure(
        2, 1, size=(5.6, 6.2), height_ratios=[3, 1], sharex=True
    )
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for i, (name, trials) in enumerate(predictions.items()):
        predicted, observed, weight = reliability(*trials)
        error = expected_calibration_error(*trials)
        look = {"color": COLOURS[i % 7], "marker": MARKERS[i % 7]}
        line = look | {"linestyle": DASHES[i % 4], "linewidth": 1, "markersize": 3}
        axes.plot(predicted, observed, label=f"{name}: ECE {error:.3f}", **line)
        area = look | {"s": 300 * weight}
        axes.scatter(predicted, observed, linewidths=0, alpha=0.6, **area)
        below.plot(predicted, 100 * weight, **line)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
    axes.set_ylabel("same speaker, observed share")
    below.set(xlabel="same speaker, probability", ylabel="of all trials, %")
    below.set_yscale("log")
    below.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower left", ncols=min(2, len(predictions)))
    return figure
