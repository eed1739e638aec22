"""Broken and hostile files among good ones: named and counted, and never executed.

A run learns from two trees with odd names in which much is broken; it and the command
lines use what is good. A pickle in the place of any file is refused unread.
"""

import csv
import json
import os
import pickle
import shutil
import sys

import pytest

from tests import programs
from tests.conftest import ROOT
from tests.spoiled import (
    BAD,
    GOOD,
    MISTAKES,
    NAMES,
    STEPS,
    assert_matches,
    files,
    mixed,
    one_line,
    script_in,
    voices,
)
from timbre.corpora import __main__ as corpora_cli
from timbre.corpora.cache.records import Records
from timbre.corpora.embeddings import EmbeddingSet
from timbre.training.run import sha256
from voiceemb import __main__ as voiceemb_cli

ONE, OTHER = "one tree/목소리", "other % tree/목소리"


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    return script_in(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two trees whose speakers have the same names, and what came of training."""
    place = tmp_path_factory.mktemp("bad")
    mixed(place / ONE)
    voices(place / OTHER, NAMES)
    script = [sys.executable, str(ROOT / "train_triplet.py"), *STEPS]
    done = programs.run(
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
def test_a_pickle_as_manifest_is_one_line(tmp_path, trap, command):
    manifest, out = tmp_path / "all.csv", tmp_path / "out"
    manifest.write_bytes(trap)
    arguments = {
        "check": [manifest],
        "manifest": [manifest, "--out", out],
        "cache": [manifest, out],
        "join": [out, manifest],
    }
    with pytest.raises(SystemExit) as end:
        corpora_cli.main([command, *map(str, arguments[command])])
    assert "must be a CSV file in UTF-8" in one_line(end.value.code)
    assert not out.exists()
