"""Runs of frames in an MP3 file, found by their headers (ISO/IEC 11172-3, 13818-3).

An MP3 is a row of frames, each of which says its own length and number of samples. How
many there are is only said by a Xing or Info frame, which many files lack, and which
counts only the first of files that were put end to end. A decoder believes that frame,
or guesses by the first one. Here all frames are counted.
"""

import functools
from dataclasses import dataclass

BITRATES = {  # kbit/s of layer III by index; version 3 is MPEG 1, 2 MPEG 2, 0 MPEG 2.5
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
RATES = {  # Hz, by index
    3: (44100, 48000, 32000, 0),
    2: (22050, 24000, 16000, 0),
    0: (11025, 12000, 8000, 0),
}
VBRI_OFFSET = 36
MAX_TAG_BYTES = 192  # of a frame that are searched for the count of frames
MAX_RUNS = 10_000
MAX_TRIES = 1 << 20  # places in rubbish that begin like a frame


@dataclass
class FrameRun:
    """Frames that follow each other without a gap.

    Args:
        start, stop: First byte in the file, and behind the last.
        promised: Frames counted by its Xing or Info frame, 0 where there is none.
        first: First byte of the first frame with sound.
        count: Frames with sound.
        later: Frames with sound behind gaps in what `promised` counts.
        is_cut: Whether the file ends within the frame behind it.
    """

    start: int
    stop: int
    promised: int = 0
    first: int = 0
    count: int = 0
    later: int = 0
    is_cut: bool = False


def find_runs(data) -> list[FrameRun]:
    """Finds the runs of frames; one begins with each frame that counts frames.

    Args:
        data: The bytes of a file, or its `mmap`.

    Returns:
        Runs with sound. None where the file is not MPEG audio of layer III.

    Raises:
        ValueError: If there are more than 10,000 runs, or a million places in rubbish
            that begin like a frame and are none.
    """
    runs, counted, position = [], None, 0
    while (position := _find_frame(data, position)) >= 0:
        if len(runs) > MAX_RUNS:
            raise ValueError(f"more than {MAX_RUNS} MP3 put end to end")
        length, tag_offset = _measure(data[position : position + 4])
        promised = _read_count(data[position : position + MAX_TAG_BYTES], tag_offset)
        if promised is not None or not runs or position != runs[-1].stop:
            runs.append(FrameRun(position, position, promised or 0))
        run = runs[-1]
        if promised is not None:
            counted = run
        else:
            if counted is not None and counted is not run:
                counted.later += 1
            run.first = run.first if run.count else position
            run.count += 1
        position = run.stop = position + length
    if runs:
        runs[-1].is_cut = bool(_measure(data[runs[-1].stop : runs[-1].stop + 4])[0])
    return [run for run in runs if run.count]


def read_part(data, run, *, is_first):
    """The bytes to put before a run and its span, as a decoder reads all of it.

    An Info frame that counts right stays where it is the file's first: it also says how
    much silence the encoder added at both ends. Later ones, which players do not look
    at, are left out, so that times are those that players show.

    Raises:
        ValueError: If the run ends before its count of frames.
    """
    missing = run.promised - run.count - run.later
    if missing > 1 or missing == 1 and run.is_cut:  # some count that frame too
        reason = f"{run.promised} frames promised, {run.count} found"
        raise ValueError(f"truncated: {reason}")
    if is_first and run.promised == run.count:
        return b"", run.start, run.stop
    header = data[run.first : run.first + 4]
    return info_frame(header, run.count), run.first, run.stop


def info_frame(header: bytes, count: int) -> bytes:
    """An Info frame that counts `count` frames like the one with this header.

    Without it a decoder guesses the number of frames by the size of the first.
    """
    sync, kind, sizes, channels = header
    kind |= 1  # no checksum follows
    sizes = 14 << 4 | sizes & 0b1100  # the longest frame, without padding
    header = bytes((sync, kind, sizes, channels))
    length, tag_offset = _measure(header)
    tag = b"Info" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return (header.ljust(tag_offset, b"\0") + tag).ljust(length, b"\0")


@functools.lru_cache(4096)
def _measure(header):
    """Bytes of the frame with this header, and where its tag is; `(0, 0)` if none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0b11100110 != 0b11100010:
        return 0, 0  # no synchronisation, or not layer III
    version = header[1] >> 3 & 3
    if version == 1:
        return 0, 0
    bitrate = BITRATES[version][header[2] >> 4] * 1000
    rate = RATES[version][header[2] >> 2 & 3]
    if not bitrate or not rate:
        return 0, 0
    mono, newest = header[3] >> 6 == 3, version == 3
    length = (144 if newest else 72) * bitrate // rate + (header[2] >> 1 & 1)
    return length, 4 + ((17 if mono else 32) if newest else (9 if mono else 17))


def _read_count(frame, tag_offset):
    """Frames that a Xing or Info frame counts; `None` for a frame with sound."""
    if frame[VBRI_OFFSET : VBRI_OFFSET + 4] == b"VBRI":
        return 0  # decoders do not read it
    if frame[tag_offset : tag_offset + 4] not in (b"Xing", b"Info"):
        return None
    flags, count = frame[tag_offset + 7], frame[tag_offset + 8 : tag_offset + 12]
    return int.from_bytes(count, "big") if flags & 1 else 0


def _find_frame(data, position):
    """Place of the next frame at `position` or behind tags and rubbish; -1 if none."""
    size, in_row, tries = len(data), position > 0, 0
    while position + 4 <= size:
        length, _ = _measure(data[position : position + 4])
        behind = position + length
        if length and behind <= size:
            # In the midst of rubbish a frame is one that another one follows.
            if in_row or behind == size or _measure(data[behind : behind + 4])[0]:
                return position
        if data[position : position + 3] == b"ID3":
            position += tag_length(data[position : position + 10])
            in_row = True
            continue
        if data[position : position + 3] == b"TAG" and position + 128 <= size:
            position, in_row = position + 128, True
            continue
        in_row, tries = False, tries + 1
        if tries > MAX_TRIES:
            raise ValueError(f"no MP3 frame in {MAX_TRIES} places that begin like one")
        position = data.find(b"\xff", position + 1)
        if position < 0:
            break
    return -1


def tag_length(head: bytes) -> int:
    """Bytes of an ID3 tag, by its first ten: four times seven bits, and these ten."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 127
    return 10 + length
