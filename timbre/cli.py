"""The command line: `python -m PACKAGE COMMAND`, or `timbre PACKAGE COMMAND`.

A package lists its commands in `PACKAGE.commands.COMMANDS`, name to
`"module:function"`. A command is a typed function, of whose parameters and Google
docstring tyro makes the options and the help. A function of `arguments` and `prog` gets
the words as they are: training does, as its options depend on a preset. A module of
commands loads heavy libraries inside its functions, so `--help` is instant.

Whatever a user can mend is one line on stderr: status 1, or 2 if the options are
wrong.
"""

import contextlib
import gc
import importlib
import inspect
import json
import math
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import tyro

PACKAGES = {  # names are imported when needed: no system is known here
    "voiceemb": "voiceemb",
    "flows": "flows",
    "diffusion": "diffusion",
    "corpora": "timbre.corpora",
}
CONFIG = (
    tyro.conf.DisallowNone,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.PositionalMetavarFromFieldName,
)
HELP = ("-h", "--help")


class UsageError(ValueError):
    """Options of the wrong form: the program ends with status 2."""


def main(arguments=None):
    """Runs `timbre PACKAGE COMMAND`, see `run`; alone it lists all commands."""
    package, *rest = (sys.argv[1:] if arguments is None else arguments) or HELP
    if package in PACKAGES:
        return run(PACKAGES[package], rest, prog=f"timbre {package}")
    if package not in HELP:
        _end("timbre", _choice("PACKAGE", PACKAGES, package), status=2)
    print("usage: timbre PACKAGE COMMAND [-h] ...")
    for package, name in PACKAGES.items():
        print(f"\n{package}\n{_list_commands(_import_commands(name))}")
    return 0


def run(package, arguments=None, *, prog=None):
    """Runs a command of a package.

    Args:
        package: Name of a package that has a module or folder `commands`.
        arguments: List of str, the command first. Defaults to those of this process.
        prog: What the help calls the program. Defaults to `python -m PACKAGE`.

    Returns:
        The exit status: what the command returns, or 0.

    Raises:
        SystemExit: After help, and when something is wrong.
    """
    module = _import_commands(package)
    prog = prog or f"python -m {package}"
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [None]
    if name in HELP:
        print(f"usage: {prog} COMMAND [-h] ...\n\n{module.__doc__}\n")
        print(_list_commands(module))
        sys.exit(0)
    if name not in module.COMMANDS:
        _end(prog, _choice("COMMAND", module.COMMANDS, name), status=2)
    command, prog = load_command(module.COMMANDS[name]), f"{prog} {name}"
    try:
        if "prog" in inspect.signature(command).parameters:
            return command(rest, prog) or 0
        args, options = parse_command(command, rest, prog)
        return command(*args, **options) or 0
    except UsageError as error:
        _end(prog, error, status=2)
    except (OSError, ValueError) as error:  # AudioError is a ValueError
        _end(None, error)
    except ImportError as error:
        if error.name is not None:  # a bug; of a missing extra only the rule is told
            raise
        _end(None, error)
    except KeyboardInterrupt:
        print("Interrupted; the same command starts anew.", file=sys.stderr)
        sys.exit(130)


def _import_commands(package):
    return importlib.import_module(f"{package}.commands")


