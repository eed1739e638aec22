"""How well is it found who speaks when, and what does an hour cost?

    python benchmarks/diarization.py
    python benchmarks/diarization.py --hour

The first prints the diarization error rate (DER) of each recording, inside its `.uem`,
with the number of speakers estimated and given: of ours, and of the plain baseline,
MFCC statistics of the same windows (`voiceemb.evaluation.mfcc_baseline`), standardised
over the recording, with the same activity, clustering and resegmentation. The baseline
is shown with our settings, and with the one setting that counts speakers chosen for it
on these very recordings. Pooled means the errors of all over the speech of all; the
mean over recordings counts one of half a second of speech as much as the longest.

`--detector truth` takes the activity from the reference: what is left is overlap, which
is missed, and confusion.

The second repeats the recordings to 5, 15, 30 and 60 minutes, diarizes each in a
process of its own and prints seconds of each stage, real-time factor and peak memory.
"""

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from timbre.audio import wave
from timbre.metrics.diarization import DiarizationErrors, score
from timbre.turns import read_rttm, read_uem
from voiceemb.diarization import clustering, pipeline
from voiceemb.encoder import Encoder
from voiceemb.evaluation.mfcc_baseline import cepstral_statistics, standardise
from voiceemb.inference import unit
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

FOLDER = ROOT.parent / "shared" / "data" / "diarization"
COLLARS = (0.0, 0.25)
CHOICES_S = (2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 25.0)  # of the baseline's one setting
MINUTES = (5, 15, 30, 60)


def speech(recording, waveform, detector):
    """Stretches of speech, `(start, end)` in seconds."""
    if detector != "truth":
        return detection.detect(waveform, detector=detection.load(detector)).segments
    segments = []
    for turn in recording["turns"]:
        if segments and turn.start <= segments[-1][1]:
            segments[-1] = (segments[-1][0], max(segments[-1][1], turn.end))
        else:
            segments.append((turn.start, turn.end))
    return segments


def described(waveform, starts_s, ends_s):
    """MFCC statistics of windows, standardised, as unit vectors `[windows, 40]`."""
    if not len(starts_s):
        return np.zeros((0, 40), np.float32)
    rate = SAMPLE_RATE
    cuts = [
        waveform[round(start * rate) : round(end * rate)]
        for start, end in zip(starts_s, ends_s, strict=True)
    ]
    rows = np.stack([cepstral_statistics(cut) for cut in cuts])
    return unit(standardise(rows)) if len(rows) > 1 else unit(rows)


def recordings(folder):
    """Sound, turns, scored region and number of speakers of each recording."""
    for path in sorted(Path(folder).glob("*.rttm")):
        (turns,) = read_rttm(path).values()
        (region,) = read_uem(path.with_suffix(".uem")).values()
        speakers = len({turn.speaker for turn in turns})
        sound = path.with_suffix(".flac")
        yield {"path": sound, "turns": turns, "region": region, "speakers": speakers}


def prepare(folder, detector):
    """What both sides share of each recording, and the embeddings of each."""
    encoder = Encoder.pretrained()
    for recording in recordings(folder):
        waveform = wave.read(recording["path"])
        segments = speech(recording, waveform, detector)
        starts, ends, seconds = pipeline.slide_windows(segments, len(waveform) / 16000)
        length = round((ends[0] - starts[0]) * 16000) if len(starts) else None
        first = np.round(starts * 16000).astype(int)
        ours = encoder.embed_windows(waveform, first, length=length)
        plain = described(waveform, starts, ends)
        windows = (segments, starts, ends)
        yield {**recording, "windows": windows, "seconds": seconds} | {
            "ours": ours,
            "baseline": plain,
        }


def diarize(recording, side, *, given, observation_s, method):
    """Errors at each collar, and the error in the number of speakers."""
    points, exact = recording[side], recording["speakers"] if given else None
    labels = clustering.cluster(
        points,
        recording["seconds"],
        num_speakers=exact,
        observation_s=observation_s,
        method=method,
    )
    found = pipeline.segment(
        *recording["windows"], points, labels, min_speakers=exact or 1
    )
    errors = [
        score(recording["turns"], found.turns, uem=recording["region"], collar=c)
        for c in COLLARS
    ]
    return errors, len(found.speakers) - recording["speakers"]


def summary(rows):
    """Pooled DER and mean DER at each collar, and the mean error in the count."""
    pooled = [sum((e[i] for e, _ in rows), DiarizationErrors()) for i in range(2)]
    means = [np.mean([e[i].der for e, _ in rows if e[i].total]) for i in range(2)]
    return pooled, means, np.mean([abs(count) for _, count in rows])


