"""What users really have: empty folders, broken files, odd names, hostile files.

Each mistake must be one readable line on stderr with an exit code that is not 0, found
before any work is lost and with nothing half written; what is good among the bad is
used. Everything here goes through the script and the two command lines. What a single
module refuses is tested beside it: sound in `audio/test_wave.py`, archives in
`corpora/test_archives.py`, run folders in `training/test_run.py`, another config in
`test_train_triplet.py`, a pickle as an embedding set in `corpora/test_embeddings.py`.
"""

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import train_triplet
from corpora import __main__ as corpora_cli
from corpora.embeddings import EmbeddingSet
from corpora.records import Records
from tests.conftest import ROOT
from training.run import sha256
from voiceemb import __main__ as voiceemb_cli

NAMES = ("#e", "50% off", "a b", "d'é", "김철수")
ONE, OTHER = "one tree/목소리", "other % tree/목소리"
STEPS = ("--preset", "smoke", "--softmax.steps", "1", "--triplet.steps", "1")


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
    "#e/00.wav": (text, "not a WAV, FLAC, OGG or MP3 file"),  # the very first file
    "#e/cut.flac": (truncated, "can not be decoded"),
    "50% off/short.wav": (lambda path: record(path, seconds=0.02), "short"),
    "a b/many.wav": (lambda path: record(path, channels=1024), "1024 channels"),
    "a b/zero.wav": (lambda path: record(path, seconds=0), "no samples"),
    "d'é/nan.wav": (not_finite, "not finite"),
    "mute/0.wav": (empty, "the file is empty"),  # nothing of this speaker can be read
    "mute/1.wav": (text, "not a WAV, FLAC, OGG or MP3 file"),
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


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    """The script in this process; returns the line it ends with, and what it said.

    Deterministic kernels stay off: they could not be turned off again.
    """
    import keras

    from training import safety

    monkeypatch.setattr(safety, "make_deterministic", keras.utils.set_random_seed)
    monkeypatch.chdir(tmp_path)

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
    "no sound at all": (dead, "all 4 are skipped.*not a WAV"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_corpus_that_can_not_be_learned_from_is_one_line_and_no_run(
    script, tmp_path, mistake
):
    make, reason = MISTAKES[mistake]
    corpus = make(tmp_path / "mine")
    before = files(tmp_path)
    line, said = script("--corpus", corpus)
    assert_matches(reason, line)
    assert "softmax" not in said
    assert files(tmp_path) == before, "something half written is left"


def assert_matches(reason, line):
    import re

    assert re.search(reason, line), line


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (("--exclude-speakers", "a", "b", "c"), "must leave two"),
        (("--exclude-speakers", "nobody"), "must speak in .*nobody"),
        (("--encoder.stages",), "at least one stage"),
    ],
)
def test_a_setting_that_can_not_be_is_one_line_and_no_run(
    script, tmp_path, arguments, reason
):
    voices(tmp_path / "mine", "abcd")
    before = files(tmp_path)
    line, _ = script("--corpus", "mine", *arguments)
    assert_matches(reason, line)
    assert files(tmp_path) == before


def test_the_same_tree_twice_is_refused(script, tmp_path):
    voices(tmp_path / "mine", "ab")
    line, _ = script("--corpus", "mine", tmp_path / "mine")
    assert "must differ" in line


