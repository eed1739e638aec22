"""The command line of a training script: a preset, and whatever replaces its fields."""

import argparse
import json
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import tyro

from timbre.training.run import LOCK, Run, RunError


def parse(presets, *, default, about, arguments=None):
    """Reads a command line into a config.

    `--preset NAME` picks an instance of `presets`; every field of it can be replaced,
    as in `--triplet.steps 200`. `--fresh` sets an existing run of the same name aside.

    Args:
        presets: Name to frozen dataclass.
        default: The preset that is meant when none is named.
        about: Text for `--help`, usually the script's docstring.
        arguments: List of str. Defaults to those of the process.

    Returns:
        The config, and whether to start afresh.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=presets, default=default)
    first.add_argument("--fresh", action="store_true")
    chosen, rest = first.parse_known_args(arguments)
    about = (
        f"{about}\n\nPresets (--preset): {', '.join(presets)}; here {chosen.preset}. "
        "--fresh sets an existing run of this name aside."
    )
    preset = presets[chosen.preset]
    with explained(ValueError):
        config = tyro.cli(type(preset), default=preset, args=rest, description=about)
    return config, chosen.fresh


def open_run(folder, name, config, *, fresh=False, may_change=()):
    """Opens `folder/name` for a config, or ends the program with the reason.

    Args:
        folder: Where runs lie side by side.
        name: Name of the run.
        config: Nested dict of the whole config.
        fresh: Set an existing run of this name aside. Defaults to `False`.
        may_change: Patterns of keys that may differ, see `Run.open`.
    """
    with explained(RunError):
        return Run.open(
            Path(folder) / name,
            config,
            resume=not fresh,
            may_change=may_change,
            exclusive=_leads(),
        )


def _leads():
    """Whether this process is the chief of those that `TF_CONFIG` lists, or alone."""
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    chief = "chief" if "chief" in config.get("cluster", {}) else "worker"
    task = config.get("task", {"type": "worker", "index": 0})
    return task["type"] == chief and int(task["index"]) == 0


@contextmanager
def explained(*kinds):
    """Ends the program with a line where a traceback would help no user.

    Errors of these kinds are mended by another command line, other data or another
    disk; under `python -X dev` they keep their traceback. Ctrl-C exits with code 130
    and says how to go on.

    Args:
        *kinds: Classes of errors; all others keep their traceback.
    """
    try:
        yield
    except kinds as error:
        if sys.flags.dev_mode:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        from timbre.training.interrupts import how_to_go_on

        print(f"\nStopped. {how_to_go_on()}", file=sys.stderr)
        sys.exit(130)


@contextmanager
def preparing(run, *kinds):
    """`explained`, for what comes before training: no mistake takes the name.

    A folder made for this run is removed again when the command turns out to be
    wrong, so that the mended one finds it free.

    Args:
        run: A `timbre.training.run.Run` that holds no more than its config.
        *kinds: Further classes of errors to explain.
    """
    kinds = (ValueError, OSError, ImportError, RunError, *kinds)
    with explained(*kinds), warnings.catch_warnings():
        warnings.formatwarning = lambda message, *_: f"{message}\n"
        try:
            yield
        except Exception:
            if not run.resumed:
                for name in ("config.json", LOCK):
                    (run.folder / name).unlink(missing_ok=True)
                with suppress(OSError):  # somebody else's files may lie there
                    run.folder.rmdir()
            raise
