"""Options of the commands about people, and about who speaks when.

Each function adds the options of the command it is named after to a parser; what they
do is in `voiceemb.commands.speech`.
"""

from pathlib import Path

from voiceemb.page import PORT

STORE = "folder of enrolled people"


def _enrol(command):
    command.add_argument("name", help="of the person")
    _add_sounds(command)
    _add_store(command)
    command.add_argument(
        "--force",
        action="store_true",
        help="enrol what is too bad or sounds like others",
    )
    _add_hearing(command)


def _people(command):
    _add_store(command)
    change = command.add_mutually_exclusive_group()
    change.add_argument("--remove", metavar="NAME", help="forget somebody")
    change.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"))
    change.add_argument(
        "--export",
        nargs=2,
        metavar=("NAME", "FILE"),
        help="all that is kept of somebody, as an embedding set (.npz)",
    )
    change.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="draw all samples compared with each other",
    )
    change.add_argument(
        "--calibrate",
        type=Path,
        metavar="CORPUS",
        help="learn what scores are worth where you record, from speakers with names",
    )
    _add_hearing(command)


def _identify(command):
    _add_sounds(command)
    _add_store(command)
    command.add_argument(
        "--stranger",
        type=float,
        default=0.5,
        help="how often nobody of those enrolled speaks; by default 0.5",
    )
    command.add_argument(
        "--threshold", type=float, help="cosine; by default what is likeliest"
    )
    command.add_argument(
        "--top", type=int, default=3, help="candidates that are listed; by default 3"
    )
    _add_hearing(command)


def _activity(command):
    _add_sounds(command)
    add_detector(command)


def _timeline(command):
    command.add_argument("path", type=Path, metavar="FILE", help="a sound file")
    command.add_argument(
        "--out",
        required=True,
        type=Path,
        help="the file to write: .jsonl, .csv, .npz, .rttm, .txt (labels for "
        "Audacity) or .png, a picture",
    )
    _add_listening(command)


def _diarize(command):
    _add_sounds(command)
    number = command.add_argument
    number("--num-speakers", type=int, help="exactly; by default estimated")
    number("--min-speakers", type=int, default=1, help="at least; by default 1")
    number("--max-speakers", type=int, default=8, help="at most; by default 8")
    command.add_argument(
        "--method", choices=("spectral", "agglomerative"), default="spectral"
    )
    command.add_argument(
        "--out",
        type=Path,
        help="the file to write: .rttm, .json, .csv, .srt or .txt (labels for "
        "Audacity); of several sounds a folder, for an .rttm of each",
    )
    command.add_argument("--people", type=Path, help=f"{STORE}, to name speakers")
    _add_hearing(command)


def _listen(command):
    command.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a sound file; by default the microphone",
    )
    command.add_argument(
        "--fast", action="store_true", help="do not wait for a file's own pace"
    )
    command.add_argument("--out", type=Path, help="timeline to add to, .jsonl")
    _add_listening(command)


def _page(command):
    command.add_argument(
        "--port", type=int, default=PORT, help=f"from 1 to 65535; by default {PORT}"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="by default 127.0.0.1, which no other machine reaches; there is no "
        "password",
    )
    command.add_argument(
        "--browser", action="store_true", help="open it in the browser too"
    )
    command.add_argument(
        "--people", type=Path, help=f"{STORE}, to name speakers and to enrol them"
    )
    _add_hearing(command)


COMMANDS = {
    _enrol: "remember somebody's voice by name",
    _people: "list who is enrolled; forget, rename, export, draw, calibrate",
    _identify: "who of those enrolled speaks, or nobody of them?",
    _activity: "where does anybody speak?",
    _timeline: "write what is heard in each half second of a file",
    _diarize: "who speaks when?",
    _listen: "name who speaks, while they speak",
    _page: "see and hear who speaks when, in the browser",
}


def _add_sounds(command):
    """Adds sound files to hear."""
    command.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE", help="sound files"
    )


def _add_store(command):
    """Adds the store of enrolled people."""
    command.add_argument(
        "--people",
        type=Path,
        default=Path("people"),
        help=f"{STORE}; by default people",
    )


def add_detector(command, default="network"):
    """Adds what finds speech."""
    command.add_argument(
        "--detector",
        choices=("network", "energy", "webrtc"),
        default=default,
        help="of voice activity; by default network",
    )


def _add_hearing(command):
    """Adds what every command has that finds speech and embeds it."""
    add_detector(command)
    add_run(command)


def _add_listening(command):
    """Adds what every command has that hears a sound as it comes."""
    command.add_argument(
        "--people",
        type=Path,
        help=f"{STORE}, to name who speaks; by default voices are numbered",
    )
    command.add_argument(
        "--every", type=float, default=0.5, help="seconds; by default 0.5"
    )
    _add_hearing(command)


def add_run(command):
    """Adds the encoder that a command asks."""
    command.add_argument(
        "--run",
        type=Path,
        default=Path("small"),
        help="a run folder, an export, or the name of weights that come with the "
        "package; by default small",
    )
