"""What does each speaker network cost, in inference and in training?

Every network embeds the same 3 s, from the waveform to the embedding, on one core and
in one pass (`x real time` is seconds of sound per second of processor time). And it
takes the same steps: forward and backward over a batch of 32 crops of 200 frames (2 s)
on all threads given, without the optimiser. Networks take turns; a figure is the median
of several runs. The weights are untrained, which does not change the speed. Ratios are
speeds, in processor time, over that of ResCNN "simple", the default network, which has
64 bands where the others have 80; "/2" is a first convolution of stride 2.

    python benchmarks/networks.py
    python benchmarks/networks.py --only "ECAPA 128" "ResNet34"
    python benchmarks/networks.py --quick
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SECONDS = 3
SAMPLE_RATE = 16000
CROPS, FRAMES = 32, 200
BASE = "ResCNN simple"
THIN = {"network": "resnet", "widths": (16, 32, 64, 128)}
SHALLOW = {**THIN, "depths": (2, 2, 2, 2)}
NETWORKS = {
    BASE: {},
    "ECAPA 512": {"network": "ecapa"},
    "ECAPA 256": {"network": "ecapa", "channels": 256},
    "ECAPA 192": {"network": "ecapa", "channels": 192},
    "ECAPA 128": {"network": "ecapa", "channels": 128},
    "ResNet34": {"network": "resnet"},
    "ResNet34 /2": {"network": "resnet", "first_stride": 2},
    "thin ResNet34": THIN,
    "thin ResNet34 /2": {**THIN, "first_stride": 2},
    "thin ResNet18": SHALLOW,
    "thin ResNet18 /2": {**SHALLOW, "first_stride": 2},
}


def inference(encoder):
    """A function that embeds one waveform of three seconds."""
    import tensorflow as tf

    waveform = tf.random.normal((1, SECONDS * SAMPLE_RATE), stddev=0.1)
    embed = tf.function(lambda x: encoder(encoder.features(x), training=False))
    return lambda: embed(waveform).numpy()


def training(encoder):
    """A function that finds the gradient of one batch."""
    import tensorflow as tf

    bands = encoder.filterbank.num_bands
    crops = tf.random.uniform((CROPS, FRAMES, bands), 0.1, 9.0)
    target = tf.random.normal((CROPS, encoder.embedding_dim))
    weights = [weight.value for weight in encoder.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(target * encoder(crops, training=True))
        gradients = tape.gradient(loss, weights)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    return lambda: step().numpy()


def measure(work, names, threads, runs):
    """Parameters, and medians of wall and CPU seconds, `{name: [3]}`, run in turns."""
    import numpy as np
    import tensorflow as tf

    from voiceemb.networks import speaker_encoder

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    steps, sizes, times = {}, {}, {name: [] for name in names}
    for name in names:
        front = {} if name == BASE else {"num_bands": 80, "fft_size": 1024}
        encoder = speaker_encoder.build(**NETWORKS[name], front_end=front)
        sizes[name] = sum(int(np.prod(v.shape)) for v in encoder.trainable_variables)
        steps[name] = work(encoder)
    for run in range(runs + 1):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if run:  # the first one traces the graph
                spent = time.perf_counter() - wall, time.process_time() - cpu
                times[name].append(spent)
    return {
        name: [sizes[name], *map(statistics.median, zip(*times[name], strict=True))]
        for name in names
    }


def measure_apart(work, names, threads, runs):
    """`measure` in a process of its own, since threads are fixed when one begins."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, __file__, "--work", json.dumps([work, names, threads, runs])],
        env=os.environ | limits,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def report(names, embedded, trained):
    """Print a row for each network; ratios are of processor time."""
    print(
        f"{'':<17}{'parameters':>11}{'CPU ms':>8}{'x real time':>13}{'ratio':>7}"
        f"{'s/step':>9}{'CPU s':>7}{'crops/s':>9}{'ratio':>7}"
    )
    for name in names:
        parameters, _, embedding = embedded[name]
        _, wall, training = trained[name]
        print(
            f"{name:<17}{parameters:>11,}{1000 * embedding:>8.1f}"
            f"{SECONDS / embedding:>13.0f}{embedded[BASE][2] / embedding:>7.2f}"
            f"{wall:>9.2f}{training:>7.2f}{CROPS / wall:>9.1f}"
            f"{trained[BASE][2] / training:>7.2f}"
        )


def main():
    """Measure both kinds of work and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, help="these networks")
    parser.add_argument("--runs", type=int, default=21, help="of inference (21)")
    parser.add_argument("--steps", type=int, default=3, help="of training (3)")
    parser.add_argument("--threads", type=int, default=2, help="of training (2)")
    parser.add_argument("--quick", action="store_true", help="two networks, one run")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work, *rest = options.work
        print(
            json.dumps(
                measure({"inference": inference, "training": training}[work], *rest)
            )
        )
        return
    if options.quick:
        options.only, options.runs, options.steps = ["ECAPA 128"], 1, 1
    names = [name for name in NETWORKS if name in (options.only or NETWORKS)]
    names = [BASE, *(name for name in names if name != BASE)]
    embedded = measure_apart("inference", names, 1, options.runs)
    trained = measure_apart("training", names, options.threads, options.steps)
    print(
        f"{SECONDS} s embedded on one core, median of {options.runs}; {CROPS} crops of "
        f"{FRAMES} frames trained by {options.threads} threads, of {options.steps}"
    )
    report(names, embedded, trained)


if __name__ == "__main__":
    main()
