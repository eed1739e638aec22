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
import functools
import math

import timing

SECONDS = 3
SAMPLE_RATE = 16000
CROPS, FRAMES = 32, 200
ROW = "{:<17}{:>11,}{:>8.1f}{:>13.0f}{:>7.2f}{:>9.2f}{:>7.2f}{:>9.1f}{:>7.2f}"
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
    from voiceemb.networks import speaker_encoder

    timing.limit_threads(threads)
    sizes, sides = {}, {}
    for name in names:
        front = {} if name == BASE else {"num_bands": 80, "fft_size": 1024}
        encoder = speaker_encoder.build(**NETWORKS[name], front_end=front)
        sizes[name] = sum(math.prod(w.shape) for w in encoder.trainable_variables)
        sides[name] = functools.partial(timing.seconds_of, work(encoder))
    times = timing.take_turns(sides, runs)
    return {name: [sizes[name], *timing.medians(times[name])] for name in names}


def measure_apart(work, names, threads, runs):
    """`measure` in a process of its own, since threads are fixed when one begins."""
    timing.limit_blas(threads)
    return timing.run_apart(measure, work, names, threads, runs)


def report(names, embedded, trained):
    """Print a row for each network; ratios are of processor time."""
    columns = "parameters", "CPU ms", "x real time", "ratio"
    columns += "s/step", "CPU s", "crops/s", "ratio"
    print(timing.heading(ROW, "", *columns))
    for name in names:
        parameters, _, embedding = embedded[name]
        _, wall, training = trained[name]
        figures = 1000 * embedding, SECONDS / embedding, embedded[BASE][2] / embedding
        figures += wall, training, CROPS / wall, trained[BASE][2] / training
        print(ROW.format(name, parameters, *figures))


def main():
    """Measure both kinds of work and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, help="these networks")
    parser.add_argument("--runs", type=int, default=21, help="of inference (21)")
    parser.add_argument("--steps", type=int, default=3, help="of training (3)")
    parser.add_argument("--threads", type=int, default=2, help="of training (2)")
    parser.add_argument("--quick", action="store_true", help="two networks, one run")
    options = parser.parse_args()
    if options.quick:
        options.only, options.runs, options.steps = ["ECAPA 128"], 1, 1
    only = {BASE, *(options.only or NETWORKS)}
    names = [name for name in NETWORKS if name in only]
    embedded = measure_apart(inference, names, 1, options.runs)
    trained = measure_apart(training, names, options.threads, options.steps)
    print(
        f"{SECONDS} s embedded on one core, median of {options.runs}; {CROPS} crops of "
        f"{FRAMES} frames trained by {options.threads} threads, of {options.steps}"
    )
    report(names, embedded, trained)


if __name__ == "__main__":
    main()
