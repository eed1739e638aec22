"""Speech segments from frame probabilities, by hysteresis thresholding.

Speech begins with `onset_frames` frames in a row at `onset` or more, and ends behind
the last frame at `offset` or more, once none has reached it for `release_s`. Segments
shorter than `min_speech_s` are dropped; the others are padded by `pad_s` on both sides,
as speech begins and ends softly, and merged where they touch.
"""

from dataclasses import dataclass

import numpy as np

FRAMES_PER_S = 100


@dataclass(frozen=True)
class HysteresisConfig:
    """Thresholds and durations by which frame probabilities become segments.

    Args:
        onset: Probability at which speech begins. Defaults to `0.5`.
        offset: Probability at which it goes on, at most `onset`. Defaults to `0.35`.
        onset_frames: Frames in a row that begin it, at least 1. Defaults to `3`.
        release_s: Pause that ends it, in seconds. Defaults to `0.3`.
        pad_s: Padding of each side, in seconds. Defaults to `0.1`.
        min_speech_s: Shortest segment, in seconds, not padded. Defaults to `0.25`.
    """

    onset: float = 0.5
    offset: float = 0.35
    onset_frames: int = 3
    release_s: float = 0.3
    pad_s: float = 0.1
    min_speech_s: float = 0.25

    def __post_init__(self):
        if not 0 <= self.offset <= self.onset <= 1:
            raise ValueError(
                "Hysteresis needs 0 <= offset <= onset <= 1. "
                f"Received: offset={self.offset}, onset={self.onset}"
            )
        if self.onset_frames < 1:
            raise ValueError(
                f"`onset_frames` is at least 1. Received: {self.onset_frames}"
            )
        for name in ("release_s", "pad_s", "min_speech_s"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise ValueError(
                    f"`{name}` is at least 0 and finite. Received: {value}"
                )


def segment_mask(segments, num_frames, *, first=0) -> np.ndarray:
    """Mask of the frames in segments, bool `[num_frames]`.

    Args:
        segments: `(start, end)` of each, in frames.
        num_frames, first: Length of the mask, and its first frame, `0` by default.
    """
    active = np.zeros(num_frames, bool)
    for start, end in segments:
        active[max(start - first, 0) : max(end - first, 0)] = True
    return active


class Segmenter:
    """Finds speech segments in a stream of frame probabilities.

    The segments, in order and apart, do not depend on how the stream is cut.

    Args:
        config: A `HysteresisConfig`. Defaults to `HysteresisConfig()`.

    Attributes:
        decided: Number of frames whose decision is final. It lags by no more than the
            onset, the minimum length, the release and the padding together.
    """

    def __init__(self, config=None):
        self.config = config or HysteresisConfig()
        self._release = round(self.config.release_s * FRAMES_PER_S)
        self._pad = round(self.config.pad_s * FRAMES_PER_S)
        self._min_length = round(self.config.min_speech_s * FRAMES_PER_S)
        self._count = 0  # frames seen
        self._run = 0  # frames in a row at the onset or above, while there is silence
        self._start = None  # of the speech that goes on, not padded
        self._last = 0  # behind its last frame at the offset or above
        self._held = None  # padded segment that the next one may still touch
        self._closed = False
        self.decided = 0

    @property
    def is_speaking(self) -> bool:
        """Whether speech has begun and not ended yet."""
        return self._start is not None

    @property
    def open(self) -> tuple[int, int] | None:
        """The segment of certain speech that is not finished yet, in frames.

        The padding of its end may lie in frames that have not arrived.
        """
        if self._start is None or self._last - self._start < self._min_length:
            return self._held
        return self._padded(self._start, self._last)

    def push(self, probabilities: np.ndarray) -> list[tuple[int, int]]:
        """Take the probabilities of the next frames.

        Args:
            probabilities: Float `[any]`, in [0, 1]; others change nothing.

        Returns:
            `(start, end)` in frames of each segment that can not change any more.
        """
        if self._closed:
            raise ValueError("A finished segmenter takes no more frames.")
        probabilities = np.asarray(probabilities)
        valid = (probabilities >= 0) & (probabilities <= 1)
        if probabilities.ndim != 1 or not valid.all():
            raise ValueError(
                "Probabilities are an array [frames] in [0, 1]. "
                f"Received: shape {probabilities.shape}"
            )
        segments = []
        for probability in probabilities.tolist():
            self._step(probability, segments)
        self.decided = self._final()
        return segments

    def finish(self) -> list[tuple[int, int]]:
        """End the stream: the segments that are left, in frames."""
        if self._closed:
            raise ValueError("A segmenter is finished once.")
        if self._start is not None:
            self._end()
        self._closed = True
        held, self._held = self._held, None
        self.decided = self._count
        return [(held[0], min(held[1], self._count))] if held else []

    def _step(self, probability, segments):
        self._count += 1
        if self._start is not None:
            if probability >= self.config.offset:
                self._last = self._count
            elif self._count - self._last >= self._release:
                self._end()
        else:
            self._run = self._run + 1 if probability >= self.config.onset else 0
            if self._run == self.config.onset_frames:
                self._start, self._last = self._count - self._run, self._count
                self._run = 0
        if self._held and self._start is None:
            if self._count - self._run - self._pad > self._held[1]:
                segments.append(self._held)
                self._held = None

    def _end(self):
        if self._last - self._start >= self._min_length:
            self._held = self._padded(self._start, self._last)
        self._start = None

    def _padded(self, start, end):
        """The segment with padding, merged with the one before it if that is held."""
        start = self._held[0] if self._held else max(start - self._pad, 0)
        return start, end + self._pad

    def _final(self):
        """The number of frames whose decision can not change."""
        begins = self._count - self._run if self._start is None else self._start
        certain = self.open[1] if self.open else 0
        return min(max(begins - self._pad, certain, 0), self._count)
