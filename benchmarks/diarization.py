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
import tempfile
from pathlib import Path

import numpy as np
import timing

from timbre.audio import wave
from timbre.metrics.diarization import DiarizationErrors, score
from timbre.turns import merge_spans, read_rttm, read_uem
from voiceemb.diarization import clustering, pipeline
from voiceemb.encoder import Encoder
from voiceemb.evaluation.mfcc_baseline import cepstral_statistics, standardise
from voiceemb.inference import unit
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

FOLDER = timing.ROOT.parent / "shared" / "data" / "diarization"
COLLARS = (0.0, 0.25)
CHOICES_S = (2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 25.0)  # of the baseline's one setting
MINUTES = (5, 15, 30, 60)
ROW = "{:>7} {:>8} {:>7.1f} {:>7.1f} {:>9} {:>9.0f} {:>7.0f}  {}"


def speech(recording, waveform, detector):
    """Stretches of speech, `(start, end)` in seconds."""
    if detector != "truth":
        return detection.detect(waveform, detector=detection.load(detector)).segments
    spans = ((turn.start, turn.end, None) for turn in recording["turns"])
    return [(start, end) for start, end, _ in merge_spans(spans)]


def described(waveform, starts_s, ends_s):
    """MFCC statistics of windows, standardised, as unit vectors `[windows, 40]`."""
    if not len(starts_s):
        return np.zeros((0, 40), np.float32)
    edges = np.round(SAMPLE_RATE * np.stack([starts_s, ends_s], axis=1)).astype(int)
    rows = np.stack([cepstral_statistics(waveform[a:b]) for a, b in edges])
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
        yield {
            **recording,
            "windows": (segments, starts, ends),
            "seconds": seconds,
            "ours": encoder.embed_windows(waveform, first, length=length),
            "baseline": described(waveform, starts, ends),
        }


def diarize(recording, side, *, given, observation_s, method):
    """Errors at each collar, and the error in the number of speakers."""
    exact = recording["speakers"] if given else None
    points, options = recording[side], {"observation_s": observation_s}
    options |= {"num_speakers": exact, "method": method}
    labels = clustering.cluster(points, recording["seconds"], **options)
    windows = recording["windows"]
    found = pipeline.segment(*windows, points, labels, min_speakers=exact or 1)
    region = {"uem": recording["region"]}
    errors = [
        score(recording["turns"], found.turns, **region, collar=c) for c in COLLARS
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

    def run(side, *, given=False, observation_s=clustering.OBSERVATION_S):
        settings = {"observation_s": observation_s, "method": options.method}
        return [diarize(one, side, given=given, **settings) for one in held]

    columns = {
        (side, number): run(side, given=number == "given")
        for number in ("estimated", "given")
        for side in ("ours", "baseline")
    }
    tuned = {value: run("baseline", observation_s=value) for value in CHOICES_S}
    best = min(tuned, key=lambda value: summary(tuned[value])[0][0].der)
    columns[f"baseline, {best:g} s", "estimated"] = tuned[best]
    show(held, columns, options)


def show(held, columns, options):
    """The table: DER at collar 0 / 0.25, and the error in the number of speakers."""
    print(
        f"{len(held)} recordings, activity by {options.detector}, {options.method}; "
        "DER % at collar 0 / 0.25, error in the number of speakers"
    )

    def row(name, cells):
        print(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells))

    row("", (side for side, _ in columns))
    row("number of speakers", (number for _, number in columns))
    for one, *cells in zip(held, *columns.values(), strict=True):
        row(
            one["path"].stem,
            (f"{100 * e[0].der:.1f} / {100 * e[1].der:.1f} {n:+d}" for e, n in cells),
        )
    found = {key: summary(rows) for key, rows in columns.items()}
    lines = {
        "pooled": lambda s: [errors.der for errors in s[0]],
        "mean over recordings": lambda s: s[1],
        "pooled, missed": lambda s: [e.share(e.missed) for e in s[0]],
        "pooled, false alarm": lambda s: [e.share(e.false_alarm) for e in s[0]],
        "pooled, confusion": lambda s: [e.share(e.confusion) for e in s[0]],
    }
    for name, of in lines.items():
        shares = map(of, found.values())
        row(name, (f"{100 * a:.1f} / {100 * b:.1f}" for a, b in shares))
    row("mean error in number", (f"{count:.2f}" for *_, count in found.values()))
    for (side, number), baseline in found.items():
        if side != "ours":
            ours = found["ours", number]
            pooled, means = (
                " / ".join(
                    f"{a / b if b else np.nan:.2f}"
                    for a, b in zip(of(ours), of(baseline), strict=True)
                )
                for of in (lines["pooled"], lines["mean over recordings"])
            )
            print(f"ours over {side}, number {number}: pooled {pooled}", end="")
            print(f", of the means {means}")


def diarize_apart(path, detector, method):
    """Windows, seconds, real-time factor, MiB and stages of diarizing one file."""
    encoder, network = Encoder.pretrained(), detection.load(detector)
    quiet = np.zeros(48000, np.float32)  # graphs are traced before the clock starts
    encoder.embed_windows(quiet, [0] * 33, length=24000)
    before, options = timing.peak_mib(), {"detector": network, "method": method}
    run = functools.partial(pipeline.diarize, encoder=encoder, **options)
    found, wall, cpu = timing.seconds_of(run, path)
    stages = ", ".join(f"{stage} {took:.1f}" for stage, took in found.stages.items())
    speed = f"1/{found.duration_s / wall:.0f}"
    return len(found.windows), wall, cpu, speed, timing.peak_mib(), before, stages


def hour(options):
    """Prints time and memory of longer and longer recordings."""
    columns = "minutes", "windows", "wall s", "CPU s", "real-time", "peak MiB", "before"
    print(timing.heading(ROW, *columns, "seconds of each stage"))
    sounds = [wave.read(one["path"]) for one in recordings(options.folder)]
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.wav"
            samples = minutes * 60 * SAMPLE_RATE
            wave.write(path, np.resize(np.concatenate(sounds), samples))
            settings = path, options.detector, options.method
            figures = timing.run_apart(diarize_apart, *settings)
        print(ROW.format(minutes, *figures), flush=True)


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
    options = parser.parse_args()
    (hour if options.hour else compare)(options)


if __name__ == "__main__":
    main()
