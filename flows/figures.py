"""What codes, their parts and changed segments look like."""

from pathlib import Path

import numpy as np

from flows.batching import map_batches
from flows.evaluation import tsne
from flows.evaluation.manipulation import split_parts
from timbre import plotting

CHANCE = "chance\n(most frequent)"
SHOWN = 3  # segments that are shown before and after
NAMES = {"vae": "VAE", "nf": "NF", "fdnf": "f-DNF"}
HATCHES = ("", "//", "..", "xx")
HOLLOW = {"marker": "D", "markersize": 7, "linestyle": "none", "color": "black"} | {
    "markerfacecolor": "none"
}


def name(kind) -> str:
    """A kind of model, or a part of its codes, as readers know it.

    `dnf-phone` is the `phone-DNF`, and `fdnf/speaker` is `f-DNF, speaker`.
    """
    kind, _, part = kind.partition("/")
    known = NAMES.get(kind, kind)
    if kind.startswith("dnf-"):
        known = f"{kind.removeprefix('dnf-')}-DNF"
    return f"{known}, {part}" if part else known


def part_name(part) -> str:
    """A part of a code as readers know it: `code` is the whole."""
    return "whole code" if part == "code" else part


def draw(models, parts, folder, *, results, published=None, history=(), seed=0):
    """Draws the figures that a run's models, data and history allow.

    Args:
        models: Dict, kind to a trained `flows.models.latent_model.LatentModel`.
        parts: The `flows.data.Parts`; rows of `test` are drawn.
        folder: Where the PNG files go.
        results: What `flows.evaluate.evaluate` returns.
        published: See `manipulation_figure`.
        history: Rows of the run's history, of all models. Defaults to none.
        seed: Of what is drawn. Defaults to `0`.

    Returns:
        The paths: `encoding.png`, `parts.png`, `leakage.png`, `manipulation.png`,
        `segments.png`, `history.png`, without those there is nothing for.
    """
    rows = parts.test
    keep = np.random.default_rng(seed).permutation(len(rows))[: tsne.MOST]
    rows = rows.subset(np.sort(keep))
    drawn = {}
    if len(rows) > 3:
        drawn |= _code_figures(models, rows, results["models"], seed)
    structures = {kind: found["parts"] for kind, found in results["models"].items()}
    several = {kind: found for kind, found in structures.items() if len(found) > 1}
    if several:
        drawn["leakage"] = leakage_figure(several)
    changed = {f: rows for f, rows in results["manipulation"].items() if rows}
    if changed:
        drawn["manipulation"] = manipulation_figure(changed, published=published)
    if len(rows) and np.ndim(rows.x) == 3:
        kind = "fdnf" if "fdnf" in models else list(models)[-1]
        told = {"title": f"Segments changed by {name(kind)}", "seed": seed}
        few = np.random.default_rng(seed).permutation(len(rows))[:SHOWN]
        few = models[kind], rows.x[few], rows.labels[few]
        drawn["segments"] = segments_figure(*few, **told)
    if history:
        drawn["history"] = plotting.history_figure(history, columns=("loss", "bits"))
    return [
        plotting.save(figure, Path(folder) / f"{title}.png")
        for title, figure in drawn.items()
    ]


def _code_figures(models, rows, found, seed):
    """The figures of codes of the same rows."""
    vocabulary = next(iter(models.values())).vocabulary
    labels = {
        factor: np.array([*classes, ""])[rows.labels[:, column]]  # -1 is ""
        for column, (factor, classes) in enumerate(vocabulary.items())
    }
    codes = {kind: map_batches(model.encode, rows.x) for kind, model in models.items()}
    whole = {kind: told["parts"]["code"] for kind, told in found.items()}
    drawn = {"encoding": latents_figure(codes, labels, found=whole, seed=seed)}
    if "fdnf" in models:
        own, told = split_parts(models["fdnf"], codes["fdnf"]), found["fdnf"]["parts"]
        if own:
            drawn["parts"] = parts_figure(own, labels, found=told, seed=seed)
    return drawn


