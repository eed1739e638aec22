"""Does caching stay small and linear as a corpus grows?

Caches one corpus and one ten times as long, each in a process of its own, and
prints time and peak memory, and the memory before caching began (TensorFlow's own).
Memory should stay within 15 %, and time should grow tenfold: the ratio of seconds per
hour of sound should be one.

    python benchmarks/caching.py
    python benchmarks/caching.py --corpus ../shared/data/librispeech_many --times 10

Without `--corpus`, files of noise are made for the purpose. A longer corpus repeats
the files of the shorter one, each under a name of its own.
"""

import argparse
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import timing

ROW = "{:>10} {:>7.3f} {:>7.2f} {:>7.2f} {:>9.0f} {:>7.0f}"


def measure(source, times, kind):
    """Utterances, hours, seconds and MiB of caching a corpus `times` over."""
    import tensorflow as tf  # not what is measured

    from timbre.audio.filterbank import Filterbank
    from timbre.corpora import folders
    from timbre.corpora.cache import records
    from timbre.corpora.corpus import Corpus

    options = {}
    if kind == "features":
        layer, signature = Filterbank(), [tf.TensorSpec([None], tf.float32)]
        graph = tf.function(lambda x: layer(x[None])[0], input_signature=signature)
        graph(tf.zeros([16000]))
        options["transform"] = lambda x: graph(x).numpy()
        options["about"] = {"front": "fbank"}
    corpus = folders.open_corpus(source)
    copies = itertools.product(range(times), corpus)
    rows = tuple(replace(u, speaker=f"{u.speaker}-{n}") for n, u in copies)
    long, before = Corpus("long", rows), timing.peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        cached, *seconds = timing.seconds_of(
            lambda: records.cache(long, folder, **options)
        )
    return cached.num, cached.about["hours"], *seconds, timing.peak_mib(), before


def make(folder: Path, speakers: int = 20, utterances: int = 10) -> Path:
    """Files of noise, 2 to 6 seconds long."""
    import numpy as np

    from timbre.audio import wave

    rng = np.random.default_rng(0)
    for speaker in range(speakers):
        (folder / f"s{speaker}").mkdir(parents=True)
        for utterance in range(utterances):
            noise = rng.normal(0, 0.1, rng.integers(2 * 16000, 6 * 16000)).clip(-1, 1)
            wave.write(folder / f"s{speaker}" / f"{utterance}.flac", noise)
    return folder


def main():
    """Measure both lengths and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="folder or manifest; default: made of noise")
    parser.add_argument("--times", type=int, default=10, help="how much longer")
    parser.add_argument("--kind", choices=("waveform", "features"), default="waveform")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(options.corpus or make(Path(folder) / "noise")).resolve()
        rows = [
            timing.run_apart(measure, source, times, options.kind)
            for times in (1, options.times)
        ]
    names = "utterances", "hours", "wall s", "CPU s", "peak MiB", "before"
    print(timing.heading(ROW, *names))
    for row in rows:
        print(ROW.format(*row))
    memory = rows[1][4] / rows[0][4]
    cpu = (rows[1][3] / rows[1][1]) / (rows[0][3] / rows[0][1])
    print(f"peak memory, long / short: {memory:.3f}")
    print(f"CPU seconds per hour of sound, long / short: {cpu:.3f}")


if __name__ == "__main__":
    main()
