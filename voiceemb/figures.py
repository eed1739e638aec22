"""Figures of an encoder: t-SNE, DET, score histogram, reliability, robustness."""

import textwrap
from pathlib import Path

import numpy as np

from timbre import plotting
from timbre.audio.figures import utterance_figure
from timbre.metrics.figures import det_figure, reliability_figure, score_figure
from timbre.metrics.rates import det_curve

NUM_SPEAKERS = 12  # in the comparison matrix
NUM_UTTERANCES = 6  # of each there
LEGEND_WIDTH = 26  # letters of a line; two columns of them fit below a figure


def plot_evaluation(evaluation, folder, *, extractor, prefix=""):
    """Plots one evaluation: t-SNE, DET, score histogram, comparison matrix.

    Args:
        evaluation: A `voiceemb.evaluate.Evaluation`.
        folder: Where the PNG files go, whose paths are returned.
        extractor: Name of the one whose embeddings are plotted; the DET figure shows
            all, and all score normalisations.
        prefix: What file names begin with. Defaults to nothing.
    """
    kind = next(iter(evaluation.trials))
    voices, trials = evaluation.sets[extractor], evaluation.trials[kind]
    about = f"{evaluation.corpus}, {evaluation.protocol}"
    curves = {
        textwrap.fill(name, LEGEND_WIDTH): det_curve(trials.label, scores)
        for (trial_list, name), scores in evaluation.scores.items()
        if trial_list == kind
    }
    speakers = np.unique(voices.speaker)[:NUM_SPEAKERS]
    rows = np.concatenate(
        [np.flatnonzero(voices.speaker == s)[:NUM_UTTERANCES] for s in speakers]
    )
    figures = {
        "tsne": plotting.scatter_figure(
            voices.embeddings, voices.speaker, title=f"t-SNE of {about}"
        ),
        "det": det_figure(curves, title=f"DET of {about}"),
        "scores": score_figure(
            trials.label,
            evaluation.scores[kind, extractor],
            threshold=evaluation.row(extractor, kind)["eer_threshold"],
            title=f"Cosines of {about}",
        ),
        "matrix": plotting.matrix_figure(
            voices.embeddings[rows] @ voices.embeddings[rows].T,
            labels=voices.speaker[rows],
            title=f"Utterances compared, {about}",
            scale="cosine",
        ),
    }
    return [
        plotting.save(figure, Path(folder) / f"{prefix}{name}.png")
        for name, figure in figures.items()
    ]


def plot_utterance(utterance, encoder, folder):
    """Plots waveform, spectrogram and features of one utterance; returns the path.

    Args:
        utterance: A `timbre.corpora.corpus.Utterance`.
        encoder: A `voiceemb.Encoder` of a model in memory, not of an export.
        folder: Where `utterance.png` goes.
    """
    waveform = utterance.read(sample_rate=encoder.sample_rate)
    model = encoder.model
    features = model.normalisation(model.features(waveform[None]))[0].numpy()
    figure = plotting.apply_style(utterance_figure)(
        waveform,
        features,
        sample_rate=encoder.sample_rate,
        hop_s=model.filterbank.hop_s,
        title=f"{utterance.speaker}: {utterance.text or utterance.path.name}",
    )
    return plotting.save(figure, Path(folder) / "utterance.png")


def plot_reliability(evaluation, calibration, folder, *, extractor):
    """Plots a reliability diagram of calibrated probabilities; returns the path.

    Args:
        evaluation: A `voiceemb.evaluate.Evaluation`.
        calibration: A `timbre.metrics.calibration.Calibration` of the cosines.
        folder: Where `reliability.png` goes.
        extractor: Name of the one whose cosines they are.
    """
    predictions = {
        kind: (one.label, calibration.probability(evaluation.scores[kind, extractor]))
        for kind, one in evaluation.trials.items()
    }
    about = f"{extractor} on {evaluation.corpus}, {evaluation.protocol}"
    figure = reliability_figure(predictions, title=f"Reliability of {about}")
    return plotting.save(figure, Path(folder) / "reliability.png")


