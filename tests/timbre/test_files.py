"""A file is whole or absent, whoever writes it and however that ends."""

import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.conftest import ROOT
from timbre import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.weights.h5", "notes", ".hidden.json", "a" * 250])
def test_a_file_appears_when_it_is_complete(tmp_path, name):
    path = tmp_path / name
    with files.atomic_write(path) as temporary:
        assert temporary.parent == tmp_path and temporary.name.startswith(".")
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and names(tmp_path) == [name]


def test_suffixes_stay_for_writers_who_choose_a_format_by_them(tmp_path):
    for name, ending in (("best.weights.h5", ".weights.h5"), ("a b.c d.png", ".png")):
        with files.atomic_write(tmp_path / name) as temporary:
            temporary.touch()
        assert temporary.name.endswith(ending)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
@pytest.mark.parametrize("written", [True, False])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error, written):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), files.atomic_write(path) as temporary:
        if written:
            temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic_write(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_new_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Renamed first, a power cut could leave an empty file under the name."""
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def note(*arguments, name=name, real=real):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(os, name, note)
    with files.atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert calls == ["fsync", "replace"]


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = """
import os, signal, sys
from timbre import files
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
with files.atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("new")
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = (name for name in names(tmp_path) if name != "a.txt")
    assert left.startswith(".") and left.endswith(f"{files.PARTIAL}.txt")


def test_many_writers_of_one_file_leave_one_of_theirs_whole(tmp_path):
    path, start = tmp_path / "a.bin", threading.Barrier(8)

    def write(value):
        start.wait()
        for _ in range(10):
            with files.atomic_write(path) as temporary:
                temporary.write_bytes(bytes([value]) * 10_000)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert len(content) == 10_000 and len(set(content)) == 1
    assert names(tmp_path) == ["a.bin"]


def test_a_digest_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"voice" * 100_000)
    assert files.sha256(path) == hashlib.sha256(b"voice" * 100_000).hexdigest()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    with files.atomic_folder(tmp_path / "deep" / "made") as folder:
        (folder / "one").write_text("1")
        assert not (tmp_path / "deep" / "made").exists()
    assert (tmp_path / "deep" / "made" / "one").read_text() == "1"
    with (
        pytest.raises(KeyboardInterrupt),
        files.atomic_folder(tmp_path / "other") as folder,
    ):
        (folder / "one").write_text("1")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_a_folder_takes_the_place_of_an_empty_one_and_of_no_other(tmp_path):
    (tmp_path / "empty").mkdir()
    with files.atomic_folder(tmp_path / "empty") as folder:
        (folder / "one").write_text("1")
    assert (tmp_path / "empty" / "one").exists()
    with pytest.raises(OSError), files.atomic_folder(tmp_path / "empty") as folder:
        (folder / "two").write_text("2")
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_a_lock_that_is_a_link_is_refused_and_its_file_untouched(tmp_path):
    own = tmp_path / "thesis.txt"
    own.write_text("years of work")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / files.LOCK).symlink_to(own)
    with pytest.raises(ValueError, match="not a link"):
        with files.lock_folder(tmp_path / "store"):
            pass
    assert own.read_text() == "years of work"
    (tmp_path / "store" / files.LOCK).unlink()
    (tmp_path / "store" / files.LOCK).symlink_to(tmp_path / "new")
    with pytest.raises(ValueError, match="not a link"):
        files.open_lock(tmp_path / "store" / files.LOCK, os.O_RDONLY)
    assert not (tmp_path / "new").exists()


def test_a_lock_keeps_what_it_holds(tmp_path):
    (tmp_path / files.LOCK).write_text("as it was")
    with files.lock_folder(tmp_path):
        pass
    assert (tmp_path / files.LOCK).read_text() == "as it was"
