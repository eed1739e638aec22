"""Atomic writing of files and folders, and SHA-256 of files.

A file is written under another name in its own folder and takes its place when it is
complete and on the disk, so whoever reads sees the old one or the new one, however
the writing ended. Writers of one file at once do not meet; the last one wins.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"  # in the name of every file that is not complete yet
LOCK = ".records.lock"  # in a folder with one writer at a time


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a new path beside `path`; when the block ends well it takes its place.

    The new name starts with a dot, is nobody else's, and ends in the suffixes of
    `path`, by which some writers choose a format. When the block raises, the new
    file is removed and `path` is untouched; after a kill it may remain, as
    `.<digits>.partial<suffixes>`, and can be deleted.

    Args:
        path: The file to write; its folder exists.

    Yields:
        The path to write to.
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


@contextmanager
def atomic_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """Yield a new folder beside `folder`; when the block ends well it takes its place.

    When the block raises, the new folder is removed; after a kill it may remain, as
    `.<name>.<digits>.partial`, and can be deleted.

    Args:
        folder: The folder to make: absent or empty when the block ends. Its parents
            are made.

    Yields:
        The folder to fill.

    Raises:
        OSError: If something lies at `folder` by then.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = f".{folder.name}.{uuid.uuid4().hex[:8]}{PARTIAL}"
    unfinished = folder.with_name(name)
    unfinished.mkdir()
    try:
        yield unfinished
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        os.rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time write in a folder; the lock of a killed one is free."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        lock = (folder / LOCK).open("w")
    except OSError:  # a read-only folder can still be read
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
    """Compare the weights at `path` with `<path>.sha256` beside them.

    Returns:
        Their SHA-256, in hexadecimal.

    Raises:
        ValueError: If the file beside them has another one, or is absent.
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
