"""Training of the encoder that comes with the package: an ensemble of three.

The members are trained on the same style-augmented recordings: by softmax, by a margin
softmax, and longer with speed perturbation. Their errors differ, so their ensemble,
`runs/small`, is better than each. All options of `python -m voiceemb train` but
`--preset` and `--name` go to every member. A run that was stopped goes on when the same
command is given again.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from timbre.training import script

MEMBERS = ("small-names", "small-margin", "small-long")
NAME = "small"


def run(arguments=None, *, program=None):
    """Train the members, then fuse them; returns the folder of the ensemble.

    Args:
        arguments, program: As for `timbre.training.script.run`.
    """
    parser = argparse.ArgumentParser(
        program,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    known, rest = parser.parse_known_args(arguments)
    if {"--preset", "--name"} & set(rest):
        sys.exit("error: --preset and --name are what this command decides")
    out = known.runs / NAME
    if out.exists():
        sys.exit(f"error: {out} is there already; move it or name other --runs")
    members = [train(name, known.runs, rest) for name in MEMBERS]

    from voiceemb import bundle

    with script.explain(ValueError, OSError):
        print(bundle.fuse(members, out, centred=True))
    return out


def train(name, runs, arguments):
    """Train one member in a process of its own; returns its folder below `runs`."""
    command = [sys.executable, "-m", "voiceemb", "train", "--preset", name]
    root = str(Path(__file__).parents[1])  # so that it is found from any folder
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, "--runs", str(runs), *arguments],
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode:
        sys.exit(done.returncode)
    return runs / name
