"""A page with a quick stand-in for diarization, to be opened in a browser.

The stand-in hears a low tone as one voice and a high tone as another. Run as a program
it serves the page on the port given, with diarization itself if told so, and ends at
once if anything tries to reach another machine.
"""

import os
import socket
import sys

import numpy as np

from metrics.rttm import Turn
from voiceemb.conversation import Diarization, Windows

RATE = 16000
STEP = 1600  # 0.1 s


def diarize(waveform, *, progress=None, num_speakers=None, **others):
    """Turns of a sound made of tones below and above 500 Hz, and of silence."""
    heard = []
    for number in range(len(waveform) // STEP):
        part = waveform[number * STEP : (number + 1) * STEP]
        high = np.count_nonzero(np.diff(np.sign(part))) > STEP * 1000 / RATE
        loud = np.abs(part).max() > 0.01
        heard.append(("speaker 2" if high else "speaker 1") if loud else None)
    if num_speakers == 1:
        heard = [name and "speaker 1" for name in heard]
    turns, start = [], 0
    for end in range(1, len(heard) + 1):
        if end == len(heard) or heard[end] != heard[start]:
            if heard[start]:
                turns.append(Turn(start / 10, end / 10, heard[start]))
            start = end
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
        return Windows.none()
    starts, points = np.array(starts), np.stack(points)
    return Windows(starts, starts + 0.5, points, np.array(labels, str))


def conversation(spans, *, rate=RATE):
    """Tones `[(start_s, end_s, hertz)]` with silence around them."""
    waveform = np.zeros(round(rate * (max(end for _, end, _ in spans) + 0.5)))
    for start, end, hertz in spans:
        first, last = round(start * rate), round(end * rate)
        wave = np.sin(2 * np.pi * hertz * np.arange(last - first) / rate)
        waveform[first:last] += 0.3 * wave
    return waveform.astype(np.float32)


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
    from voiceemb import page

    page.launch(int(sys.argv[1]), diarize=None if "real" in sys.argv else diarize)
