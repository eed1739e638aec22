"""Shards: TFRecord files whose contents can also be read by position.

Each record is a `tf.train.Example` with the features

* `data`: the array's bytes, little-endian, C order;
* `speaker`, `key`: the speaker's name and the utterance's key, UTF-8.

`data` is written last, so its bytes end where the record does: whoever knows the
offset reads any stretch of it with one system call, and everyone else reads the same
file with `tf.data.TFRecordDataset` and `tf.io.parse_single_example`.
"""

import contextlib
import hashlib
import os
import threading
import weakref
from pathlib import Path

from timbre.files import PARTIAL

HEAD, TAIL = 12, 4  # bytes around a record: its length and its checksums


class ShardWriter:
    """Writes records one after another into shards of bounded size.

    A shard has its name only once it is complete and on disk.

    Args:
        folder: Where the shards go.
        stem: Shards are called `<stem>-00000.tfrecord` and so on.
        shard_bytes: Size at which the next shard is begun.

    Attributes:
        sha: The running SHA-256 of all records, whatever shards they lie in.
    """

    def __init__(self, folder: Path, stem: str, shard_bytes: int):
        self.folder = folder
        self.stem = stem
        self.shard_bytes = shard_bytes
        self.names, self.sizes = [], []
        self.sha = hashlib.sha256()
        self._writer, self._position = None, 0

    def write(self, data: bytes, *, speaker: str, key: str) -> tuple[int, int]:
        """Append a record; returns its shard and the offset of `data` in it."""
        record = _example(data, speaker, key)
        if self._writer is None:
            self._open()
        with _disk_errors(self.folder):
            self._writer.write(record)
        self.sha.update(record)
        shard = len(self.names) - 1
        offset = self._position + HEAD + len(record) - len(data)
        self._position += HEAD + len(record) + TAIL
        if self._position >= self.shard_bytes:
            self.close()
        return shard, offset

    def close(self) -> None:
        """Complete the shard in hand."""
        if self._writer is None:
            return
        with _disk_errors(self.folder):
            self._writer.close()
        self._writer = None
        path = self.folder / self.names[-1]
        partial = path.with_name(path.name + PARTIAL)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        self.sizes.append(self._position)

    def discard(self) -> None:
        """Remove everything written, after a failure."""
        if self._writer is not None:
            with contextlib.suppress(Exception):  # the failure is being reported
                self._writer.close()
            self._writer = None
        for name in self.names:
            for path in (self.folder / name, self.folder / (name + PARTIAL)):
                path.unlink(missing_ok=True)

    def _open(self) -> None:
        import tensorflow as tf

        name = f"{self.stem}-{len(self.names):05d}.tfrecord"
        self.names.append(name)
        self._position = 0
        with _disk_errors(self.folder):
            self._writer = tf.io.TFRecordWriter(str(self.folder / (name + PARTIAL)))


class ShardReader:
    """Reads bytes of shards by position, from any number of threads at once.

    Args:
        paths: The shards.
    """

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self._files = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._files)

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """`size` bytes of a shard from `offset` on."""
        file = self._files.get(shard) or self._open(shard)
        if hasattr(os, "pread"):
            data = os.pread(file.fileno(), size, offset)
        else:  # Windows
            with self._lock:
                file.seek(offset)
                data = file.read(size)
        if len(data) != size:
            raise ValueError(
                "A shard must be as long as the index says. "
                f"Received: {self.paths[shard]}, which ends before {offset + size}"
            )
        return data

    def _open(self, shard: int):
        with self._lock:
            if shard not in self._files:
                self._files[shard] = self.paths[shard].open("rb", buffering=0)
            return self._files[shard]


def _close(files: dict) -> None:
    for file in files.values():
        file.close()


def _example(data: bytes, speaker: str, key: str) -> bytes:
    """A serialised `tf.train.Example` that ends with the bytes of `data`.

    Serialised messages that follow each other are one message, so the features before
    `data` and `data` itself are serialised apart and put in order.
    """
    import tensorflow as tf

    def features(**values: bytes) -> bytes:
        lists = {name: tf.train.BytesList(value=[v]) for name, v in values.items()}
        return tf.train.Features(
            feature={name: tf.train.Feature(bytes_list=v) for name, v in lists.items()}
        ).SerializeToString()

    head = features(speaker=_utf8(speaker), key=_utf8(key))
    tail = features(data=data)
    if not tail.endswith(data):
        raise RuntimeError("protobuf wrote `data` elsewhere than at the end")
    size = len(head) + len(tail)
    return b"\n" + _varint(size) + head + tail  # field 1, length-delimited


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 128:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


@contextlib.contextmanager
def _disk_errors(folder: Path):
    """Turn TensorFlow's file errors, a full disk say, into `OSError`."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"Records can not be written to {folder}: {error}") from error