def test_a_cache_that_is_no_folder_is_refused(script, tmp_path):
    voices(tmp_path / "mine", "ab")
    empty(tmp_path / "cache")
    line, _ = script("--corpus", "mine")
    assert "Not a directory" in line and "cache" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["train_triplet.py", "--preset", "smoke", "--corpus", "mine"],
        ["-m", "corpora", "check", "mine"],
        ["-m", "voiceemb", "embed", "mine", "--run", "runs/x", "--out", "x.npz"],
    ],
    ids=lambda command: command[1],
)
def test_every_program_ends_with_one_line_and_a_status(tmp_path, command):
    (tmp_path / "mine").mkdir()
    if command[0] != "-m":
        command = [str(ROOT / command[0]), *command[1:]]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stdout
    assert "Traceback" not in done.stderr
    assert "must hold recordings" in done.stderr.splitlines()[-1]
    assert not files(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two trees whose speakers have the same names, and what came of training."""
    place = tmp_path_factory.mktemp("bad")
    mixed(place / ONE)
    voices(place / OTHER, NAMES)
    script = [sys.executable, str(ROOT / "train_triplet.py"), *STEPS]
    done = subprocess.run(
        [*script, "--corpus", ONE, OTHER],
        cwd=place,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    (place / "said.txt").write_text(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    return place


@pytest.fixture
def run(place):
    """Folder of the run that learned from two trees."""
    return place / "runs" / "smoke"


@pytest.fixture
def cached(place):
    """What was cached of both trees."""
    (folder,) = (place / "cache").iterdir()
    return Records(folder)


@pytest.mark.slow
def test_bad_files_are_listed_with_reasons_and_counted(place, cached):
    with (cached.folder / "skipped.csv").open(newline="", encoding="utf-8") as file:
        skipped = {row["utterance"]: row["reason"] for row in csv.DictReader(file)}
    assert skipped.keys() == {f"{ONE}/{name}" for name in BAD}
    for name, (_, reason) in BAD.items():
        assert reason in skipped[f"{ONE}/{name}"], name
    total = len(BAD) + len(GOOD) + 2 * 4 * len(NAMES)
    count = f"{len(BAD)} of {total} utterances can not be used"
    assert count in (place / "said.txt").read_text()


@pytest.mark.slow
def test_all_good_files_are_used_whatever_their_rate_and_channels(cached):
    each = {f"{name}/{i}.wav" for name in NAMES for i in range(4)}
    expected = {f"{ONE}/{name}" for name in each | set(GOOD)}
    assert set(cached.paths) == expected | {f"{OTHER}/{name}" for name in each}
    # 0.6 s are 59 or 60 frames of 25 ms every 10 ms
    assert set(cached.length.tolist()) <= {59, 60}


@pytest.mark.slow
def test_speakers_of_one_name_in_two_trees_stay_two(run, cached):
    both = {f"{tree}/{name}" for tree in (ONE, OTHER) for name in NAMES}
    assert set(cached.speakers) == both
    parts = json.loads((run / "speakers.json").read_text("utf-8"))["speakers"]
    open_sets = [parts[name] for name in ("train", "validation", "test")]
    assert sorted(sum(open_sets, [])) == sorted(both)


@pytest.mark.slow
def test_a_run_on_mixed_files_leaves_all_it_promises(run):
    assert {"card.md", "utterance.png", "saved_model.pb"} <= files(run)
    table = json.loads((run / "metrics.json").read_text())["table"]
    assert all(0 <= row["eer"] <= 1 for row in table)


@pytest.fixture
def voiceemb(capsys):
    """`python -m voiceemb` in this process; returns the line it ends with."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            voiceemb_cli.main(list(map(str, arguments)))
        return one_line(end.value.code)

    return run


@pytest.mark.slow
def test_names_with_spaces_hangul_and_signs_go_through_every_command(
    place, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    out, strange = tmp_path / "목소리 %s.npz", place / OTHER / "50% off" / "0.wav"
    run_is = ("--run", str(run))
    voiceemb_cli.main(
        ["embed", str(place / OTHER), str(strange), *run_is, "--out", str(out)]
    )
    found = EmbeddingSet.load(out)
    assert set(found.speaker) == {"", *NAMES} and len(found) == 21
    assert "김철수/0.wav" in found.segment
    voiceemb_cli.main(["verify", str(strange), str(strange), *run_is])
    assert "cosine 1.0000" in capsys.readouterr().out
    joined = tmp_path / "두 나무.csv"
    trees = [str(place / tree) for tree in (ONE, OTHER)]
    assert corpora_cli.main(["join", str(joined), *trees]) == 0
    assert corpora_cli.main(["check", str(joined), "--decode"]) == 1
    said = capsys.readouterr().out
    assert f"damaged: {len(BAD) - 1}" in said  # a short one is whole
    for name, (_, reason) in BAD.items():
        assert "short" in name or f"{ONE}/{name}: " in said and reason in said


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_verify_names_the_file_that_can_not_be_used(place, run, voiceemb, name):
    good = place / ONE / "a b" / "0.wav"
    line = voiceemb("verify", place / ONE / name, good, "--run", run)
    reason = "0.1 s" if "short" in name else BAD[name][1]
    assert reason in line


@pytest.mark.slow
@pytest.mark.parametrize(
    "mistake", ["an empty folder", "one speaker", "one utterance each"]
)
def test_evaluate_refuses_what_makes_no_trials(run, tmp_path, voiceemb, mistake):
    corpus, out = MISTAKES[mistake][0](tmp_path / "mine"), tmp_path / "out"
    line = voiceemb("evaluate", "--corpus", corpus, "--run", run, "--out", out)
    assert "must hold recordings" in line or "at least two speakers" in line
    assert not out.exists()


@pytest.mark.slow
def test_evaluate_uses_what_is_good_among_the_bad(run, tmp_path, capsys):
    corpus = voices(tmp_path / "mine", ("x", "y"), utterances=2)
    for name, (make, _) in BAD.items():
        make(corpus / "x" / name.replace("/", " "))
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run)]
    voiceemb_cli.main([*command, "--out", str(tmp_path / "out")])
    assert f"{len(BAD)} of {len(BAD) + 4} utterances" in capsys.readouterr().err
    table = json.loads((tmp_path / "out" / "metrics.json").read_text())["table"]
    assert {row["num_trials"] for row in table} == {6}


