"""Figures of verification: DET curve, score histogram, reliability diagram.

Reference:
    The DET curve in assessment of detection task performance (Martin et al., 1997)
"""

import numpy as np

from timbre.metrics.rates import check_trials, equal_error_point
from timbre.metrics.reliability import expected_calibration_error, reliability
from timbre.plotting import COLOURS, DASHES, MARKERS, apply_style, new_figure

DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@apply_style
def det_figure(curves, *, title="Detection error trade-off"):
    """Misses against false alarms on normal-deviate axes: Gaussian scores are lines.

    Args:
        curves: Maps a name to `(fpr, fnr, ...)`, as `det_curve` returns them.
        title: Of the figure; say the protocol in it.
    """
    from scipy.stats import norm

    figure, axes = new_figure(size=(5.6, 5.2))
    low, high = norm.ppf([DET_TICKS[0] * 0.8, 0.6])
    axes.plot([low, high], [low, high], color="#999999", linewidth=0.8)
    for i, (name, (fpr, fnr, *_)) in enumerate(curves.items()):
        x, y = (np.clip(norm.ppf(rate), low, 5) for rate in (fpr, fnr))
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
def score_figure(labels, scores, *, threshold=None, title="Scores of pairs"):
    """Histograms of same and different pairs, and the line that parts them.

    Args:
        labels: True where both sides are one speaker, `[trials]`.
        scores: Cosines, `[trials]`.
        threshold: Where to draw the line, as `eer_threshold` finds it.
        title: Of the figure; say the protocol in it.
    """
    labels, scores = check_trials(labels, scores)
    figure, axes = new_figure()
    bins = np.linspace(scores.min() - 1e-9, scores.max() + 1e-9, 61)
    kinds = [("different", scores[~labels], COLOURS[1], "--")]
    kinds += [("same", scores[labels], COLOURS[0], "-")]
    for name, values, colour, dash in kinds:
        label = f"{name}: {len(values)} pairs"
        options = {"bins": bins, "density": True, "color": colour}
        axes.hist(values, **options, histtype="stepfilled", alpha=0.25)
        axes.hist(values, **options, histtype="step", linestyle=dash, linewidth=1.6)
        axes.plot([], [], color=colour, linestyle=dash, label=label)
    if threshold is not None:
        line = {"color": "black", "linewidth": 1.2, "linestyle": ":"}
        axes.axvline(threshold, **line, label=f"EER threshold {threshold:.3f}")
    axes.set(title=title, xlabel="cosine", ylabel="density")
    figure.legend(loc="outside lower left", ncols=3)
    return figure


@apply_style
def reliability_figure(predictions, *, bins=15, prior=0.5, title="Reliability"):
    """What was said against what was so, and below it how often it was said.

    A mark is as large as its bin's weight: small ones are chance.

    Args:
        answers: Maps a name to `(label, probability)`, each `[trials]`.
        bins: Number of bins from 0 to 1. Defaults to `15`.
        prior: Weight of all same pairs together. Defaults to `0.5`.
        title: Of the figure; say in it what was fitted on what.
    """
    options = {"height_ratios": [3, 1], "sharex": True}
    figure, (axes, below) = new_figure(2, 1, size=(5.6, 6.2), **options)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for i, (name, answer) in enumerate(predictions.items()):
        said, so, weight = reliability(*answer, bins=bins, prior=prior)
        error = expected_calibration_error(*answer, bins=bins, prior=prior)
        look = {"color": COLOURS[i % 7], "marker": MARKERS[i % 7]}
        line = {"linestyle": DASHES[i % 4], "linewidth": 1, "markersize": 3}
        axes.plot(said, so, label=f"{name}: ECE {error:.3f}", **look, **line)
        axes.scatter(said, so, s=300 * weight, linewidths=0, alpha=0.6, **look)
        below.plot(said, 100 * weight, **look, **line)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
    axes.set_ylabel("same, share")
    below.set(xlabel="same, probability said", ylabel="of all trials, %")
    below.set_yscale("log")
    below.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower left", ncols=min(2, len(predictions)))
    return figure
