"""Validation of sound files by magic bytes and header, before any decoding."""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import soundfile

from timbre.audio import media, mpeg, parts

MAX_DURATION_S = 4 * 3600.0
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz

LINEAR = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
G711 = {"ULAW", "ALAW"}
SUBTYPES = {
    "WAV": LINEAR | G711,
    "RF64": LINEAR | G711,
    "AIFF": LINEAR | G711,
    "NIST": LINEAR | G711,
    "FLAC": {"PCM_S8", "PCM_16", "PCM_24"},
    "OGG": {"VORBIS", "OPUS"},
    "MP3": {"MPEG_LAYER_III"},
    **{kind: media.CODECS for kind in media.KINDS},
}
WAV_CODINGS = {  # format tags; those that are read stand first
    1: "linear PCM",
    3: "float",
    6: "G.711 A-law",
    7: "G.711 mu-law",
    0x2: "Microsoft ADPCM",
    0x11: "IMA ADPCM",
    0x22: "TrueSpeech",
    0x31: "GSM 6.10",
    0x40: "G.721 ADPCM",
    0x45: "G.726 ADPCM",
    0x50: "MPEG layer I or II",
    0x55: "MP3",
    0x64: "G.726 ADPCM",
    0x65: "G.722 ADPCM",
    0xFF: "AAC",
    0x160: "Windows Media Audio 1",
    0x161: "Windows Media Audio 2",
    0x162: "Windows Media Audio Pro",
    0x674F: "Vorbis",
    0x1610: "AAC",
    0x2000: "Dolby AC-3",
    0xF1AC: "FLAC",
}
READ_WAV_CODINGS = (1, 3, 6, 7)
SPHERE_SIZES = ("sample_count", "channel_count", "sample_n_bytes")
MAX_HEADER_BYTES = 1 << 20
PLACEHOLDER_BYTES = 1 << 16  # lengths this near to 2**31 or 2**32 were never filled in


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

    Accepted are WAV (also RF64 and BW64; linear PCM, float or G.711), AIFF, NIST
    SPHERE, FLAC, OGG (Vorbis, Opus) and MP3, and with PyAV also M4A, MP4, WebM,
    Matroska, AAC and AMR, with 1 to 8 channels, 4 to 192 kHz and at least one sample.

    Args:
        path: The file.
        max_duration_s: Longest sound accepted, in seconds. Defaults to four hours.

    Raises:
        AudioError: The file is missing, not one of these formats, or out of bounds.
    """
    path = Path(path)
    with open_sound(path) as file:
        return describe(path, file, max_duration_s)


def open_sound(path: Path) -> soundfile.SoundFile | parts.PartedSound | media.Media:
    """Open a file for decoding if its first bytes look like sound we accept."""
    if not path.is_file():
        raise AudioError(path, "there is no such file")
    try:
        with path.open("rb") as file:
            return _open(path, file)
    except AudioError:
        raise
    except ValueError as error:  # of parts and media
        raise AudioError(path, str(error)) from error
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(path, f"can not be opened as sound: {error}") from error


def _open(path, file):
    head = file.read(16)
    if not head:
        raise AudioError(path, "the file is empty")
    if head[:3] == b"ID3":
        file.seek(mpeg.tag_length(head))
        head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        start, length = _check_wav(path, file, is_long=head[:4] != b"RIFF")
        if head[:4] == b"BW64":  # RF64 by another name (ITU-R BS.2088)
            return parts.open_behind(file, b"RF64")
        if not length and start < MAX_HEADER_BYTES:
            file.seek(0)
            header = file.read(start - 4) + b"\xff" * 4
            return parts.open_behind(file, header)
    elif head[:4] == b"OggS":
        return parts.open_parts(file, "OGG") or soundfile.SoundFile(path)
    elif kind := media.recognise(head):
        return media.open_media(path, kind)
    elif head[:1] == b"\xff" and head[1:2] >= b"\xe0":
        return parts.open_parts(file, "MP3") or soundfile.SoundFile(path)
    elif head[:8] == b"NIST_1A\n":
        _check_sphere(path, file)
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        _check_aiff(path, file)
    elif head[:4] != b"fLaC":
        reason = "not a sound file by its first bytes; read are WAV, FLAC, OGG, MP3, "
        raise AudioError(path, f"{reason}AIFF, NIST SPHERE and {media.NAMES}")
    return soundfile.SoundFile(path)


def _check_wav(path, file, *, is_long):
    """Check a WAV by its chunks: a coding that is read, and all samples there.

    Returns where they begin, and their number of bytes.

    Decoders of rarer codings have a history of overflows and are never started; and
    the library would take a WAV cut short for a shorter one. Programs that write to a
    pipe can not go back and fill in the length: they leave 0, or one that is next to
    the largest number, and the samples go on to the end of the file.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(-12, os.SEEK_CUR)
    riff_bytes, _ = struct.unpack("<I4s", file.read(8))
    coding = long_length = None
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
        elif name == b"ds64" and is_long:  # EBU Tech 3306: sizes of 64 bits
            body = file.read(min(length, 28))
            long_length = struct.unpack_from("<Q", body, 8)[0] if len(body) > 15 else 0
        elif name == b"data":
            if coding not in READ_WAV_CODINGS:
                raise AudioError(path, _unread_coding(path, coding))
            held = size - start
            if not length and (not held or size == 8 + riff_bytes):
                raise AudioError(path, "there are no samples in it")
            if long_length is not None and length == 0xFFFFFFFF:
                length = long_length
            _check_length(path, length, held)
            return start, length
        file.seek(start + length + length % 2)
    raise AudioError(path, "a WAV file without samples")


