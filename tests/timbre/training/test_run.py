"""A run folder is one run's, whole, and checked before any work."""

import dataclasses
import errno
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from timbre.files import sha256
from timbre.training.run import Run, RunError

ROOT = Path(__file__).resolve().parents[3]
needs_locks = pytest.mark.skipif(
    not importlib.util.find_spec("fcntl"), reason="this system has no flock"
)
CONFIG = {"audio": {"sample_rate": 16000}, "softmax": {"steps": 100}, "seed": 0}


def test_a_run_explains_itself(tmp_path):
    run = Run.open(tmp_path / "runs" / "a", CONFIG)
    said = json.loads((run.folder / "config.json").read_text())
    assert said["config"] == CONFIG and not run.resumed
    assert set(said["versions"]) == {"python", "tensorflow", "keras", "numpy"}


def test_the_same_config_goes_on(tmp_path):
    Run.open(tmp_path / "a", CONFIG)
    assert Run.open(tmp_path / "a", {**CONFIG, "seed": 0}).resumed


def test_tuples_and_paths_are_the_same_config_again(tmp_path):
    config = {"corpus": tmp_path, "snr_db": (5, 30)}
    Run.open(tmp_path / "a", config)
    assert Run.open(tmp_path / "a", config).resumed


def test_another_config_is_refused_by_its_keys(tmp_path):
    Run.open(tmp_path / "a", CONFIG)
    other = {"audio": {"sample_rate": 8000}, "softmax": {"steps": 100}, "new": None}
    with pytest.raises(RunError) as error:
        Run.open(tmp_path / "a", other)
    message = str(error.value)
    assert "audio.sample_rate: 16000 there, 8000 here" in message
    assert "seed: 0 there, absent here" in message
    assert "new: absent there, None here" in message
    assert "--name" in message and "--fresh" in message
    assert "softmax.steps" not in message


def test_named_keys_may_change_and_the_new_value_is_kept(tmp_path):
    Run.open(tmp_path / "a", CONFIG)
    longer = {**CONFIG, "softmax": {"steps": 200}}
    assert Run.open(tmp_path / "a", longer, may_change=("*.steps",)).resumed
    assert Run.open(tmp_path / "a", longer).resumed


def test_a_fresh_start_sets_the_old_run_aside_and_deletes_nothing(tmp_path):
    for seed in range(3):
        run = Run.open(tmp_path / "a", {"seed": seed}, resume=False)
        run.write_card(f"seed {seed}")
    cards = {p.parent.name: p.read_text() for p in tmp_path.glob("*/card.md")}
    assert cards == {"a-1": "seed 0\n", "a-2": "seed 1\n", "a": "seed 2\n"}


@pytest.fixture
def elsewhere(tmp_path):
    """Another process that trains in `tmp_path / "a"` until it is killed."""
    code = """
import json, sys, time
from timbre.training.run import Run
run = Run.open(sys.argv[1], json.loads(sys.argv[2]))
print("open", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", code, tmp_path / "a", json.dumps(CONFIG)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        yield process
        process.kill()


@needs_locks
@pytest.mark.parametrize("resume", [True, False])
def test_one_process_at_a_time_trains_in_a_folder(tmp_path, elsewhere, resume):
    with pytest.raises(RunError, match="One process at a time") as error:
        Run.open(tmp_path / "a", CONFIG, resume=resume)
    assert str(tmp_path / "a") in str(error.value) and "--name" in str(error.value)
    assert not (tmp_path / "a-1").exists()
    assert Run.open(tmp_path / "b", CONFIG)
    elsewhere.kill()  # lets go, though it can not say so
    elsewhere.wait()
    assert Run.open(tmp_path / "a", CONFIG, resume=resume).resumed is resume


@pytest.mark.parametrize("resume", [True, False])
def test_workers_share_the_run_of_their_chief_and_touch_nothing(tmp_path, resume):
    chief = Run.open(tmp_path / "a", CONFIG)
    worker = Run.open(tmp_path / "a", CONFIG, resume=resume, exclusive=False)
    assert worker == dataclasses.replace(chief, resumed=True)
    early = Run.open(tmp_path / "b", CONFIG, resume=resume, exclusive=False)
    assert not early.folder.exists() and early.hold is None
    assert not Run.open(tmp_path / "b", CONFIG).resumed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


OPEN = """
import sys
from timbre.training.run import Run, RunError
try:
    Run.open(sys.argv[1], {})
except RunError:
    sys.exit(3)