def plot_robustness(rows, folder):
    """Plots the rows of one corpus of `evaluation.robustness`; returns the paths.

    Args:
        rows: Of either method of `Robustness`, or of both.
        folder: Where `duration.png` and `noise.png` go, each if it has rows.
    """
    paths = []
    for kind, figure in (("duration", duration_figure), ("noise", noise_figure)):
        own = [row for row in rows if row["kind"] == kind]
        if own:
            paths.append(plotting.save(figure(own), Path(folder) / f"{kind}.png"))
    return paths


@plotting.apply_style
def duration_figure(rows):
    """EER against duration, from rows of `Robustness.over_durations` of one corpus.

    A band is the 95 % interval by speaker. Below each duration stands the number of
    utterances as long: where it falls, the trials are others.
    """
    figure, axes = plotting.new_figure()
    counts = {row["duration_s"]: row["num_utterances"] for row in rows}
    for style, own in _by_extractor(rows):
        _plot_curve(axes, own, "duration_s", style)
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [f"{s:g}\n({n})" for s, n in counts.items()])
    axes.minorticks_off()
    axes.set_xlim(min(counts) / 1.15, max(counts) * 1.15)
    axes.set_xlabel("duration of both sides, s (utterances as long)")
    return _finish(figure, axes, rows, "Duration")


@plotting.apply_style
def noise_figure(rows):
    """EER against noise, from rows of `Robustness.over_noise` of one corpus.

    A band or a bar is the 95 % interval by speaker; clean stands beside.
    """
    figure, axes = plotting.new_figure()
    levels = sorted({row["snr_db"] for row in rows} - {None}, reverse=True)
    clean = max(levels) + 6.0  # a place on the axis, not a ratio
    extractors = list(_by_extractor(rows))
    for i, (style, own) in enumerate(extractors):
        noisy = [row for row in own if row["snr_db"] is not None]
        _plot_curve(axes, noisy, "snr_db", style)
        rate, low, high = _rates([row for row in own if row["snr_db"] is None])
        beside = clean + 0.7 * (len(extractors) - 1 - 2 * i) / 2
        axes.vlines(beside, low, high, color=style["color"])
        axes.plot(beside, rate, color=style["color"], marker=style["marker"])
    axes.set_xticks([clean, *levels], ["clean", *(f"{level:g}" for level in levels)])
    axes.set_xlim(clean + 2, min(levels) - 1)  # harder to the right
    axes.axvline((clean + max(levels)) / 2, color="#999999", linewidth=0.8)
    last = rows[-1]
    axes.set_xlabel(f"signal to noise, dB: {last['noise']}, {last['noisy']}")
    return _finish(figure, axes, rows, "Noise")


def _by_extractor(rows):
    """Line style, with the label for the legend, and rows with an EER of each."""
    for i, name in enumerate(dict.fromkeys(row["extractor"] for row in rows)):
        style = {
            "color": plotting.COLOURS[i % 7],
            "marker": plotting.MARKERS[i % 7],
            "linestyle": plotting.DASHES[i % 4],
            "label": name,
        }
        own = [row for row in rows if row["extractor"] == name]
        yield style, [row for row in own if row["eer"] is not None]


def _plot_curve(axes, rows, key, style):
    x = [row[key] for row in rows]
    rate, low, high = _rates(rows)
    axes.plot(x, rate, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _rates(rows):
    """EER and both ends of its interval in percent, `[3, rows]`."""
    rates = [[row["eer"], *(row["eer_interval"] or [row["eer"]] * 2)] for row in rows]
    return 100 * np.reshape(rates, (-1, 3)).T


def _finish(figure, axes, rows, name):
    protocol = rows[0]["protocol"].partition(",")[0]
    axes.set(
        title=f"{name}, {rows[0]['corpus']}, {protocol}",
        ylabel="EER with 95 % interval, %",
    )
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower left", ncols=2)
    return figure
