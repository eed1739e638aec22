"""Ring buffers of the newest samples, and of the newest speech, of constant memory.

Both count from the beginning of the stream, so everything in them has its time. The
buffer of speech holds frames of speech without the pauses between them, and is emptied
by a longer silence, so that speakers before and after it are not mixed.
"""

import numpy as np

from voiceemb.vad.base import HOP, SAMPLE_RATE


class RingBuffer:
    """The last samples of a stream.

    Args:
        length: Its capacity in samples, at least 1.

    Attributes:
        clock: Samples pushed since the beginning.
    """

    def __init__(self, length):
        if length < 1:
            raise ValueError(f"A buffer holds a sample or more. Received: {length}")
        self._samples = np.zeros(int(length), np.float32)
        self.clock = 0

    @property
    def start(self) -> int:
        """The oldest sample that is still there."""
        return max(self.clock - len(self._samples), 0)

    def push(self, block):
        """Append samples, float `[any]`, in place of the oldest."""
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


class SpeechRingBuffer:
    """The last frames of speech, each with its position in the stream.

    Args:
        seconds: Its capacity, at least a frame.
        forget_s: Silence after which it is emptied, in seconds.

    Attributes:
        clock: Frames pushed since the beginning, of speech or not.
    """

    def __init__(self, seconds, *, forget_s):
        length = round(seconds * SAMPLE_RATE / HOP)
        if length < 1 or not forget_s > 0:
            raise ValueError(
                "A buffer of speech holds a frame (10 ms) or more, and forgets "
                f"after more than 0 s. Received: {seconds} s, {forget_s} s"
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
        """Duration of the speech in it."""
        return self._held * HOP / SAMPLE_RATE

    def push(self, frames, spoken):
        """Append frames.

        Args:
            frames: Float `[n, HOP]`; those without speech are not used.
            spoken: Whether each is speech, bool `[n]`.
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

    def truncate(self, seconds):
        """Drop all but the newest `seconds` of speech."""
        self._held = len(self._rows(seconds))

    def newest(self, seconds=np.inf) -> np.ndarray:
        """The newest speech without pauses, at most `seconds` of it, oldest first.

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