def latents_figure(codes, labels, *, found=None, seed=0, most=tsne.MOST):
    """Whole codes, a column for each model; each row coloured by another factor.

    Args:
        codes: Dict, kind of model to `[n, dim]`, the same rows everywhere; `n` >= 4.
        labels: Dict, factor to names of classes, str `[n]`; `""` is unknown and grey.
            The first four factors are drawn.
        found: Dict, kind to factor to a dict whose `knn`, how often neighbours have
            the same class, is written below. Defaults to none.
        seed: Of t-SNE and of the choice of rows. Defaults to `0`.
        most: Most rows to place. Defaults to `1200`.

    Returns:
        A matplotlib figure; its panels are lettered row by row.
    """
    codes = {name(kind): z for kind, z in codes.items()}
    found = {name(kind): told for kind, told in (found or {}).items()}
    return tsne.grid(codes, labels, found=found, seed=seed, most=most)


def parts_figure(parts, labels, *, found=None, seed=0, most=tsne.MOST):
    """Each part of a factorial code on its own, as `latents_figure`.

    What belongs to a factor is sorted by its classes there and is mixed elsewhere.

    Args:
        parts: Dict, part to `[n, d]`.
        labels, found, seed, most: See `latents_figure`, with parts for kinds.
    """
    parts = {f"part: {part}": z for part, z in parts.items()}
    found = {f"part: {part}": told for part, told in (found or {}).items()}
    return tsne.grid(parts, labels, found=found, seed=seed, most=most)


