"""Does training need more memory for more hours? Peak of 1 x against 10 x.

    python benchmarks/memory.py

Runs `train_triplet.py` from end to end, each time in a process of its own and on a
fresh cache, on synthetic voices with few and with ten times as many utterances.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from timing import ROOT

QUIETLY = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main():
    """Prints one line a corpus and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=6, help="of each, at 1 x")
    parser.add_argument("--speakers", type=int, default=24)
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 10):
            utterances = options.utterances * times
            peak_mib, wall_s = train(folder, str(options.speakers), str(utterances))
            peaks.append(peak_mib)
            print(
                f"{times:2} x: {options.speakers} speakers of {utterances} utterances, "
                f"peak {peak_mib:.0f} MiB, {wall_s:.0f} s",
                flush=True,
            )
    print(f"ratio of peaks {peaks[1] / peaks[0]:.3f}")


def train(folder, speakers, utterances):
    """Peak memory in MiB and seconds of a training on a corpus of such a size."""
    corpus = f"{folder}/corpus-{utterances}"
    render = [sys.executable, "-m", "timbre.corpora", "synthetic", corpus]
    render += ["--num-speakers", speakers, "--utterances", utterances]
    subprocess.run(render, check=True, **QUIETLY)
    command = [sys.executable, "train_triplet.py", "--preset", "smoke"]
    command += ["--name", f"corpus-{utterances}", "--corpus", corpus]
    command += ["--runs", f"{folder}/runs", "--cache", f"{folder}/cache"]
    start = time.monotonic()
    _, status, usage = os.wait4(subprocess.Popen(command, **QUIETLY).pid, 0)
    if status:
        raise SystemExit(f"training failed with status {status}")
    return usage.ru_maxrss / 1024, time.monotonic() - start


if __name__ == "__main__":
    main()
