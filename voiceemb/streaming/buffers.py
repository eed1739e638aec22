"""Rings: the newest sound, and the newest speech, in memory that never grows.

Both count samples from the beginning of the stream, so that whatever lies in them has
its time. The ring of sound holds the last of all; the ring of speech holds frames that
somebody spoke in, however much silence lies between them, until the silence is longer
than it remembers: two people across a long pause are never heard as one.
"""

import numpy as np

from voiceemb.vad.base import HOP, SAMPLE_RATE


class Ring:
    """The last samples of a stream.

    Args:
        length: Samples that it holds, at least 1.

    Attributes:
        clock: Samples that have come since the beginning.
    """

    def __init__(self, length):
        if length < 1:
            raise ValueError(f"A ring holds a sample or more. Received: {length}")
        self._samples = np.zeros(int(length), np.float32)
        self.clock = 0

    @property
    def start(self) -> int:
        """The oldest sample that is still there."""
        return max(self.clock - len(self._samples), 0)

    def push(self, block):
        """Take the next samples, float `[any]`; the oldest make room."""
        length = len(self._samples)
        self.clock += len(block)
        newest = block[-length:]
        places = np.arange(self.clock - len(newest), self.clock) % length
        self._samples[places] = newest

    def read(self, start: int, end: int) -> np.ndarray:
        """Samples `start` to `end` of the stream, a new float32 `[end - start]`.

        Raises:
            ValueError: If some are not there any more, or not yet.
        """
        if not self.start <= start <= end <= self.clock:
            raise ValueError(
                f"Samples {self.start} to {self.clock} are there. "
                f"Received: {start} to {end}"
            )
        return self._samples[np.arange(start, end) % len(self._samples)]


class SpeechRing:
    """The last frames that somebody spoke in, each with its place in the stream.

    Args:
        seconds: Speech that it holds, at least a frame.
        forget_s: Silence after which it is empty, in seconds.

    Attributes:
        clock: Frames that have come since the beginning, of speech or not.
    """

    def __init__(self, seconds, *, forget_s):
        length = round(seconds * SAMPLE_RATE / HOP)
        if length < 1 or not forget_s > 0:
            raise ValueError(
                "A ring of speech holds a frame (10 ms) or more, and forgets after "
                f"more than 0 s. Received: {seconds} s, {forget_s} s"
            )
        self._sound = np.zeros((length, HOP), np.float32)
        self._places = np.zeros(length, np.int64)
        self._forget = round(forget_s * SAMPLE_RATE / HOP, 6)  # frames
        self._next = 0  # row of the next frame
        self._held = 0  # frames that are there
        self._last = 0  # behind the newest of them, in the stream
        self.clock = 0

    @property
    def seconds(self) -> float:
        """Speech that is there."""
        return self._held * HOP / SAMPLE_RATE

    def push(self, frames, spoken):
        """Take the next frames.

        Args:
            frames: Float `[n, HOP]`; not looked at where nobody speaks.
            spoken: Whether somebody speaks in each, bool `[n]`.
        """
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
                self._add(frames[run], self.clock + np.arange(len(run)))
            self.clock += len(run)

    def _add(self, frames, places):
        length = len(self._places)
        rows = (self._next + np.arange(len(places)))[-length:] % length
        self._sound[rows], self._places[rows] = frames[-length:], places[-length:]
        self._next = (self._next + len(places)) % length
        self._held = min(self._held + len(places), length)
        self._last = int(places[-1]) + 1

    def keep(self, seconds):
        """Forget all but the newest speech of so many seconds."""
        self._held = len(self._rows(seconds))

    def newest(self, seconds=np.inf) -> np.ndarray:
        """The newest speech without its pauses, at most so long, oldest first.

        Returns:
            A new float32 `[samples]`.
        """
        return self._sound[self._rows(seconds)].reshape(-1)

    def places(self, seconds=np.inf) -> np.ndarray:
        """First sample in the stream of each frame of `newest`, int64 `[frames]`."""
        return self._places[self._rows(seconds)] * HOP

    def _rows(self, seconds):
        num = int(min(self._held, round(min(seconds, 1e9) * SAMPLE_RATE / HOP)))
        return np.arange(self._next - num, self._next) % len(self._places)
