"""A page with a quick stand-in for diarization, to be opened in a browser.

The stand-in hears a low tone as one voice and a high tone as another. Run as a program
it serves the page on the port given, with diarization itself if told so, and ends at
once if anything tries to reach another machine.
"""

import os
import socket
import sys
import tempfile

import numpy as np

from timbre.audio import wave
from timbre.turns import Turn
from voiceemb.diarization.result import Diarization, Windows
from voiceemb.page.session import Session

RATE = 16000
STEP = 1600  # 0.1 s
TALK = [(0.5, 2.5, 200), (3.0, 4.0, 1500), (4.5, 8.0, 200)]
AT_ONCE = [(0.5, 4.0, 200), (2.0, 3.0, 1500), (5.0, 8.0, 1500), (7.0, 9.0, 200)]


def diarize(waveform, *, progress=None, num_speakers=None, **others):
    """Turns of a sound made of tones below and above 500 Hz, also of both at once."""
    parts = waveform[: len(waveform) // STEP * STEP].reshape(-1, STEP)
    power = np.abs(np.fft.rfft(parts)).T > 0.005 * STEP
    low, high = power[: 500 * STEP // RATE], power[500 * STEP // RATE :]
    heard = {"speaker 1": low.any(axis=0), "speaker 2": high.any(axis=0)}
    if num_speakers == 1:
        heard = {"speaker 1": power.any(axis=0)}
    turns = []
    for name, loud in heard.items():
        edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)) / 10
        turns += [Turn(*span, name) for span in edges.reshape(-1, 2).tolist()]
    turns.sort()
    if progress is not None:
        progress("hearing", 0.5)
    stages = {"activity": 0.2, "embed": 1.4}
    windows = _windows(turns)
    return Diarization(turns, len(waveform) / RATE, stages=stages, windows=windows)


def _windows(turns):
    """Half a second each; odd turns of a voice sound unlike its even ones."""
    names = sorted({turn.speaker for turn in turns})
    starts, points, labels, counts = [], [], [], dict.fromkeys(names, 0)
    for turn in turns:
        point = np.zeros(2 * len(names), np.float32)
        point[2 * names.index(turn.speaker) + counts[turn.speaker] % 2] = 1
        counts[turn.speaker] += 1
        for start in np.arange(turn.start, turn.end - 0.49, 0.25):
            starts.append(start)
            points.append(point)
            labels.append(turn.speaker)
    if not starts:
        return Windows.empty()
    order = np.argsort(starts, kind="stable")
    starts, points, labels = (np.array(x)[order] for x in (starts, points, labels))
    return Windows(starts, starts + 0.5, points, labels)


def conversation(spans, *, rate=RATE):
    """Tones `[(start_s, end_s, hertz)]` with silence around them."""
    waveform = np.zeros(round(rate * (max(end for _, end, _ in spans) + 0.5)))
    for start, end, hertz in spans:
        first, last = round(start * rate), round(end * rate)
        tone = np.sin(2 * np.pi * hertz * np.arange(last - first) / rate)
        waveform[first:last] += 0.3 * tone
    return waveform.astype(np.float32)


def recorded(path, spans=TALK):
    """A file of a conversation of tones."""
    wave.write(path, conversation(spans))
    return path


def analysed(folder, path, diarize=diarize):
    """A session with a recording and its turns."""
    opened = Session(folder)
    opened.load(path, path.name)
    assert opened.analyse(diarize)
    return opened


def _stay_here(connect):
    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            if address[0] not in ("127.0.0.1", "::1", "localhost"):
                print(f"reached for {address}", file=sys.stderr, flush=True)
                os._exit(3)
        return connect(self, address)

    return guarded


if __name__ == "__main__":
    socket.socket.connect = _stay_here(socket.socket.connect)
    socket.socket.connect_ex = _stay_here(socket.socket.connect_ex)
    tempfile.tempdir = None  # what a process that was forked may know already
    from voiceemb import page

    page.launch(int(sys.argv[1]), diarize=None if "real" in sys.argv else diarize)
