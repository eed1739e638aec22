"""One look for every figure, readable in grey and with any colour vision.

Colours are those of Okabe and Ito, and no meaning hangs on colour alone: lines differ
in dash, points in marker. Figures are made without `pyplot`, so drawing never opens a
window and never changes the backend a user has chosen.

Reference:
    Color Universal Design (Okabe and Ito, 2008), https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from timbre.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
COLOURS = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # purple
    "#E69F00",  # orange
    "#56B4E9",  # sky
    "#000000",
)
DASHES = ("-", "--", "-.", ":")
MARKERS = "osv^DPX"
EAST_ASIAN = ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.dpi": 110,
    "font.size": 9.5,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "white",
    "text.parse_math": False,
}


@functools.cache
def _fonts() -> list[str]:
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in EAST_ASIAN if name in installed)]


def apply_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in the common look, whatever look is set outside."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import style

        with style.context(["default", STYLE | {"font.family": _fonts()}]):
            return draw(*args, **kwargs)

    return wrapper


@apply_style
def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (6.4, 4.4),
    **options,
) -> tuple[Figure, Any]:
    """An empty figure and its axes, an array of them when there are several panels.

    They are in the common look; draw into them inside `apply_style`.

    Args:
        rows, columns: Numbers of panels, down and across. Default to `1`.
        size: Width and height of the whole, in inches. Defaults to `(6.4, 4.4)`.
        **options: For `matplotlib.figure.Figure.subplots`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


@apply_style
def save(figure: Figure, path: str | os.PathLike, *, dpi: int = 150) -> Path:
    """Write a figure atomically and return the path.

    The suffix gives the format (`.png`, `.svg`, `.pdf`); `dpi`, dots per inch, defaults
    to `150`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(temporary, dpi=dpi)
    return path


@apply_style
def matrix_figure(
    matrix: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    title: str = "Comparison",
    scale: str = "mean cosine",
) -> Figure:
    """A matrix as a heat map; neighbouring rows of one label share a tick.

    Args:
        matrix: Values, `[rows, columns]`.
        labels: Names of the rows, and of the columns of a square matrix.
        scale: What a value is, for the colour bar. Defaults to `mean cosine`.
    """
    matrix = np.asarray(matrix)
    figure, axes = new_figure(size=(6.2, 5.4))
    image = axes.imshow(matrix, cmap="cividis", interpolation="nearest")
    axes.grid(False)
    figure.colorbar(image, ax=axes, label=scale, shrink=0.9)
    axes.set_title(title)
    if labels is None:
        return figure
    labels = np.asarray(labels, str)
    if len(labels) != len(matrix):
        rule = "`labels` must name every row"
        raise ValueError(f"{rule}. Received: {len(labels)} for {len(matrix)} rows")
    edges = np.append(np.flatnonzero(labels[1:] != labels[:-1]) + 1, len(labels))
    starts = np.append(0, edges[:-1])
    font = float(np.clip(260 / len(starts), 3.5, 9))
    ticks = {"ticks": (starts + edges - 1) / 2, "labels": labels[starts]}
    axes.set_yticks(**ticks, fontsize=font)
    if matrix.shape[0] == matrix.shape[1]:
        axes.set_xticks(**ticks, fontsize=font, rotation=90)
    if len(starts) < len(labels):
        for edge in edges[:-1] - 0.5:
            axes.axhline(edge, color="white", linewidth=0.5)
            axes.axvline(edge, color="white", linewidth=0.5)
    return figure


def tsne(rows: ArrayLike, *, seed: int = 0, init: str = "pca") -> np.ndarray:
    """t-SNE projection of rows `[rows, dim]` to `[rows, 2]`, where near means alike.

    Distances between far clusters and sizes of clusters mean nothing. There must be
    four rows. `init` is `"pca"` (the default), which is random where rows have no two
    principal components, or `"random"`; `seed` defaults to `0`.

    Reference:
        Visualizing Data using t-SNE (van der Maaten and Hinton, 2008),
        https://jmlr.org/papers/v9/vandermaaten08a.html
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = np.asarray(rows, np.float64)
    if rows.shape[1] < 2 or not np.ptp(rows, axis=0).any():
        init = "random"
    perplexity = min(30.0, (len(rows) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, random_state=seed, init=init)
    with threadpool_limits(1):  # faster here: threads wait for each other
        return model.fit_transform(rows)


def scatter(
    axes: Axes, points: np.ndarray, labels: np.ndarray, *, size: float = 18
) -> None:
    """Draw labelled points, each class in its own colour and marker.

    Args:
        axes: Where to draw.
        points: `[points, 2]`.
        labels: Class of each, str `[points]`; `""` is unknown, and grey.
        size: Area of a marker, square points. Defaults to `18`.
    """
    classes = [name for name in np.unique(labels) if name]
    looks: dict[str, dict[str, Any]] = {
        name: class_style(i, len(classes)) for i, name in enumerate(classes)
    }
    if "" in labels:
        looks = {"": {"color": "#BBBBBB", "marker": "o"}} | looks
    for name, look in looks.items():
        x, y = points[labels == name].T
        axes.scatter(x, y, s=size, linewidths=0, alpha=0.8, label=name or "?", **look)
    axes.set(xticks=[], yticks=[])


def class_style(index: int, num_classes: int) -> dict:
    """Colour and marker of a class; of more than seven, hues in order."""
    marker = MARKERS[index % len(MARKERS)]
    if num_classes <= len(COLOURS):
        return {"color": COLOURS[index % len(COLOURS)], "marker": marker}
    from matplotlib.colors import hsv_to_rgb

    value = (0.9, 0.6)[index % 2]  # neighbours differ
    return {"color": hsv_to_rgb((index / num_classes, 0.9, value)), "marker": marker}


def legend_beside(axes: Axes, **options) -> None:
    """Name what is drawn, on the right of the axes."""
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), **options)


