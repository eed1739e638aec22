"""How fast are filterbank energies in the graph, next to python_speech_features?

Both turn the same minute of sound into the same 64 energies per 10 ms on one core, in
turns, as one recording and as thirty utterances of 2 s. Speed is seconds of sound per
second of processor time, the median of several runs; the last column is the largest
difference between the two after normalising each frame.

    python benchmarks/features.py
"""

import argparse
import os

from timing import THREADS, Timings, limit_threads, seconds_of, use_one_core

os.environ.update(dict.fromkeys(THREADS, "1"))

SAMPLE_RATE = 16000


def measure(functions, waveform, runs):
    """Median processor seconds of each function over the waveform, run in turns."""
    sides = [Timings() for _ in functions]
    for run in range(runs + 1):
        for function, timings in zip(functions, sides, strict=True):
            _, *seconds = seconds_of(function, waveform)
            if run:  # the first call traces the graph
                timings.add(*seconds)
    return [timings.medians[1] for timings in sides]


def peer(waveform):
    """The way of python_speech_features: one utterance after the other."""
    import numpy as np
    import python_speech_features

    rows = [
        python_speech_features.fbank(row, samplerate=SAMPLE_RATE, nfilt=64)[0]
        for row in waveform
    ]
    return np.stack(rows)


def build_graph():
    """Our layer as it runs inside a model, one traced function."""
    import tensorflow as tf

    from timbre.audio.filterbank import Filterbank

    limit_threads(1)
    signature = [tf.TensorSpec([None, None], tf.float32)]
    graph = tf.function(Filterbank().__call__, input_signature=signature)
    return lambda waveform: graph(waveform).numpy()


def difference(ours, theirs):
    """Largest difference once every frame has mean 0 and deviation 1."""
    from timbre.audio.normalisation import FeatureNormalisation

    mean, deviation = theirs.mean(-1, keepdims=True), theirs.std(-1, keepdims=True)
    return abs(FeatureNormalisation()(ours).numpy() - (theirs - mean) / deviation).max()


def main():
    """Measure, and print one line for each shape of the input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each (7)")
    runs = parser.parse_args().runs
    use_one_core()

    import numpy as np

    ours = build_graph()
    minute = 0.1 * np.random.default_rng(0).normal(size=60 * SAMPLE_RATE)
    print(f"{'input':<12}{'psf':>12}{'in the graph':>14}{'ratio':>9}{'difference':>13}")
    for rows, seconds in ((1, 60), (5, 12), (30, 2)):
        waveform = minute.reshape(rows, -1).astype(np.float32)
        slow, fast = measure([peer, ours], waveform, runs)
        gap = difference(ours(waveform), peer(waveform))
        print(
            f"{f'{rows} x {seconds} s':<12}{60 / slow:>10.0f} x{60 / fast:>12.0f} x"
            f"{slow / fast:>9.2f}{gap:>13.1e}"
        )


if __name__ == "__main__":
    main()