def _is_placeholder(length):
    return any(
        limit - PLACEHOLDER_BYTES <= length <= limit
        for limit in (2**31, 2**32 - 1, 2**63, 2**64 - 1)
    )


def _unread_coding(path, coding):
    name = WAV_CODINGS.get(coding, f"an unknown coding (format tag {coding})")
    read = ", ".join(WAV_CODINGS[tag] for tag in READ_WAV_CODINGS)
    return f"WAV with {name}; read are {read}. {media.advise(path)}"


def _check_aiff(path, file):
    """Check an AIFF by its chunk of samples, which the library takes for shorter."""
    size = file.seek(0, os.SEEK_END)
    position = 12
    for _ in range(1000):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack(">4sI", head)
        if name == b"SSND":
            return _check_length(path, length, size - position - 8)
        position += 8 + length + length % 2
    raise AudioError(path, "an AIFF file without samples")


def _check_sphere(path, file):
    """Check a NIST SPHERE file by its header, lines of `name -type value`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(8)
    lines = file.read(4096).decode("ascii", "replace").splitlines()
    words = [line.split(None, 2) for line in lines]
    fields = {word[0]: word[2] for word in words if len(word) == 3}
    coding = fields.get("sample_coding", "pcm")
    if "shorten" in coding or "wavpack" in coding:
        reason = f"NIST SPHERE with {coding} samples; convert it with `sph2pipe -f wav`"
        raise AudioError(path, reason)
    sizes = (fields.get(name, "1") for name in SPHERE_SIZES)
    try:
        length, start = math.prod(map(int, sizes)), int(lines[0])
    except (ValueError, IndexError) as error:
        raise AudioError(path, "a NIST SPHERE header that can not be read") from error
    _check_length(path, length, size - start)


def _check_length(path, length, held):
    """Refuse samples that are cut short, unless their length was never filled in."""
    if length > held and not _is_placeholder(length):
        reason = f"truncated: {length} bytes of samples promised, {held} found"
        raise AudioError(path, reason)


def describe(path: Path, file, max_duration_s: float) -> WaveInfo:
    """Read the header of an open file, or refuse it."""
    kind = "WAV" if file.format == "WAVEX" else file.format
    if file.subtype not in SUBTYPES.get(kind, ()):
        reason = f"{kind} with {file.subtype} samples is not read"
        raise AudioError(path, f"{reason}. {media.advise(path)}")
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