def load_command(target):
    """The function that `"module:function"` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _list_commands(module):
    """A line for each command of a module, the first one of its docstring."""
    texts = {n: inspect.getdoc(load_command(t)) for n, t in module.COMMANDS.items()}
    summaries = {n: (t or "").partition("\n")[0].rstrip(".") for n, t in texts.items()}
    width = max(map(len, summaries))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in summaries.items())


def parse_command(command, words, prog):
    """The positional and named arguments of a function, out of words."""

    def collect(*args, **options):
        return args, options

    collect.__signature__ = signature = inspect.signature(command)
    collect.__annotations__ = command.__annotations__
    text = inspect.getdoc(command) or ""
    collect.__doc__ = re.sub(r"\n {8,}", " ", text)  # a line for each
    args, options = tyro.cli(collect, prog=prog, args=words, config=CONFIG)
    found = signature.bind(*args, **options).arguments
    for name, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and found[name] == ():
            raise UsageError(f"at least one of {name} must be given")
    return args, options


def _choice(what, known, received):
    return f"{what} must be one of {', '.join(known)}. Received: {received}"


def _end(prog, error, status=1):
    """Ends the program with a line on stderr."""
    text = f"error: {one_line(error)}"
    if status == 1:
        sys.exit(text)
    print(f"{prog}: {text}", file=sys.stderr)
    sys.exit(status)


def one_line(error) -> str:
    """The message of an error without line breaks, or the name of its class."""
    return " ".join(str(error).split()) or type(error).__name__


def warn(text):
    """Prints a remark on stderr, apart from results."""
    print(text, file=sys.stderr)


def import_keras():
    """Imports TensorFlow and Keras in about 60 % of the usual time.

    JAX and scikit-learn, which they import for what no command uses, are hidden
    meanwhile. Nothing that is imported is garbage, so none is collected.
    """
    if "tensorflow" in sys.modules or "keras" in sys.modules:
        return
    hidden = {"sklearn", "jax"} - sys.modules.keys()
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        hidden = set()
    # `None` is a module that is not there
    sys.modules.update(dict.fromkeys(hidden))  # pyright: ignore[reportArgumentType, reportCallIssue]
    gc.disable()
    try:
        importlib.import_module("tensorflow")
        importlib.import_module("keras")
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def loading(path):
    """Makes one `ValueError` of what is wrong with a model at `path` but its absence.

    h5py, Keras and TensorFlow raise errors of their own.
    """
    import_keras()
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = one_line(error)
        raise ValueError(f"{path} can not be loaded. Received: {reason}") from error


def for_each_file(paths, work):
    """Does the work of every file; a `ValueError` at the end if some failed."""
    failed = 0
    for path in paths:
        try:
            work(path)
        except (OSError, ValueError) as error:
            reason = one_line(error)
            warn(f"error: {reason if str(path) in reason else f'{path}: {reason}'}")
            failed += 1
    if failed:
        raise ValueError(f"{failed} of {len(paths)} files could not be used")


def check_output(path, suffixes=(), *, option="--out"):
    """Refuses, before any work, a file that can not be written; makes its folder.

    Args:
        path: The file.
        suffixes: Those that it may have, in lower case. Defaults to any.
        option: The option that names the file. Defaults to `"--out"`.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(
            f"{option} must end in {' or '.join(suffixes)}. Received: {path}"
        )
    if path.is_dir():
        rule = f"{option} must name a file"
        raise IsADirectoryError(f"{rule}. Received: a folder, {path}")
    check_folder(path.parent)


def check_folder(folder):
    """Makes a folder, and raises `OSError` if no file can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def read_json(path, *keys) -> dict:
    """Reads a JSON object that must have some keys.

    Raises:
        OSError: If it can not be read.
        ValueError: If it is something else.
    """
    try:
        found = dict(json.loads(Path(path).read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} must be a JSON object. Received: {error}") from error
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"{path} must have {' and '.join(missing)}")
    return found


def check_min(option, value, limit):
    """Refuses a number below a limit; `None` passes."""
    if value is not None and value < limit:
        raise UsageError(f"{option} must be at least {limit}. Received: {value}")


def check_finite(option, value):
    """Refuses a number that is infinite, or none."""
    if not math.isfinite(value):
        raise UsageError(f"{option} must be finite. Received: {value}")


@contextlib.contextmanager
def until_interrupted(source):
    """Yields the blocks of a source, which ends after the one that Ctrl-C met.

    So no work is left in the middle. A second Ctrl-C is one as ever.
    """
    interrupts = []

    def note(*interrupt):
        interrupts.append(interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def blocks():
        for block in source:
            yield block
            if interrupts:
                return

    before = signal.signal(signal.SIGINT, note)
    try:
        yield blocks()
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
