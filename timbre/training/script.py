"""The training script of all systems: command line, run folder, stages, report.

A system is a package whose modules, its rooms, have one signature each:

    presets.PRESETS, presets.DEFAULT                  name to config, and the default
    data.FACTS, data.prepare(config)                  has `facts`, with `sha256`
    model.build(config, data)                         a model, or a dict of models
    train.fit(config, model, data, *, run, strategy)  results of the training loop
    report.finish(config, model, data, results, *, run)

`finish` returns the SavedModel signatures to publish and their description, or `None`.
"""

import argparse
import dataclasses
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import tyro

from timbre.training import config as configs
from timbre.training.config import RunConfig
from timbre.training.run import LOCK, Run, TrainingError


def run(
    system: str, arguments: Sequence[str] | None = None, *, program: str | None = None
) -> Path:
    """Train a system as a command line says; returns the run folder.

    Args:
        system: Package with the rooms above, as `"voiceemb"`.
        arguments: Command line. Defaults to that of the process.
        program: What `--help` calls the program. Defaults to the name of the script.
    """
    presets = import_module(f"{system}.presets")
    config, fresh = parse(
        presets.PRESETS,
        default=presets.DEFAULT,
        about=presets.__doc__ or "",
        arguments=arguments,
        program=program,
    )
    run = open_run(config, fresh=fresh)

    import keras

    from timbre.serving.publish import publish
    from timbre.training import distribution, interrupts

    with prepare(run):
        interrupts.make_deterministic(config.seed)
        strategy = distribution.open_strategy(config.strategy, policy=config.policy)
        distribution.check_batch_sizes(config.batch_sizes(), strategy)
        data = import_module(f"{system}.data").prepare(config)
        keras.utils.set_random_seed(config.seed)  # weights depend on no data
        with strategy.scope():
            model = import_module(f"{system}.model").build(config, data)
    with explain(ValueError, OSError, TrainingError):
        chief = distribution.is_chief(strategy)
        facts = import_module(f"{system}.data").FACTS
        run.lock_data(facts, data.facts, write=chief)
        fit = import_module(f"{system}.train").fit
        results = fit(config, model, data, run=run, strategy=strategy)
        if chief:  # one process writes the rest
            finish = import_module(f"{system}.report").finish
            served = finish(config, model, data, results, run=run)
            if served:
                signatures, about = served
                publish(run.path("export"), signatures, about=about)
    return run.folder


def parse(
    presets: Mapping[str, Any],
    *,
    default: str,
    about: str,
    arguments: Sequence[str] | None = None,
    program: str | None = None,
) -> tuple[Any, bool]:
    """Read a command line into a config.

    `--preset NAME` picks an instance of `presets`; every field of it can be replaced,
    as in `--triplet.steps 200`. `--fresh` sets an existing run of the same name aside.

    Args:
        presets: Name to frozen dataclass.
        default: The preset that is meant when none is named.
        about: Text for `--help`.
        arguments, program: As for `run`.

    Returns:
        The config, and whether to start afresh.
    """
    first = argparse.ArgumentParser(program, add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=list(presets), default=default)
    first.add_argument("--fresh", action="store_true")
    chosen, rest = first.parse_known_args(arguments)
    about = (
        f"{about}\n\nPresets (--preset): {', '.join(presets)}; here {chosen.preset}. "
        "--fresh sets an existing run of this name aside."
    )
    preset = presets[chosen.preset]
    with explain(ValueError):
        config = tyro.cli(
            type(preset), prog=program, default=preset, args=rest, description=about
        )
    return config, chosen.fresh


def open_run(config: RunConfig, *, fresh: bool = False) -> Run:
    """Open the run folder of a config, or end the program with the reason.

    With `fresh`, an existing run of this name is set aside.
    """

    def upgrade(old):
        return dataclasses.asdict(configs.from_dict(type(config), old))

    with explain(TrainingError):
        return Run.open(
            Path(config.runs) / config.name,
            dataclasses.asdict(config),
            resume=not fresh,
            may_change=config.MAY_CHANGE,
            upgrade=upgrade,
            exclusive=_leads(),
        )


def _leads():
    """Whether this process is the chief of those that `TF_CONFIG` lists, or alone."""
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    chief = "chief" if "chief" in config.get("cluster", {}) else "worker"
    task = config.get("task", {"type": "worker", "index": 0})
    return task["type"] == chief and int(task["index"]) == 0


@contextmanager
def explain(*kinds: type[BaseException]):
    """End the program with a line where a traceback would help no user.

    Errors of these kinds are mended by another command line, other data or another
    disk; all others, and under `python -X dev` these too, keep their traceback. Ctrl-C
    exits with code 130 and says how to go on.
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
def prepare(run: Run):
    """`explain`, for what comes before training: no wrong command takes the name.

    A folder made for `run`, which holds no more than its config, is removed again when
    the command turns out to be wrong, so that the mended one finds it free.
    """
    kinds = (ValueError, OSError, ImportError, TrainingError)
    with explain(*kinds), warnings.catch_warnings():
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
