"""Ring buffers of the newest samples, and of the newest speech, of constant memory.

Both count from the beginning of the stream. The buffer of speech has no pauses, and is
emptied by a longer silence, so that speakers before and after it are not mixed.
"""

import numpy as np

from voiceemb.vad.base import HOP, SAMPLE_RATE


class RingBuffer:
    """The last rows of a stream, samples by default.

    Args:
        length: Its capacity in rows, at least 1.
        shape, dtype: Of a row. Default to `()` and float32.

    Attributes:
        clock: Rows pushed since the beginning.
    """

    def __init__(self, length, shape=(), dtype=np.float32):
        if length < 1:
            raise ValueError(f"A buffer holds a sample or more. Received: {length}")
        self._rows = np.zeros((int(length), *shape), dtype)
        self.clock = 0

    @property
    def start(self) -> int:
        """The oldest row that is still there."""
        return max(self.clock - len(self._rows), 0)

    def push(self, block):
        """Append rows, `[any, ...]`, in place of the oldest."""
        length = len(self._rows)
        self.clock += len(block)
        newest = block[-length:]
        self._rows[np.arange(self.clock - len(newest), self.clock) % length] = newest

    def read(self, start: int, end: int) -> np.ndarray:
        """Rows `start` to `end` of the stream, a new array `[end - start, ...]`."""
        if not self.start <= start <= end <= self.clock:
            raise ValueError(
                f"Samples {self.start} to {self.clock} are there. "
                f"Received: {start} to {end}"
            )
        return self._rows[np.arange(start, end) % len(self._rows)]


class SpeechRingBuffer:
    """The last frames of speech, each with its position in the stream.

    Args:
        seconds: Its capacity, at least a frame.
        forget_s: Silence after which it is emptied, in seconds.

    Attributes:
        clock: Frames pushed since the beginning, of speech or not.
    """

    def __init__(self, seconds, *, forget_s):
        self._length = round(seconds * SAMPLE_RATE / HOP)
        if self._length < 1 or not forget_s > 0:
            raise ValueError(
                "A buffer of speech holds a frame (10 ms) or more, and forgets "
                f"after more than 0 s. Received: {seconds} s, {forget_s} s"
            )
        self._frames = RingBuffer(self._length, (HOP,))
        self._positions = RingBuffer(self._length, dtype=np.int64)
        self._forget = round(forget_s * SAMPLE_RATE / HOP, 6)  # frames
        self._held = 0  # frames in use
        self._last = 0  # behind the newest of them, in the stream
        self.clock = 0

    @property
    def seconds(self) -> float:
        """Duration of the speech in it."""
        return self._held * HOP / SAMPLE_RATE

    def push(self, frames, spoken):
        """Append frames, `[n, HOP]`, and keep those that are `spoken`, bool `[n]`."""
        spoken = np.asarray(spoken, bool)
        edges = np.flatnonzero(spoken[1:] != spoken[:-1]) + 1
        for run in np.split(np.arange(len(spoken)), edges):
            if not len(run):
                continue
            speaks = bool(spoken[run[0]])
            silent = self.clock - self._last + (0 if speaks else len(run))
            if silent > self._forget:
                self._held = 0
            if speaks:
                self._frames.push(frames[run])
                self._positions.push(self.clock + np.arange(len(run)))
                self._held = min(self._held + len(run), self._length)
                self._last = self.clock + len(run)
            self.clock += len(run)

    def truncate(self, seconds):
        """Drop all but the newest `seconds` of speech."""
        self._held = self._count(seconds)

    def newest(self, seconds=np.inf) -> np.ndarray:
        """The newest `seconds` of speech, without pauses, float32 `[samples]`."""
        end = self._frames.clock
        return self._frames.read(end - self._count(seconds), end).reshape(-1)

    def places(self, seconds=np.inf) -> np.ndarray:
        """First sample in the stream of each frame of `newest`, int64 `[frames]`."""
        end = self._positions.clock
        return self._positions.read(end - self._count(seconds), end) * HOP

    def _count(self, seconds):
        """Frames of the newest `seconds`, or all that are held."""
        return int(min(self._held, round(min(seconds, 1e9) * SAMPLE_RATE / HOP)))
