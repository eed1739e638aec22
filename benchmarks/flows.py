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
import math
import tempfile

import numpy as np
import timing

FLOWS = ("realnvp", "spline")
TASKS = ("log_prob", "sample", "train")
SIZES = {"dim": 64, "steps": 8, "hidden": 128, "depth": 2, "num_bins": 8, "tail": 5.0}
FULL = {"runs": 15, "calls": 20}
QUICK = {"runs": 2, "calls": 1}
ROW = "{:<12}{:>10,} " + 3 * "{:>12.2f}{:>7.2f}{:>6.2f}"
RATE = 1e-4  # of training; small: hundreds of steps on one batch must stay finite
PACKAGES = "torch==2.13.0 nflows==0.14 zuko==1.6.0"


def ours(name, data, jit_compile):
    """Functions of nothing, by task, around one flow, and its number of parameters."""
    import keras
    import tensorflow as tf

    from flows.bijectors import backbones

    chain = backbones.build(name, **SIZES)
    chain.adapt(data)
    x, weights, seeds = tf.constant(data), chain.trainable_variables, itertools.count()
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(weights)
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

    tasks = {
        "log_prob": lambda: log_prob().numpy(),
        "sample": lambda: sample(tf.constant([next(seeds), 0])).numpy(),
        "train": lambda: train().numpy(),
    }
    return tasks, sum(math.prod(weight.shape) for weight in weights)


def compare(name, data, peer, options):
    """Print the table of one flow."""
    kinds = {"ours": False} if options.no_xla else {"ours": False, "ours, XLA": True}
    built = {kind: ours(name, data, jit_compile) for kind, jit_compile in kinds.items()}
    libraries = list(peer.about)[1:] if peer else []  # after torch
    rows = {kind: [parameters] for kind, (_, parameters) in built.items()}
    rows |= {kind: [peer.ask(kind, name, "size", 0)] for kind in libraries}
    for task in TASKS:
        sides = {
            kind: functools.partial(timing.seconds_per_call, tasks[task], options.calls)
            for kind, (tasks, _) in built.items()
        }
        for kind in libraries:
            sides[kind] = functools.partial(peer.ask, kind, name, task, options.calls)
        times = timing.take_turns(sides, options.runs)
        for kind, row in rows.items():
            wall, _ = timing.medians(times[kind])
            row += 1e3 * wall, *timing.ratios(times["ours"], times[kind])
    columns = (f"{task} ms  ratio   CPU".rjust(25) for task in TASKS)
    print(f"\n{name:<12}parameters " + "".join(columns))
    for kind, row in rows.items():
        print(ROW.format(kind, *row))


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
    return timing.parse(parser, full=FULL, quick=QUICK)


def main():
    """Print the tables."""
    options = parse()
    timing.limit_threads(options.threads)
    shape = options.batch, SIZES["dim"]
    data = np.random.default_rng(0).normal(size=shape).astype("float32")
    sizes = ", ".join(f"{name} {value}" for name, value in SIZES.items())
    print(f"batch {options.batch}, {sizes}; {options.threads} threads; ", end="")
    print(f"median of {options.runs} runs of {options.calls} calls")
    print("ratios: time, and processor time, over those of `ours`")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        peer, threads = None, {"threads": options.threads}
        if options.peer:
            np.save(f"{folder}/data.npy", data)
            about = {**SIZES, **threads, "rate": RATE, "data": f"{folder}/data.npy"}
            script = "flows_peer.py", json.dumps(about)
            peer = timing.PeerProcess(options.peer, *script, **threads)
            stack.enter_context(peer)
            print(", ".join(" ".join(item) for item in peer.about.items()))
        for name in options.flows:
            compare(name, data, peer, options)
    if not options.peer:
        about = {"peers": "nflows and zuko", "packages": PACKAGES}
        print(timing.HOW_TO.format(**about, script="flows.py"))


if __name__ == "__main__":
    main()
