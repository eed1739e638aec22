"""Validation of sound files by magic bytes and header, before any decoding."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile

MAX_DURATION_S = 4 * 3600.0
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz

SUBTYPES = {
    "WAV": {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"},
    "FLAC": {"PCM_S8", "PCM_16", "PCM_24"},
    "OGG": {"VORBIS", "OPUS"},
    "MP3": {"MPEG_LAYER_III"},
}


class AudioError(ValueError):
    """A sound file that can not be used; the message names the file and the reason."""

    def __init__(self, path, reason):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


@dataclass(frozen=True)
class WaveInfo:
    """The header of a sound file.

    Args:
        path: The file.
        sample_rate: Hz.
        channels, num_samples: Number of channels, and of samples in each.
        duration_s: Seconds.
        format, subtype: As `"WAV"`, and the coding of the samples, as `"PCM_16"`.
    """

    path: Path
    sample_rate: int
    channels: int
    num_samples: int
    duration_s: float
    format: str
    subtype: str


def inspect(
    path: str | os.PathLike, *, max_duration_s: float = MAX_DURATION_S
) -> WaveInfo:
    """Read a sound file's header and refuse what `read` could not use.

    Accepted are WAV (linear PCM or float), FLAC, OGG (Vorbis, Opus) and MP3 with 1 to
    8 channels, 4 to 192 kHz and at least one sample.

    Args:
        path: The file.
        max_duration_s: Longest sound accepted, in seconds. Defaults to four hours.

    Raises:
        AudioError: The file is missing, not one of these formats, or out of bounds.
    """
    path = Path(path)
    with open_sound(path) as file:
        return describe(path, file, max_duration_s)


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a file for decoding if its first bytes look like sound we accept."""
    if not path.is_file():
        raise AudioError(path, "there is no such file")
    try:
        with path.open("rb") as file:
            _check_magic(path, file)
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError, UnicodeError) as error:
        raise AudioError(path, f"can not be opened as sound: {error}") from error


def _check_magic(path, file):
    head = file.read(12)
    if not head:
        raise AudioError(path, "the file is empty")
    if head[:3] == b"ID3":  # a tag, its length in four times seven bits, then the sound
        length = 0
        for byte in head[6:10]:
            length = length << 7 | byte & 127
        file.seek(10 + length)
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        _check_wav(path, file)
    elif head[:4] == b"OggS":
        _check_ogg(path, file)
    elif head[:4] != b"fLaC" and not (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        raise AudioError(path, "not a WAV, FLAC, OGG or MP3 file by its first bytes")


def _check_wav(path, file):
    """Check a WAV by its chunks: linear or float samples, and all of them there.

    Decoders of rarer codings have a history of overflows and are never started; and
    the library would take a WAV cut short for a shorter one.
    """
    size = os.fstat(file.fileno()).st_size
    coding = None
    for _ in range(1000):
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"fmt ":
            body = file.read(min(length, 40))
            coding = struct.unpack_from("<H", body)[0] if len(body) >= 16 else None
            if coding == 0xFFFE and len(body) >= 26:  # extensible: the real tag is here
                coding = struct.unpack_from("<H", body, 24)[0]
        elif name == b"data":
            if coding not in (1, 3):
                raise AudioError(
                    path, f"WAV coding {coding} is not linear PCM or float"
                )
            held = size - start
            if length > held and length != 0xFFFFFFFF:  # all ones: to the end
                reason = f"truncated: {length} bytes of samples promised, {held} found"
                raise AudioError(path, reason)
            return
        file.seek(start + length + length % 2)
    raise AudioError(path, "a WAV file without samples")


def _check_ogg(path, file):
    """Check an OGG by its last page, which is whole and says that it is the last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 65_307, 0))  # the longest that a page can be
    tail = file.read()
    start = tail.rfind(b"OggS")
    page = tail[start:] if start >= 0 else b""
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not (lengths and page[5] & 4 and len(page) >= 27 + len(lengths) + sum(lengths)):
        raise AudioError(path, "truncated: the last page of the stream is missing")


def describe(path: Path, file: soundfile.SoundFile, max_duration_s: float) -> WaveInfo:
    """Read the header of an open file, or refuse it."""
    kind = "WAV" if file.format == "WAVEX" else file.format
    if file.subtype not in SUBTYPES.get(kind, ()):
        raise AudioError(path, f"{kind} with {file.subtype} samples is not accepted")
    channels, rate, frames = file.channels, file.samplerate, file.frames
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(path, f"{channels} channels; 1 to {MAX_CHANNELS} are read")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(path, f"{rate} Hz; {MIN_RATE} to {MAX_RATE} Hz are read")
    if frames <= 0:
        raise AudioError(path, "there are no samples in it")
    seconds, limit = frames / rate, max_duration_s
    if seconds > limit:
        raise AudioError(path, f"{seconds:.0f} s long; at most {limit:.0f} s are read")
    return WaveInfo(path, rate, channels, frames, seconds, kind, file.subtype)
