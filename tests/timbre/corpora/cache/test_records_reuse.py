"""A cache: when it is used again, when it is made anew, and when it is not trusted."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.timbre.corpora.recordings import frames, put, twelve_files
from timbre.audio import wave
from timbre.corpora import embeddings, folders
from timbre.corpora.cache.records import Records, cache


@pytest.fixture
def corpus(tmp_path, rng):
    return twelve_files(tmp_path / "corpus", rng)


def stamps(folder):
    return {
        p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("[!.]*")
    }


def test_a_second_run_reuses_the_cache(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    before = stamps(tmp_path / "c")
    records = cache(folders.open_corpus(tmp_path / "corpus"), tmp_path / "c")
    assert stamps(tmp_path / "c") == before
    assert records.num == 12


def change_sound(folder):
    put(folder / "s0" / "0.wav", np.full(300, 0.25))


def change_rows(folder):
    (folder / "s0" / "0.wav").rename(folder / "s1" / "0.wav")


def remove_a_file(folder):
    (folder / "s0" / "0.wav").unlink()


@pytest.mark.parametrize("change", [change_sound, change_rows, remove_a_file])
def test_a_changed_corpus_is_cached_anew(corpus, tmp_path, change):
    cache(corpus, tmp_path / "c")
    change(tmp_path / "corpus")
    changed = folders.open_corpus(tmp_path / "corpus")
    records = cache(changed, tmp_path / "c")
    for i, utterance in enumerate(changed):
        np.testing.assert_array_equal(records.read(i), wave.read(utterance.path))
        assert records.speakers[records.speaker[i]] == utterance.speaker
    assert len(list((tmp_path / "c").glob("*.bin"))) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 8000},
        {"min_length": 400},
        {"about": {"version": 2}},
        {"transform": frames, "about": {"frames": 8}},
    ],
)
def test_another_recipe_is_cached_anew(corpus, tmp_path, options):
    cache(corpus, tmp_path / "c")
    before = stamps(tmp_path / "c")
    cache(corpus, tmp_path / "c", **options)
    after = stamps(tmp_path / "c")
    assert not {before["index.npz"]} & set(after.values())
    cache(corpus, tmp_path / "c", **options)
    assert stamps(tmp_path / "c") == after


def test_a_cache_that_lost_a_shard_is_an_error_and_cached_anew(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    (shard,) = (tmp_path / "c").glob("*.bin")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match="missing or changed"):
        Records(tmp_path / "c")
    assert cache(corpus, tmp_path / "c").num == 12
    shard.unlink()
    with pytest.raises(ValueError, match="missing or changed"):
        Records(tmp_path / "c")


def test_a_cache_can_be_read_where_the_corpus_is_not(corpus, tmp_path):
    whole = cache(corpus, tmp_path / "c").read(3)
    (tmp_path / "c").rename(tmp_path / "moved")
    np.testing.assert_array_equal(Records(tmp_path / "moved").read(3), whole)


def test_a_folder_of_something_else_is_left_alone(corpus, tmp_path):
    with pytest.raises(ValueError, match="folder of its own"):
        cache(corpus, tmp_path / "corpus")
    assert len(folders.open_corpus(tmp_path / "corpus")) == 12


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_interrupted_pass_leaves_nothing_that_looks_complete(
    corpus, tmp_path, error
):
    calls = []

    def transform(waveform):
        calls.append(1)
        if len(calls) == 9:
            raise error
        return frames(waveform)

    options = {"about": {"frames": 8}, "shard_bytes": 8000}
    with pytest.raises(error):
        cache(corpus, tmp_path / "c", transform=transform, **options)
    assert not list((tmp_path / "c").glob("[!.]*"))
    with pytest.raises(FileNotFoundError, match="must be complete"):
        Records(tmp_path / "c")
    records = cache(corpus, tmp_path / "c", transform=frames, **options)
    assert records.num == 12


def test_an_old_cache_is_gone_when_a_new_one_is_interrupted(corpus, tmp_path):
    cache(corpus, tmp_path / "c")

    def transform(waveform):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache(corpus, tmp_path / "c", transform=transform, about={"t": 1})
    with pytest.raises(FileNotFoundError):
        Records(tmp_path / "c")


KILLED = """
import os, signal, sys
from timbre.corpora import embeddings, folders
from timbre.corpora.cache import records
calls = []
def transform(waveform):
    calls.append(1)
    if len(calls) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return waveform[:, None]
records.cache(folders.open_corpus(sys.argv[1]), sys.argv[2], transform=transform,
              about={"t": 1}, shard_bytes=8000, threads=1)
