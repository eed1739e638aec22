"""`python -m voiceemb`: whose voice it is, who speaks when, and how sure that is."""

from pathlib import Path

from timbre import cli
from voiceemb.commands import speech_options
from voiceemb.commands.speech_options import STORE, add_detector, add_run


def main(arguments=None):
    """Runs one command; an error that a user can mend is one line on stderr."""
    cli.run("voiceemb", __doc__, COMMANDS, _answers, arguments)


def _answers(command):
    if f"_{command}" in {ask.__name__ for ask in speech_options.COMMANDS}:
        from voiceemb.commands import speech  # after --help, which is instant

        return speech
    from voiceemb.commands import encoder

    return encoder


def _embed(command):
    command.add_argument(
        "paths",
        nargs="+",
        type=Path,
        help="sound files, folders of speakers, manifests",
    )
    command.add_argument("--out", required=True, type=Path, help="the .npz to write")
    add_run(command)


def _verify(command):
    command.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a sound file, and another; or one, with --people and --name",
    )
    command.add_argument("--people", type=Path, help=f"{STORE}, to verify --name in")
    command.add_argument("--name", help="of the enrolled person it is said to be")
    command.add_argument(
        "--threshold",
        type=float,
        help="cosine; by default that of the calibration, or the run's own",
    )
    command.add_argument(
        "--prior",
        type=float,
        help="how often pairs are one voice where it is asked, in (0, 1); by default "
        "0.5; needs an encoder with a calibration",
    )
    _add_calibration(command)
    add_detector(command, default=None)  # two files are compared as they are
    add_run(command)


def _evaluate(command):
    _add_measured(command, "figures and trials; by default RUN/evaluation")
    command.add_argument(
        "--trials", type=Path, help="lines `label enrol test` instead of all pairs"
    )
    command.add_argument(
        "--deep-speaker",
        action="store_true",
        help="also by 1 anchor, 1 positive and 99 negatives a speaker",
    )
    command.add_argument(
        "--normalise",
        choices=("none", "centre", "as-norm"),
        default="none",
        help="rows of normalised scores beside those of cosines: centre takes the "
        "corpus' own mean away, as-norm measures by a cohort of strangers",
    )
    command.add_argument(
        "--cohort", type=Path, help="corpus of strangers for --normalise as-norm"
    )
    command.add_argument(
        "--top",
        type=int,
        default=200,
        help="nearest strangers that count for as-norm; by default 200",
    )
    _add_calibration(command)
    add_run(command)


def _robustness(command):
    _add_measured(command, "figures and rows; by default RUN/robustness")
    command.add_argument(
        "--noises",
        type=Path,
        help="file or folder of recordings of noise; by default pink noise",
    )
    command.add_argument(
        "--noisy",
        choices=("both", "test"),
        default="both",
        help="which side of a trial is noisy; by default both, by noises of their own",
    )
    add_run(command)


def _calibrate(command):
    _add_measured(command, "the file to write; by default RUN/calibration.json")
    command.add_argument("--kind", choices=("logistic", "isotonic"), default="logistic")
    command.add_argument(
        "--elsewhere",
        nargs="+",
        type=Path,
        default=(),
        metavar="CORPUS",
        help="corpora that are not fitted, but tell a store of people how cosines "
        "vary from place to place",
    )
    add_run(command)


def _pack(command):
    command.add_argument("--out", required=True, type=Path, help="a new folder")
    add_run(command)


def _fuse(command):
    command.add_argument(
        "--runs", required=True, nargs="+", type=Path, help="run folders"
    )
    command.add_argument("--out", required=True, type=Path, help="a new folder")
    command.add_argument(
        "--centred",
        action="store_true",
        help="subtract what all voices share: the mean of those learned from",
    )


COMMANDS = {  # what asks for a command's options, and what the command does
    _embed: "write an embedding set (.npz)",
    _verify: "is it the same voice in two files, or the voice it is said to be?",
    _evaluate: "error rates on speakers it has never heard",
    _robustness: "error rates of short and of noisy utterances",
    _calibrate: "learn from your recordings what a cosine is worth",
    _pack: "copy what a user of a trained encoder needs, and no more",
    _fuse: "make one encoder of several",
    **speech_options.COMMANDS,
}


def _add_calibration(command):
    """Adds what makes a command's cosines probabilities."""
    command.add_argument(
        "--calibration",
        type=Path,
        help="what `calibrate` wrote; by default what lies beside the weights",
    )


def _add_measured(command, out):
    """Adds what every command has that measures an encoder on corpora."""
    command.add_argument(
        "--corpus", required=True, nargs="+", type=Path, help="each gives its own rows"
    )
    command.add_argument("--out", type=Path, help=out)
    command.add_argument(
        "--protocol",
        choices=("open-set", "closed-set"),
        help="by default open-set, which the run must be able to check",
    )
    command.add_argument(
        "--leave-out-trained",
        action="store_true",
        help="leave out speakers whose name the run was trained on",
    )


if __name__ == "__main__":
    main()
