"""Figures of latents, of their parts and of changed segments."""

from pathlib import Path

import numpy as np

from flows.batching import map_batches
from flows.evaluation.manipulation import split_parts
from flows.evaluation.projections import MAX_ROWS, projection_figure
from flows.evaluation.summary import model_name, part_name
from timbre import plotting

CHANCE = "chance\n(most frequent)"
NUM_SEGMENTS = 3  # shown before and after
HATCHES = ("", "//", "..", "xx")


def save_figures(models, data, folder, *, results, published=None, history=(), seed=0):
    """Plots the figures that a run's models, data and history allow.

    Args:
        models: Dict, kind to a trained `flows.models.latent_model.LatentModel`.
        data: The `flows.data.Parts`; rows of `test` are plotted.
        folder: Folder of the PNG files.
        results: What `flows.evaluate.evaluate` returns.
        published: See `manipulation_figure`.
        history: Rows of the run's history, of all models. Defaults to none.
        seed: Of t-SNE and of samples of rows. Defaults to `0`.

    Returns:
        The paths: `encoding.png`, `parts.png`, `leakage.png`, `manipulation.png`,
        `segments.png`, `history.png`, without those there is nothing for.
    """
    rows = data.test
    keep = np.random.default_rng(seed).permutation(len(rows))[:MAX_ROWS]
    rows = rows.subset(np.sort(keep))
    figures = {}
    if len(rows) > 3:
        figures |= _latent_figures(models, rows, results["models"], seed)
    parts = {kind: found["parts"] for kind, found in results["models"].items()}
    several = {kind: found for kind, found in parts.items() if len(found) > 1}
    if several:
        figures["leakage"] = leakage_figure(several)
    changed = {f: kinds for f, kinds in results["manipulation"].items() if kinds}
    if changed:
        figures["manipulation"] = manipulation_figure(changed, published=published)
    if len(rows) and np.ndim(rows.x) == 3:
        kind = "fdnf" if "fdnf" in models else list(models)[-1]
        few = np.random.default_rng(seed).permutation(len(rows))[:NUM_SEGMENTS]
        figures["segments"] = segments_figure(
            models[kind],
            rows.x[few],
            rows.labels[few],
            title=f"Segments changed by {model_name(kind)}",
            seed=seed,
        )
    if history:
        figures["history"] = plotting.history_figure(history, columns=("loss", "bits"))
    return [
        plotting.save(figure, Path(folder) / f"{title}.png")
        for title, figure in figures.items()
    ]


def _latent_figures(models, rows, found, seed):
    """Projections of the latents of each model, and of the parts of the f-DNF."""
    vocabulary = next(iter(models.values())).vocabulary
    labels = {
        factor: np.array([*classes, ""])[rows.labels[:, column]]  # -1 is ""
        for column, (factor, classes) in enumerate(vocabulary.items())
    }
    latents = {k: map_batches(model.encode, rows.x) for k, model in models.items()}
    figures = {
        "encoding": projection_figure(
            {model_name(kind): z for kind, z in latents.items()},
            labels,
            found={model_name(k): of["parts"]["code"] for k, of in found.items()},
            seed=seed,
        )
    }
    parts = split_parts(models["fdnf"], latents["fdnf"]) if "fdnf" in models else {}
    if parts:
        figures["parts"] = projection_figure(
            {f"part: {part}": z for part, z in parts.items()},
            labels,
            found={f"part: {k}": of for k, of in found["fdnf"]["parts"].items()},
            seed=seed,
        )
    return figures


