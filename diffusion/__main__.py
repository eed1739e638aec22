"""`python -m diffusion`: draw voices that never existed, mix, replace, judge them."""

import argparse
from pathlib import Path
from typing import get_args, get_type_hints

from diffusion.speakers import config, tts_export
from timbre import cli

ATTACKERS = ("ignorant", "lazy", "semi-informed")


def main(arguments=None):
    """Runs one command; an error that a user can mend is one line on stderr."""
    cli.run("diffusion", __doc__, COMMANDS, _answers, arguments)


def _answers(command):
    from diffusion.speakers import commands  # after --help, which is instant

    return commands


def _sample(command):
    _add_run(command)
    _add_out(command)
    command.add_argument("--count", type=int, default=1000, help="by default 1000")
    command.add_argument("--seed", type=_seed, default=0, help="by default 0")
    _add_labels(command, "draw voices of this label")
    command.add_argument(
        "--engine",
        choices=tuple(tts_export.FORMATS),
        help="write what this engine for speech takes, instead of an embedding set",
    )
    _add_drawing(command)


def _evaluate(command):
    _add_run(command)
    command.add_argument(
        "--set",
        type=Path,
        help="embedding set to compare with: of speakers the run has learned from, and "
        "others; by default the run's own",
    )
    command.add_argument("--out", type=Path, help="also a .json file of all figures")
    command.add_argument("--count", type=int, help="voices drawn; by default 10,000")
    command.add_argument("--seed", type=_seed, default=0, help="by default 0")
    _add_labels(command, "measure voices of this label", weight=False)
    _add_drawing(command)


def _interpolate(command):
    _add_run(command)
    _add_set(command)
    for end in ("from", "to"):
        command.add_argument(
            f"--{end}",
            required=True,
            metavar="NAME",
            dest=f"{end}_",
            help="a speaker of the set, whose rows are averaged, or a segment",
        )
    command.add_argument("--num", type=int, default=9, help="ends included; default 9")
    _add_out(command)
    _add_drawing(command)


def _edit(command):
    _add_run(command)
    _add_set(command)
    _add_labels(command, "what all voices of the set are to become", required=True)
    _add_out(command)
    _add_drawing(command)


def _anonymise(command):
    command.add_argument("set", type=Path, help="embedding set of the speakers")
    _add_run(command)
    _add_out(command)
    command.add_argument(
        "--attacker",
        action="extend",
        nargs="+",
        choices=ATTACKERS,
        help="one or more, whose error rates are reported; by default all that the set "
        "has speakers enough for",
    )
    command.add_argument(
        "--level",
        choices=("speaker", "utterance"),
        default="speaker",
        help="what gets a voice of its own; by default a speaker",
    )
    command.add_argument(
        "--limit",
        type=float,
        default=0.7,
        help="cosine to the old voice that a new one stays below; by default 0.7",
    )
    command.add_argument(
        "--seed",
        type=_seed,
        help="whoever knows it draws the same voices again; by default one that is "
        "drawn by lot and kept nowhere",
    )
    command.add_argument(
        "--keep-names",
        action="store_true",
        help="keep speakers, segments and labels, which say whose voice it was",
    )
    command.add_argument("--report", type=Path, help="also a .json file of all figures")
    _add_drawing(command)


COMMANDS = {  # what asks for a command's options, and what the command does
    _sample: "draw voices that never existed",
    _evaluate: "measure drawn voices beside real ones and baselines",
    _interpolate: "draw the voices between two voices",
    _edit: "give voices another label and keep the rest",
    _anonymise: "replace voices, and report what attackers still find",
}


def _add_run(command):
    command.add_argument(
        "--run",
        required=True,
        type=Path,
        help="folder of a run of `train_diffusion.py speakers`",
    )


def _add_set(command):
    command.add_argument("--set", required=True, type=Path, help="an embedding set")


def _add_out(command):
    command.add_argument("--out", required=True, type=Path, help="the .npz to write")


def _add_labels(command, text, *, required=False, weight=True):
    command.add_argument(
        "--label",
        action="extend",
        nargs="+",
        type=_label,
        default=None if required else [],
        required=required,
        metavar="NAME=VALUE",
        help=text,
    )
    if not weight:
        return
    command.add_argument(
        "--weight",
        type=float,
        default=0.0,
        help="how much more than learned labels count; by default 0",
    )


def _add_drawing(command):
    """Adds how voices are drawn; what is not said is as the run's config says."""
    samplers, spacings = (
        get_args(get_type_hints(config.SamplingConfig)[name])
        for name in ("sampler", "spacing")
    )
    command.add_argument("--sampler", choices=samplers, help="by default the run's")
    command.add_argument("--steps", type=int, help="of the sampler")
    command.add_argument("--spacing", choices=spacings, help="of the sampler's times")
    command.add_argument("--eta", type=float, help="of ddim, from 0 to 1")


def _label(text):
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE. Received: {text!r}")
    return name, value


def _seed(text):
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0. Received: {seed}")
    return seed


if __name__ == "__main__":
    main()
