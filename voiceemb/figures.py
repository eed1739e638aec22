"""What an encoder looks like: its voices on a plane, its errors, its scores."""

import textwrap
from pathlib import Path

import numpy as np

from timbre import plotting
from timbre.audio.figures import utterance_figure
from timbre.metrics.figures import det_figure, reliability_figure, score_figure
from timbre.metrics.rates import det_curve

FEW = 12  # speakers in the comparison matrix
EACH = 6  # utterances of each there
LEGEND = 26  # letters of a line; two columns of them fit below a figure


def draw_evaluation(evaluation, folder, *, extractor, prefix=""):
    """Draws one evaluation: t-SNE, DET, histogram and comparison matrix.

    Args:
        evaluation: A `voiceemb.evaluate.Evaluation`.
        folder: Where the PNG files go.
        extractor: Name of the one whose embeddings are drawn; the DET figure shows
            all, and all ways to score.
        prefix: What file names begin with. Defaults to nothing.

    Returns:
        The paths, in the order above.
    """
    kind, folder = next(iter(evaluation.trials)), Path(folder)
    voices, trials = evaluation.sets[extractor], evaluation.trials[kind]
    what = f"{evaluation.corpus}, {evaluation.protocol}"
    curves = {
        textwrap.fill(name, LEGEND): det_curve(trials.label, scores)
        for (listed, name), scores in evaluation.scores.items()
        if listed == kind
    }
    rows = _few_of_few(voices.speaker)
    cosines = voices.embeddings[rows] @ voices.embeddings[rows].T
    drawn = {
        "tsne": plotting.scatter_figure(
            voices.embeddings, voices.speaker, title=f"t-SNE of {what}"
        ),
        "det": det_figure(curves, title=f"DET of {what}"),
        "scores": score_figure(
            trials.label,
            evaluation.scores[kind, extractor],
            threshold=evaluation.row(extractor, kind)["eer_threshold"],
            title=f"Cosines of {what}",
        ),
        "matrix": plotting.matrix_figure(
            cosines,
            labels=voices.speaker[rows],
            title=f"Utterances compared, {what}",
            scale="cosine",
        ),
    }
    return [
        plotting.save(figure, folder / f"{prefix}{name}.png")
        for name, figure in drawn.items()
    ]


def draw_utterance(utterance, encoder, folder):
    """Draws waveform, spectrogram and features of one utterance; returns the path.

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


def draw_reliability(evaluation, calibration, folder, *, extractor):
    """Draws whether an encoder's probabilities mean what they say; returns the path.

    Args:
        evaluation: A `voiceemb.evaluate.Evaluation`.
        calibration: A `timbre.metrics.calibration.Calibration` of the extractor's cosines.
        folder: Where `reliability.png` goes.
        extractor: Name of the one whose cosines are turned into probabilities.
    """
    answers = {
        kind: (
            trials.label,
            calibration.probability(evaluation.scores[kind, extractor]),
        )
        for kind, trials in evaluation.trials.items()
    }
    what = f"{extractor} on {evaluation.corpus}, {evaluation.protocol}"
    figure = reliability_figure(answers, title=f"Reliability of {what}")
    return plotting.save(figure, Path(folder) / "reliability.png")


def draw_robustness(rows, folder):
    """Draws the rows of one corpus of `voiceemb.evaluation.robustness`; returns the paths.

    Args:
        rows: Of `over_durations`, `over_noise`, or both.
        folder: Where `duration.png` and `noise.png` go; what is not in the rows is
            not drawn.
    """
    drawn = []
    for kind, draw in (("duration", duration_figure), ("noise", noise_figure)):
        some = [row for row in rows if row["kind"] == kind]
        if some:
            drawn.append(plotting.save(draw(some), Path(folder) / f"{kind}.png"))
    return drawn


@plotting.apply_style
def duration_figure(rows, *, title=None):
    """Equal error rate against duration, on a logarithmic axis.

    A band is the 95 % interval by speaker. Below each duration stands how many
    utterances were that long: where it falls, the trials are others.

    Args:
        rows: Of `voiceemb.evaluation.robustness.over_durations`, of one corpus.
        title: Defaults to the corpus and its protocol.
    """
    figure, axes = plotting.new_figure()
    counts = {row["duration_s"]: row["num_utterances"] for row in rows}
    for look, some in _by_extractor(rows):
        x, rate, low, high = _rates(some, "duration_s")
        axes.plot(x, rate, **look)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [f"{s:g}\n({n})" for s, n in counts.items()])
    axes.minorticks_off()
    axes.set_xlim(min(counts) / 1.15, max(counts) * 1.15)
    axes.set_xlabel("duration of both sides, s (utterances as long)")
    return _finished(figure, axes, rows, title or f"Duration, {_what(rows)}")


@plotting.apply_style
def noise_figure(rows, *, title=None):
    """Equal error rate against signal-to-noise ratio; clean stands apart.

    A band or a bar is the 95 % interval by speaker.

    Args:
        rows: Of `voiceemb.evaluation.robustness.over_noise`, of one corpus.
        title: Defaults to the corpus and its protocol.
    """
    figure, axes = plotting.new_figure()
    levels = [row["snr_db"] for row in rows if row["snr_db"] is not None]
    levels = sorted(set(levels), reverse=True)
    clean = max(levels) + 6.0  # a place on the axis, not a ratio
    extractors = list(_by_extractor(rows))
    for i, (look, some) in enumerate(extractors):
        noisy = [row for row in some if row["snr_db"] is not None]
        x, rate, low, high = _rates(noisy, "snr_db")
        axes.plot(x, rate, **look)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        _, rate, low, high = _rates([row for row in some if row not in noisy], "snr_db")
        beside = clean + 0.7 * (len(extractors) - 1 - 2 * i) / 2
        axes.vlines(beside, low, high, color=look["color"])
        axes.plot(beside, rate, color=look["color"], marker=look["marker"])
    axes.set_xticks([clean, *levels], ["clean", *(f"{level:g}" for level in levels)])
    axes.set_xlim(clean + 2, min(levels) - 1)  # harder to the right
    axes.axvline((clean + max(levels)) / 2, color="#999999", linewidth=0.8)
    last = rows[-1]
    axes.set_xlabel(f"signal to noise, dB: {last['noise']}, {last['noisy']}")
    return _finished(figure, axes, rows, title or f"Noise, {_what(rows)}")


def _by_extractor(rows):
    """Look and measured rows of each extractor, with the label for the legend."""
    names = dict.fromkeys(row["extractor"] for row in rows)
    for i, name in enumerate(names):
        look = {"color": plotting.COLOURS[i % 7], "marker": plotting.MARKERS[i % 7]}
        look |= {"linestyle": plotting.DASHES[i % 4], "label": name}
        measured = [row for row in rows if row["eer"] is not None]
        yield look, [row for row in measured if row["extractor"] == name]


def _rates(rows, key):
    """Place, EER and both ends of its interval in percent, `[points]` each."""
    rates = [[row["eer"], *(row["eer_interval"] or [row["eer"]] * 2)] for row in rows]
    rates = np.reshape(rates, (-1, 3)).T
    return [row[key] for row in rows], *(100 * rates)


def _finished(figure, axes, rows, title):
    axes.set(title=title, ylabel="EER with 95 % interval, %")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _what(rows):
    return f"{rows[0]['corpus']}, {rows[0]['protocol'].partition(',')[0]}"


def _few_of_few(speaker):
    """Rows of a few utterances of a few speakers, neighbours by speaker."""
    names = np.unique(speaker)[:FEW]
    return np.concatenate([np.flatnonzero(speaker == name)[:EACH] for name in names])