@plotting.apply_style
def leakage_figure(structures, *, key="knn"):
    """What each part of a code tells of each factor, beside what guessing would.

    To guess is to say the most frequent class always, as `timbre.metrics.clusters.majority_rate`.

    Args:
        structures: Dict, kind of model to part to factor to a dict with `key` and
            `chance`.
        key: The measure, an accuracy. Defaults to `"knn"`, of the nearest neighbours.
    """
    first = next(iter(next(iter(structures.values())).values()))
    high = max(map(len, structures.values())) + 1
    size = (len(structures) * (1.0 * len(first) + 1.4) + 1.0, 0.7 * high + 1.3)
    figure, panels = plotting.new_figure(1, len(structures), size=size, squeeze=False)
    for axes, (kind, structure) in zip(panels[0], structures.items(), strict=True):
        cells = [[row[factor][key] for factor in first] for row in structure.values()]
        guess = next(iter(structure.values()))
        cells.append([guess[factor]["chance"] for factor in first])
        image = axes.imshow(cells, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(np.array(cells, float)):
            colour = "white" if value < 0.5 else "black"
            axes.text(j, i, f"{value:.2f}", color=colour, ha="center", va="center")
        axes.axhline(len(structure) - 0.5, color="white", linewidth=5)
        axes.set_yticks(range(len(cells)), [*map(part_name, structure), CHANCE])
        axes.set_xticks(range(len(first)), list(first))
        axes.grid(False)
        axes.set(title=name(kind), xlabel="factor that is asked for")
    panels[0, 0].set_ylabel("part of the code")
    figure.colorbar(image, ax=panels, label=f"accuracy ({key})")
    return figure


@plotting.apply_style
def manipulation_figure(manipulation, *, published=None):
    """What changing a factor does to its target's posterior, and to other factors'.

    Bars were measured, hollow diamonds are published. Good models have long bars above
    and none below.

    Args:
        manipulation: Dict, factor to kind to dicts `target` and `others`, as in the
            results of `flows.evaluate.evaluate`.
        published: The same of a paper. Defaults to none.
    """
    size = (4.2 * len(manipulation) + 0.6, 5.8)
    told = {"size": size, "squeeze": False, "sharey": "row"}
    figure, panels = plotting.new_figure(2, len(manipulation), **told)
    looks = {
        factor: {
            "color": plotting.COLOURS[i % len(plotting.COLOURS)],
            "hatch": HATCHES[i % len(HATCHES)],
        }
        for i, factor in enumerate(_factors(manipulation))
    }
    for axes, (factor, rows) in zip(panels.T, manipulation.items(), strict=True):
        theirs = (published or {}).get(factor, {})
        others = next(iter(rows.values()))["others"]
        _bars(axes[0], factor, rows, theirs, {factor: looks[factor]})
        _bars(axes[1], factor, rows, theirs, {o: looks[o] for o in others})
        axes[0].set_title(f"{factor} changed: its target")
        axes[1].set_title(f"{factor} changed: side effect")
    for axes in panels[:, 0]:
        axes.set_ylabel("change of posterior")
    pairs = [axes.get_legend_handles_labels() for axes in panels.flat]
    named = {text: handle for pair in pairs for handle, text in zip(*pair, strict=True)}
    figure.legend(named.values(), list(named), loc="outside lower left", ncols=6)
    return figure


@plotting.apply_style
def segments_figure(model, x, labels, *, title="Segments changed", seed=0):
    """Segments as they are, and as they become with each factor changed.

    Args:
        model: A `flows.models.latent_model.LatentModel`.
        x: Segments `[n, frames, bands]`, as the model takes them.
        labels: Codes of their classes, int `[n, factors]`; -1 is unknown.
        title: Of the figure.
        seed: Of the classes they are changed to. Defaults to `0`.
    """
    vocabulary, rng = model.vocabulary, np.random.default_rng(seed)
    images, titles = [np.asarray(x)], [[_title(vocabulary, row) for row in labels]]
    for column, factor in enumerate(vocabulary):
        if factor not in model.factors:
            continue
        num, before = len(vocabulary[factor]), labels[:, column]
        to = (before + 1 + rng.integers(num - 1, size=len(x))) % num
        images.append(np.asarray(model.manipulate(x, factor, to, source=before)))
        titles.append([f"{factor}: {vocabulary[factor][code]}" for code in to])
    figure, panels = plotting.new_figure(
        *(len(x), len(images)),
        size=(2.4 * len(images) + 1.2, 1.9 * len(x) + 0.7),
        **{"squeeze": False, "sharex": True, "sharey": True},
    )
    low, high = np.quantile(images[0], [0.005, 0.995])
    for row, axes in enumerate(panels.T.flat):
        j, i = divmod(row, len(x))
        look = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
        shown = axes.imshow(images[j][i].T, vmin=low, vmax=high, **look)
        axes.set_title(titles[j][i], fontsize=9)
        axes.grid(False)
    for axes in panels[-1]:
        axes.set_xlabel("frames")
    for axes in panels[:, 0]:
        axes.set_ylabel("bands")
    figure.colorbar(shown, ax=panels, label="log energy")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _title(vocabulary, codes):
    """The known classes of a row."""
    pairs = zip(vocabulary.values(), codes, strict=True)
    return "before: " + ", ".join(names[code] for names, code in pairs if code >= 0)


def _bars(axes, changed, rows, published, looks):
    """Bars of what some factors' posteriors did, side by side in each model."""
    width = 0.8 / max(len(looks), 1)
    known = {kind: row for kind, row in published.items() if kind in rows}
    for i, (factor, look) in enumerate(looks.items()):
        places = dict(zip(rows, np.arange(len(rows)) + width * i, strict=True))
        ours = [_change(row, factor, changed) for row in rows.values()]
        look = look | {"alpha": 0.75, "edgecolor": "white", "label": factor}
        axes.bar(places.values(), ours, 0.9 * width, **look)
        if known:
            theirs = [_change(row, factor, changed) for row in known.values()]
            told = {**HOLLOW, "label": "published, other data"}
            axes.plot([places[kind] for kind in known], theirs, **told)
    axes.axhline(0, color="#555555", linewidth=0.8)
    middle = np.arange(len(rows)) + width * (len(looks) - 1) / 2
    axes.set_xticks(middle, [name(kind) for kind in rows])


def _factors(manipulation):
    """All factors that are changed or looked at."""
    rows = (row for kinds in manipulation.values() for row in kinds.values())
    others = [other for row in rows for other in row["others"]]
    return dict.fromkeys([*manipulation, *others])


def _change(row, factor, changed):
    return (row["target"] if factor == changed else row["others"][factor])["change"]
