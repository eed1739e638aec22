"""Sound of phones, browsers and videos, decoded by PyAV (FFmpeg) where it is installed.

The container is told by the first bytes, and FFmpeg is given the open file and that
one demultiplexer: no name, no other file and no address is opened for it. Only usual
decoders are started.
"""

import importlib.util
import shlex

import numpy as np

KINDS = {  # the name of each kind, to FFmpeg's name of the container
    "M4A/MP4": "mov",
    "WebM/Matroska": "matroska",
    "AAC": "aac",
    "AMR": "amr",
    "WMA": "asf",
}
NAMES = "(with PyAV) " + ", ".join(KINDS)
CODECS = {  # by FFmpeg's names
    *("aac", "ac3", "alac", "eac3", "flac", "mp3", "mp3float", "opus", "vorbis"),
    *("amrnb", "amrwb", "wmav1", "wmav2", "wmapro", "pcm_s16le", "pcm_s16be"),
}


def recognise(head: bytes) -> str | None:
    """The kind of container that begins with these 16 bytes, one of `KINDS`."""
    if head[4:8] == b"ftyp":
        return "M4A/MP4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "WebM/Matroska"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0:  # ADTS
        return "AAC"
    if head[:5] == b"#!AMR":
        return "AMR"
    if head[:4] == b"\x30\x26\xb2\x75":
        return "WMA"
    return None


def advise(path) -> str:
    """How to have a file read that is not."""
    source, target = shlex.quote(path.name), shlex.quote(f"{path.stem}.wav")
    return f"Convert it: ffmpeg -i {source} {target}"


def open_media(path, kind: str) -> "Media":
    """Opens the first sound track of a container.

    Raises:
        ValueError: If PyAV is not installed, or there is no sound that can be decoded.
    """
    if importlib.util.find_spec("av") is None:
        raise ValueError(f"{kind} is read with PyAV: pip install av. {advise(path)}")
    return Media(path, kind)


class Media:
    """The first sound track of a container; what is used of `soundfile.SoundFile`.

    Containers may not say how long they are, or wrongly: all is decoded once to count.

    Args:
        path: The file.
        kind: One of `KINDS`.

    Raises:
        ValueError: If there is no sound in it that can be decoded.
    """

    def __init__(self, path, kind):
        self.format, self._container = kind, None
        self._file = path.open("rb")
        try:
            self._start()
            self.frames = sum(len(block) for block in self._blocks)
            self._start()
        except BaseException:
            self.__exit__()
            raise

    def _start(self):
        import av
        import av.error

        if self._container is not None:
            self._container.close()
        self._file.seek(0)
        try:
            container = av.open(self._file, format=KINDS[self.format])
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(f"can not be opened as {self.format}: {error}") from error
        self._container = container
        if not container.streams.audio:
            raise ValueError(f"there is no sound in this {self.format} file")
        stream = container.streams.audio[0]
        self.subtype = stream.codec_context.name
        if self.subtype not in CODECS:  # before its decoder is started
            raise ValueError(f"{self.format} with {self.subtype} sound is not read")
        self.samplerate, self.channels = stream.rate, stream.channels
        self._rest = np.zeros((0, self.channels), np.float32)
        self._blocks = self._decode(container, stream)

    def _decode(self, container, stream):
        import av
        import av.error

        planes = av.AudioResampler(format="fltp")
        try:
            for frame in container.decode(stream):
                kind = frame.sample_rate, frame.layout.nb_channels
                if kind != (self.samplerate, self.channels):
                    raise ValueError("its rate or channels change on the way")
                for part in planes.resample(frame):
                    yield part.to_ndarray().T
        except av.error.FFmpegError as error:
            raise ValueError(f"can not be decoded: {error}") from error

    def seek(self, frame):
        """Goes to a sample: decodes from the beginning, and drops what comes before."""
        self._start()
        while frame > 0:
            block = self.read(frame)
            if not len(block):
                break
            frame -= len(block)

    def read(self, frames, dtype="float32", always_2d=True):
        """Reads up to so many samples, none at the end; `[samples, channels]`."""
        block = self._rest if len(self._rest) else next(self._blocks, self._rest)
        self._rest = block[frames:]
        return block[:frames].astype(dtype)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._container is not None:
            self._container.close()
        self._file.close()
