"""How fast is sampling, how good are few steps, and how does `diffusers` compare?

Three tables of one network. `ways` takes the same steps of DDPM in four ways: a Python
loop of eager operations, as the first programs of this kind did; the same loop over a
`tf.function` of one step; our graph, one `tf.while_loop`; and that under XLA. The first
three must give the same voices. Below them stands our graph with a solver of few steps.

`quality` is every sampler at every number of steps: the Fréchet distance from unseen
real voices (standardised) and the coverage of them. The floor is what other unseen real
voices have; it comes from as many rows.

`peer` is the schedulers of `diffusers`, in a process of their own, around the same
network with the same weights in PyTorch (`sampling_peer.py`). Where nothing is drawn on
the way, `difference` is the largest between its voices and ours, scaled to deviation 1
(both visit the same times where the steps divide the schedule, as they do here).

    python benchmarks/sampling.py                          # trains a network for it
    python benchmarks/sampling.py --peer ../peer/bin/python
    python benchmarks/sampling.py --run runs/speakers
    python benchmarks/sampling.py --quick                  # nothing of 1,000 steps

Sides take turns, each time from the same noise: speed is the median of several runs, a
ratio the median of each run's own. A run begins and ends with arrays in memory. A
distance is the mean of several draws of a thousand voices, with its standard error: one
draw alone can be a third off.
"""

import argparse
import os
import tempfile

import numpy as np
from timing import Timings, limit_threads, seconds_of

PARTS = ("ways", "quality", "peer")
STEPS = (5, 10, 20, 50, 100, 1000)
LOOPS = 100  # steps of DDPM in `ways`
FEW = (("dpm_solver", 20), ("dpm_solver", 10), ("unipc", 10))  # below them
PEERS = (("ddpm", 100), ("ddpm", 20), ("ddim", 20), ("dpm_solver", 20), ("unipc", 20))
FULL = {"train_steps": 8000, "runs": 5, "draws": 5, "steps": STEPS}
QUICK = {"train_steps": 3000, "runs": 3, "draws": 3, "steps": STEPS[:-1]}
SAME = 0.02  # what rounding makes of a hundred steps, at most
HOW_TO = """
To compare with diffusers, make an environment for it and name its Python:
    python -m venv ../peer
    ../peer/bin/pip install torch==2.13.0 diffusers==0.42.1
    python benchmarks/sampling.py --peer ../peer/bin/python
On Linux pip takes the CUDA build of PyTorch, several GB, unless it is given PyTorch's
index of CPU builds (--extra-index-url; then 1.1 GB)."""


class Side(Timings):
    """What one way of sampling took, and the embeddings it gave.

    Attributes:
        first: Seconds of the first run, which traces and compiles.
        embeddings: List of scaled embeddings `[n, dim]`, one array a run.
    """

    def __init__(self):
        super().__init__()
        self.first, self.embeddings = 0.0, []

    @property
    def speed(self):
        """Embeddings a second."""
        return len(self.embeddings[0]) / self.medians[0]

    def quality(self, model, reference):
        """`Reference.mean` of all runs."""
        unscale = model.scaler.unscale
        return reference.mean(unscale(x).numpy() for x in self.embeddings)


def time_sampler(function):
    """The same, giving its wall and processor seconds, too."""
    return lambda start, seed: seconds_of(lambda: function(start, seed).numpy())


def measure(functions, starts):
    """A `Side` of each function, run in turns from each start; the first is warm-up."""
    sides = {name: Side() for name in functions}
    for run, start in enumerate(starts):
        for name, function in functions.items():
            embeddings, wall, cpu = function(start, [run, 0])
            side = sides[name]
            side.embeddings.append(embeddings)
            if run:
                side.add(wall, cpu)
            else:
                side.first = wall
    return sides


def ways(model, reference, starts):
    """Print what each way of taking the same steps costs, and what few steps save."""
    from sampling_model import samplers_of

    functions = samplers_of(model, LOOPS, FEW)
    sides = measure({key: time_sampler(run) for key, run in functions.items()}, starts)
    eager, *others = list(sides.values())[:3]
    for other in others:
        np.testing.assert_allclose(
            other.embeddings, eager.embeddings, rtol=0, atol=SAME
        )
    print(
        f"\n{'ways':<23}{'sampler':<11}{'steps':>5}{'first s':>9}{'voices/s':>10}"
        f"{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'FD':>8}{'+-':>6}{'cov.':>6}"
    )
    for (name, sampler, steps), side in sides.items():
        figures = side.quality(model, reference)
        print(
            f"{name:<23}{sampler:<11}{steps:>5}{side.first:>9.2f}{side.speed:>10.0f}"
            f"{side.ratio(eager):>7.2f}{side.medians[1]:>8.2f}"
            f"{side.ratio(eager, 'cpu'):>7.2f}"
            + "{:>8.2f}{:>6.2f}{:>6.2f}".format(*figures)
        )


