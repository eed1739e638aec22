"""How fast is sampling, how good are few steps, and how does `diffusers` compare?

Three tables of one network. `ways` takes the same steps of DDPM in four ways: a Python
loop of eager operations, as the first programs of this kind did; the same loop over a
`tf.function` of one step; our graph, one `tf.while_loop`; and that under XLA. The first
three must give the same voices. Below them is our graph with a solver of few steps.

`quality` is every sampler at every number of steps: the Fréchet distance from unseen
real voices (standardised) and the coverage of them; the floor is that of other ones.

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
import functools
import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import timing

PARTS = ("ways", "quality", "peer")
STEPS = (5, 10, 20, 50, 100, 1000)
LOOPS = 100  # steps of DDPM in `ways`
FEW = (("dpm_solver", 20), ("dpm_solver", 10), ("unipc", 10))  # below them
PEERS = (("ddpm", 100), ("ddpm", 20), ("ddim", 20), ("dpm_solver", 20), ("unipc", 20))
FULL = {"train_steps": 8000, "runs": 5, "draws": 5, "steps": STEPS}
QUICK = {"train_steps": 3000, "runs": 3, "draws": 3, "steps": STEPS[:-1]}
SAME = 0.02  # what rounding makes of a hundred steps, at most
PACKAGES = "torch==2.13.0 diffusers==0.42.1"
THEIR_WORDS = {"noise": "epsilon", "clean": "sample", "velocity": "v_prediction"}
WAY = "{:<23}{:<11}{:>5}"
ROW = WAY + "{:>9.2f}{:>10.0f}{:>7.2f}{:>8.2f}{:>7.2f}{:>8.2f}{:>6.2f}{:>6.2f}"
PEER_ROW = WAY + "{:>9.0f}{:>10.0f}{:>7.2f}{:>8.2f}{:>9.2f}{:>8.2f}{:>12}"


class Side:
    """What each run of one way of sampling took, and its scaled embeddings `[n, dim]`.

    Times are wall and processor seconds. The first run traces and compiles.
    """

    def __init__(self):
        self.times, self.embeddings = [], []

    @property
    def medians(self):
        """Embeddings a second, and processor seconds of a run."""
        wall, cpu = timing.medians(self.times[1:])
        return len(self.embeddings[0]) / wall, cpu

    def ratios(self, other):
        """How many times as long another side took, and its processor time."""
        return timing.ratios(self.times[1:], other.times[1:])

    def quality(self, model, reference):
        """`Reference.mean` of all runs."""
        unscale = model.scaler.unscale
        return reference.mean(unscale(x).numpy() for x in self.embeddings)


def measure(functions, starts):
    """A `Side` of each function of a start and a seed, run in turns from each start."""
    sides = {name: Side() for name in functions}
    for run, start in enumerate(starts):
        for name, function in functions.items():
            embeddings, *seconds = function(start, [run, 0])
            sides[name].embeddings.append(embeddings)
            sides[name].times.append(seconds)
    return sides


def time_sampler(function):
    """The same, giving its wall and processor seconds, too."""
    return lambda start, seed: timing.seconds_of(lambda: function(start, seed).numpy())


def ways(model, reference, starts):
    """Print what each way of taking the same steps costs, and what few steps save."""
    from sampling_model import samplers_of

    functions = samplers_of(model, LOOPS, FEW)
    sides = measure({key: time_sampler(run) for key, run in functions.items()}, starts)
    eager, *others = list(sides.values())[:3]
    for other in others:
        both = other.embeddings, eager.embeddings
        np.testing.assert_allclose(*both, rtol=0, atol=SAME)
    columns = "first s", "voices/s", "ratio", "CPU s", "ratio", "FD", "+-", "cov."
    print("\n" + timing.heading(ROW, "ways", "sampler", "steps", *columns))
    for key, side in sides.items():
        (speed, cpu), (faster, less) = side.medians, side.ratios(eager)
        figures = side.times[0][0], speed, faster, cpu, less
        print(ROW.format(*key, *figures, *side.quality(model, reference)))


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
            figures = reference.mean(
                voices.generate(len(reference), seed, sampler=name, steps=n)
                for seed in range(draws)
            )
            print("{:>7.2f} +-{:.2f} {:.2f}".format(*figures), end="", flush=True)
        print()


class Peer(timing.PeerProcess):
    """The samplers of `diffusers` of a `SpeakerDiffusion` whose network is a `ResMLP`.

    Both sides read and write arrays in a folder.
    """

    def __init__(self, python, model, folder, threads):
        network, self.folder = model.denoiser.network, Path(folder)
        np.savez(self.folder / "network.npz", **layers(network))
        scheduler = {
            "num_train_timesteps": model.schedule.steps,
            "trained_betas": model.schedule.beta[1:].tolist(),
            "prediction_type": THEIR_WORDS[model.denoiser.prediction],
            "timestep_spacing": "trailing",
        }
        about = {"scheduler": scheduler, "epsilon": network.norm.epsilon}
        about["threads"] = threads
        (self.folder / "about.json").write_text(json.dumps(about), "utf-8")
        super().__init__(python, "sampling_peer.py", folder, threads=threads)

    def sampler(self, name, steps):
        """Embeddings and seconds, a function of a start `[n, dim]` and a seed."""

        def run(start, seed):
            np.save(self.folder / "start.npy", start)
            seconds = self.ask(name, steps, seed[0])
            return np.load(self.folder / "embeddings.npy"), *seconds

        return run


def layers(network):
    """Weights of a `ResMLP` in the order of its calls, `{"0": kernel, "1": bias, ...}`.

    Unknown labels add the same vector to every condition: it becomes part of a bias.
    """
    condition = network.conditioning
    inner = ((b.norm, b.film.affine, b.first, b.second) for b in network.blocks)
    order = condition.first, condition.second, network.enter, *itertools.chain(*inner)
    order += network.norm, network.leave
    arrays = [array for layer in order for array in layer.get_weights()]
    for table in condition.label.tables if network.classes else ():
        arrays[3] = arrays[3] + table.get_weights()[0][0]
    return {str(i): array for i, array in enumerate(arrays)}


def compare(model, reference, starts, python, threads):
    """Print our samplers beside those of `diffusers`."""
    from sampling_model import graph

    from diffusion.networks.resmlp import ResMLP

    if not python:
        about = {"peers": "diffusers", "packages": PACKAGES}
        return print(timing.HOW_TO.format(**about, script="sampling.py"))
    if not isinstance(model.denoiser.network, ResMLP):
        return print("\nThe peer has no such network, only resmlp: not compared.")
    with (
        tempfile.TemporaryDirectory() as folder,
        Peer(python, model, folder, threads) as peer,
    ):
        names = f"diffusers {peer.about['diffusers']}", "sampler", "steps", "theirs/s"
        names += "ours/s", "ratio", "CPU", "FD theirs", "ours", "difference"
        print("\n" + timing.heading(PEER_ROW, *names))
        for name, steps in PEERS:
            if steps > model.schedule.steps:
                continue
            functions = {
                "theirs": peer.sampler(name, steps),
                "ours": time_sampler(graph(model, name, steps)),
            }
            both = theirs, ours = measure(functions, starts).values()
            speeds = [side.medians[0] for side in both]
            distances = [side.quality(model, reference)[0] for side in both]
            change = np.abs(np.subtract(ours.embeddings, theirs.embeddings)).max()
            figures = *speeds, *ours.ratios(theirs), *distances
            last = "-" if name == "ddpm" else f"{change:.1e}"
            print(PEER_ROW.format("", name, steps, *figures, last))


def open_model(options):
    """The model, its reference, and a line about both."""
    import sampling_model

    if options.run:
        model, reference = sampling_model.load(options.run)
        source = options.run
    else:
        size = {"dim": options.dim, "width": options.width}
        train = functools.partial(sampling_model.train, **size)
        found, seconds, _ = timing.seconds_of(train, options.train_steps)
        model, reference = found
        source = f"{options.train_steps} steps of training here, {seconds:.0f} s"
    network = model.denoiser.network
    distance, coverage = reference(reference.other)
    print(
        f"{type(network).__name__} of {network.count_params():,} parameters, {source}; "
        f"{options.threads} threads\n"
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
    parser.add_argument("--batch", type=int, default=1000, help="at least so many")
    parser.add_argument("--runs", type=int, help="that are timed (5; quick: 3)")
    parser.add_argument("--draws", type=int, help="of each cell of quality (5; 3)")
    parser.add_argument("--steps", type=int, nargs="+", help="of quality")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--peer", metavar="PYTHON", help="with torch and diffusers")
    parser.add_argument("--threads", type=int, default=2, help="of each side (2)")
    parser.add_argument("--quick", action="store_true", help="all but 1,000 steps")
    return timing.parse(parser, full=FULL, quick=QUICK)


def main():
    """Print the tables."""
    options = parse()
    timing.limit_threads(options.threads)

    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # each sampler has a graph of its own to trace
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
