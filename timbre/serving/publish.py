"""Publishing numbered versions of a SavedModel, which a server polls for.

A server loads the highest number in a folder: `<base>/1`, `<base>/2`, ... A version is
written and tested under a name that is no number and then renamed: it is either absent
or complete.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def versions(base: str | os.PathLike) -> list[int]:
    """The numbers published in a folder, rising; none if there is no folder."""
    return [int(path.name) for path in _numbered(base)]


def latest_version(base: str | os.PathLike) -> Path:
    """The folder of the highest version.

    Raises:
        FileNotFoundError: If none is published.
    """
    found = _numbered(base)
    if not found:
        raise FileNotFoundError(f"No version is published there. Received: {base}")
    return found[-1]


def _numbered(base) -> list[Path]:
    """Paths whose name is a number, `7` or `007`, by rising number."""
    base = Path(base)
    paths = base.iterdir() if base.is_dir() else ()
    paths = [path for path in paths if path.name.isascii() and path.name.isdigit()]
    return sorted(paths, key=lambda path: (int(path.name), path.name))


@contextmanager
def version_folder(
    base: str | os.PathLike, *, version: int | None = None
) -> Iterator[dict[str, Path]]:
    """Context manager: a hidden folder to fill, published when the block ends well.

    When the block raises, nothing is published and the hidden folder is removed. After
    a power cut `.tmp-<digits>` may remain: no server reads it, and it can be deleted.
    `base` is made if missing; `version` defaults to one above the highest.

    Yields:
        A dictionary with `folder`, where to write, and after the block `published`,
        the folder under its number.

    Raises:
        FileExistsError: If the version is published already.
    """
    base = Path(base)
    if version is not None and (type(version) is not int or version < 1):
        rule = "`version` must be a whole number from 1"
        raise ValueError(f"{rule}. Received: {version}")
    taken = f"A version is never replaced. Received: {base}/{version}"
    if version in versions(base):
        raise FileExistsError(taken)
    base.mkdir(parents=True, exist_ok=True)
    work = {"folder": base / f".tmp-{uuid.uuid4().hex}"}
    work["folder"].mkdir()
    try:
        yield work
        _sync(work["folder"])
        work["published"] = _rename(work["folder"], base, version, taken)
        _sync_one(base)
    finally:
        shutil.rmtree(work["folder"], ignore_errors=True)


def _rename(folder, base, version, taken) -> Path:
    """Take the number, or the next free one if another process was faster."""
    number = version or max(versions(base), default=0) + 1
    while True:
        try:
            return folder.rename(base / str(number))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if version:
                raise FileExistsError(taken) from error
            number += 1


def _sync(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            _sync_one(os.path.join(place, name))
        _sync_one(place)


def _sync_one(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(
    base: str | os.PathLike,
    signatures: Mapping[str, Any],
    *,
    about: dict | None = None,
    assets: dict[str, bytes] | None = None,
    version: int | None = None,
) -> Path:
    """Save signatures, test them, and publish them as `<base>/<version>`, returned.

    If the latest version has the same weights, it is returned and nothing published.

    Args:
        base: Folder of the versions, such as `runs/tiny/export`.
        signatures: Maps a name to a `timbre.serving.export.Signature` or its fields.
        about: What the model is, for `assets.extra/about.json`; its `sha256`, if it
            has one, tells whether the weights are those of the latest version.
        assets: Maps further file names in `assets.extra` to their bytes.
        version: Number to publish. Defaults to one above the highest.
    """
    from timbre.serving import export

    digest = (about or {}).get("sha256")
    if version is None and digest and versions(base):
        latest = latest_version(base)
        path = latest / "assets.extra" / "about.json"
        published = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if published.get("sha256") == digest:
            return latest
    with version_folder(base, version=version) as work:
        export.save(work["folder"], signatures, about=about, assets=assets)
    return work["published"]