@pytest.mark.slow
def test_a_set_that_can_not_be_written_is_refused_before_the_work(
    place, run, tmp_path, voiceemb, capsys
):
    (tmp_path / "taken.npz").mkdir()
    sound = place / ONE / "a b" / "0.wav"
    for out in (tmp_path / "taken.npz", "/proc/nowhere/set.npz"):
        line = voiceemb("embed", sound, "--run", run, "--out", out)
        assert "taken.npz" in line or "/proc/nowhere" in line
        assert "utterances" not in capsys.readouterr().err


class Trap:
    """What a pickle must never be allowed to do."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def trap(tmp_path):
    """The bytes of a pickle that makes a folder when it is loaded."""
    sprung = tmp_path / "sprung"
    data = pickle.dumps(Trap(sprung))
    pickle.loads(data)
    sprung.rmdir()  # it works
    yield data
    assert not sprung.exists(), "a pickle was loaded"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "metrics.json", "model.weights.h5"),
        *("export/1/saved_model.pb", "export/1/assets.extra/about.json"),
    ],
)
def test_a_pickle_in_a_run_is_refused_unread(
    place, run, tmp_path, voiceemb, trap, name
):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / name).write_bytes(trap)
    beside = copy / f"{name}.sha256"
    if beside.exists():
        beside.write_text(f"{sha256(copy / name)}  {name}\n")
    sound = place / ONE / "a b" / "0.wav"
    folder = copy / "export" if "export" in name else copy
    assert str(folder) in voiceemb("verify", sound, sound, "--run", folder)


@pytest.mark.slow
def test_a_pickle_as_embedding_set_is_no_sound_and_no_run(
    run, tmp_path, voiceemb, trap
):
    (tmp_path / "set.npz").write_bytes(trap)
    out = ("--out", tmp_path / "out.npz")
    line = voiceemb("embed", tmp_path / "set.npz", "--run", run, *out)
    assert "No file could be used" in line and not (tmp_path / "out.npz").exists()
    line = voiceemb("embed", tmp_path, "--run", tmp_path / "set.npz", *out)
    assert_matches("must hold recordings|Expected a run folder", line)


@pytest.mark.slow
def test_a_pickle_as_index_of_a_cache_is_refused_unread(
    place, cached, tmp_path, script, trap, monkeypatch
):
    copy = shutil.copytree(cached.folder, tmp_path / "cache" / cached.folder.name)
    (copy / "index.npz").write_bytes(trap)
    monkeypatch.chdir(place)
    line, said = script(
        *("--corpus", ONE, OTHER, "--runs", tmp_path / "runs"),
        *("--cache", tmp_path / "cache"),
    )
    assert "index.npz must be one that" in line and "softmax" not in said
    assert not files(tmp_path / "runs")


@pytest.mark.parametrize("command", ["check", "manifest", "cache", "join"])
def test_a_pickle_as_manifest_is_one_line(tmp_path, trap, capsys, command):
    manifest, out = tmp_path / "all.csv", tmp_path / "out"
    manifest.write_bytes(trap)
    arguments = {
        "check": [manifest],
        "manifest": [manifest, "--out", out],
        "cache": [manifest, out],
        "join": [out, manifest],
    }
    assert corpora_cli.main([command, *map(str, arguments[command])]) == 1
    said = capsys.readouterr().err
    assert "must be a CSV file in UTF-8" in said and len(said.splitlines()) == 1
    assert not out.exists()
