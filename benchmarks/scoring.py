"""How fast is a trial list scored and normalised, and in how much memory?

Random embeddings, random pairs of them. `cosine_scores` and `as_norm` go through the
list in blocks. A plain loop over trials, with two norms and a product each, and for
AS-norm the cosines of both sides with the whole cohort, is timed on the first trials
and extrapolated. The full matrix of all cosines is the other plain way: no list needs
more time than it, and no list less memory.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --trials 10000000 --utterances 100000 --no-matrix

Peak memory is what is allocated beyond embeddings, cohort and list, scores included,
seen by `tracemalloc` in a second pass; times are processor seconds of one core.
"""

import argparse
import os
import sys
import time
import tracemalloc
from pathlib import Path

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from timbre.metrics.scoring import as_norm, cosine_scores
from timbre.metrics.trials import Trials


def cosine(left, right):
    """Of two vectors, as one writes it down."""
    return left @ right / (np.linalg.norm(left) * np.linalg.norm(right))


def loop_scores(embeddings, trials, count):
    """The first `count` scores, one trial after the other."""
    pairs = zip(trials.enrol[:count], trials.test[:count], strict=True)
    return np.array([cosine(embeddings[i], embeddings[j]) for i, j in pairs])


def loop_as_norm(scores, embeddings, trials, cohort, top, count):
    """The first `count` normalised scores, one trial after the other."""
    found = []
    for score, *sides in zip(scores, trials.enrol, trials.test, strict=True):
        if len(found) == count:
            break
        value = 0
        for row in sides:
            x = embeddings[row]
            against = cohort @ x / (np.linalg.norm(cohort, axis=1) * np.linalg.norm(x))
            nearest = np.sort(against)[-top:]
            value += (score - nearest.mean()) / nearest.std() / 2
        found.append(value)
    return np.array(found)


def full_matrix(embeddings, trials):
    """All cosines of all utterances, of which the list picks its own."""
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (units @ units.T)[trials.enrol, trials.test]


def measure(function, share=1.0):
    """What it returns, its seconds, extrapolated, and its peak memory in MiB."""
    start = time.process_time()
    result = function()
    seconds = (time.process_time() - start) / share
    if share < 1:
        return result, seconds, None
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, seconds, peak


def show(name, trials, seconds, peak, against):
    """One line of the table."""
    memory = "-" if peak is None else f"{peak:.0f}"
    rate = trials / seconds
    ratio = against / seconds
    print(
        f"{trials:>10} {name:24} {seconds:9.2f} {rate:12.0f} {memory:>9} {ratio:9.1f}"
    )


def compare(rng, count, options):
    """Prints the lines of one length of list."""
    embeddings = rng.normal(size=(options.utterances, options.dim)).astype(np.float32)
    cohort = rng.normal(size=(options.cohort, options.dim)).astype(np.float32)
    enrol, test = rng.integers(options.utterances, size=(2, count))
    names = np.arange(options.utterances).astype(str)
    trials = Trials(enrol == test, enrol, test, names)
    few, fewer = min(count, 20_000), min(count, 200)
    scores, *ours = measure(lambda: cosine_scores(embeddings, trials))
    plain, *loop = measure(
        lambda: loop_scores(embeddings, trials, few), share=few / count
    )
    np.testing.assert_allclose(plain[:few], scores[:few], atol=1e-5)
    show("cosine_scores", count, *ours, loop[0])
    if options.matrix:
        _, *whole = measure(lambda: full_matrix(embeddings, trials))
        show("full matrix", count, *whole, loop[0])
    show("loop, extrapolated", count, *loop, loop[0])
    top = options.top
    normed, *ours = measure(
        lambda: as_norm(scores, trials, embeddings, cohort, top=top)
    )
    plain, *loop = measure(
        lambda: loop_as_norm(scores, embeddings, trials, cohort, top, fewer),
        share=fewer / count,
    )
    np.testing.assert_allclose(plain[:fewer], normed[:fewer], atol=1e-3)
    show("as_norm", count, *ours, loop[0])
    show("loop, extrapolated", count, *loop, loop[0])


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--utterances", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--cohort", type=int, default=1000, help="members (1000)")
    parser.add_argument("--top", type=int, default=200, help="of the cohort (200)")
    parser.add_argument("--matrix", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{options.utterances} utterances of {options.dim}, cohort {options.cohort}")
    header = ("CPU s", "trials/s", "peak MiB", "loop / it")
    print(
        f"{'trials':>10} {'':24} {header[0]:>9} {header[1]:>12} {header[2]:>9} ", end=""
    )
    print(f"{header[3]:>9}")
    for count in options.trials:
        compare(rng, count, options)


if __name__ == "__main__":
    main()