@plotting.apply_style
def leakage_figure(structures, *, key="knn"):
    """What each part of the latents encodes of each factor, beside chance.

    Args:
        structures: Dict, kind of model to part to factor to a dict with `key` and
            `chance`, the rate of the most frequent class.
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
        axes.set(title=model_name(kind), xlabel="factor")
    panels[0, 0].set_ylabel("part of the latent")
    figure.colorbar(image, ax=panels, label=f"accuracy ({key})")
    return figure


@plotting.apply_style
def manipulation_figure(manipulation, *, published=None):
    """Change of the posteriors of the target, and of other factors, by manipulation.

    Bars were measured, hollow diamonds are published. Good models have long bars above
    and none below.

    Args:
        manipulation: Dict, factor to kind to dicts `target` and `others`, as in the
            results of `flows.evaluate.evaluate`.
        published: The same of a paper. Defaults to none.
    """
    size = (4.2 * len(manipulation) + 0.6, 5.8)
    figure, panels = plotting.new_figure(
        2, len(manipulation), size=size, squeeze=False, sharey="row"
    )
    looks = {
        factor: {
            "color": plotting.COLOURS[i % len(plotting.COLOURS)],
            "hatch": HATCHES[i % len(HATCHES)],
        }
        for i, factor in enumerate(_factors(manipulation))
    }
    for axes, (factor, rows) in zip(panels.T, manipulation.items(), strict=True):
        of_paper = (published or {}).get(factor, {})
        others = next(iter(rows.values()))["others"]
        _bars(axes[0], factor, rows, of_paper, {factor: looks[factor]})
        _bars(axes[1], factor, rows, of_paper, {o: looks[o] for o in others})
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
    """Segments `x` `[n, frames, bands]` before and after changing each factor.

    `labels` are class indices, int `[n, factors]`, -1 where unknown; target classes are
    sampled by `seed`.
    """
    vocabulary, rng = model.vocabulary, np.random.default_rng(seed)
    images, titles = [np.asarray(x)], [[_title(vocabulary, row) for row in labels]]
    for column, factor in enumerate(vocabulary):
        if factor not in model.factors:
            continue
        num, before = len(vocabulary[factor]), labels[:, column]
        to = (before + 1 + rng.integers(num - 1, size=len(x))) % num
        images.append(np.asarray(model.manipulate(x, factor, to, source=before)))
        titles.append([f"{factor}: {vocabulary[factor][index]}" for index in to])
    size = (2.4 * len(images) + 1.2, 1.9 * len(x) + 0.7)
    figure, panels = plotting.new_figure(
        len(x), len(images), size=size, squeeze=False, sharex=True, sharey=True
    )
    low, high = np.quantile(images[0], [0.005, 0.995])
    for row, axes in enumerate(panels.T.flat):
        j, i = divmod(row, len(x))
        image = axes.imshow(
            images[j][i].T, "magma", aspect="auto", vmin=low, vmax=high, origin="lower"
        )
        axes.set_title(titles[j][i], fontsize=9)
        axes.grid(False)
    for axes in panels[-1]:
        axes.set_xlabel("frames")
    for axes in panels[:, 0]:
        axes.set_ylabel("bands")
    figure.colorbar(image, ax=panels, label="log energy")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _title(vocabulary, labels):
    """The known classes of a row."""
    pairs = zip(vocabulary.values(), labels, strict=True)
    return "before: " + ", ".join(names[index] for names, index in pairs if index >= 0)


def _bars(axes, changed, rows, published, looks):
    """Bars of the change of some factors' posteriors, side by side in each model."""
    width = 0.8 / max(len(looks), 1)
    known = {kind: row for kind, row in published.items() if kind in rows}
    for i, (factor, look) in enumerate(looks.items()):
        places = dict(zip(rows, np.arange(len(rows)) + width * i, strict=True))
        axes.bar(
            places.values(),
            [_change(row, factor, changed) for row in rows.values()],
            0.9 * width,
            alpha=0.75,
            edgecolor="white",
            label=factor,
            **look,
        )
        if known:
            at = [places[kind] for kind in known]
            changes = [_change(row, factor, changed) for row in known.values()]
            label = "published, other data"
            axes.plot(at, changes, "kD", markersize=7, mfc="none", label=label)
    axes.axhline(0, color="#555555", linewidth=0.8)
    middle = np.arange(len(rows)) + width * (len(looks) - 1) / 2
    axes.set_xticks(middle, [model_name(kind) for kind in rows])


def _factors(manipulation):
    """All factors that are changed or probed."""
    rows = (row for kinds in manipulation.values() for row in kinds.values())
    others = [other for row in rows for other in row["others"]]
    return dict.fromkeys([*manipulation, *others])


def _change(row, factor, changed):
    return (row["target"] if factor == changed else row["others"][factor])["change"]
