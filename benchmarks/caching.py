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
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WORK = """
import json, resource, sys, time
from dataclasses import replace
import tensorflow as tf  # not what is measured
from timbre.corpora import folders
from timbre.corpora.cache import records
from timbre.corpora.corpus import Corpus

source, folder, times, features = sys.argv[1:]
transform, about = None, None
if features == "features":
    from timbre.audio.filterbank import Filterbank
    layer = Filterbank()
    graph = tf.function(lambda x: layer(x[None])[0], input_signature=[
        tf.TensorSpec([None], tf.float32)])
    graph(tf.zeros([16000]))
    transform, about = lambda x: graph(x).numpy(), {"front": "fbank"}
corpus = folders.open_corpus(source)
rows = tuple(
    replace(u, speaker=f"{u.speaker}-{n}")
    for n in range(int(times)) for u in corpus
)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start, cpu = time.perf_counter(), time.process_time()
cached = records.cache(Corpus("long", rows), folder, transform=transform, about=about)
print(json.dumps({
    "utterances": cached.num,
    "hours": cached.about["hours"],
    "seconds": time.perf_counter() - start,
    "cpu": time.process_time() - cpu,
    "before": before,
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measure(source: Path, times: int, kind: str) -> dict:
    """Peak memory and time of caching a corpus `times` over."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WORK, source, folder, str(times), kind]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
        )
    return json.loads(done.stdout)


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
        rows = [measure(source, times, options.kind) for times in (1, options.times)]
    print(
        f"{'utterances':>10} {'hours':>7} {'wall s':>7} {'CPU s':>7} "
        f"{'peak MiB':>9} "
        f"{'before':>7}"
    )
    for row in rows:
        print(
            f"{row['utterances']:>10} {row['hours']:>7.3f} {row['seconds']:>7.2f} "
            f"{row['cpu']:>7.2f} {row['mib']:>9.0f} {row['before']:>7.0f}"
        )
    short, long = rows
    per_hour = [row["cpu"] / row["hours"] for row in rows]
    print(f"peak memory, long / short: {long['mib'] / short['mib']:.3f}")
    print(
        f"CPU seconds per hour of sound, long / short: {per_hour[1] / per_hour[0]:.3f}"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