def compare(options):
    """Prints the table of all recordings and what it amounts to."""
    held = list(prepare(options.folder, options.detector))
    run = functools.partial(diarize, method=options.method)
    columns = {}
    for given in (False, True):
        number = "given" if given else "estimated"
        for side in ("ours", "baseline"):
            columns[side, number] = [
                run(one, side, given=given, observation_s=clustering.OBSERVATION_S)
                for one in held
            ]
    tuned = {
        observation_s: [
            run(one, "baseline", given=False, observation_s=observation_s)
            for one in held
        ]
        for observation_s in CHOICES_S
    }
    best = min(tuned, key=lambda observation_s: summary(tuned[observation_s])[0][0].der)
    columns[f"baseline, {best:g} s", "estimated"] = tuned[best]
    show(held, columns, options)


def show(held, columns, options):
    """The table: DER at collar 0 / 0.25, and the error in the number of speakers."""
    print(
        f"{len(held)} recordings, activity by {options.detector}, {options.method}; "
        "DER % at collar 0 / 0.25, error in the number of speakers"
    )
    print(f"{'':24}" + "".join(f"{side:>20}" for side, _ in columns))
    print(f"{'number of speakers':24}" + "".join(f"{n:>20}" for _, n in columns))
    for row, one in enumerate(held):
        cells = [
            f"{100 * errors[0].der:.1f} / {100 * errors[1].der:.1f} {count:+d}"
            for errors, count in (rows[row] for rows in columns.values())
        ]
        print(f"{one['path'].stem:24}" + "".join(f"{cell:>20}" for cell in cells))
    found = {key: summary(rows) for key, rows in columns.items()}
    lines = {
        "pooled": lambda s: [100 * errors.der for errors in s[0]],
        "mean over recordings": lambda s: [100 * rate for rate in s[1]],
        "pooled, missed": lambda s: [100 * e.share(e.missed) for e in s[0]],
        "pooled, false alarm": lambda s: [100 * e.share(e.false_alarm) for e in s[0]],
        "pooled, confusion": lambda s: [100 * e.share(e.confusion) for e in s[0]],
    }
    for name, of in lines.items():
        cells = [f"{a:.1f} / {b:.1f}" for a, b in map(of, found.values())]
        print(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells))
    print(
        f"{'mean error in number':24}"
        + "".join(f"{count:>20.2f}" for *_, count in found.values())
    )
    for (side, number), (pooled, means, _) in found.items():
        if side != "ours":
            ours = found["ours", number]
            pairs = zip(ours[0], pooled, strict=True)
            ratios = [o.der / p.der if p.der else np.nan for o, p in pairs]
            pairs = zip(ours[1], means, strict=True)
            of_means = [o / m if m else np.nan for o, m in pairs]
            print(
                f"ours over {side}, number {number}: pooled "
                + " / ".join(f"{ratio:.2f}" for ratio in ratios)
                + ", of the means "
                + " / ".join(f"{ratio:.2f}" for ratio in of_means)
            )


def concatenate(folder, minutes, path):
    """A sound of so many minutes, the recordings again and again."""
    sounds = [wave.read(one["path"]) for one in recordings(folder)]
    whole = np.concatenate(sounds)
    samples = minutes * 60 * SAMPLE_RATE
    wave.write(path, np.resize(whole, samples))


def diarize_one(path, detector, method):
    """Diarizes one file and prints what it took as JSON."""
    encoder, listener = Encoder.pretrained(), detection.load(detector)
    quiet = np.zeros(48000, np.float32)  # graphs are traced before the clock starts
    encoder.embed_windows(quiet, [0] * 33, length=24000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    found = pipeline.diarize(path, encoder=encoder, detector=listener, method=method)
    run = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "before": before / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "duration": found.duration_s,
        "windows": len(found.windows),
        "stages": found.stages,
    }
    print(json.dumps(run))


def hour(options):
    """Prints time and memory of longer and longer recordings."""
    print(
        f"{'minutes':>7} {'windows':>8} {'wall s':>7} {'CPU s':>7} {'real-time':>9} "
        f"{'peak MiB':>9} {'before':>7}  seconds of each stage"
    )
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.wav"
            concatenate(options.folder, minutes, path)
            command = [sys.executable, __file__, "--one", str(path)]
            command += ["--detector", options.detector, "--method", options.method]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        run = json.loads(done.stdout)
        stages = ", ".join(f"{k} {v:.1f}" for k, v in run["stages"].items())
        print(
            f"{minutes:7} {run['windows']:8} {run['wall']:7.1f} {run['cpu']:7.1f} "
            f"{'1/%.0f' % (run['duration'] / run['wall']):>9} {run['peak']:9.0f} "
            f"{run['before']:7.0f}  {stages}",
            flush=True,
        )


def main():
    """Prints the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument(
        "--detector", choices=(*detection.DETECTORS, "truth"), default=detection.DEFAULT
    )
    parser.add_argument(
        "--method", choices=clustering.METHODS, default=clustering.METHODS[0]
    )
    parser.add_argument("--hour", action="store_true", help="time and memory")
    parser.add_argument("--minutes", type=int, nargs="+", default=MINUTES)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        diarize_one(options.one, options.detector, options.method)
    elif options.hour:
        hour(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
