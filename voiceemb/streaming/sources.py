"""Audio sources: a file or a microphone as a stream of blocks.

A block is float32 `[samples]` at 16 kHz, one channel, and a source is any iterable of
blocks. Memory is constant, so a source may last for days.
"""

import math
import queue
import time
from pathlib import Path

import numpy as np

from timbre.audio.header import describe, open_sound
from timbre.audio.wave import decode_blocks, resample_blocks
from voiceemb.vad.base import SAMPLE_RATE

QUEUE_S = 10.0  # sound of a microphone that may wait to be processed
TIMEOUT_S = 5.0  # without a block: the microphone is gone
MIC_RULE = "A microphone is an extra: pip install sounddevice"


def file(path, *, real_time=False, block_s=0.1, clock=time.monotonic, sleep=time.sleep):
    """Read a sound file in blocks.

    Together they are what `timbre.audio.wave.read` gives: channels are averaged,
    another rate is resampled. A file of any length is read.

    Args:
        path: The file; see `timbre.audio.header` for the formats.
        real_time: Whether a block comes only when its sound would be over, as from a
            microphone; a slow consumer finds the next ones waiting. Defaults to
            `False`.
        block_s: Seconds of a block; the last may be shorter. Defaults to `0.1`.
        clock, sleep: Of the real time. Default to `time.monotonic` and `time.sleep`.

    Yields:
        Float32 `[samples]`.

    Raises:
        timbre.audio.wave.AudioError: If the file is refused, ends before its header
            says, or holds samples that are not finite or above 10; it says where.
    """
    size = _block_size(block_s)
    path = Path(path)
    with open_sound(path) as sound:
        info = describe(path, sound, math.inf)
        size_in_file = max(round(block_s * info.sample_rate), 1)
        blocks = decode_blocks(info, sound, size=size_in_file)
        blocks = resample_blocks(blocks, info.sample_rate, SAMPLE_RATE)
        begun, given = clock(), 0
        for block in _rechunk(blocks, size):
            given += len(block)
            if real_time:
                sleep(max(begun + given / SAMPLE_RATE - clock(), 0.0))
            yield block


class Microphone:
    """A microphone as a source; the loop over it opens and closes the device.

    It needs `sounddevice` and its PortAudio. Sound is lost if the consumer is 10 s
    late, or the system is too slow. It is replaced by zeros, so the stream stays in
    time, and counted by `lost_s`.

    Args:
        block_s: Length of a block, in seconds. Defaults to `0.1`.
        device: Name or number, as of `sounddevice`. Defaults to the system's.

    Attributes:
        lost_s: Seconds of sound that were lost since the loop began.
        overflows: How often the system reported lost sound; it does not say how much.
    """

    def __init__(self, block_s=0.1, *, device=None):
        self._size = _block_size(block_s)
        self._device = device
        self._sounddevice = _import_sounddevice()
        self.lost_s = 0.0
        self.overflows = 0

    def __iter__(self):
        rate = self._rate()
        size = round(self._size * rate / SAMPLE_RATE)
        waiting = queue.Queue(max(math.ceil(QUEUE_S * rate / size), 1))
        lost = [0]  # samples, since a block was last put
        self.lost_s, self.overflows = 0.0, 0

        def callback(data, frames, when, status):  # in the device's own thread
            self.overflows += bool(status.input_overflow)
            try:
                waiting.put_nowait((lost[0], data[:, 0].copy()))
                lost[0] = 0
            except queue.Full:
                lost[0] += frames
                self.lost_s += frames / rate

        with self._sounddevice.InputStream(
            samplerate=rate,
            blocksize=size,
            device=self._device,
            channels=1,
            dtype="float32",
            callback=callback,
        ):
            yield from _rechunk(
                resample_blocks(_drain(waiting), rate, SAMPLE_RATE), self._size
            )

    def _rate(self):
        """16 kHz if the device can, or its own rate, to be resampled."""
        try:
            self._sounddevice.check_input_settings(
                device=self._device, channels=1, dtype="float32", samplerate=SAMPLE_RATE
            )
        except self._sounddevice.PortAudioError:
            about = self._sounddevice.query_devices(self._device, "input")
            return round(about["default_samplerate"])
        return SAMPLE_RATE


def _import_sounddevice():
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError(MIC_RULE) from error
    except OSError as error:  # the package is there, the library that it wraps is not
        rule = f"{MIC_RULE}, with PortAudio (Debian: apt install libportaudio2)"
        raise ImportError(f"{rule}. Received: {error}") from error
    return sounddevice


def _block_size(block_s):
    if not (isinstance(block_s, float | int) and 1 / SAMPLE_RATE <= block_s <= 60):
        raise ValueError(f"`block_s` is a sample to 60 seconds. Received: {block_s!r}")
    return round(block_s * SAMPLE_RATE)


def _drain(waiting):
    """Blocks of a queue, with zeros for the samples lost before each."""
    while True:
        try:
            lost, block = waiting.get(timeout=TIMEOUT_S)
        except queue.Empty:
            rule = "A microphone gives sound all the time"
            raise OSError(f"{rule}. Received: none for {TIMEOUT_S:g} s") from None
        if lost:
            yield np.zeros(lost, np.float32)
        yield block


def _rechunk(blocks, size):
    """The same samples in blocks of one size; the last may be shorter."""
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        for start in range(0, len(held) - size + 1, size):
            yield held[start : start + size].copy()
        held = held[len(held) - len(held) % size :]
    if len(held):
        yield held
