"""Frames of activity: the clock and the interface that all detectors share.

    frame i looks at samples [i * HOP, i * HOP + FRAME)
    and stands for the time  [i * HOP, (i + 1) * HOP)

at 16 kHz: 25 ms of sound every 10 ms, `samples // HOP` frames, the last of them filled
with zeros. A stream of sound comes in blocks of any size, and gives for every frame the
probability of speech as soon as its samples are there: the same to the bit, whatever
the blocks.
"""

import abc

import numpy as np

SAMPLE_RATE = 16000
HOP = 160  # samples, 10 ms
FRAME = 400  # samples, 25 ms
AT_ONCE = 512  # frames computed at a time, so memory does not follow the sound
SILENCE_DB = -120.0  # what digital zero is said to have


def num_frames(samples: int) -> int:
    """Frames of a sound of so many samples."""
    return samples // HOP


def checked(waveform: np.ndarray) -> np.ndarray:
    """A waveform as float32 `[samples]`; a new array only where one is needed.

    Raises:
        ValueError: If it is not a float array of one axis, or not finite.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or waveform.dtype.kind != "f":
        raise ValueError(
            "Sound is a float array [samples] at 16 kHz. "
            f"Received: {waveform.dtype} {waveform.shape}"
        )
    if not np.isfinite(waveform).all():
        first = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise ValueError(
            f"Sound must be finite. Received: {waveform[first]} at sample {first}"
        )
    return waveform.astype(np.float32, copy=False)


def framed(waveform: np.ndarray) -> np.ndarray:
    """Overlapping frames of samples that are all there, a view `[frames, FRAME]`."""
    if len(waveform) < FRAME:
        return np.zeros((0, FRAME), waveform.dtype)
    return np.lib.stride_tricks.sliding_window_view(waveform, FRAME)[::HOP]


def level_db(samples: np.ndarray) -> np.ndarray:
    """Level of samples without their mean, in dB re full scale.

    `10 * log10(mean((x - mean(x))**2))`, so that a sine of amplitude 1 has -3 dB, a
    constant is silence, and silence has -120 dB.

    Args:
        samples: Float `[..., samples]`.

    Returns:
        Float64 `[...]`.
    """
    power = samples.astype(np.float64).var(axis=-1)
    return 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))


def energies_db(waveform: np.ndarray) -> np.ndarray:
    """Level of each frame without its mean, in dB re full scale, see `level_db`.

    Args:
        waveform: Float `[samples]` at 16 kHz.

    Returns:
        Float32 `[samples // HOP]`.
    """
    waveform = checked(waveform)
    frames = framed(np.pad(waveform, (0, FRAME)))[: num_frames(len(waveform))]
    energies = np.empty(len(frames), np.float32)
    for start in range(0, len(frames), AT_ONCE):
        energies[start : start + AT_ONCE] = level_db(frames[start : start + AT_ONCE])
    return energies


class Stream(abc.ABC):
    """One sound on its way through a detector: blocks in, probabilities out.

    A detector's own stream says in `_take` what is known of the samples it holds;
    most are a `FrameStream`.
    """

    def __init__(self):
        self._held = np.zeros(0, np.float32)  # from the next frame on
        self._samples = 0
        self._frames = 0
        self._closed = False

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples.

        Args:
            block: Float `[any]`, also of no sample.

        Returns:
            Probabilities of the frames that are complete now, float32 `[any]`.

        Raises:
            ValueError: If the block is no finite sound, or the stream is finished;
                then nothing has changed.
        """
        if self._closed:
            raise ValueError("A stream that is finished takes no more. Received: more")
        block = checked(block)
        self._samples += len(block)
        self._held = np.concatenate([self._held, block])
        return self._take()

    def finish(self) -> np.ndarray:
        """End the sound; zeros follow it.

        Returns:
            Probabilities of the frames that are left, float32 `[any]`.
        """
        if self._closed:
            raise ValueError("A stream is finished once. Received: a second time")
        self._closed = True
        return self._take()

    @abc.abstractmethod
    def _take(self) -> np.ndarray:
        """Probabilities that can be told from `_held`; what is done with is let go.

        When the stream is `_closed`, all `_samples` have come, and those of every frame
        that is left are asked for.
        """


class FrameStream(Stream):
    """A stream that looks at one frame after the other.

    A detector's own says in `frames` what the probabilities of some frames are; this
    class cuts blocks into frames. `frames` must not depend on how many frames it is
    given at once, not in the last bit either: no product of matrices then, as BLAS adds
    in another order for another number of rows.
    """

    @abc.abstractmethod
    def frames(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities of the next frames.

        Args:
            frames: Float32 `[n, FRAME]`, read-only, `1 <= n <= AT_ONCE`; a row begins
                `HOP` samples after the one before.

        Returns:
            Float32 `[n]` in [0, 1].
        """

    def _take(self):
        if self._closed:
            left = num_frames(self._samples) - self._frames
            length = (left - 1) * HOP + FRAME if left else 0
            self._held = np.pad(self._held, (0, FRAME))[:length]
        frames = framed(self._held)
        found = [np.zeros(0, np.float32)]
        for start in range(0, len(frames), AT_ONCE):
            found.append(self.frames(frames[start : start + AT_ONCE]))
        self._frames += len(frames)
        self._held = self._held[len(frames) * HOP :].copy()
        return np.concatenate(found)


class Detector(abc.ABC):
    """Says of each frame how probable speech is.

    Attributes:
        name: What `voiceemb.vad.detect.load` knows it by.
        delay_s: Sound from the beginning of a frame until its probability is there, at
            most, in seconds. Defaults to a frame's length.
    """

    name: str
    delay_s: float = FRAME / SAMPLE_RATE

    @abc.abstractmethod
    def stream(self) -> Stream:
        """A new stream, at the beginning of a sound."""

    def probabilities(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities of all frames of a sound, float32 `[samples // HOP]`."""
        stream = self.stream()
        return np.concatenate([stream.push(waveform), stream.finish()])
