"""Paired timings: sides take turns in one run; a ratio is the median of the turns'.

Importing it puts the checkout on the path, so that a benchmark runs as it stands.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Peers that wait in a loop for work would cost the side that is being timed.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(ROOT))


def use_one_core():
    """Pin this process to one core, whatever the libraries think."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def limit_threads(threads):
    """Let TensorFlow use so many threads; to be called before its first operation."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def seconds_of(function, *arguments):
    """What a call gives, its wall seconds and its processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.perf_counter() - wall, time.process_time() - cpu


class Timings:
    """Wall and processor seconds of the turns of one side."""

    def __init__(self):
        self.wall, self.cpu = [], []

    def add(self, wall, cpu):
        """Note one turn."""
        self.wall.append(wall)
        self.cpu.append(cpu)

    @property
    def medians(self):
        """Median wall and processor seconds of a turn."""
        return statistics.median(self.wall), statistics.median(self.cpu)

    def ratio(self, other, what="wall"):
        """How many times less it took than another side: `"wall"` or `"cpu"`."""
        pairs = zip(getattr(other, what), getattr(self, what), strict=True)
        return statistics.median(theirs / own for theirs, own in pairs)


class PeerProcess:
    """A Python of another environment that answers questions, each a line of JSON.

    Its first line, unasked, is `about`. It waits while our side is measured. To be used
    in a `with` statement.

    Args:
        python: Its interpreter.
        *arguments: Of its command line, the script first.
        threads: How many its libraries may use. Defaults to what they choose.
    """

    def __init__(self, python, *arguments, threads=None):
        limits = dict.fromkeys(THREADS, str(threads)) if threads else {}
        self.process = subprocess.Popen(
            [python, "-W", "ignore", *map(str, arguments)],
            env={**PASSIVE, **os.environ, **limits},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._read()

    def ask(self, *question):
        """The answer to one question."""
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise OSError(f"the peer ended with status {self.process.wait()}")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
