"""Figures of an enrolment store: similarity matrix, and target and impostor scores."""

from pathlib import Path

import numpy as np

from timbre import plotting
from timbre.metrics.figures import score_figure
from timbre.metrics.rates import eer_threshold
from timbre.metrics.trials import all_pairs
from timbre.training.networks import check_choice

MEASURES = {"cosine": "cosine", "distance": "Euclidean distance of unit vectors"}


def compare(embeddings, *, measure="cosine") -> np.ndarray:
    """Compare all embeddings with each other, float64 `[samples, samples]`.

    Args:
        embeddings: Of any length above 0, `[samples, dim]`.
        measure: `"cosine"`, or `"distance"`, the Euclidean distance of the unit
            vectors: `distance**2 = 2 - 2 * cosine`. Defaults to `"cosine"`.
    """
    check_choice("measure", measure, [*MEASURES])
    rows = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.ndim != 2 or not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError(
            "`embeddings` must be [samples, dim], finite and not zero. "
            f"Received: shape {rows.shape}"
        )
    rows = rows / lengths
    cosines = np.clip(rows @ rows.T, -1, 1)
    return cosines if measure == "cosine" else np.sqrt(2 - 2 * cosines)


def matrix_figure(samples, *, measure="cosine", title="Samples compared"):
    """A heat map of all samples against each other, those of one person together.

    Args:
        samples: A `timbre.corpora.embeddings.EmbeddingSet`.
        measure: See `compare`. Defaults to `"cosine"`.
        title: Of the figure.
    """
    samples = samples.subset(np.argsort(samples.speaker, kind="stable"))
    return plotting.matrix_figure(
        compare(samples.embeddings, measure=measure),
        labels=samples.speaker,
        title=title,
        scale=MEASURES[measure],
    )


@plotting.apply_style
def pairs_figure(samples, *, measure="distance", title="Pairs of samples"):
    """Histograms of target and impostor pairs, with the threshold of the EER.

    Args:
        samples: A `timbre.corpora.embeddings.EmbeddingSet` of two people or more, of
            whom one has two samples or more.
        measure: See `compare`. Defaults to `"distance"`.
        title: Of the figure.
    """
    pairs = all_pairs(samples.speaker)
    values = compare(samples.embeddings, measure=measure)[pairs.enrol, pairs.test]
    sign = 1 if measure == "cosine" else -1  # the nearer, the more alike
    threshold = sign * eer_threshold(pairs.label, sign * values)
    figure = score_figure(pairs.label, values, threshold=threshold, title=title)
    figure.axes[0].set_xlabel(MEASURES[measure])
    return figure


def save_figures(people, folder) -> list[Path]:
    """Plot enrolled people: `comparison.png`, and `pairs.png` if there are pairs.

    Args:
        people: A `voiceemb.enrolment.people.People`.
        folder: Where the files go; their paths are returned.
    """
    samples = people.samples()
    if not len(samples):
        raise ValueError("A figure needs enrolled people: there are none.")
    figures = {"comparison": matrix_figure(samples)}
    if 1 < len(people) < len(samples):
        figures["pairs"] = pairs_figure(samples)
    return [
        plotting.save(figure, Path(folder) / f"{name}.png")
        for name, figure in figures.items()
    ]