"""


@needs_locks
def test_a_run_keeps_others_out_as_long_as_anyone_here_has_it(tmp_path):
    def others_can():
        command = [sys.executable, "-c", OPEN, tmp_path]
        return subprocess.run(command, cwd=ROOT).returncode == 0

    one = Run.open(tmp_path, {})
    two = Run.open(tmp_path, {})  # a notebook's cell that is run again
    del one
    assert not others_can()
    del two
    assert others_can()


@needs_locks
def test_a_lock_that_is_a_link_is_refused(tmp_path):
    Run.open(tmp_path / "a", CONFIG)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".lock").symlink_to(tmp_path / "new")
    with pytest.raises(RunError, match="not a link"):
        Run.open(tmp_path / "b", CONFIG)
    assert not (tmp_path / "new").exists()


def test_where_there_are_no_locks_a_run_opens_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for _ in range(2):
        assert Run.open(tmp_path / "a", CONFIG).hold is None


@needs_locks
def test_a_disk_that_knows_no_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    assert Run.open(tmp_path / "a", CONFIG).hold is None


def test_a_folder_of_other_files_is_no_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    for resume in (True, False):
        with pytest.raises(RunError, match="files but no config.json"):
            Run.open(tmp_path, CONFIG, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 3}x', "{}"])
def test_an_unreadable_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match="config.json"):
        Run.open(tmp_path, CONFIG)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="must be writable.*Not a directory"):
        Run.open(tmp_path / "file" / "run", CONFIG)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_disk_that_refuses_a_file_is_a_clear_error(tmp_path, monkeypatch, code):
    """The errors of open(2) on a read-only mount, a foreign folder, a full disk."""
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
            raise OSError(code, os.strerror(code), path)
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RunError, match=os.strerror(code)):
        Run.open(tmp_path, CONFIG)


def test_a_disk_too_small_for_the_checkpoints_is_refused_first(small_disk):
    Run.open(small_disk / "fits", CONFIG, needed_bytes=2**20)
    with pytest.raises(RunError, match=r"needs 116 MiB.*Received: 2\d MiB"):
        Run.open(small_disk / "does-not", CONFIG, needed_bytes=100 * 2**20)


def test_a_full_and_a_read_only_disk_are_refused_first(small_disk):
    run = Run.open(small_disk / "run", CONFIG)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(32 * 2**20))
    with pytest.raises(RunError, match="No space left|MiB of free disk"):
        Run.open(small_disk / "run", CONFIG)
    with pytest.raises(RunError, match="card.md cannot be written.*No space left"):
        run.write_text("card.md", "x" * 2**20)
    assert [path.name for path in run.folder.glob("[!.]*")] == ["config.json"]
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RunError, match="Read-only file system"):
        Run.open(small_disk / "run", CONFIG)


class Weights:
    """Saves and loads as a Keras model does, without one."""

    def __init__(self, value):
        self.value = value

    def save_weights(self, path):
        path.write_bytes(self.value)

    def load_weights(self, path):
        self.value = path.read_bytes()


def test_weights_travel_with_their_sha256(tmp_path):
    run = Run.open(tmp_path, CONFIG)
    path = run.save_weights(Weights(b"1"), "checkpoints/softmax/best.weights.h5")
    assert path == tmp_path / "checkpoints" / "softmax" / "best.weights.h5"
    stated = (path.parent / "best.weights.h5.sha256").read_text()
    assert stated == f"{sha256(path)}  best.weights.h5\n"  # as sha256sum -c reads it
    model = Weights(b"")
    run.load_weights(model, "checkpoints/softmax/best.weights.h5")
    assert model.value == b"1"
    path.write_bytes(b"2")
    with pytest.raises(RunError, match="must match the sha256"):
        run.load_weights(model, "checkpoints/softmax/best.weights.h5")
    with pytest.raises(RunError, match="no `model.weights.h5` yet"):
        run.load_weights(model)


def test_weights_without_a_sha256_are_refused(tmp_path):
    run = Run.open(tmp_path, CONFIG)
    run.save_weights(Weights(b"1"))
    (tmp_path / "model.weights.h5.sha256").unlink()
    with pytest.raises(RunError, match="sha256"):
        run.load_weights(Weights(b""))


def test_json_and_card_are_text_for_people(tmp_path):
    run = Run.open(tmp_path, CONFIG)
    run.write_json("metrics.json", {"eer": 0.05, "name": "목소리"})
    assert "목소리" in (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert run.write_card("# A voice encoder").read_text() == "# A voice encoder\n"


def test_opening_a_run_needs_no_tensorflow():
    code = "import sys, timbre.training.run; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_run_locks_its_data_and_goes_on_with_no_other(tmp_path):
    run = Run.open(tmp_path / "one", {})
    facts = {"sha256": {"train": "a1"}, "rows": 3}
    run.lock_data("data.json", facts)
    run.lock_data("data.json", facts | {"rows": 4})  # what is said of them may change
    written = (tmp_path / "one" / "data.json").read_text("utf-8")
    with pytest.raises(ValueError, match="goes on with the rows it began with.*b2"):
        run.lock_data("data.json", {"sha256": {"train": "b2"}})
    assert (tmp_path / "one" / "data.json").read_text("utf-8") == written
    assert json.loads(written)["rows"] == 4
    run.lock_data("data.json", facts, write=False)
    assert (tmp_path / "one" / "data.json").read_text("utf-8") == written


def test_the_data_of_an_older_speaker_encoder_are_known_again(tmp_path):
    run = Run.open(tmp_path / "one", {})
    run.write_json("speakers.json", {"digests": {"train": "a1"}, "sounds": "c3"})
    facts = {"sha256": {"train": "b2", "sounds": "d4"}}
    with pytest.raises(ValueError, match="other rows in train, "):
        run.lock_data("speakers.json", facts)
    facts["sha256"]["train"] = "a1"
    run.lock_data("speakers.json", facts)
    assert json.loads((run.folder / "speakers.json").read_text("utf-8")) == facts
