"""Trains the encoder that comes with the package: three small networks, fused.

    python train_small.py --corpus librispeech_many --exclude-speakers 19 26

They learn from the same retold recordings, each another lesson: plain names, names by a
margin, and for longer, every speed of a voice being a voice of its own. Each errs
elsewhere; `runs/small` is what they say together. All options are those of
`train_triplet.py` and go to all three (not `--preset` and `--name`). A run that was
stopped goes on when the same command is given again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import train_triplet

MEMBERS = ("small-names", "small-margin", "small-long")
NAME = "small"


def main(arguments=None):
    """Trains the members, then fuses them; returns the folder of the fused encoder."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    known, rest = parser.parse_known_args(arguments)
    if {"--preset", "--name"} & set(rest):
        sys.exit("error: --preset and --name are what this script decides")
    out = known.runs / NAME
    if out.exists():
        sys.exit(f"error: {out} is there already; move it or name other --runs")
    members = [train(name, known.runs, rest) for name in MEMBERS]

    from timbre.training import script
    from voiceemb import bundle

    with script.explain(ValueError, OSError):
        print(bundle.fuse(members, out, centred=True))
    return out


def train(name, runs, arguments):
    """Trains one member in a process of its own; returns its folder below `runs`."""
    command = [sys.executable, train_triplet.__file__, "--preset", name]
    done = subprocess.run([*command, "--runs", str(runs), *arguments])
    if done.returncode:
        sys.exit(done.returncode)
    return runs / name


if __name__ == "__main__":
    main()
