"""Download of archives that resumes, and safe unpacking."""

import errno
import os
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, cast

from timbre import files
from timbre.progress import ProgressBar

BLOCK = 1 << 20
MAX_EXPANSION = 20  # sound is hardly compressible; an archive bomb is


def fetch(
    url: str,
    path: str | os.PathLike,
    *,
    sha256: str,
    attempts: int = 5,
    timeout_s: float = 60.0,
    wait_s: float = 2.0,
) -> Path:
    """Download a file and check it; an interrupted download is resumed.

    What was received is kept in `<path>.part`, and the file has its name, which is
    returned, only once its checksum is right.

    Args:
        url: Where it is, `http` or `https`.
        path: Where to put it.
        sha256: Its SHA-256, in hexadecimal.
        attempts: Failures in succession, without any progress, that are too many.
            Defaults to `5`.
        timeout_s: Seconds of silence that count as a failure. Defaults to `60`.
        wait_s: Seconds to wait after a failure, doubled after each further one.
            Defaults to `2`.

    Raises:
        OSError: If the server fails every time, or the disk is too small.
        ValueError: If the checksum is another; the file is removed.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"`url` must be http or https. Received: {url}")
    path = Path(path)
    if path.is_file() and files.sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        have = _size(part)
        try:
            _resume(url, part, timeout_s)
            break
        except (OSError, HTTPException) as error:
            failures = failures + 1 if _size(part) <= have else 1
            if failures == attempts or _is_final(error):
                raise OSError(
                    f"{url} can not be downloaded: {error}. What was received is kept "
                    f"in {part}; the same call resumes it"
                ) from error
            time.sleep(wait_s * 2 ** (failures - 1))
    found = files.sha256(part)
    if found != sha256:
        part.unlink()
        raise ValueError(
            f"A download must have the SHA-256 {sha256}; it is removed. "
            f"Received: {url} with {found}"
        )
    os.replace(part, path)
    return path


def unpack(
    archive: str | os.PathLike, folder: str | os.PathLike, *, whole: str
) -> Path:
    """Unpack a tar archive of plain files and folders; returns the path of `whole`.

    A member with an absolute path or `..`, a link or a device is refused, and with it
    the archive. Rights and owners in the archive are ignored.

    Args:
        archive: The `.tar` or `.tar.gz`.
        folder: Where to unpack it.
        whole: The folder in the archive that is wanted; it appears in `folder` when
            everything is unpacked, and not before.

    Raises:
        ValueError: If a member is refused, if the archive is damaged, unpacks to more
            than twenty times its size, or lacks `whole`.
    """
    archive, folder = Path(archive), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    limit = MAX_EXPANSION * archive.stat().st_size + (64 << 20)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as name:
        temporary = Path(name)
        try:
            with tarfile.open(archive, "r|*") as tar:
                for member in tar:
                    limit -= member.size
                    _extract(tar, member, temporary, limit)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            own = (FileExistsError, NotADirectoryError, IsADirectoryError)
            if getattr(error, "errno", None) and not isinstance(error, own):
                raise  # the disk's fault, not the archive's
            raise ValueError(
                f"An archive must be whole and safe. Received: {archive} ({error})"
            ) from error
        if not (temporary / whole).is_dir():
            raise ValueError(f"An archive must hold {whole}. Received: {archive}")
        return _move(temporary, folder, whole)


def _resume(url: str, part: Path, timeout_s: float) -> None:
    """Fetch what is missing of a file."""
    have = _size(part)
    headers = {"User-Agent": "timbre", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            error.close()
            return
        raise
    with response:
        if response.status != 206:  # the server starts from the beginning
            have = 0
        size = int(response.headers.get("Content-Length") or 0)
        free = shutil.disk_usage(part.parent).free
        if size > free:
            reason = f"{size} bytes to come and {free} free"
            raise OSError(errno.ENOSPC, reason, str(part.parent))
        _copy(response, part, have, have + size)


def _copy(response, part: Path, have: int, total: int) -> None:
    options = {"initial": have, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with (
        ProgressBar(part.stem, total if total > have else None, **options) as bar,
        part.open("r+b" if have else "wb") as file,
    ):
        file.seek(have)
        while block := response.read(BLOCK):
            file.write(block)
            have += len(block)
            bar.update(len(block))
    if have < total:
        raise OSError(f"the connection ended after {have} of {total} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_final(error: Exception) -> bool:
    """Whether trying again is in vain: a full disk, or a server that says no."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in (408, 429)
    return getattr(error, "errno", None) == errno.ENOSPC


def _extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, left: int
) -> None:
    """Write one member below a folder that holds no links, or refuse it."""
    name = PurePosixPath(member.name)
    unsafe = name.is_absolute() or ".." in name.parts or not name.parts
    if unsafe or any(character in member.name for character in "\\:\0"):
        raise ValueError(f"the path {member.name!r} leads out of the folder")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise ValueError(f"{member.name!r} is neither a plain file nor a folder")
    if left < 0:
        raise ValueError(f"it unpacks to more than {MAX_EXPANSION} times its size")
    target = folder.joinpath(*name.parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = cast(IO[bytes], tar.extractfile(member))  # a plain file has one
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file, BLOCK)
    if target.stat().st_size != member.size:
        raise ValueError(f"{member.name!r} is cut off")


def _move(temporary: Path, folder: Path, whole: str) -> Path:
    """Move the files beside `whole` into place one by one, and `whole` last."""
    wanted = temporary / whole
    for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
        if not path.is_relative_to(wanted):
            target = folder / path.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    target = folder / whole
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(wanted, target)
    return target
