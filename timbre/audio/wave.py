"""Reading, writing and resampling of sound files.

A waveform is a float32 array `[samples]` in [-1, 1], one channel, 16 kHz by default.
Files are not trusted: header and samples are checked, and an `AudioError` names the
file and the reason.
"""

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from timbre.audio.header import (
    MAX_DURATION_S,
    MAX_RATE,
    MIN_RATE,
    AudioError,
    WaveInfo,
    describe,
    inspect,
    open_sound,
)
from timbre.files import atomic_write

__all__ = ["AudioError", "WaveInfo", "inspect", "read", "resample", "write"]

MAX_LEVEL = 10.0  # float files may pass full scale a little; more is not sound
BLOCK = 1 << 18  # frames decoded at a time, so memory follows the result
ROUNDING_S = 0.01  # times in labels are rounded; an end may pass the file by this

WRITABLE = {  # the first is the default
    ".wav": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
    ".flac": ("PCM_16", "PCM_24"),
    ".ogg": ("VORBIS",),
    ".mp3": ("MPEG_LAYER_III",),
}


def read(
    path: str | os.PathLike,
    *,
    sample_rate: int = 16000,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> np.ndarray:
    """Read a sound file, or a part of it, as one channel at the wanted rate.

    Channels are averaged. Memory follows the result, not the file: a long file is
    decoded and resampled block by block.

    Args:
        path: The file; see `inspect` for the formats.
        sample_rate: Rate of the result, in Hz. Defaults to `16000`.
        start_s, end_s: The part, in seconds. Default to `0.0` and `None`, the end of
            the file, which a part may pass by 10 ms, because labels are rounded.
        max_duration_s: Longest file accepted, in seconds. Defaults to four hours.

    Returns:
        The waveform, float32 `[samples]`.

    Raises:
        AudioError: The file is refused by `inspect`, ends early, holds samples that are
            not finite or above 10, or lacks the part.
    """
    path = Path(path)
    _check_rate(sample_rate, "sample_rate")
    with open_sound(path) as file:
        info = describe(path, file, max_duration_s)
        start, stop = _span(info, start_s, end_s)
        blocks = decode_blocks(info, file, start=start, stop=stop)
        blocks = resample_blocks(blocks, info.sample_rate, sample_rate)
        waveform = np.concatenate(list(blocks))
    if not waveform.size:
        raise AudioError(path, f"too short for one sample at {sample_rate} Hz")
    return waveform


def write(
    path: str | os.PathLike,
    waveform: np.ndarray,
    *,
    sample_rate: int = 16000,
    subtype: str | None = None,
) -> None:
    """Write a waveform to a file whose suffix names the format.

    The file appears whole or not at all. A waveform that lies on the grid of its
    subtype, as all that was read from a PCM file does, is read back to the bit.

    Args:
        path: The file, `.wav`, `.flac`, `.ogg` or `.mp3`.
        waveform: Float `[samples]` in [-1, 1]; louder is an error, never clipped.
        sample_rate: Hz. Defaults to `16000`.
        subtype: The coding, as `"PCM_24"`; `None` is 16-bit PCM for WAV and FLAC.

    Raises:
        ValueError: The waveform, the suffix or the subtype is none of these.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise ValueError(f"A sound file ends in {list(WRITABLE)}. Received: {path}")
    subtype = subtype or WRITABLE[suffix][0]
    if subtype not in WRITABLE[suffix]:
        raise ValueError(
            f"A {suffix} file is written as {WRITABLE[suffix]}. Received: {subtype!r}"
        )
    _check_rate(sample_rate, "sample_rate")
    samples = _on_grid(_checked(waveform, limit=1.0), subtype)
    coding = {"subtype": subtype, "format": suffix[1:].upper()}
    try:
        with atomic_write(path) as temporary:
            soundfile.write(temporary, samples, sample_rate, **coding)
    except soundfile.LibsndfileError as error:
        raise AudioError(path, f"can not be written: {error}") from error


def resample(waveform: np.ndarray, *, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate without folding any sound across the Nyquist frequency.

    Args:
        waveform: Float `[samples]`.
        from_rate, to_rate: The rate of `waveform` and the one wanted, in Hz.

    Returns:
        The waveform, float32 `[round(samples * to_rate / from_rate)]`.
    """
    _check_rate(from_rate, "from_rate")
    _check_rate(to_rate, "to_rate")
    waveform = _checked(waveform, limit=np.inf)
    if from_rate == to_rate:
        return waveform
    return soxr.resample(waveform, from_rate, to_rate, quality="HQ")


def decode_blocks(info, file, *, start=0, stop=None, size=BLOCK):
    """Decode a part of an open file in checked blocks of one channel.

    Args:
        info: The `WaveInfo` of the file.
        file: What `timbre.audio.header.open_sound` returned.
        start, stop: First sample, and behind the last. Default to the whole file.
        size: Samples of a block, the last may be shorter. Defaults to `BLOCK`.

    Yields:
        Float32 `[samples]` at the rate of the file, or raises an `AudioError` that says
        at which second.
    """
    stop = info.num_samples if stop is None else stop
    try:
        if start:
            file.seek(start)
        while start < stop:
            block = file.read(min(size, stop - start), dtype="float32", always_2d=True)
            if not len(block):
                reason = f"{info.num_samples} samples promised, {start} found"
                raise AudioError(info.path, f"truncated: {reason}")
            level = np.abs(block).max()
            if not level <= MAX_LEVEL:  # NaN is not, either
                bad = ~(np.abs(block).max(axis=1) <= MAX_LEVEL)
                at_s = (start + int(np.argmax(bad))) / info.sample_rate
                reason = f"a sample of {level:.3g}; at most {MAX_LEVEL:g} is sound"
                if not np.isfinite(level):
                    reason = "holds samples that are not finite"
                raise AudioError(info.path, f"{reason}, at {at_s:.3f} s")
            start += len(block)
            yield block.mean(axis=1, dtype=np.float32)
    except soundfile.LibsndfileError as error:
        raise AudioError(info.path, f"can not be decoded: {error}") from error


def resample_blocks(blocks, from_rate, to_rate):
    """Resample a stream of blocks, float32 `[samples]`; their lengths change."""
    if from_rate == to_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _span(info, start_s, end_s):
    """Samples `start, stop` of the file for the seconds asked."""
    last_s = info.duration_s if end_s is None else end_s
    if not 0 <= start_s < last_s:
        reason = f"a part needs 0 <= start < end. Received: {start_s}, {end_s}"
        raise AudioError(info.path, reason)
    if last_s > info.duration_s + ROUNDING_S:
        reason = f"lasts {info.duration_s:.3f} s; the part ends at {last_s:.3f} s"
        raise AudioError(info.path, reason)
    start = round(start_s * info.sample_rate)
    stop = min(round(last_s * info.sample_rate), info.num_samples)
    if start >= stop:
        raise AudioError(info.path, f"no samples from {start_s} s to {last_s} s")
    return start, stop


def _checked(waveform, *, limit):
    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or not waveform.size or waveform.dtype.kind != "f":
        raise ValueError(
            "A waveform is a float array [samples] with at least one sample. "
            f"Received: {waveform.dtype} {waveform.shape}"
        )
    level = np.abs(waveform).max()
    if not np.isfinite(level) or level > limit:
        raise ValueError(
            f"A waveform is finite and at most {limit:g}. Received: peak {level:.4g}"
        )
    return np.ascontiguousarray(waveform, dtype=np.float32)


def _on_grid(waveform, subtype):
    """Whole numbers for PCM: `x * 2**(bits - 1)`, the inverse of what reading does."""
    if not subtype.startswith("PCM_"):
        return waveform
    bits = int(subtype.removeprefix("PCM_"))
    scale = 2.0 ** (bits - 1)
    whole = np.minimum(np.round(waveform.astype(np.float64) * scale), scale - 1)
    return whole.astype(np.int32) << (32 - bits)


def _check_rate(rate, name):
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise TypeError(f"`{name}` is a whole number of Hz. Received: {rate!r}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(
            f"`{name}` lies from {MIN_RATE} to {MAX_RATE} Hz. Received: {rate}"
        )
