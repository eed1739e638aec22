"""How fast are flows beside `nflows` and `zuko`: density, drawing, a training step.

RealNVP and rational-quadratic spline couplings of the same sizes, each in eight steps
whose networks have two hidden layers of 128 ReLU units, on the same batch of 256 rows
of 64 numbers. `log_prob` is the density of the batch, `sample` draws as many rows from
noise, `train` is the mean log-likelihood, its gradients and a step of Adam. A call
begins and ends with tensors in memory.

    python benchmarks/flows.py                              # ours alone
    python benchmarks/flows.py --peer ../peer/bin/python
    python benchmarks/flows.py --quick                      # shows that it runs

Ours is a graph (`tf.function`), and the same under XLA; the peers are PyTorch as it
comes, eager, which is how both are used: `torch.compile` is not tried. Sides take turns
with the same number of threads, the peers in a process of their own; a time is the
median of all runs, a ratio the median of each run's own, theirs over ours.

What is not equal: `nflows` has the same steps as ours (ActNorm, a permutation before
every second, couplings of halves that take turns), but the scale of its affine coupling
is a sigmoid, where ours and that of `zuko` are exponentials of something bounded.
`zuko` has neither ActNorm nor permutation: every other channel moves, in turns. It is
built from its `GeneralCouplingTransform`: its `NSF(passes=2)` is the same map, but
its conditioner is a masked network of all channels, with twice the outputs. The weights
differ: this says nothing about how well anything is learned.
"""

import argparse
import contextlib
import functools
import itertools
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from timing import PeerProcess, Timings, limit_threads, seconds_of

FLOWS = ("realnvp", "spline")
TASKS = ("log_prob", "sample", "train")
SIZES = {"dim": 64, "steps": 8, "hidden": 128, "depth": 2, "num_bins": 8, "tail": 5.0}
FULL = {"runs": 15, "calls": 20}
QUICK = {"runs": 2, "calls": 1}
RATE = 1e-4  # of training; small: hundreds of steps on one batch must stay finite
HOW_TO = """
To compare with nflows and zuko, make an environment for them and name its Python:
    python -m venv ../peer
    ../peer/bin/pip install torch==2.13.0 nflows==0.14 zuko==1.6.0
    python benchmarks/flows.py --peer ../peer/bin/python
On Linux pip takes the CUDA build of PyTorch, several GB, unless it is given PyTorch's
index of CPU builds (--extra-index-url)."""


def ours(name, data, jit_compile):
    """Our tasks around one flow, functions of nothing by name, and its parameters."""
    import keras
    import tensorflow as tf

    from flows.bijectors import backbones

    chain = backbones.build(name, **SIZES)
    chain.adapt(data)
    x = tf.constant(data)
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(chain.trainable_variables)
    weights = chain.trainable_variables
    compiled = tf.function(jit_compile=jit_compile)

    def density(x):
        z, log_det = chain.forward_and_log_det(x)
        return log_det - 0.5 * tf.reduce_sum(z**2 + np.log(2 * np.pi), axis=1)

    @compiled
    def log_prob():
        return density(x)

    @compiled
    def sample(seed):
        return chain.inverse(tf.random.stateless_normal(x.shape, seed))

    @compiled
    def slopes():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(density(x))
        return tape.gradient(loss, [weight.value for weight in weights])

    @tf.function
    def train():
        optimizer.apply_gradients(zip(slopes(), weights, strict=True))
        return weights[0].value

    def sample_next():
        return sample(tf.constant([next(seeds), 0]))

    seeds = itertools.count()
    parameters = sum(int(np.prod(weight.shape)) for weight in weights)
    return {"log_prob": log_prob, "sample": sample_next, "train": train}, parameters


def repeat(function):
    """A function of a count of calls: wall and CPU seconds of one."""

    def call(calls):
        for _ in range(calls):
            result = function()
        return result.numpy()

    def run(calls):
        _, *seconds = seconds_of(call, calls)
        return [second / calls for second in seconds]

    return run


def measure(functions, runs, calls):
    """The `Timings` of each function, run in turns; the first is warm-up."""
    sides = {name: Timings() for name in functions}
    for run in range(-1, runs):
        for name, function in functions.items():
            seconds = function(calls)
            if run >= 0:
                sides[name].add(*seconds)
    return sides


def compare(name, data, peer, options):
    """Print the table of one flow."""
    kinds = {"ours": False} if options.no_xla else {"ours": False, "ours, XLA": True}
    built = {kind: ours(name, data, jit_compile) for kind, jit_compile in kinds.items()}
    rows = [[kind, parameters] for kind, (_, parameters) in built.items()]
    rows += [[kind, peer.ask(kind, name, "size", 0)] for kind in options.libraries]
    for task in TASKS:
        functions = {kind: repeat(tasks[task]) for kind, (tasks, _) in built.items()}
        functions |= {
            kind: functools.partial(peer.ask, kind, name, task)
            for kind in options.libraries
        }
        sides = measure(functions, options.runs, options.calls)
        for row in rows:
            side, first = sides[row[0]], sides["ours"]
            row += 1e3 * side.medians[0], first.ratio(side), first.ratio(side, "cpu")
    width = "{:>9} ms  ratio   CPU"
    print(f"\n{name:<12}parameters " + "".join(map(width.format, TASKS)))
    for kind, parameters, *figures in rows:
        print(f"{kind:<12}{parameters:>10,} ", end="")
        for i in range(0, len(figures), 3):
            print("{:>12.2f}{:>7.2f}{:>6.2f}".format(*figures[i : i + 3]), end="")
        print()


def parse():
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, help="that are timed (15; quick: 2)")
    parser.add_argument("--calls", type=int, help="of a run (20; quick: 1)")
    parser.add_argument("--batch", type=int, default=256, help="rows (256)")
    parser.add_argument("--flows", nargs="+", choices=FLOWS, default=FLOWS)
    parser.add_argument("--peer", metavar="PYTHON", help="with torch, nflows, zuko")
    parser.add_argument("--threads", type=int, default=2, help="of each side (2)")
    parser.add_argument("--no-xla", action="store_true", help="leave out XLA")
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main():
    """Print the tables."""
    options = parse()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    from flows_peer import LIBRARIES

    limit_threads(options.threads)
    options.libraries = LIBRARIES if options.peer else ()
    shape = options.batch, SIZES["dim"]
    data = np.random.default_rng(0).normal(size=shape).astype("float32")
    sizes = ", ".join(f"{name} {value}" for name, value in SIZES.items())
    print(f"batch {options.batch}, {sizes}; {options.threads} threads; ", end="")
    print(f"median of {options.runs} runs of {options.calls} calls")
    print("ratios: time, and processor time, over those of `ours`")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        peer = None
        if options.peer:
            path = Path(folder) / "data.npy"
            np.save(path, data)
            about = {**SIZES, "rate": RATE, "data": str(path)}
            about["threads"] = options.threads
            script = Path(__file__).with_name("flows_peer.py")
            peer = PeerProcess(
                options.peer, script, json.dumps(about), threads=options.threads
            )
            stack.enter_context(peer)
            print(", ".join(" ".join(item) for item in peer.about.items()))
        for name in options.flows:
            compare(name, data, peer, options)
    if not options.peer:
        print(HOW_TO)


if __name__ == "__main__":
    main()
