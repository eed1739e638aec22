"""Codes on planes: one t-SNE, looked at in the colours of one factor and of another.

Near means alike; distances between far clusters, and how large a cluster is, mean
nothing. Where a class is a colour it is a marker too, so no meaning hangs on colour
alone.
"""

import itertools
from string import ascii_lowercase

import numpy as np

from timbre import plotting

MOST = 1200  # rows on one plane
ROWS = 4  # factors of one figure: more could not be read
LONG = 14  # names in a column of a legend


@plotting.apply_style
def grid(columns, labels, *, found, seed=0, most=MOST):
    """A plane for each column of codes, in a row for each of the first four factors.

    Args:
        columns: Dict, title to codes `[n, dim]` of the same rows; `n` >= 4.
        labels: Dict, factor to names of classes, str `[n]`; `""` is unknown and grey.
        found: Dict, title to factor to a dict whose `knn` is written below; where
            there is none, nothing is.
        seed: Of t-SNE and of the choice of rows. Defaults to `0`.
        most: Most rows to place. Defaults to `1200`.

    Returns:
        A matplotlib figure; its panels are lettered row by row, after `z` with two
        letters.

    Raises:
        ValueError: If there are fewer than four rows, or not as many everywhere.
    """
    counts = {len(rows) for rows in (*columns.values(), *labels.values())}
    if len(counts) != 1 or min(counts) < 4:
        raise ValueError(
            "Codes and labels must be of the same rows, four or more. "
            f"Received: {sorted(counts)} rows"
        )
    labels = dict(itertools.islice(labels.items(), ROWS))
    keep = np.random.default_rng(seed).permutation(counts.pop())[:most]
    keep.sort()
    across = {name: -(-len(np.unique(rows)) // LONG) for name, rows in labels.items()}
    size = (2.3 * len(columns) + 0.6 * max(across.values()) + 0.5, 2.6 * len(labels))
    figure, panels = plotting.new_figure(
        len(labels), len(columns), size=size, squeeze=False
    )
    for j, (title, z) in enumerate(columns.items()):
        points = plotting.tsne(np.asarray(z)[keep], seed=seed)
        for i, (factor, names) in enumerate(labels.items()):
            axes, letter = panels[i, j], _letter(i * len(columns) + j)
            plotting.scatter(axes, points, np.asarray(names)[keep], size=9)
            axes.set_title(f"({letter}) {title}")
            near = found.get(title, {}).get(factor)
            axes.set_xlabel(f"kNN {near['knn']:.0%}" if near else "")
    for row, factor in zip(panels, labels, strict=True):
        row[0].set_ylabel(f"coloured by {factor}")
        plotting.legend_beside(
            row[-1],
            fontsize=6.5,
            ncols=across[factor],
            markerscale=1.5,
            columnspacing=0.5,
            handletextpad=0.1,
            borderpad=0,
        )
    return figure


def _letter(index):
    """`a` to `z`, then `aa`, `ab` and on."""
    tens, ones = divmod(index, len(ascii_lowercase))
    return (_letter(tens - 1) if tens else "") + ascii_lowercase[ones]
