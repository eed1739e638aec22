"""Figures of generated speaker embeddings beside real ones."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from diffusion import samplers
from diffusion.spacing import sampling_times
from diffusion.speakers import evaluate, sampling
from diffusion.speakers.generator import stateless_seed
from timbre import plotting
from timbre.metrics.arrays import normalise_rows, subsample_equally
from timbre.metrics.neighbours import cosine_distribution, nearest_neighbours

MAX_ROWS = 600  # embeddings of a kind on one figure
NUM_STEPS = 20  # of the sampler in `noising_figure`
NUM_PANELS = 5  # of each direction in `noising_figure`
NUM_POINTS = 512  # of a density
KINDS = ("real, learned from", "real, unseen", "generated")


def save_figures(generator, train, held, folder, *, history=(), seed=0):
    """Draws the figures of a run that its data and its history allow.

    Args:
        generator: A `diffusion.speakers.generator.SpeakerGenerator`.
        train, held: `EmbeddingSet`s of its training speakers and of other speakers.
        folder: Where `map`, `distances`, `noising` and `training.png` go.
        history: Rows of the run's history. Defaults to none.
        seed: Of sampling and of the figures. Defaults to `0`.

    Returns:
        The paths.
    """
    train, held = np.asarray(train.embeddings), np.asarray(held.embeddings)
    plotted = {}
    with evaluate.ignore_schedule_warning():
        fake = evaluate.generate_batches(
            generator, max(2, min(MAX_ROWS, len(held))), seed
        )
        if min(len(train), len(held)) > 1:
            plotted["map"] = tsne_figure(train, held, fake, seed=seed)
            plotted["distances"] = distance_figure(train, held, fake, seed=seed)
        plotted["noising"] = noising_figure(generator, train, seed=seed)
    if history:
        plotted["training"] = loss_figure(history)
    return [
        plotting.save(figure, Path(folder) / f"{name}.png")
        for name, figure in plotted.items()
    ]


@plotting.apply_style
def tsne_figure(train, held, fake, *, seed=0, most=MAX_ROWS):
    """One t-SNE projection of generated, training and unseen embeddings.

    Distances between far clusters mean nothing. Where the kinds form clusters of their
    own, generated embeddings are unlike real ones.

    Args:
        train, held, fake: Rows `[n, dim]`, two or more; thinned to equal numbers.
        seed: Of t-SNE and of the thinning. Defaults to `0`.
        most: Most rows of a kind. Defaults to `600`.
    """
    kinds = subsample_equally(train, held, fake, seed=seed, max_rows=most)
    num = len(kinds[0])
    rows = normalise_rows(np.concatenate(kinds))
    points = plotting.tsne(rows, seed=seed, init="random")
    figure, axes = plotting.new_figure(size=(6.6, 5.6))
    styles = (
        {"color": plotting.COLOURS[0], "marker": "o", "facecolors": "none"},
        {"color": plotting.COLOURS[2], "marker": "^", "facecolors": "none"},
        {"color": plotting.COLOURS[1], "marker": "x"},
    )
    for name, some, style in zip(KINDS, np.split(points, 3), styles, strict=True):
        axes.scatter(*some.T, s=18, linewidths=0.9, alpha=0.8, label=name, **style)
    axes.set(title="One t-SNE of all voices", xticks=[], yticks=[])
    axes.set_xlabel(f"{num} voices of each kind")
    figure.legend(loc="outside lower left", ncols=3)
    return figure


@plotting.apply_style
def distance_figure(train, held, fake, *, seed=0, most=1000):
    """Densities of cosines: to the nearest embedding, and of all pairs.

    A good generator's lines lie on each other. `generated to learned from` right of
    `real to real` means memorisation; `generated to generated` there, mode collapse.
    Arguments as of `tsne_figure`, `most` by default `1000`; `held` is what is real.
    """
    train, real, fake = subsample_equally(train, held, fake, seed=seed, max_rows=most)
    pairs = {
        "real to real": (real, None),
        "generated to real": (fake, real),
        "generated to generated": (fake, None),
        "generated to learned from": (fake, train),
    }
    styles = [
        {"color": plotting.COLOURS[i], "linestyle": plotting.DASHES[j]}
        for i, j in ((6, 0), (2, 1), (4, 3), (1, 2))
    ]
    figure, (left, right) = plotting.new_figure(1, 2, size=(9.6, 4.2))
    closest = [nearest_neighbours(*sides)[0] for sides in pairs.values()]
    low, high = np.min(closest), np.max(closest)
    beyond = 0.1 * (high - low) + 1e-2
    grid = np.linspace(low - beyond, min(high + beyond, 1 + 1e-2), NUM_POINTS)
    half = (grid[1] - grid[0]) / 2
    edges = np.append(grid - half, grid[-1] + half)
    for name, values, style in zip(pairs, closest, styles, strict=True):
        left.plot(grid, density(np.histogram(values, edges)[0], grid), **style)
        left.plot([], [], label=f"{name}: {values.mean():.3f}", **style)
    grid = np.linspace(-1, 1, NUM_POINTS)
    low, high = 1.0, -1.0
    for sides, style in list(zip(pairs.values(), styles, strict=True))[:3]:
        found = cosine_distribution(*sides, bins=NUM_POINTS)
        right.plot(grid, density(found["shares"] * len(real), grid), **style)
        low, high = min(low, found["least"]), max(high, found["most"])
    right.set_xlim(max(-1, low - 0.05), min(1, high + 0.05))
    left.set(title="Nearest other voice", xlabel="cosine", ylabel="density")
    right.set(title="All pairs", xlabel="cosine")
    legend = figure.legend(loc="outside lower left", ncols=2, alignment="left")
    legend.set_title(f"{len(real)} voices of each kind; mean cosine to the nearest")
    return figure


@plotting.apply_style
def loss_figure(history):
    """The training loss, and the held-out loss with the averaged weights (EMA).

    Where the second rises while the first falls, the model memorises. `history` has the
    rows of a run: dicts with `step`, `loss` and, where it was measured, `held_loss`.
    """
    figure, axes = plotting.new_figure(size=(6.4, 3.8))
    lines = (("loss", "learned from"), ("held_loss", "held out"))
    for i, (name, label) in enumerate(lines):
        rows = [row for row in history if row.get(name) not in (None, "")]
        points = [[float(row[key]) for row in rows] for key in ("step", name)]
        style = {"color": plotting.COLOURS[i], "linestyle": plotting.DASHES[i]}
        axes.plot(*points, **style, marker=("", "o")[i], markersize=4, label=label)
    axes.set(title="Loss", xlabel="step")
    axes.legend()
    return figure


@plotting.apply_style
def noising_figure(generator, real, *, seed=0, most=MAX_ROWS):
    """Ten panels: real embeddings being noised, and noise being denoised by DDIM.

    All are projected on the two principal components of scaled real embeddings (grey).

    Args:
        generator: A `diffusion.speakers.generator.SpeakerGenerator`.
        real: Rows `[n, dim]`.
        seed: Of both noises. Defaults to `0`.
        most: Most rows. Defaults to `600`.
    """
    schedule = generator.model.schedule
    (real,) = subsample_equally(np.asarray(real, np.float32), seed=seed, max_rows=most)
    x_0 = np.asarray(generator.model.scaler.scale(real))
    steps = min(NUM_STEPS, schedule.steps)
    times = sampling_times(schedule, steps).numpy()
    shown = np.unique(np.linspace(0, steps, NUM_PANELS).round().astype(int))
    denoised = ddim_states(generator, times, shown, count=len(real), seed=seed)
    z = np.random.default_rng(seed).normal(size=x_0.shape)
    signal, noise = schedule.signal, schedule.noise
    noised = {t: signal[t] * x_0 + noise[t] * z for t in times[shown][::-1]}
    project = _principal_components(x_0)
    figure, panels = plotting.new_figure(
        2, len(shown), size=(2.1 * len(shown) + 0.4, 5.0), sharex=True, sharey=True
    )
    known = project(x_0)
    kinds = (("real, noised", noised), ("noise, denoised", denoised))
    for i, (row, (name, states)) in enumerate(zip(panels, kinds, strict=True)):
        row[0].set_ylabel(name)
        for axes, (t, x_t) in zip(row, states.items(), strict=True):
            axes.scatter(*known, s=4, color="#CCCCCC", linewidths=0)
            style = {"color": plotting.COLOURS[i], "marker": "ox"[i]}
            axes.scatter(*project(x_t), s=7, alpha=0.7, linewidths=0.6 * i, **style)
            axes.set_title(f"t = {t}, signal {signal[t]:.2f}", fontsize=9)
    far = 1.15 * max(3.0, np.quantile(np.abs(known), 0.999))  # noise has deviation 1
    panels[0, 0].set(xlim=(-far, far), ylim=(-far, far))
    figure.suptitle(
        "Two principal components of scaled real embeddings (grey)", x=0.01, ha="left"
    )
    return figure


def ddim_states(generator, times, shown, *, count, seed=0):
    """The states `x_t` of DDIM, scaled `[count, dim]`, by some of its times.

    Args:
        generator: A `diffusion.speakers.generator.SpeakerGenerator`.
        times: Falling times, int `[steps + 1]`.
        shown: Indices of `times`, rising, the first of which is 0.
        count: How many samples.
        seed: Of the noise. Defaults to `0`.
    """
    model, clip = generator.model, generator.sampling.get("clip")
    schedule, denoise = model.schedule, sampling.denoise_function(model)
    x = tf.random.stateless_normal([count, model.dim], stateless_seed(seed))
    found = {int(times[0]): x.numpy()}
    for i, j in zip(shown[:-1], shown[1:], strict=True):
        x = samplers.sample(
            denoise,
            x,
            schedule=schedule,
            times=times[i : j + 1],
            sampler=samplers.DDIMSampler(),
            clip=clip,
        )
        found[int(times[j])] = x.numpy()
    return found


def density(counts, grid):
    """Kernel density estimate from a histogram whose bins are centred on a grid.

    The kernel is normal, with the bandwidth of Silverman's rule, and no narrower than a
    bin. The integral is 1 as far as it lies on the grid.

    Args:
        counts: How many values lie in each bin, `[points]`; not all 0.
        grid: Even, `[points]`.
    """
    total, step = counts.sum(), grid[1] - grid[0]
    mean = counts @ grid / total
    deviation = np.sqrt(counts @ (grid - mean) ** 2 / total)
    width = max(0.9 * deviation * total**-0.2, step)
    kernel = np.exp(-0.5 * ((grid - grid[len(grid) // 2]) / width) ** 2)
    smooth = np.convolve(counts, kernel / kernel.sum(), mode="full")
    start = len(grid) // 2
    return smooth[start : start + len(grid)] / (total * step)


def _principal_components(x):
    """The projection of rows on the first two principal components of `x`, `[2, n]`."""
    mean = x.mean(axis=0)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:2]
    return lambda rows: directions @ (rows - mean).T
