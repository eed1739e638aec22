"""What users really have: good recordings among broken files, and useless folders."""

import numpy as np
import pytest
import soundfile

import train_triplet

NAMES = ("#e", "50% off", "a b", "d'é", "김철수")
STEPS = (
    *("--preset", "smoke", "--encoder.stages", "8"),
    *("--softmax.steps", "1", "--triplet.steps", "1"),
)


def record(path, *, sample_rate=16000, channels=1, seconds=0.6, **coding):
    """Half a second of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (round(seconds * sample_rate), channels)
    noise = np.random.default_rng(len(path.name)).uniform(-0.3, 0.3, size)
    soundfile.write(path, noise, sample_rate, **coding)


def voices(folder, names, utterances=4):
    """A folder of speakers with as many recordings each."""
    for name in names:
        for i in range(utterances):
            record(folder / name / f"{i}.wav")
    return folder


def text(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("this is a letter and no sound " * 50)


def empty(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def not_finite(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.full(9000, 0.1, np.float32)
    samples[4000] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")


def truncated(path):
    record(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


GOOD = {  # odd, but sound
    "a b/8 kHz.wav": lambda path: record(path, sample_rate=8000),
    "김철수/44.1 kHz.flac": lambda path: record(path, sample_rate=44100),
    "50% off/stereo.wav": lambda path: record(path, channels=2),
}
BAD = {
    "#e/00.wav": (text, "not a sound file by its first bytes"),  # the very first file
    "#e/cut.flac": (truncated, "can not be decoded"),
    "50% off/short.wav": (lambda path: record(path, seconds=0.02), "short"),
    "a b/many.wav": (lambda path: record(path, channels=1024), "1024 channels"),
    "a b/zero.wav": (lambda path: record(path, seconds=0), "no samples"),
    "d'é/nan.wav": (not_finite, "not finite"),
    "mute/0.wav": (empty, "the file is empty"),  # nothing of this speaker can be read
    "mute/1.wav": (text, "not a sound file by its first bytes"),
    "김철수/empty.flac": (empty, "the file is empty"),
}


def mixed(folder):
    """A folder with all that is good and bad."""
    voices(folder, NAMES)
    for name, make in GOOD.items():
        make(folder / name)
    for name, (make, _) in BAD.items():
        make(folder / name)
    return folder


def script_in(folder, monkeypatch, capsys):
    """The script in this process; returns the line it ends with, and what it said.

    Deterministic kernels stay off: they could not be turned off again.
    """
    import keras

    from timbre.training import interrupts

    monkeypatch.setattr(interrupts, "make_deterministic", keras.utils.set_random_seed)
    monkeypatch.chdir(folder)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            train_triplet.main([*STEPS, *map(str, arguments)])
        return one_line(end.value.code), capsys.readouterr().err

    return run


def one_line(code):
    """The line a program ended with, if it ended as it should."""
    assert isinstance(code, str) and code.startswith("error: "), code
    assert len(code.splitlines()) == 1, code
    return code


def files(folder):
    """Names of all files below a folder but locks."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in paths if not path.name.startswith(".")}


def nothing(folder):
    return folder.mkdir() or folder


def one_file(folder):
    return empty(folder) or folder


def dead(folder):
    for name in ("a/0.wav", "a/1.wav", "b/0.wav", "b/1.wav"):
        text(folder / name)
    return folder


def outside(folder):
    record(voices(folder, "ab") / "c.wav")
    return folder


MISTAKES = {
    "no folder": (lambda folder: folder, "that exists"),
    "an empty folder": (nothing, "must hold recordings"),
    "a file": (one_file, "must be a manifest"),
    "one speaker": (lambda folder: voices(folder, "a"), "at least 2 speakers"),
    "one utterance each": (
        lambda folder: voices(folder, "abcde", utterances=1),
        "at least 2 utterances each.*a, b, c, d, e",
    ),
    "files outside": (outside, "folder named after their speaker.*c.wav"),
    "no sound at all": (dead, "all 4 are skipped.*not a sound file"),
}


def assert_matches(reason, line):
    import re

    assert re.search(reason, line), line
