"""Sound files that consist of several: chained Ogg, MP3 put end to end.

    samples(file) = samples(part_1), samples(part_2), ...

libsndfile decodes the first part only. Each part is given to it as a file of its own.
"""

import io
import mmap
from typing import Any

import numpy as np
import soundfile

from timbre.audio import mpeg

MAX_PARTS = 10_000


class Slice(io.RawIOBase):
    """A part of a file as a file, behind bytes that are put before it.

    Args:
        data: The bytes of the file, or its `mmap`.
        prefix: Bytes to put before the part.
        start, stop: The first byte of the part, and behind the last.
    """

    def __init__(self, data, prefix, start, stop):
        self._data, self._prefix, self._start = data, prefix, start
        self._size = len(prefix) + stop - start
        self._position = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = max(base[whence] + offset, 0)
        return self._position

    def readinto(self, buffer):
        begin, lead = self._position, len(self._prefix)
        end = max(min(begin + len(buffer), self._size), begin)
        part = self._prefix[begin:end]
        at = self._start + max(begin - lead, 0)
        part += self._data[at : at + end - begin - len(part)]
        buffer[: len(part)] = part
        self._position = end
        return end - begin


class PartedSound:
    """Parts that are read one after the other; what is used of `soundfile.SoundFile`.

    Args:
        data: The `mmap` of the file, closed with this.
        spans: `(prefix, start, stop)` of each part.

    Raises:
        ValueError: If parts differ in rate or channels.
        soundfile.LibsndfileError: If a part can not be decoded.
    """

    def __init__(self, data, spans):
        self._data, self._spans = data, spans
        self._lengths, kinds = [], []
        for index in range(len(spans)):
            with self._decoder(index) as part:
                self._lengths.append(part.frames)
                kinds.append((part.samplerate, part.channels))
                self.format, self.subtype = part.format, part.subtype
        self.samplerate, self.channels = kinds[0]
        for number, (rate, channels) in enumerate(kinds[1:], 2):
            if (rate, channels) != kinds[0]:
                raise ValueError(
                    f"part {number} has {rate} Hz and {channels} channels, the first "
                    f"{self.samplerate} Hz and {self.channels}"
                )
        self.frames = sum(self._lengths)
        self._part, self._open = 0, None

    def _decoder(self, index):
        part: Any = Slice(self._data, *self._spans[index])
        return soundfile.SoundFile(part)

    def _close_part(self):
        if self._open is not None:
            self._open.close()
            self._open = None

    def seek(self, frame):
        """Goes to a sample, counted from the beginning of the first part."""
        self._close_part()
        ends = np.cumsum(self._lengths)
        self._part = int(np.searchsorted(ends, frame, side="right"))
        if self._part < len(self._spans):
            self._open = self._decoder(self._part)
            self._open.seek(int(frame - ends[self._part] + self._lengths[self._part]))

    def read(self, frames, dtype: Any = "float32", always_2d=True):
        """Reads up to so many samples, none at the end; `[samples, channels]`."""
        while self._part < len(self._spans):
            if self._open is None:
                self._open = self._decoder(self._part)
            block = self._open.read(frames, dtype=dtype, always_2d=always_2d)
            if len(block):
                return block
            self._close_part()
            self._part += 1
        return np.zeros((0, self.channels), dtype)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._close_part()
        self._data.close()


def open_parts(file, kind):
    """Opens an MP3 or Ogg file by its parts, or returns `None`: it is one whole file.

    Args:
        file: The file, opened in binary mode.
        kind: `"MP3"` or `"OGG"`.

    Raises:
        ValueError: If a part is cut short, or parts differ in rate or channels.
        soundfile.LibsndfileError: If a part can not be decoded.
    """
    return _open(file, _mp3_spans if kind == "MP3" else _ogg_spans)


def _mp3_spans(data):
    runs = mpeg.find_runs(data)
    spans = [mpeg.read_part(data, run, is_first=not i) for i, run in enumerate(runs)]
    return None if not spans or len(spans) == 1 and not spans[0][0] else spans


def _ogg_spans(data):
    """Links of a chained Ogg: a page that begins a stream, behind one that does not.

    Raises:
        ValueError: If a page is missing or cut, or the last does not end its stream.
    """
    starts, position, began, flags = [], 0, False, 0
    while (found := data.find(b"OggS", position)) >= 0:
        position = found
        flags, lengths = data[position + 5], data[position + 26 : position + 27]
        begins = bool(flags & 2)
        if begins and not began:
            starts.append(position)
            if len(starts) > MAX_PARTS:
                raise ValueError(f"more than {MAX_PARTS} links")
        began = begins
        count = lengths[0] if lengths else 0
        sizes = data[position + 27 : position + 27 + count]
        position += 27 + len(sizes) + sum(sizes)
    if position > len(data) or not flags & 4:
        raise ValueError("truncated: the last page of the stream is missing")
    spans = zip(starts, [*starts[1:], position], strict=True)
    return [(b"", *span) for span in spans] if len(starts) > 1 else None


def open_behind(file, header):
    """Opens a sound file as if it began with these bytes in the place of as many."""
    return _open(file, lambda data: [(header, len(header), len(data))])


def _open(file, find_spans) -> Any:
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        spans = find_spans(data)
        if spans is not None:
            return PartedSound(data, spans)
    except BaseException:
        data.close()
        raise
    data.close()
    return None
