"""A run: one folder that holds everything one training made.

`config.json` (the whole config and the versions it ran with), `history.csv`,
`checkpoints/`, `model.weights.h5` with its sha256 beside it, `metrics.json`,
`events/`, `figures/`, `export/` and `card.md`. A file here is whole or absent:
it is written under a temporary name in the same folder, then renamed. A folder
never mixes two configs.
"""

import fnmatch
import hashlib
import json
import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy")
SPARE_BYTES = 16 * 2**20  # for history, figures and cards, whatever the model's size


class RunError(RuntimeError):
    """A run folder cannot be used: another config, no room, no permission."""


@dataclass(frozen=True)
class Run:
    """A validated run folder and the names inside it.

    Build it by `Run.open`, which checks the folder before any work is done.

    Args:
        folder: The folder of this run, `runs/<name>`.
        config: The config the run was opened with.
        resumed: Whether the folder held this run before.
    """

    folder: Path
    config: dict
    resumed: bool = False

    @classmethod
    def open(cls, folder, config, *, resume=True, may_change=(), needed_bytes=0):
        """Make or reopen a run folder, or say why it cannot be used.

        Args:
            folder: Path of the run, made if missing.
            config: Nested dict of JSON values: every number of the experiment.
            resume: Go on with a run of the same config (the default). `False`
                sets an existing run aside as `<name>-1`, `<name>-2`, ... and
                starts afresh; nothing is deleted.
            may_change: Patterns of dotted config keys that may differ from those
                of an existing run, as `("*.steps",)` to train longer. The new
                value replaces the old one in `config.json`.
            needed_bytes: Free space wanted on the disk, beyond a small reserve.

        Raises:
            RunError: The folder holds another config or something else, cannot
                be written, or its disk is too full.
        """
        folder, config = Path(folder), json.loads(json.dumps(config, default=str))
        if not resume and (folder / "config.json").exists():
            _set_aside(folder)
        _check_writable(folder)
        resumed = _check_same(folder, config, may_change)
        run = cls(folder, config, resumed)
        run.check_space(needed_bytes)
        run.write_json("config.json", {"config": config, "versions": _versions()})
        return run

    def path(self, name):
        """The path of `name` in the run, its parent folder made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name, text):
        """Write a text file whole or not at all; returns its path."""
        with replacing(self.path(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return self.folder / name

    def write_json(self, name, value):
        """Write a JSON file whole or not at all; returns its path."""
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
        return self.write_text(name, text + "\n")

    def write_card(self, text):
        """Write `card.md`, which tells a reader what this run is."""
        return self.write_text("card.md", text.rstrip() + "\n")

    def save_weights(self, model, name="model.weights.h5"):
        """Write a model's weights, and only those, and their sha256.

        Args:
            model: A `keras.Model`.
            name: File name ending in `.weights.h5`.

        Returns:
            The path of the file.
        """
        path = self.path(name)
        with replacing(path) as temporary, _without_optimizer(model):
            model.save_weights(temporary)
            digest = sha256(temporary)
        self.write_text(f"{name}.sha256", f"{digest}  {path.name}\n")
        return path

    def load_weights(self, model, name="model.weights.h5"):
        """Load weights into a built model, once their sha256 is checked."""
        path = self.folder / name
        if not path.exists():
            raise RunError(f"This run has no `{name}` yet. Received: {self.folder}")
        beside = Path(f"{path}.sha256")
        if not beside.exists() or beside.read_text().split()[:1] != [sha256(path)]:
            raise RunError(
                f"Weights must match the sha256 beside them. Received: {path}"
            )
        with _without_optimizer(model):
            model.load_weights(path)

    def check_space(self, needed_bytes):
        """Raise `RunError` unless the disk has `needed_bytes` and a reserve free."""
        free, needed = shutil.disk_usage(self.folder).free, needed_bytes + SPARE_BYTES
        if free < needed:
            raise RunError(
                f"This run needs {needed / 2**20:.0f} MiB of free disk, mostly for its "
                f"checkpoints. Received: {free / 2**20:.0f} MiB at {self.folder}"
            )


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; on success it takes its place.

    The temporary name keeps the suffixes of `path`, by which some writers choose
    a format, and starts with a dot. On any error it is removed, `path` untouched.

    Raises:
        RunError: The disk is full or refuses.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be written; what stood there before is untouched. "
            f"Received: {path.parent}, {error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path):
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _check_same(folder, config, may_change):
    """Whether the folder holds a run of this config; another one is an error."""
    try:
        old = _flat(json.loads((folder / "config.json").read_text("utf-8"))["config"])
    except FileNotFoundError:
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise RunError(
                "A new run needs an empty folder or a run's own folder: this one has "
                f"files but no config.json. Received: {folder}"
            ) from None
        return False
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"Cannot read {folder / 'config.json'}: {error!r}") from error
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