@apply_style
def scatter_figure(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    title: str = "t-SNE",
    seed: int = 0,
    max_points: int = 1500,
) -> Figure:
    """t-SNE of the directions of embeddings, one colour and marker per speaker.

    Args:
        embeddings: One row per utterance, `[utterances, dim]`.
        labels: Speaker of each, `[utterances]`.
        seed: Of t-SNE and of the choice of points. Defaults to `0`.
        max_points: Most points to place. Defaults to `1500`.
    """
    embeddings, labels = np.asarray(embeddings, float), np.asarray(labels, str)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1] or len(labels) < 4:
        raise ValueError(
            "`embeddings` must have four rows or more, and `labels` name each. "
            f"Received: shapes {embeddings.shape} and {labels.shape}"
        )
    keep = np.sort(np.random.default_rng(seed).permutation(len(labels))[:max_points])
    embeddings, labels = embeddings[keep], labels[keep]
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.where(norms == 0, 1, norms)
    figure, axes = new_figure(size=(7.4, 5.2))
    scatter(axes, tsne(unit, seed=seed, init="random"), labels)
    num_speakers = len(np.unique(labels))
    axes.set(title=title, xlabel=f"{len(labels)} utterances of {num_speakers} speakers")
    if num_speakers <= 28:  # more do not fit beside the axes
        legend_beside(axes, fontsize=8)
    return figure


@apply_style
def history_figure(
    rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None
) -> Figure:
    """One panel per quantity of a run's history, one line per phase.

    Args:
        rows: Dictionaries with `step`, `phase` and quantities, numbers or text;
            empty where a quantity was not measured at that step.
        columns: Quantities to draw. Defaults to all that hold a number.
    """
    points = _numbers(rows, columns)
    if not points:
        raise ValueError(f"A history must hold numbers. Received: {len(rows)} rows")
    across = min(3, len(points))
    down = -(-len(points) // across)
    size = (3.6 * across + 0.4, 2.5 * down + 0.5)
    figure, panels = new_figure(down, across, size=size, squeeze=False)
    looks = {}
    for phase in dict.fromkeys(phase for phases in points.values() for phase in phases):
        i = len(looks)
        looks[phase] = {"color": COLOURS[i % 7], "linestyle": DASHES[i % 4]}
        panels.flat[0].plot([], [], label=phase, **looks[phase])
    for axes, (name, phases) in zip(panels.flat, points.items(), strict=False):
        for phase, pairs in phases.items():
            look = looks[phase] | {"marker": "o" if len(pairs) <= 25 else ""}
            axes.plot(*zip(*pairs, strict=True), markersize=3, **look)
        axes.set(title=name, xlabel="step")
    for axes in panels.flat[len(points) :]:
        axes.set_axis_off()
    panels.flat[0].legend()
    figure.suptitle("Training", x=0.01, ha="left")
    return figure


def _numbers(rows, columns) -> dict:
    """`{quantity: {phase: [(step, value)]}}` of all finite numbers in a history."""
    points = {name: {} for name in columns or ()}
    for index, row in enumerate(rows):
        step, phase = float(row.get("step") or index), row.get("phase") or ""
        for name, text in row.items():
            if name in ("step", "phase") or (columns and name not in columns):
                continue
            try:
                value = float(text)
            except (TypeError, ValueError):
                continue
            if np.isfinite(value):
                series = points.setdefault(name, {}).setdefault(phase, [])
                series.append((step, value))
    return {name: phases for name, phases in points.items() if phases}
