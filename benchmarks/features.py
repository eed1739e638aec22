"""How fast are filterbank energies in the graph, next to python_speech_features?

Both turn the same minute of sound into the same 64 energies per 10 ms on one core, in
turns, as one recording and as thirty utterances of 2 s. Speed is seconds of sound per
second of processor time, the median of several runs; the last column is the largest
difference between the two after normalising each frame.

    python benchmarks/features.py
"""

import argparse
import functools

import timing

timing.limit_blas(1)

import numpy as np

SAMPLE_RATE = 16000
ROW = "{:<12}{:>12}{:>14}{:>9.2f}{:>13.1e}"


def peer(waveform):
    """The way of python_speech_features: one utterance after the other."""
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

    timing.limit_threads(1)
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each (7)")
    runs = parser.parse_args().runs
    timing.use_one_core()
    ours = build_graph()
    minute = 0.1 * np.random.default_rng(0).normal(size=60 * SAMPLE_RATE)
    print(timing.heading(ROW, "input", "psf", "in the graph", "ratio", "difference"))
    for rows, seconds in ((1, 60), (5, 12), (30, 2)):
        x = minute.reshape(rows, -1).astype(np.float32)
        sides = {f: functools.partial(timing.seconds_of, f, x) for f in (peer, ours)}
        times = timing.take_turns(sides, runs).values()
        (_, slow), (_, fast) = map(timing.medians, times)
        speeds = f"{60 / slow:.0f} x", f"{60 / fast:.0f} x"
        gap = difference(ours(x), peer(x))
        print(ROW.format(f"{rows} x {seconds} s", *speeds, slow / fast, gap))


if __name__ == "__main__":
    main()
