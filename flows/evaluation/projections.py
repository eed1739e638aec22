"""t-SNE projections of latents, coloured by the classes of one factor after another."""

import itertools
from string import ascii_lowercase

import numpy as np

from timbre import plotting

MAX_ROWS = 1200  # of one projection
MAX_FACTORS = 4  # of one figure
MAX_NAMES = 14  # in a column of a legend


@plotting.apply_style
def projection_figure(columns, labels, *, found=None, seed=0, max_rows=MAX_ROWS):
    """t-SNE projections, a column for each set of latents, a row for each factor.

    Near means alike; distances between far clusters, and how large a cluster is, mean
    nothing. A class has a colour and a marker. The first four factors are plotted.

    Args:
        columns: Dict, title to latents `[n, dim]` of the same rows; `n` >= 4.
        labels: Dict, factor to names of classes, str `[n]`; `""` is unknown and grey.
        found: Dict, title to factor to a dict whose `knn`, the accuracy of nearest
            neighbours, is written below. Defaults to none.
        seed: Of t-SNE and of the sample of rows. Defaults to `0`.
        max_rows: Most rows to project. Defaults to `1200`.

    Returns:
        A matplotlib figure; its panels are lettered row by row.
    """
    counts = {len(rows) for rows in (*columns.values(), *labels.values())}
    if len(counts) != 1 or min(counts) < 4:
        raise ValueError(
            "Latents and labels must be of the same rows, four or more. "
            f"Received: {sorted(counts)} rows"
        )
    labels = dict(itertools.islice(labels.items(), MAX_FACTORS))
    keep = np.random.default_rng(seed).permutation(counts.pop())[:max_rows]
    keep.sort()
    ncols = {f: -(-len(np.unique(names)) // MAX_NAMES) for f, names in labels.items()}
    width = 2.3 * len(columns) + 0.6 * max(ncols.values()) + 0.5
    figure, panels = plotting.new_figure(
        len(labels), len(columns), size=(width, 2.6 * len(labels)), squeeze=False
    )
    for j, (title, z) in enumerate(columns.items()):
        points = plotting.tsne(np.asarray(z)[keep], seed=seed)
        for i, (factor, names) in enumerate(labels.items()):
            axes = panels[i, j]
            plotting.scatter(axes, points, np.asarray(names)[keep], size=9)
            axes.set_title(f"({_letter(i * len(columns) + j)}) {title}")
            near = (found or {}).get(title, {}).get(factor)
            axes.set_xlabel(f"kNN {near['knn']:.0%}" if near else "")
    dense = {"columnspacing": 0.5, "handletextpad": 0.1, "borderpad": 0}
    for row, factor in zip(panels, labels, strict=True):
        row[0].set_ylabel(f"coloured by {factor}")
        plotting.legend_beside(
            row[-1], fontsize=6.5, ncols=ncols[factor], markerscale=1.5, **dense
        )
    return figure


def _letter(index):
    """`a` to `z`, then `aa`, `ab` and on."""
    tens, ones = divmod(index, len(ascii_lowercase))
    return (_letter(tens - 1) if tens else "") + ascii_lowercase[ones]
