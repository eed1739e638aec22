"""`python -m flows`: judge a run, change what is said or who says it, draw again."""

import argparse
import math
from pathlib import Path

from timbre import cli


def main(arguments=None):
    """Runs one command; an error that a user can mend is one line on stderr."""
    cli.run("flows", __doc__, COMMANDS, _answers, arguments)


def _answers(command):
    from flows import commands  # after --help, which is instant

    return commands


def _evaluate(command):
    _add_run(command)
    command.add_argument("--out", type=Path, help="also a .json file of all figures")
    command.add_argument(
        "--pairs",
        type=_count,
        help="of a row and a wrong class, for each factor; by default as in the run",
    )
    command.add_argument("--seed", type=_seed, help="by default the run's")


def _manipulate(command):
    _add_run(command)
    command.add_argument("--factor", required=True, help="what to change, as speaker")
    to = command.add_mutually_exclusive_group(required=True)
    to.add_argument("--to", metavar="NAME", help="class that all is to become")
    to.add_argument(
        "--to-sound",
        type=Path,
        metavar="SOUND",
        help="a recording to become like: of a speaker, say, the run never heard",
    )
    command.add_argument("--model", default="fdnf", help="of the run; by default fdnf")
    command.add_argument(
        "--alpha",
        type=_finite,
        default=1.0,
        help="how far to go: 0 is nowhere, 1, the default, all the way",
    )
    given = command.add_mutually_exclusive_group(required=True)
    given.add_argument("--set", type=Path, help="an embedding set (.npz)")
    given.add_argument("--sound", type=Path, help="a recording")
    command.add_argument(
        "--segments",
        type=Path,
        help="table of the recording's phones (path,start,end,phone,speaker): change "
        "these; by default all of it is changed",
    )
    command.add_argument(
        "--out", required=True, type=Path, help="the .npz or sound file to write"
    )


def _figure(command):
    _add_run(command)
    command.add_argument("--out", type=Path, help="folder; by default the run's")


COMMANDS = {  # what asks for a command's options, and what the command does
    _evaluate: "measure the models of a run",
    _manipulate: "change one factor of embeddings or of a recording",
    _figure: "draw the figures of a run again",
}


def _add_run(command):
    command.add_argument(
        "--run", required=True, type=Path, help="folder of a run of `train_flow.py`"
    )


def _count(text):
    return _at_least(1, text)


def _seed(text):
    return _at_least(0, text)


def _at_least(least, text):
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(
            f"must be at least {least}. Received: {number}"
        )
    return number


def _finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be finite. Received: {number}")
    return number


if __name__ == "__main__":
    main()
