"""What users really have: empty folders, broken files, odd names, hostile files.

Each mistake must be one readable line on stderr with an exit code that is not 0, found
before any work is lost and with nothing half written; what is good among the bad is
used (`test_bad_files.py`). Everything here goes through the script and the two command
lines. What a single module refuses is tested beside it: sound in `audio/test_wave.py`,
archives in `corpora/test_archives.py`, run folders in `training/test_run.py`, another
config in `test_train_triplet.py`, a pickle as an embedding set in
`corpora/test_embeddings.py`.
"""

import os
import sys

import pytest

from tests import programs
from tests.conftest import ROOT
from tests.spoiled import MISTAKES, assert_matches, empty, files, script_in, voices


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    return script_in(tmp_path, monkeypatch, capsys)


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
        ["-m", "timbre.corpora", "check", "mine"],
        ["-m", "voiceemb", "embed", "mine", "--run", "runs/x", "--out", "x.npz"],
    ],
    ids=lambda command: command[1],
)
def test_every_program_ends_with_one_line_and_a_status(tmp_path, command):
    (tmp_path / "mine").mkdir()
    if command[0] != "-m":
        command = [str(ROOT / command[0]), *command[1:]]
    done = programs.run(
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
