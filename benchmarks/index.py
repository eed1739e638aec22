"""How fast is a voice found among many, and how often by the graph of `usearch`?

Voices are made up: unit vectors of `--dim` numbers that vary in `--freedom` directions
and a little in all, as embeddings of speakers do; a query is an enrolled voice and
noise. The exact engine is compared with NumPy as one writes it down, all cosines and
a full sort, and the graph with the exact engine: recall is the share of the true ten
that it finds.

    python benchmarks/index.py
    python benchmarks/index.py --voices 1000000 --dim 128 --no-graph --no-plain

Times are processor milliseconds per query on one core, of one query at a time and of
64 at once. The graph is needed in memory beside the voices.
"""

import argparse
import time

import timing

timing.limit_blas(1)

import numpy as np

from voiceemb.enrolment.index import VoiceIndex

TOP = 10
QUERIES = 256
ROW = "{:>8} {:18} {:>9.1f} {:>10.3f} {:>10.3f} {:>9.3f} {:>10.3f}"


def unit(x):
    """Rows brought to unit length."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def make(rng, num, options):
    """Voices and queries, float32 `[num, dim]` and `[QUERIES, dim]`."""
    turn = rng.normal(size=(options.freedom, options.dim)).astype(np.float32)
    voices = unit(rng.standard_normal((num, options.freedom), np.float32) @ turn)
    voices += 0.3 / np.sqrt(options.dim) * rng.standard_normal(voices.shape, np.float32)
    picked = voices[rng.integers(num, size=QUERIES)]
    noise = rng.standard_normal(picked.shape, np.float32)
    return voices, picked + 0.5 / np.sqrt(options.dim) * noise


def timed(search, queries):
    """Processor milliseconds a query, one at a time and 64 at once."""
    found = []
    for size in (1, 64):
        rows = queries[: 32 * size]
        start = time.process_time()
        for first in range(0, len(rows), size):
            search(rows[first : first + size])
        found.append(1e3 * (time.process_time() - start) / len(rows))
    return found


def plain(voices):
    """A search by all cosines and a full sort, for unit vectors."""
    units = unit(voices)

    def search(queries):
        cosines = unit(queries) @ units.T
        order = np.argsort(-cosines, axis=1)[:, :TOP]
        return order, np.take_along_axis(cosines, order, axis=1)

    return search


def answers(search, queries):
    """Names found for all queries, str `[QUERIES, TOP]`."""
    blocks = range(0, QUERIES, 64)
    return np.concatenate([search(queries[b : b + 64])[0].astype(str) for b in blocks])


def compare(num, options):
    """Prints the lines of one number of voices."""
    voices, queries = make(np.random.default_rng(0), num, options)
    names = [str(i) for i in range(num)]
    sides = {"NumPy, full sort": plain(voices)} if options.plain else {}
    enrolled = {"NumPy, full sort": 0.0}
    for engine in ("exact", "usearch") if options.graph else ("exact",):
        start = time.process_time()
        index = VoiceIndex(options.dim, engine=engine, expansion=options.expansion)
        index.add(names, voices)
        enrolled[engine] = time.process_time() - start
        sides[engine] = lambda rows, index=index: index.search(rows, k=TOP)
    truth = answers(sides["exact"], queries)
    for name, search in sides.items():
        answer = answers(search, queries)
        both = [len({*a} & {*b}) for a, b in zip(answer, truth, strict=True)]
        first = np.mean(answer[:, 0] == truth[:, 0])
        figures = *timed(search, queries), first, np.mean(both) / TOP
        print(ROW.format(num, name, enrolled[name], *figures), flush=True)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voices", type=int, nargs="+", default=[10**3, 10**4, 10**5])
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--freedom", type=int, default=32, help="directions (32)")
    parser.add_argument("--expansion", type=int, default=64, help="of the graph")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--graph", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    timing.use_one_core()
    print(f"{QUERIES} queries, {options.dim} numbers a voice")
    columns = "enrol s", "CPU ms, 1", "CPU ms, 64", "recall@1", "recall@10"
    print(timing.heading(ROW, "voices", "", *columns))
    for num in options.voices:
        compare(num, options)
    print(f"peak memory of all {timing.peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
