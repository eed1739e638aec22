"""Shards: flat binary files of records, written in order and read by position.

    shard  = record, record, ...        no header, no padding
    record = the array's bytes          little-endian, C order, one dtype per cache

Where a record begins and ends, whose it is and its CRC-32 are in the index
(`timbre.corpora.cache.index`), so any stretch of a record is one `pread`. The shards of
a cache, one after the other, have the SHA-256 that its `about.json` states.
"""

import contextlib
import hashlib
import os
import threading
import weakref
from pathlib import Path

from timbre.files import PARTIAL


class ShardWriter:
    """Writes records one after another into shards of bounded size.

    A shard has its name only once it is complete and on disk. To be used in a `with`
    statement: shards are completed at its end, and removed if it raises.

    Args:
        folder: Where the shards go.
        stem: Shards are called `<stem>-00000.bin` and so on.
        shard_bytes: Size at which the next shard is begun.

    Attributes:
        names, sizes: Names of the shards, and bytes of each complete one.
        sha: The running SHA-256 of all records.
    """

    def __init__(self, folder: Path, stem: str, shard_bytes: int):
        self.folder, self.stem, self.shard_bytes = folder, stem, shard_bytes
        self.names, self.sizes = [], []
        self.sha = hashlib.sha256()
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with contextlib.ExitStack() as failure:
            failure.callback(self._discard)
            if kind is None:
                with _disk_errors(self.folder):
                    self._complete()
                failure.pop_all()

    def write(self, data: bytes) -> tuple[int, int]:
        """Append a record; returns its shard and the offset of its first byte."""
        with _disk_errors(self.folder):
            if self._file is None:
                self.names.append(f"{self.stem}-{len(self.names):05d}.bin")
                self._file = self._partial(self.names[-1]).open("wb")
            offset = self._file.tell()
            self._file.write(data)
            self.sha.update(data)
            shard = len(self.names) - 1
            if offset + len(data) >= self.shard_bytes:
                self._complete()
        return shard, offset

    def _complete(self):
        """Bring the present shard to the disk and give it its name."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.sizes.append(self._file.tell())
            self._file.close()
            self._file = None
            os.replace(self._partial(self.names[-1]), self.folder / self.names[-1])

    def _discard(self):
        """Remove everything written."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # another failure is being reported
                self._file.close()
        for name in self.names:
            (self.folder / name).unlink(missing_ok=True)
            self._partial(name).unlink(missing_ok=True)

    def _partial(self, name):
        return self.folder / (name + PARTIAL)


class ShardReader:
    """Reads bytes of shards by position, from any number of threads at once."""

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self._lock = threading.Lock()
        self._files, self._closing = {}, contextlib.ExitStack()
        weakref.finalize(self, self._closing.close)

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """Read `size` bytes of a shard from `offset` on."""
        with self._lock:
            if shard not in self._files:
                file = self.paths[shard].open("rb", buffering=0)
                self._files[shard] = self._closing.enter_context(file)
            file = self._files[shard]
            if not hasattr(os, "pread"):  # Windows
                file.seek(offset)
                data = file.read(size)
        if hasattr(os, "pread"):
            data = os.pread(file.fileno(), size, offset)
        if len(data) != size:
            raise ValueError(
                "A shard must be as long as the index says. "
                f"Received: {self.paths[shard]}, which ends before {offset + size}"
            )
        return data


@contextlib.contextmanager
def _disk_errors(folder: Path):
    """Say of a full disk what it kept from being written."""
    try:
        yield
    except OSError as error:
        raise OSError(f"Records can not be written to {folder}: {error}") from error
