"""A version is either not there or all there."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from timbre.serving import publish


def write(base, text="x", **options):
    with publish.version_folder(base, **options) as work:
        (work["folder"] / "saved_model.pb").write_text(text)
    return work["published"]


def test_versions_count_up_from_one(tmp_path):
    base = tmp_path / "run" / "export"
    assert publish.versions(base) == []
    assert [write(base).name for _ in range(3)] == ["1", "2", "3"]
    assert write(base, version=12).name == "12"
    assert write(base).name == "13"
    assert publish.versions(base) == [1, 2, 3, 12, 13]
    assert publish.latest_version(base) == base / "13"


def test_only_numbers_are_versions(tmp_path):
    for name in (".tmp-1", "notes", "1.5", "-3", "٣", "007"):
        (tmp_path / name).mkdir()
    assert publish.versions(tmp_path) == [7]
    assert publish.latest_version(tmp_path) == tmp_path / "007"
    assert write(tmp_path).name == "8"


@pytest.mark.parametrize("name", ["0", "000"])
def test_nought_is_a_number_too(tmp_path, name):
    """Servers count from 0, whoever made that folder; we publish from 1 on."""
    (tmp_path / name).mkdir()
    assert publish.versions(tmp_path) == [0]
    assert publish.latest_version(tmp_path) == tmp_path / name
    assert write(tmp_path).name == "1" == publish.latest_version(tmp_path).name


def test_while_it_is_written_no_server_sees_it(tmp_path):
    with publish.version_folder(tmp_path) as work:
        (work["folder"] / "saved_model.pb").write_text("half")
        assert publish.versions(tmp_path) == []
        assert work["folder"].parent == tmp_path  # one file system: rename is atomic
        assert not work["folder"].name[0].isdigit()
        hidden = work["folder"].stat().st_ino
    assert publish.versions(tmp_path) == [1]
    assert work["published"].stat().st_ino == hidden  # renamed, not copied
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_a_failure_publishes_nothing_and_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), publish.version_folder(tmp_path) as work:
        (work["folder"] / "saved_model.pb").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_publishes_nothing(tmp_path):
    code = """
import sys, time
from timbre.serving import publish
with publish.version_folder(sys.argv[1]) as work:
    (work["folder"] / "saved_model.pb").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    assert publish.versions(tmp_path) == [] and len(list(tmp_path.iterdir())) == 1
    assert write(tmp_path).name == "1"


def test_a_version_is_never_replaced(tmp_path):
    write(tmp_path, "first")
    with pytest.raises(FileExistsError, match="never replaced"):
        write(tmp_path, "second", version=1)
    with pytest.raises(FileExistsError, match="never replaced"):
        with publish.version_folder(tmp_path, version=2) as work:
            (work["folder"] / "late").write_text("late")
            write(tmp_path, "faster")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "first"
    assert (tmp_path / "2" / "saved_model.pb").read_text() == "faster"


def test_a_number_taken_meanwhile_is_passed_over(tmp_path, monkeypatch):
    write(tmp_path, "faster")
    monkeypatch.setattr(publish, "versions", lambda base: [])  # seen before it came
    assert write(tmp_path, "slower").name == "2"
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "faster"


def test_many_writers_get_a_version_each(tmp_path):
    threads = [
        threading.Thread(target=write, args=(tmp_path, str(i))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert publish.versions(tmp_path) == list(range(1, 9))
    texts = {(tmp_path / str(v) / "saved_model.pb").read_text() for v in range(1, 9)}
    assert texts == set("01234567")


def test_a_server_of_another_user_may_read(tmp_path):
    mask = os.umask(0o022)
    try:
        assert write(tmp_path).stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(mask)


@pytest.mark.parametrize("version", [0, -1, 1.5, "2", True])
def test_a_version_is_a_whole_number_from_one(tmp_path, version):
    with pytest.raises(ValueError, match="whole number.*Received"):
        write(tmp_path, version=version)


def test_no_version_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="No version.*Received"):
        publish.latest_version(tmp_path / "none")


def test_the_same_weights_are_not_published_twice(tmp_path):
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self):
            self.weight = tf.Variable(2.0)

    model, spec = Model(), tf.TensorSpec([None], tf.float32, name="x")
    signatures = {"double": (lambda x: model.weight * x, [spec], "y")}
    names = [
        publish.publish(tmp_path, signatures, about={"sha256": digest}).name
        for digest in ("a", "a", "b", "b")
    ]
    assert names == ["1", "1", "2", "2"]
    assert publish.publish(tmp_path, signatures).name == "3"  # who can tell
