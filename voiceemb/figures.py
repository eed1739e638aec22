"""What an encoder looks like: its voices on a plane, its errors, its scores."""

from pathlib import Path

import numpy as np

from audio.figures import utterance_figure
from metrics import figures, verification
from voiceemb.evaluation import read

FEW = 12  # speakers in the comparison matrix
EACH = 6  # utterances of each there


def draw_evaluation(evaluation, folder, *, extractor, prefix=""):
    """Draws one evaluation: t-SNE, DET, histogram and comparison matrix.

    Args:
        evaluation: A `voiceemb.evaluation.Evaluation`.
        folder: Where the PNG files go.
        extractor: Name of the one whose embeddings are drawn; the DET figure shows
            all.
        prefix: What file names begin with. Defaults to nothing.

    Returns:
        The paths, in the order above.
    """
    kind, folder = next(iter(evaluation.trials)), Path(folder)
    voices, trials = evaluation.sets[extractor], evaluation.trials[kind]
    what = f"{evaluation.corpus}, {evaluation.protocol}"
    curves = {
        name: verification.det_curve(trials.label, scores)
        for (listed, name), scores in evaluation.scores.items()
        if listed == kind
    }
    rows = _few_of_few(voices.speaker)
    cosines = voices.embeddings[rows] @ voices.embeddings[rows].T
    drawn = {
        "tsne": figures.scatter_figure(
            voices.embeddings, voices.speaker, title=f"t-SNE of {what}"
        ),
        "det": figures.det_figure(curves, title=f"DET of {what}"),
        "scores": figures.score_figure(
            trials.label,
            evaluation.scores[kind, extractor],
            threshold=evaluation.row(extractor, kind)["eer_threshold"],
            title=f"Cosines of {what}",
        ),
        "matrix": figures.matrix_figure(
            cosines,
            labels=voices.speaker[rows],
            title=f"Utterances compared, {what}",
            scale="cosine",
        ),
    }
    return [
        figures.save(figure, folder / f"{prefix}{name}.png")
        for name, figure in drawn.items()
    ]


def draw_utterance(utterance, encoder, folder):
    """Draws waveform, spectrogram and features of one utterance; returns the path.

    Args:
        utterance: A `corpora.corpus.Utterance`.
        encoder: A `voiceemb.Encoder` of a model in memory, not of an export.
        folder: Where `utterance.png` goes.
    """
    waveform = read(utterance, sample_rate=encoder.sample_rate)
    model = encoder.model
    features = model.normalisation(model.features(waveform[None]))[0].numpy()
    figure = figures.styled(utterance_figure)(
        waveform,
        features,
        sample_rate=encoder.sample_rate,
        hop_s=model.filterbank.hop_s,
        title=f"{utterance.speaker}: {utterance.text or utterance.path.name}",
    )
    return figures.save(figure, Path(folder) / "utterance.png")


def _few_of_few(speaker):
    """Rows of a few utterances of a few speakers, neighbours by speaker."""
    names = np.unique(speaker)[:FEW]
    return np.concatenate([np.flatnonzero(speaker == name)[:EACH] for name in names])
