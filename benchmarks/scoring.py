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
import functools
import tracemalloc

import timing

timing.limit_blas(1)

import numpy as np

from timbre.metrics.scoring import as_norm, cosine_scores
from timbre.metrics.trials import Trials

ROW = "{:>10} {:24} {:>9.2f} {:>12.0f} {:>9} {:>9.1f}"


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
    rows = zip(scores[:count], trials.enrol[:count], trials.test[:count], strict=True)
    for score, *sides in rows:
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
    result, _, seconds = timing.seconds_of(function)
    if share < 1:
        return result, seconds / share, "-"
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, seconds, f"{peak:.0f}"


def show(count, sides, loop, first, atol):
    """Prints each side and a loop over the first trials; gives the first's scores."""
    few = min(count, first)
    rows = {name: measure(side) for name, side in sides.items()}
    plain, slow, _ = row = measure(lambda: loop(few), few / count)
    scores, *_ = next(iter(rows.values()))
    np.testing.assert_allclose(plain, scores[:few], atol=atol)
    for name, (_, seconds, peak) in {**rows, "loop, extrapolated": row}.items():
        print(ROW.format(count, name, seconds, count / seconds, peak, slow / seconds))
    return scores


def compare(rng, count, options):
    """Prints the lines of one length of list."""
    embeddings = rng.normal(size=(options.utterances, options.dim)).astype(np.float32)
    cohort = rng.normal(size=(options.cohort, options.dim)).astype(np.float32)
    enrol, test = rng.integers(options.utterances, size=(2, count))
    names = np.arange(options.utterances).astype(str)
    trials, top = Trials(enrol == test, enrol, test, names), options.top
    sides = {"cosine_scores": lambda: cosine_scores(embeddings, trials)}
    if options.matrix:
        sides["full matrix"] = lambda: full_matrix(embeddings, trials)
    loop = functools.partial(loop_scores, embeddings, trials)
    scores = show(count, sides, loop, 20_000, atol=1e-5)
    sides = {"as_norm": lambda: as_norm(scores, trials, embeddings, cohort, top=top)}
    loop = functools.partial(loop_as_norm, scores, embeddings, trials, cohort, top)
    show(count, sides, loop, 200, atol=1e-3)


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
    columns = "CPU s", "trials/s", "peak MiB", "loop / it"
    print(timing.heading(ROW, "trials", "", *columns))
    for count in options.trials:
        compare(rng, count, options)


if __name__ == "__main__":
    main()