"""


@pytest.mark.slow
def test_a_killed_pass_leaves_nothing_that_looks_complete(corpus, tmp_path):
    folder = tmp_path / "c"
    command = [sys.executable, "-c", KILLED, tmp_path / "corpus", folder]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    left = [p.name for p in folder.glob("[!.]*")]
    assert any(name.endswith(".partial") for name in left)
    assert any(name.endswith(".bin") for name in left)
    with pytest.raises(FileNotFoundError):
        Records(folder)
    assert cache(corpus, folder).num == 12
    assert not list(folder.glob("*.partial"))
    assert len(list(folder.glob("*.bin"))) == 1


def test_of_two_that_cache_at_once_one_works(corpus, tmp_path):
    calls = []

    def transform(waveform):
        calls.append(threading.get_ident())
        return frames(waveform)

    def both(_):
        about = {"frames": 8}
        return cache(corpus, tmp_path / "c", transform=transform, about=about)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(both, range(2))
    assert len(calls) == 12 and len(set(calls)) == 1
    np.testing.assert_array_equal(first.read(11), second.read(11))


def test_a_pickle_in_place_of_the_index_is_refused(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    witness = tmp_path / "witness"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (witness,))

    index = tmp_path / "c" / "index.npz"
    poisons = [pickle.dumps(Evil()), b"", b"PK\3\4 no zip", b"text"]
    for poison in poisons:
        index.write_bytes(poison)
        for attempt in (
            lambda: Records(index.parent),
            lambda: cache(corpus, index.parent),
        ):
            with pytest.raises(ValueError, match=r"index.npz must be one that"):
                attempt()
    with index.open("wb") as file:
        np.savez(file, speaker=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError, match=r"index.npz must be one that"):
        Records(index.parent)
    assert not witness.exists()


@pytest.mark.parametrize(
    "poison",
    [
        {"shards": ["../../secret"]},
        {"shards": ["/etc/passwd"]},
        {"shards": []},
        {"speakers": ["only one"]},
        {"format": 99},
        {"shard_bytes": [10]},
        {"shape": [1 << 40]},
        {"kind": "objects"},
    ],
)
def test_an_index_that_lies_is_refused(corpus, tmp_path, poison):
    cache(corpus, tmp_path / "c")
    path = tmp_path / "c" / "index.npz"
    with np.load(path) as npz:
        arrays = dict(npz)
    about = json.loads(arrays["about"].tobytes()) | poison
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"index.npz must be one that"):
        Records(tmp_path / "c")


def test_a_damaged_index_is_refused_in_words(corpus, tmp_path):
    folder = tmp_path / "c"
    cache(corpus, folder)
    with np.load(folder / "index.npz") as npz:
        np.savez_compressed(folder / "index.npz", **dict(npz))
    data = bytearray((folder / "index.npz").read_bytes())
    with zipfile.ZipFile(folder / "index.npz") as archive:
        at = archive.getinfo("records.npy").header_offset + 60
    data[at : at + 8] = bytes(255 - byte for byte in data[at : at + 8])
    (folder / "index.npz").write_bytes(data)
    for use in (Records, lambda folder: cache(corpus, folder)):
        with pytest.raises(ValueError, match=r"delete it to cache anew"):
            use(folder)


def test_an_index_that_would_unfold_to_far_more_is_refused(
    corpus, tmp_path, monkeypatch
):
    cache(corpus, tmp_path / "c")
    monkeypatch.setattr(embeddings, "MIN_LIMIT", 1 << 10)
    monkeypatch.setattr(embeddings, "MAX_RATIO", 0.5)
    with pytest.raises(ValueError, match="would unfold"):
        Records(tmp_path / "c")


@pytest.mark.parametrize(
    "poison",
    [
        {"offset": 1 << 50},
        {"offset": -1},
        {"length": 1 << 30},
        {"length": -1},
        {"speaker": 7},
        {"speaker": -1},
        {"shard": 1},
    ],
)
def test_records_that_lie_are_refused(corpus, tmp_path, poison):
    cache(corpus, tmp_path / "c")
    path = tmp_path / "c" / "index.npz"
    with np.load(path) as npz:
        arrays = dict(npz)
    for name, value in poison.items():
        arrays["records"][name][5] = value
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"index.npz must be one that"):
        Records(tmp_path / "c")


@pytest.mark.parametrize(
    "poison",
    [
        lambda records: records[:3],
        lambda records: records[None],
        lambda records: records.astype([(n, "<f8") for n in records.dtype.names]),
        lambda records: records["offset"],
    ],
)
def test_records_of_another_form_are_refused(corpus, tmp_path, poison):
    cache(corpus, tmp_path / "c")
    path = tmp_path / "c" / "index.npz"
    with np.load(path) as npz:
        arrays = dict(npz)
    np.savez(path, **arrays | {"records": poison(arrays["records"])})
    with pytest.raises(ValueError, match=r"index.npz must be one that"):
        Records(tmp_path / "c")


def test_the_index_holds_no_objects(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    with np.load(tmp_path / "c" / "index.npz", allow_pickle=False) as npz:
        assert not any(npz[name].dtype.hasobject for name in npz.files)


def test_a_disk_that_is_full_is_an_os_error(corpus, tmp_path, monkeypatch):
    """`/dev/full` fails as a full disk does."""
    ordinary = Path.open

    def open_on_full_disk(path, *mode, **options):
        full = path.name.startswith("records-") and "wb" in mode
        return ordinary(Path("/dev/full") if full else path, *mode, **options)

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(OSError, match="No space left"):
        cache(corpus, tmp_path / "c")
    assert not list((tmp_path / "c").glob("[!.]*"))


def test_a_cache_of_an_earlier_format_is_refused_and_made_anew(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    path = tmp_path / "c" / "index.npz"
    with np.load(path) as npz:
        arrays = dict(npz)
    about = json.loads(arrays["about"].tobytes()) | {"format": 2}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    del arrays["records"]
    np.savez(path, **arrays)
    old = tmp_path / "c" / "records-0badcafe-00000.tfrecord"
    old.write_bytes(b"what format 2 had")
    with pytest.raises(ValueError, match="must have format 3: .*of format 2"):
        Records(tmp_path / "c")
    assert cache(corpus, tmp_path / "c").num == 12
    assert not old.exists() and Records(tmp_path / "c").num == 12
