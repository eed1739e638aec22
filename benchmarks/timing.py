"""Paired timings: sides take turns in one run; a ratio is the median of the turns'.

Importing it puts the checkout on the path, so that a benchmark runs as it stands. It
needs the standard library alone, so that peers of other environments use it, too.
"""

import concurrent.futures
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Peers that wait in a loop for work would cost the side that is being timed.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
HOW_TO = """
To compare with {peers}, make an environment for it and name its Python:
    python -m venv ../peer
    ../peer/bin/pip install {packages}
    python benchmarks/{script} --peer ../peer/bin/python
On Linux pip takes the CUDA build of PyTorch, several GB, unless it is given PyTorch's
index of CPU builds (--extra-index-url; then 1.1 GB)."""

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(ROOT))


def limit_blas(threads):
    """Let NumPy use so many threads; to be called before its import."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))


def limit_threads(threads):
    """Let TensorFlow use so many threads; to be called before its first operation."""
    os.environ["OMP_NUM_THREADS"] = str(threads)

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def parse(parser, *, full, quick):
    """The options of a command line, whose defaults depend on `--quick`."""
    parser.set_defaults(**(quick if parser.parse_args().quick else full))
    return parser.parse_args()


def use_one_core():
    """Pin this process to one core, whatever the libraries think."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def peak_mib():
    """Peak resident memory of this process."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_apart(function, *arguments):
    """What a function of a module gives in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments).result()


def seconds_of(function, *arguments):
    """What a call gives, its wall seconds and its processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def seconds_per_call(function, calls):
    """Wall and processor seconds of one of some calls."""
    _, *seconds = seconds_of(lambda: [function() for _ in range(calls)])
    return [second / calls for second in seconds]


def take_turns(sides, runs, warm_up=1):
    """Wall and processor seconds of each side, `{name: [runs][2]}`.

    In each run every side, a function, is called once; seconds are the last that it
    gives. The first `warm_up` runs, which trace and compile, do not count.
    """
    times = {name: [] for name in sides}
    for run in range(-warm_up, runs):
        for name, side in sides.items():
            *_, wall, cpu = side()
            if run >= 0:
                times[name].append((wall, cpu))
    return times


def medians(rows):
    """The median of each column, as wall and processor seconds."""
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def ratios(own, other):
    """How many times as long another side took: medians of wall and CPU ratios."""
    pairs = zip(own, other, strict=True)
    return medians([b / a for a, b in zip(*pair, strict=True)] for pair in pairs)


def heading(row, *names):
    """The names above the columns of a format of rows, as `"{:<9}{:>7.2f}"`."""
    return re.sub(r"(,|\.\d[ef%])}", "}", row).format(*names)


class PeerProcess:
    """A Python of another environment that answers questions, each a line of JSON.

    Its first line, unasked, is `about`. It waits while our side is measured. To be used
    in a `with` statement. The other end is `serve`, in a script of this folder.
    """

    def __init__(self, python, script, *arguments, threads):
        limits = dict.fromkeys(THREADS, str(threads))
        self.process = subprocess.Popen(
            [python, "-W", "ignore", FOLDER / script, *map(str, arguments)],
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


def serve(about, answer):
    """Say what this peer is, then answer questions until there are no more."""
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)
