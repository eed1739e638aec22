"""Data as `flows.data` prepares them, few rows at a time, and sounds to prepare."""

import csv

import numpy as np

from flows import data
from flows.config import FlowDataConfig, SegmentConfig, SpeechFlowConfig
from timbre.audio import wave
from timbre.corpora.corpus import Utterance

NAMES = ("train", "valid", "test", "unseen")


def prepare(segment=None, split_seed=None, **changes):
    """Data as a config has them, few rows at a time."""
    few = {"source": "spectra", "speakers": 6, "rows": 600, "min_rows": 1}
    wanted = FlowDataConfig(**few | changes)
    shape = {"frames": 4, "bands": 8, "high_hz": None} | (segment or {})
    config = SpeechFlowConfig(
        data=wanted,
        segment=SegmentConfig(**shape),
        seed=wanted.seed if split_seed is None else split_seed,
        models=("nf",),
    )
    return data.prepare(config)


def of(parts):
    """Dict of the parts that are there, by their names."""
    return {name: getattr(parts, name) for name in NAMES if getattr(parts, name)}


def recorded_once(parts):
    """Names of all recordings, none of which is in two parts."""
    names = [{*rows.recording} for rows in of(parts).values()]
    assert len(set().union(*names)) == sum(map(len, names))
    return set().union(*names)


def spoken(folder):
    """Twelve recordings of three speakers; each has ten phones and a pause."""
    rng = np.random.default_rng(0)
    segments = [["path", "start", "end", "phone", "speaker", "mood"]]
    manifest = [["path", "speaker", "text", "mood"]]
    for i in range(12):
        name, mood, speaker = f"{i}.wav", ["calm", "glad", ""][i % 3], "abc"[i // 4]
        wave.write(folder / name, rng.uniform(-0.5, 0.5, 9600).astype("float32"))
        manifest.append([name, speaker, "yes", mood])
        for j in range(11):
            phone = "sil" if j == 5 else "xyz"[(i + j) % 3]
            times = 0.05 * j, 0.05 * j + 0.04 + 0.002 * i
            segments.append([name, *times, phone, speaker, mood])
    for name, rows in (("segments.csv", segments), ("manifest.csv", manifest)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


def rows_of(folder, name):
    """Rows of a table in a folder, dicts."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def put(path, rows):
    """Writes such rows; gives the path as `prepare` takes it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return str(path)


def rendered(spoken, folder):
    """A corpus of twelve speakers of four groups, made of what is there.

    Returns:
        Its utterances; what they consist of is `segments.csv` in the folder.
    """
    rows = rows_of(spoken, "segments.csv")
    phones = ["ɐ", "ʌ", "ə", "iː", "i", "aɪə"]
    for i, row in enumerate(rows):
        number = int(row["path"].removesuffix(".wav"))
        row |= {"speaker": f"s{number}", "phone": phones[i % 6]}
        row["path"] = str(spoken / row["path"])
    folder.mkdir()
    put(
        folder / "segments.csv",
        [{k: v for k, v in r.items() if k != "mood"} for r in rows],
    )
    return [
        Utterance(
            spoken / f"{i}.wav",
            f"s{i}",
            extra={"variant": "wxyz"[i // 3], "gender": "fm"[i % 2]},
        )
        for i in range(12)
    ]
