"""Atomic writing of files and folders, and SHA-256 of files.

A file is written under another name in its own folder and takes its place when it is
complete and on the disk, so whoever reads sees the old one or the new one, however
the writing ended. Writers of one file at once do not meet; the last one wins.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # in the name of every file that is not complete yet
LOCK = ".records.lock"  # in a folder with one writer at a time


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a new path beside `path`; when the block ends well it takes its place.

    The new name is unique and ends in the suffixes of `path`, by which some writers
    choose a format. When the block raises, the new file is removed and `path`
    untouched; after a kill `.<digits>.partial<suffixes>` may remain, to be deleted.
    The folder of `path` exists.
    """
    path = Path(path)
    suffixes = "".join(path.suffixes[-2:])
    temporary = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}{suffixes}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


@contextmanager
def atomic_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """Yield a new folder beside `folder`; when the block ends well it takes its place.

    Its parents are made. When the block raises, the new folder is removed; after a
    kill `.<name>.<digits>.partial` may remain, to be deleted.

    Raises:
        OSError: If `folder` is neither absent nor empty when the block ends.
    """
    folder = Path(folder)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        os.rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def open_lock(path: Path, access: int) -> int:
    """Open a lock file, new or as it is: nothing is emptied and no link followed.

    Args:
        path: The file.
        access: `os.O_RDWR`, which network disks need, or `os.O_RDONLY`, which lets the
            disk be made read-only meanwhile.

    Raises:
        ValueError: If it is a link, or anything but a file.
    """
    flags = access | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink() or path.exists() and not path.is_file():
        raise ValueError(f"A lock must be a file, not a link; delete it: {path}")
    return os.open(path, flags, 0o666)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time write in a folder; the lock of a killed one is free.

    Raises:
        ValueError: If the lock of the folder is a link.
    """
    try:
        import fcntl

        lock = os.fdopen(open_lock(folder / LOCK, os.O_RDWR), "rb")
    except (ImportError, OSError):  # Windows; a read-only folder can still be read
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of the weights at `path`, in hexadecimal.

    Raises:
        ValueError: If `<path>.sha256` beside them has another one, or is absent.
    """
    path = Path(path)
    beside, digest = path.with_name(f"{path.name}.sha256"), sha256(path)
    expected = beside.read_text("utf-8").split()[:1] if beside.is_file() else []
    if expected != [digest]:
        raise ValueError(
            f"The weights of {path.parent} are not those the run has written: its "
            f"sha256 is {(expected or ['absent'])[0]}. Received: {digest}"
        )
    return digest
