"""Text to speech by eSpeak NG through ctypes, with exact phone and word times.

The shared library comes with the package `espeakng-loader`. It remembers the phase of
its oscillators and more from one text to the next, so it is loaded afresh for every
text: the same request gives the same samples, as long as nothing else in the process
holds the library (hence `worker`).

A phone lasts until the next one starts, and the silent closure before a plosive
belongs to it. A pause is a gap between two phones.
"""

import _ctypes
import contextlib
import ctypes
import importlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SYNCHRONOUS = 2  # no sound card: samples come to the callback
OPTIONS = 0x1 | 0x2 | 0x8000  # phone events, named in IPA; never exit the process
UTF8 = 1
SETTINGS = {"rate": 1, "volume": 2, "pitch": 3, "pitch_range": 4}
LIMITS = dict(rate=(80, 450), volume=(0, 200), pitch=(0, 99), pitch_range=(0, 99))
END_OF_EVENTS, WORD, PHONE = 0, 1, 7
STRESS = "ˈˌ"
_one_at_a_time = threading.Lock()


class SynthesisError(RuntimeError):
    """The synthesiser is installed but refuses to start, a voice or a text."""


@dataclass(frozen=True)
class Label:
    """A phone in IPA, or a word, from `start_s` to `end_s`.

    Args:
        start_s, end_s: Start and end in seconds.
        name: The phone without stress marks, or the word as written.
    """

    start_s: float
    end_s: float
    name: str

    def stretch(self, scale: float) -> "Label":
        """The label in a waveform that is `scale` times longer."""
        return replace(self, start_s=self.start_s * scale, end_s=self.end_s * scale)


@dataclass(frozen=True)
class Speech:
    """A waveform with its phones and words.

    Args:
        waveform: Float32 `[samples]` in [-1, 1].
        sample_rate: Hz.
        phones, words: Labels in order, without overlap.
    """

    waveform: np.ndarray
    sample_rate: int
    phones: tuple[Label, ...]
    words: tuple[Label, ...]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _numbers = "type unique_identifier text_position length audio_position sample"
    _fields_ = [(name, ctypes.c_int) for name in _numbers.split()]
    _fields_ += [("user_data", ctypes.c_void_p), ("id", _Id)]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def synthesise(
    text: str,
    *,
    voice: str = "en-us",
    rate: int = 175,
    pitch: int = 50,
    pitch_range: int = 50,
    volume: int = 30,
) -> Speech:
    """Synthesise a text; one at a time in a process, in parallel by processes.

    Args:
        text: What to say.
        voice: A language, or `language+variant`. Defaults to `"en-us"`.
        rate: Words per minute, 80 to 450. Defaults to `175`.
        pitch: Height of the voice, 0 to 99. Defaults to `50`, the variant's own.
        pitch_range: Range of the melody, 0 to 99; 0 is monotone. Defaults to `50`.
        volume: Loudness, 0 to 200. Loud variants clip above the default, `30`.

    Returns:
        The speech at the library's own sample rate, 22 050 Hz.

    Raises:
        ImportError: `espeakng-loader` is not installed.
        SynthesisError: The library does not start, is in use or has no such voice.
    """
    data = text.encode()
    if not text.strip() or b"\0" in data:
        raise ValueError(f"`text` needs words and no NUL. Received: {text!r}")
    settings = dict(rate=rate, pitch=pitch, pitch_range=pitch_range, volume=volume)
    for name, value in settings.items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            rule = f"`{name}` must be from {low} to {high}"
            raise ValueError(f"{rule}. Received: {value}")
    samples, events = [], []

    def receive(data, count, found):
        if data and count > 0:
            samples.append(np.ctypeslib.as_array(data, (count,)).copy())
        index = 0
        while found[index].type != END_OF_EVENTS:
            event = found[index]
            name = bytes(event.id.string) if event.type == PHONE else b""
            events.append((event.type, event.sample, event.text_position, name))
            index += 1
        return 0

    callback = _Callback(receive)  # kept alive as long as the library
    with _open_library() as (library, sample_rate):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()):
            raise SynthesisError(f"eSpeak NG has no such voice. Received: {voice!r}")
        for name, value in settings.items():
            library.espeak_SetParameter(SETTINGS[name], int(value), 0)
        size, mark = ctypes.c_size_t(len(data) + 1), ctypes.byref(ctypes.c_uint(0))
        status = library.espeak_Synth(data, size, 0, 1, 0, UTF8, mark, None)
    if status or not samples:
        raise SynthesisError(f"eSpeak NG said nothing. Received: {text!r}")
    waveform = np.concatenate(samples)
    phones = _phones(events, waveform, sample_rate)
    return Speech(
        waveform.astype(np.float32) / 32768,
        sample_rate,
        tuple(label for _, label in phones),
        _words(events, phones, text),
    )


@contextlib.contextmanager
def _open_library():
    """A fresh library and its sample rate; unloaded at the end."""
    if not _one_at_a_time.acquire(blocking=False):
        raise SynthesisError("eSpeak NG speaks one text at a time in a process.")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_one_at_a_time.release)
        package = load_package()
        try:
            library = ctypes.CDLL(package.get_library_path())
        except OSError as error:
            raise SynthesisError(f"eSpeak NG can not be loaded: {error}") from error
        close = "dlclose" if hasattr(_ctypes, "dlclose") else "FreeLibrary"
        cleanup.callback(getattr(_ctypes, close), library._handle)
        folder = str(Path(package.get_data_path())).encode()
        rate = library.espeak_Initialize(SYNCHRONOUS, 0, folder, OPTIONS)
        if rate <= 0:
            raise SynthesisError(f"eSpeak NG does not start: status {rate}.")
        cleanup.callback(library.espeak_Terminate)
        yield library, rate


def load_package():
    """Import the package that carries eSpeak NG; if missing, say how to install it."""
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise ImportError(
            "The synthetic corpus needs eSpeak NG: pip install espeakng-loader"
        ) from error


def _phones(events, samples, sample_rate):
    """Phone labels, each with the index of its event. Nameless phones are pauses."""
    marks = [(i, e[1], _plain(e[3])) for i, e in enumerate(events) if e[0] == PHONE]
    starts = [
        _closure(samples, start, marks[k - 1][1]) if k and marks[k - 1][2] else start
        for k, (_, start, _) in enumerate(marks)
    ]
    ends = [*starts[1:], len(samples)]
    return [
        (index, Label(start / sample_rate, end / sample_rate, name))
        for (index, _, name), start, end in zip(marks, starts, ends, strict=True)
        if name and end > start
    ]


def _closure(samples, start, earliest):
    """Where the digital silence begins that ends at `start`; it is a closure."""
    sounding = np.flatnonzero(samples[earliest:start])
    return earliest + int(sounding[-1]) + 1 if len(sounding) else start


def _plain(name):
    text = name.split(b"\0")[0].decode(errors="ignore")
    return text.strip(STRESS).strip()


def _words(events, phones, text):
    """Word labels; words spoken as one, such as "of the", share a label."""
    marks = [(i, e[2] - 1) for i, e in enumerate(events) if e[0] == WORD]
    stops = [*marks[1:], (len(events), len(text))]
    words = []
    for (first, position), (last, stop) in zip(marks, stops, strict=True):
        inside = [label for index, label in phones if first < index < last]
        name = text[position:stop].strip(" \t\n.,;:!?\"'")
        if inside and name:
            words.append(Label(inside[0].start_s, inside[-1].end_s, name))
    return tuple(words)