def quality(model, reference, draws, steps):
    """Print Fréchet distance and coverage of each sampler at each number of steps."""
    from diffusion.samplers import SAMPLERS
    from diffusion.speakers.generator import SpeakerGenerator

    voices = SpeakerGenerator(model)
    steps = [n for n in steps if n <= model.schedule.steps]
    print("\nFD, cov. after" + "".join(f"{n:>18}" for n in steps) + "  steps")
    for name in SAMPLERS:
        print(f"{name:<14}", end="", flush=True)
        for n in steps:
            drawn = (
                voices.generate(len(reference), seed, sampler=name, steps=n)
                for seed in range(draws)
            )
            print(
                "{:>7.2f} +-{:.2f} {:.2f}".format(*reference.mean(drawn)),
                end="",
                flush=True,
            )
        print()


def compare(model, reference, starts, python, threads):
    """Print our samplers beside those of `diffusers`."""
    from sampling_model import graph
    from sampling_peer import Sampler

    from diffusion.networks.resmlp import ResMLP

    if not python:
        return print(HOW_TO)
    if not isinstance(model.denoiser.network, ResMLP):
        return print("\nThe peer has no such network, only resmlp: not compared.")
    with (
        tempfile.TemporaryDirectory() as folder,
        Sampler(python, model, folder, threads) as peer,
    ):
        print(
            "\n{:<23}{:<11}{:>5}{:>9}{:>10}{:>7}{:>8}{:>9}{:>8}{:>12}".format(
                f"diffusers {peer.about['diffusers']}",
                *("sampler", "steps", "theirs/s", "ours/s", "ratio", "CPU"),
                *("FD theirs", "ours", "difference"),
            )
        )
        for name, steps in PEERS:
            if steps <= model.schedule.steps:
                ours = time_sampler(graph(model, name, steps))
                theirs = peer.sampler(name, steps)
                sides = measure({"ours": ours, "theirs": theirs}, starts)
                show_peer(name, steps, model, reference, **sides)


def show_peer(name, steps, model, reference, ours, theirs):
    """Print one line of the peer's table."""
    change = np.abs(np.subtract(ours.embeddings, theirs.embeddings)).max()
    first, second = (side.quality(model, reference)[0] for side in (theirs, ours))
    print(
        f"{'':<23}{name:<11}{steps:>5}{theirs.speed:>9.0f}{ours.speed:>10.0f}"
        f"{ours.ratio(theirs):>7.2f}{ours.ratio(theirs, 'cpu'):>8.2f}{first:>9.2f}"
        f"{second:>8.2f}{'-' if name == 'ddpm' else f'{change:.1e}':>12}"
    )


def open_model(options):
    """The model, its reference, and a line about both."""
    import sampling_model

    if options.run:
        model, reference = sampling_model.load(options.run)
        source = options.run
    else:
        size = {"dim": options.dim, "width": options.width}
        (model, reference), seconds, _ = seconds_of(
            lambda: sampling_model.train(options.train_steps, **size)
        )
        source = f"{options.train_steps} steps of training here, {seconds:.0f} s"
    parameters = model.denoiser.network.count_params()
    distance, coverage = reference(reference.other)
    print(
        f"{type(model.denoiser.network).__name__} of {parameters:,} parameters, "
        f"{source}; {options.threads} threads\n"
        f"floor: {len(reference)} real voices against as many, {model.dim} dimensions: "
        f"FD {distance:.2f}, coverage {coverage:.2f}"
    )
    return model, reference


def parse():
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="a run of train_diffusion.py; default: trains")
    parser.add_argument("--train-steps", type=int, help="(8000; quick: 3000)")
    parser.add_argument("--dim", type=int, default=128, help="of its voices (128)")
    parser.add_argument("--width", type=int, default=256, help="of its network (256)")
    parser.add_argument(
        "--batch", type=int, default=1000, help="at least those compared"
    )
    parser.add_argument("--runs", type=int, help="that are timed (5; quick: 3)")
    parser.add_argument("--draws", type=int, help="of each cell of quality (5; 3)")
    parser.add_argument("--steps", type=int, nargs="+", help="of quality")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--peer", metavar="PYTHON", help="with torch and diffusers")
    parser.add_argument("--threads", type=int, default=2, help="of each side (2)")
    parser.add_argument("--quick", action="store_true", help="all but 1,000 steps")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main():
    """Print the tables."""
    options = parse()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # each sampler has a graph of its own to trace
    limit_threads(options.threads)
    model, reference = open_model(options)
    rng = np.random.default_rng(0)
    shape = options.runs + 1, max(options.batch, len(reference)), model.dim
    starts = rng.normal(size=shape).astype(np.float32)
    if "ways" in options.parts:
        ways(model, reference, starts)
    if "quality" in options.parts:
        quality(model, reference, options.draws, options.steps)
    if "peer" in options.parts:
        compare(model, reference, starts, options.peer, options.threads)


if __name__ == "__main__":
    main()
