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
FEW = len(plotting.COLOURS)  # of more classes than this, each has a hue


@plotting.styled
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
        places = _plane(np.asarray(z)[keep], seed)
        for i, (factor, names) in enumerate(labels.items()):
            axes, letter = panels[i, j], _letter(i * len(columns) + j)
            _scatter(axes, places, np.asarray(names)[keep])
            axes.set(title=f"({letter}) {title}", xticks=[], yticks=[])
            near = found.get(title, {}).get(factor)
            axes.set_xlabel(f"kNN {near['knn']:.0%}" if near else "")
    for row, factor in zip(panels, labels, strict=True):
        row[0].set_ylabel(f"coloured by {factor}")
        row[-1].legend(
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            fontsize=6.5,
            ncols=across[factor],
            markerscale=1.5,
            **{"columnspacing": 0.5, "handletextpad": 0.1, "borderpad": 0},
        )
    return figure


def _letter(index):
    """`a` to `z`, then `aa`, `ab` and on."""
    tens, ones = divmod(index, len(ascii_lowercase))
    return (_letter(tens - 1) if tens else "") + ascii_lowercase[ones]


def _scatter(axes, places, names):
    """Rows on a plane, each class in a look of its own; those without one grey."""
    classes = [each for each in np.unique(names) if each]
    for i, each in enumerate(["", *classes] if "" in names else classes):
        look = _look(i, len(classes)) if each else {"color": "#BBBBBB", "marker": "o"}
        some = places[names == each].T
        axes.scatter(*some, s=9, linewidths=0, alpha=0.8, label=each or "?", **look)


def _look(index, count):
    """Colour and marker of a class: of many, hues in order."""
    marker = plotting.MARKERS[index % len(plotting.MARKERS)]
    if count <= FEW:
        return {"color": plotting.COLOURS[index % FEW], "marker": marker}
    from matplotlib.colors import hsv_to_rgb

    value = (0.9, 0.6)[index % 2]  # neighbours differ
    return {"color": hsv_to_rgb((index / count, 0.9, value)), "marker": marker}


def _plane(z, seed):
    """The t-SNE of codes `[n, dim]`, `n` >= 4, as `[n, 2]`."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    z = np.asarray(z, np.float64)
    init = "pca" if z.shape[1] > 1 and np.ptp(z, axis=0).any() else "random"
    perplexity = min(30.0, (len(z) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, random_state=seed, init=init)
    with threadpool_limits(1):  # faster here: threads wait for each other
        return plane.fit_transform(z)
