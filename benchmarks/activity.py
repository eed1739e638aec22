"""How often do the detectors of voice activity err, in silence and in real noise?

Frame errors (10 ms) against the speech of the CLEAN sound, as "error = misses +
false alarms" in percent of all frames, and the speed on one core:

- VCTK: noisy recordings of one voice, scored by their clean twins;
- clean, 20, 10, 5, 0 dB: speech of LibriSpeech, no speaker of which any network here
  was trained on, between pauses, without and with each of six noises. The pauses hold
  a hiss as loud as the background of the recording that follows, and the noise; the
  signal-to-noise ratio is that of the frames with speech.

The truth: a frame holds speech if its level lies 10 dB above the background of its
recording (the 10th percentile), but is not scored by more than 40 or less than 25 dB
below the loud (the 95th percentile); gaps shorter than 0.2 s are bridged and clicks
shorter than 0.05 s left out. It knows nothing of any detector.

Ours have the rule that makes segments of probabilities; WebRTC's is shown as it comes,
with its own hangover, and with that rule.

    python benchmarks/activity.py
    python benchmarks/activity.py --detectors energy webrtc --by-noise
    python benchmarks/activity.py --quick                   # VCTK alone

Without WebRTC's package (`pip install webrtcvad-wheels`) its rows are left out.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import timing

timing.limit_blas(1)

import numpy as np

from timbre.audio import wave
from voiceemb.vad.base import HOP, SAMPLE_RATE, level_db
from voiceemb.vad.detection import load
from voiceemb.vad.segmentation import Segmenter, segment_mask
from voiceemb.vad.webrtc import WebRTCDetector

DATA = timing.ROOT.parent / "shared" / "data"
SPEECH = "librispeech_test_other"  # its speakers are in no other corpus here
SNRS_DB = (20, 10, 5, 0)
LEVEL = 0.05  # of speech, root of the mean square: -26 dB
HISS = (1e-3, 3e-2)  # of pauses, times that of speech: from -60 to -30 dB
DETECTORS = ("network", "energy", "webrtc")


@dataclass
class Sound:
    """A sound, where it holds speech (bool `[frames]`), and the column it is for."""

    waveform: np.ndarray
    spoken: np.ndarray
    condition: str
    noise: str = ""


def levels_db(waveform):
    """Level of each 10 ms, without its mean, in dB."""
    return level_db(waveform[: len(waveform) // HOP * HOP].reshape(-1, HOP))


def runs(flags):
    """`[n, 2]`: begin and end of each run of true."""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def truth(clean):
    """Which frames of a clean recording hold speech, bool `[frames]`."""
    levels = levels_db(clean)
    background, loud = np.percentile(levels, [10, 95])
    spoken = levels > np.clip(background + 10, loud - 40, loud - 25)
    for start, end in runs(~spoken):
        if end - start < 20 and start > 0 and end < len(spoken):
            spoken[start:end] = True
    for start, end in runs(spoken):
        if end - start < 5:
            spoken[start:end] = False
    return spoken


def power(waveform, spoken):
    """Mean square of the frames with speech."""
    rows = waveform[: len(spoken) * HOP].reshape(-1, HOP)
    return np.square(rows[spoken], dtype=float).mean()


def pieces(files, length_s=5.0):
    """What lies before each file's last pause in 5 s, its truth, and its background."""
    for file in files:
        waveform = wave.read(file)
        spoken = truth(waveform)
        ends = runs(spoken)[:, 1]
        ends = ends[(ends > 100) & (ends < length_s * 100)]
        stop = ends[-1] + 10 if len(ends) else int(length_s * 100)
        waveform, spoken = waveform[: stop * HOP], spoken[:stop]
        spoken = spoken[: len(waveform) // HOP]
        waveform = waveform[: len(spoken) * HOP]
        quiet = 10 ** (np.percentile(levels_db(waveform), 10) / 20)
        speech = np.sqrt(power(waveform, spoken))
        hiss = np.clip(quiet / speech, *HISS) * LEVEL
        yield waveform * (LEVEL / speech), spoken, hiss


def conversation(files, rng):
    """Pieces of speech, in turns with pauses of 1 to 4 s; clean, with its truth."""
    waveforms, flags = [], []
    for waveform, spoken, hiss in pieces(files):
        pause = int(rng.integers(100, 400))
        waveforms += [rng.normal(0, hiss, pause * HOP), waveform]
        flags += [np.zeros(pause, bool), spoken]
    return np.concatenate(waveforms).astype(np.float32), np.concatenate(flags)


def sounds(data, rng, quick=False):
    """All sounds, column by column; if `quick`, the first column."""
    for clean in sorted((data / "enh_vctk_demand" / "clean").glob("*.flac")):
        noisy = wave.read(data / "enh_vctk_demand" / "noisy" / clean.name)
        yield Sound(noisy, truth(wave.read(clean)), "VCTK")
    if quick:
        return
    files = sorted((data / SPEECH).rglob("*.flac"))
    rng.shuffle(files)
    noises = sorted((data / "noise").glob("*.flac"))
    for number, path in enumerate(noises):
        clean, spoken = conversation(files[number :: len(noises)], rng)
        yield Sound(clean, spoken, "clean", path.stem)
        noise = np.resize(wave.read(path), len(clean))
        noise /= np.sqrt(np.square(noise, dtype=float).mean())
        for snr_db in SNRS_DB:
            level = np.sqrt(power(clean, spoken)) * 10 ** (-snr_db / 20)
            mixed = (clean + level * noise).astype(np.float32)
            yield Sound(mixed, spoken, f"{snr_db} dB", path.stem)


def ruled(detector):
    """A detector as it is used: frames inside its segments."""

    def decide(waveform):
        probability = detector.probabilities(waveform)
        segmenter = Segmenter()
        segments = segmenter.push(probability) + segmenter.finish()
        return segment_mask(segments, len(probability))

    return decide


def deciders(names):
    """`{row: function of a waveform}`; what is not there is left out."""
    rows = {}
    for name in names:
        try:
            if name != "webrtc":
                rows[name] = ruled(load(name))
                continue
            for mode in range(4):
                peer = WebRTCDetector(mode)
                rows[f"webrtc {mode}"] = lambda x, peer=peer: peer.probabilities(x) > 0
                rows[f"webrtc {mode} + rule"] = ruled(peer)
        except (ImportError, OSError) as error:
            print(f"{name} is not compared: {error}")
    return rows


def measure(decide, recordings):
    """Misses and false alarms `[sounds, 2]` in frames, and times real time."""
    found, _, cpu = timing.seconds_of(
        lambda: [decide(sound.waveform) for sound in recordings]
    )
    errors = [
        [(sound.spoken & ~active).sum(), (active & ~sound.spoken).sum()]
        for sound, active in zip(recordings, found, strict=True)
    ]
    seconds = sum(len(sound.waveform) for sound in recordings) / SAMPLE_RATE
    return np.array(errors), seconds / cpu


def table(results, recordings, key):
    """Prints errors by a key of the sounds, such as their condition."""
    columns = list(dict.fromkeys(map(key, recordings)))
    lengths = np.array([len(sound.spoken) for sound in recordings])
    print(f"{'':<16}" + "".join(f"{column:>19}" for column in columns) + f"{'x RT':>8}")
    for row, (errors, speed) in results.items():
        print(f"{row:<16}", end="")
        for column in columns:
            chosen = np.array([key(sound) == column for sound in recordings])
            frames = lengths[chosen].sum()
            missed, false = 100 * errors[chosen].sum(axis=0) / frames
            print(f"{missed + false:>6.1f} ={missed:>5.1f} +{false:>4.1f}", end="")
        print(f"{speed:>8.0f}")


def main():
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="(../shared/data)")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS, choices=DETECTORS)
    parser.add_argument("--by-noise", action="store_true", help="one more table")
    parser.add_argument("--quick", action="store_true", help="VCTK alone")
    options = parser.parse_args()
    recordings = list(sounds(options.data, np.random.default_rng(0), options.quick))
    frames = np.concatenate([sound.spoken for sound in recordings])
    print(
        f"{len(recordings)} sounds, {len(frames) / 6000:.1f} minutes, "
        f"{frames.mean():.0%} speech; frame errors = misses + false alarms, %"
    )
    rows = deciders(options.detectors)
    results = {row: measure(decide, recordings) for row, decide in rows.items()}
    table(results, recordings, lambda sound: sound.condition)
    if options.by_noise:
        table(results, recordings, lambda sound: sound.noise or sound.condition)


if __name__ == "__main__":
    main()
