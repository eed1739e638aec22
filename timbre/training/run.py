"""The run folder, which holds all that one training makes.

`config.json` (the whole config and the versions it ran with), `history.csv`,
`checkpoints/`, `model.weights.h5` with its sha256 beside it, `metrics.json`,
`events/`, `figures/`, `export/` and `card.md`. A file here is whole or absent.
A folder never mixes two configs, and one process at a time trains in it.
"""

import fnmatch
import json
import os
import platform
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from timbre.files import atomic_write, open_lock, sha256, verify_sha256

LOCK = ".lock"
PACKAGES = ("tensorflow", "keras", "numpy")
SPARE_BYTES = 16 * 2**20  # for history, figures and cards, whatever the model's size


class TrainingError(RuntimeError):
    """Training cannot go on, and the message says why and what to change."""


class RunError(TrainingError):
    """A run folder cannot be used: another config, no room, no permission."""


@dataclass(frozen=True)
class Run:
    """A validated run folder and the names inside it.

    Build it by `Run.open`, which checks the folder before any work is done.

    Args:
        folder: The folder of this run, `runs/<name>`.
        config: The config it was opened with.
        resumed: Whether the folder held this run before.
        hold: The lock that keeps other processes out, as long as it lives.
    """

    folder: Path
    config: dict
    resumed: bool = False
    hold: object = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        config: dict,
        *,
        resume: bool = True,
        may_change: Iterable[str] = (),
        upgrade: Callable[[dict], dict] | None = None,
        needed_bytes: int = 0,
        exclusive: bool = True,
    ) -> "Run":
        """Make or reopen a run folder, or say why it cannot be used.

        Args:
            folder: Path of the run, made if missing.
            config: Nested dict of JSON values: every number of the experiment.
            resume: Go on with a run of the same config (the default). `False` sets an
                existing run aside as `<name>-1`, `<name>-2`, ... and starts afresh.
            may_change: Patterns of dotted config keys whose new value may replace that
                of an existing run, as `("*.steps",)` to train longer.
            upgrade: Maps the config dict of a run of an older version to the present
                fields. Defaults to none.
            needed_bytes: Free space wanted on the disk, beyond a small reserve.
            exclusive: Keep other processes out as long as the run is in use (the
                default). `False` is for the workers of a chief, who leave its folder
                to it: they check, set aside and write nothing.

        Raises:
            RunError: The folder holds another config or something else, cannot be
                written, another process trains there, or its disk is too full.
        """
        folder, config = Path(folder), json.loads(json.dumps(config, default=str))
        if not exclusive:
            return cls(folder, config, resumed=True)
        if not resume and (folder / "config.json").exists():
            hold = _FolderLock.acquire(folder)
            _set_aside(folder)
        _check_writable(folder)
        resumed = _check_same(folder, config, may_change, upgrade)
        hold = _FolderLock.acquire(folder)
        run = cls(folder, config, resumed, hold)
        run.check_space(needed_bytes)
        run.write_json("config.json", {"config": config, "versions": _versions()})
        return run

    def path(self, name: str) -> Path:
        """The path of `name` in the run, its parent folder made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file whole or not at all; returns its path."""
        with _written(self.path(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return self.folder / name

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file whole or not at all; returns its path."""
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
        return self.write_text(name, text + "\n")

    def lock_data(self, name: str, facts: dict, *, write: bool = True) -> None:
        """Write what the data decided; a run that began with others is a `ValueError`.

        Args:
            name: Of the JSON file.
            facts: Dict ready for JSON, with `sha256`, a dict of each part's digest.
            write: Whether this process writes files. Defaults to `True`.
        """
        path = self.folder / name
        if path.is_file():
            began, now = json.loads(path.read_text("utf-8")), facts["sha256"]
            if "digests" in began:  # a speaker encoder's, with that of another cache
                began["sha256"] = {**began["digests"], "sounds": now.get("sounds")}
            began = began["sha256"]
            parts = sorted(began.keys() | now.keys())
            changed = [part for part in parts if began.get(part) != now.get(part)]
            if changed:
                raise ValueError(
                    "A run goes on with the rows it began with: start afresh (--fresh) "
                    "or under another name (--name). Received: other rows in "
                    f"{', '.join(changed)}, of sha256 {now}, which began with {began}"
                )
        if write:
            self.write_json(name, facts)

    def write_card(self, text: str) -> Path:
        """Write `card.md`, which tells a reader what this run is."""
        return self.write_text("card.md", text.rstrip() + "\n")

    def save_weights(self, model: Any, name: str = "model.weights.h5") -> Path:
        """Write the weights of a `keras.Model`, and their sha256; returns the path.

        Args:
            model: A `keras.Model`.
            name: File name ending in `.weights.h5`.
        """
        path = self.path(name)
        with _written(path) as temporary, _without_optimizer(model):
            model.save_weights(temporary)
            digest = sha256(temporary)
        self.write_text(f"{name}.sha256", f"{digest}  {path.name}\n")
        return path

    def load_weights(self, model: Any, name: str = "model.weights.h5") -> None:
        """Load weights into a built model, once their sha256 is checked."""
        path = self.folder / name
        if not path.exists():
            raise RunError(f"This run has no `{name}` yet. Received: {self.folder}")
        try:
            verify_sha256(path)
        except ValueError as error:
            raise RunError(
                f"Weights must match the sha256 beside them. Received: {path}"
            ) from error
        with _without_optimizer(model):
            model.load_weights(path)

    def check_space(self, needed_bytes: int) -> None:
        """Raise `RunError` unless the disk has `needed_bytes` and a reserve free."""
        free, needed = shutil.disk_usage(self.folder).free, needed_bytes + SPARE_BYTES
        if free < needed:
            raise RunError(
                f"This run needs {needed / 2**20:.0f} MiB of free disk, mostly for its "
                f"checkpoints. Received: {free / 2**20:.0f} MiB at {self.folder}"
            )


class _FolderLock:
    """This process' lock on a folder, released when nobody refers to it any more.

    The operating system releases it when the process ends, however it ends.
    """

    _all = weakref.WeakValueDictionary()

    def __init__(self, file):
        weakref.finalize(self, os.close, file)

    @classmethod
    def acquire(cls, folder):
        """The lock on a folder, shared by all who have it open in this process."""
        try:
            import fcntl
        except ImportError:  # Windows
            return None
        try:
            file = open_lock(folder / LOCK, os.O_RDONLY)
        except ValueError as error:
            raise RunError(str(error)) from error
        status = os.fstat(file)
        own = cls._all.get((status.st_dev, status.st_ino))
        if own is not None:
            os.close(file)
            return own
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise RunError(
                "One process at a time trains in a run folder: wait for the other, "
                f"stop it, or give this run another name (--name). Received: {folder}"
            ) from None
        except OSError:  # a network disk without locks
            os.close(file)
            return None
        own = cls._all[status.st_dev, status.st_ino] = cls(file)
        return own


@contextmanager
def _written(path):
    """`files.atomic_write`, for a disk that is full or refuses: a `RunError`."""
    try:
        with atomic_write(path) as temporary:
            yield temporary
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be written; what stood there before is untouched. "
            f"Received: {path.parent}, {error}"
        ) from error


@contextmanager
def _without_optimizer(model):
    """Hide a compiled model's optimiser, which Keras would save and load with it."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        yield
        return
    model.optimizer = None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _set_aside(folder):
    number = 1
    while (aside := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    try:
        folder.rename(aside)
    except OSError as error:
        raise RunError(f"Cannot set aside {folder}. Received: {error}") from error


def _check_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(
            "A run folder must be writable and its disk have room: give another one. "
            f"Received: {folder}, {error.strerror}"
        ) from error


def _check_same(folder, config, may_change, upgrade):
    """Whether the folder holds a run of this config; another one is an error."""
    try:
        old = json.loads((folder / "config.json").read_text("utf-8"))["config"]
        old = _flat(json.loads(json.dumps(upgrade(old) if upgrade else old)))
    except FileNotFoundError:
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise RunError(
                "A new run needs an empty folder or a run's own folder: this one has "
                f"files but no config.json. Received: {folder}"
            ) from None
        return False
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"Cannot read {folder / 'config.json'}: {error}") from error
    new = _flat(config)
    differing = [
        f"  {key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} here"
        for key in sorted(old.keys() | new.keys())
        if (key in old, old.get(key)) != (key in new, new.get(key))
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in may_change)
    ]
    if differing:
        raise RunError(
            f"{folder} holds a run of another config:\n" + "\n".join(differing) + "\n"
            "Give this run another name (--name), start afresh and keep the old one "
            "beside it (--fresh), or use the same config to go on with it."
        )
    return True


def _flat(config, prefix=""):
    """A nested dict as one level with dotted keys."""
    if not isinstance(config, dict) or not config:
        return {prefix[:-1]: config}
    flat = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.")
    return flat


def _versions():
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
