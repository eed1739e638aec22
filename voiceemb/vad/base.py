"""Framing and the interface of voice activity detectors (VAD).

    frame i is computed from samples [i * HOP, i * HOP + FRAME)
    and covers the time              [i * HOP, (i + 1) * HOP)

at 16 kHz: 25 ms every 10 ms, `samples // HOP` frames, the last ones padded with zeros.
A stream takes blocks of any size and returns the probability of speech of every frame
as soon as its samples have arrived: the same to the bit, whatever the blocks.
"""

import abc

import numpy as np

SAMPLE_RATE = 16000
HOP = 160  # samples, 10 ms
FRAME = 400  # samples, 25 ms
BATCH_FRAMES = 512  # computed at a time, so that memory does not grow with the sound
SILENCE_DB = -120.0  # level of digital silence


def num_frames(samples: int) -> int:
    """Frames of a sound of so many samples."""
    return samples // HOP


def check_waveform(waveform: np.ndarray) -> np.ndarray:
    """A waveform as float32 `[samples]`, if it is finite floats of one axis."""
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


def frame(waveform: np.ndarray) -> np.ndarray:
    """Split a waveform into its complete frames, a view `[frames, FRAME]`."""
    if len(waveform) < FRAME:
        return np.zeros((0, FRAME), waveform.dtype)
    return np.lib.stride_tricks.sliding_window_view(waveform, FRAME)[::HOP]


def level_db(samples: np.ndarray) -> np.ndarray:
    """Level of samples `[..., samples]` without their mean, dB re full scale, `[...]`.

    `10 * log10(mean((x - mean(x))**2))`, so that a sine of amplitude 1 has -3 dB, a
    constant is silence, and silence has -120 dB.
    """
    power = samples.astype(np.float64).var(axis=-1)
    return 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))


def energies_db(waveform: np.ndarray) -> np.ndarray:
    """`level_db` of each frame of a waveform, float32 `[samples // HOP]`."""
    waveform = check_waveform(waveform)
    frames = frame(np.pad(waveform, (0, FRAME)))[: num_frames(len(waveform))]
    energies = np.empty(len(frames), np.float32)
    for start in range(0, len(frames), BATCH_FRAMES):
        batch = slice(start, start + BATCH_FRAMES)
        energies[batch] = level_db(frames[batch])
    return energies


class Stream(abc.ABC):
    """One recording in progress: blocks in, probabilities of speech out.

    A subclass implements `_take`; most derive from `FrameStream`.
    """

    def __init__(self):
        self._held = np.zeros(0, np.float32)  # from the next frame on
        self._samples = 0
        self._frames = 0
        self._closed = False

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples.

        Args:
            block: Float `[any]`, also of no sample. After an error nothing has changed.

        Returns:
            Probabilities of the frames that are complete now, float32 `[any]`.
        """
        if self._closed:
            raise ValueError("A finished stream takes no more samples.")
        block = check_waveform(block)
        self._samples += len(block)
        self._held = np.concatenate([self._held, block])
        return self._take()

    def finish(self) -> np.ndarray:
        """End the sound, which zeros follow; probabilities of the frames left."""
        if self._closed:
            raise ValueError("A stream is finished once.")
        self._closed = True
        return self._take()

    @abc.abstractmethod
    def _take(self) -> np.ndarray:
        """Probabilities of the frames complete in `_held`, whose samples are dropped.

        When the stream is `_closed`, all frames that are left must be returned.
        """


class FrameStream(Stream):
    """A stream whose detector processes one frame after the other.

    A subclass implements `frames`, whose result must not depend on how many it gets at
    once, not in the last bit: so no matrix products, as the order of summation in BLAS
    depends on the number of rows.
    """

    @abc.abstractmethod
    def frames(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities of the next frames, float32 `[n]`.

        Args:
            frames: Float32 `[n, FRAME]`, read-only, `1 <= n <= BATCH_FRAMES`; a row
                begins `HOP` samples after the one before.
        """

    def _take(self):
        if self._closed:
            left = num_frames(self._samples) - self._frames
            length = (left - 1) * HOP + FRAME if left else 0
            self._held = np.pad(self._held, (0, FRAME))[:length]
        frames = frame(self._held)
        found = [np.zeros(0, np.float32)]
        for start in range(0, len(frames), BATCH_FRAMES):
            found.append(self.frames(frames[start : start + BATCH_FRAMES]))
        self._frames += len(frames)
        self._held = self._held[len(frames) * HOP :].copy()
        return np.concatenate(found)


class Detector(abc.ABC):
    """A voice activity detector: the probability of speech of each frame.

    Attributes:
        name: As passed to `voiceemb.vad.load`.
        delay_s: Latency: the most sound, in seconds from the beginning of a frame, that
            is needed before its probability is returned. Defaults to a frame's length.
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
