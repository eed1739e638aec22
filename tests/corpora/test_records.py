"""Records: what random access reads is what streaming reads is what was cached."""

import csv
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from audio import wave
from corpora import folders
from corpora.records import Records, cache

ROOT = Path(__file__).resolve().parents[2]


def put(path, waveform, rate=16000, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate, **options)


@pytest.fixture
def corpus(tmp_path, rng):
    """Four speakers, twelve files of many lengths."""
    for i in range(12):
        samples = rng.uniform(-0.9, 0.9, 300 + 257 * i).astype(np.float32)
        put(tmp_path / "corpus" / f"s{i % 4}" / f"{i}.wav", samples)
    return folders.open_corpus(tmp_path / "corpus")


def frames(waveform):
    """Features of known value: frames of eight samples, twice as loud."""
    return 2 * waveform[: len(waveform) // 8 * 8].reshape(-1, 8)


def cached(corpus, folder, kind, **options):
    if kind == "features":
        options |= {"transform": frames, "about": {"frames": 8}}
    return cache(corpus, folder, **options)


def expected(utterance, kind):
    waveform = wave.read(utterance.path)
    return waveform if kind == "waveform" else frames(waveform)


@pytest.mark.parametrize("kind", ["waveform", "features"])
def test_every_way_of_reading_gives_the_same_numbers(corpus, tmp_path, kind):
    records = cached(corpus, tmp_path / "c", kind, shard_bytes=8000)
    assert records.num == len(records) == 12
    assert len(records.about["shards"]) > 1
    assert records.shape == (() if kind == "waveform" else (8,))
    streamed = list(records.dataset().as_numpy_iterator())
    for i, (array, speaker) in enumerate(streamed):
        utterance = corpus.utterances[i]
        whole = records.read(i)
        assert whole.dtype == array.dtype == np.float32
        np.testing.assert_array_equal(whole, expected(utterance, kind))
        np.testing.assert_array_equal(array, whole)
        assert records.length[i] == len(whole)
        assert speaker == records.speaker[i]
        assert records.speakers[speaker] == utterance.speaker
        assert records.paths[i] == corpus.keys()[i]
        for start, length in ((0, 1), (3, 17), (len(whole) - 5, 5), (2, 0)):
            crop = records.crop(i, start, length)
            np.testing.assert_array_equal(crop, whole[start : start + length])
    assert len(streamed) == 12


def test_shards_are_plain_records_of_tensorflow(corpus, tmp_path):
    records = cache(corpus, tmp_path / "c", shard_bytes=8000)
    spec = {
        name: tf.io.FixedLenFeature([], tf.string)
        for name in ("data", "speaker", "key")
    }
    files = sorted(str(path) for path in (tmp_path / "c").glob("*.tfrecord"))
    for i, raw in enumerate(tf.data.TFRecordDataset(files)):
        example = tf.io.parse_single_example(raw, spec)
        stored = tf.io.decode_raw(example["data"], tf.int16).numpy()
        np.testing.assert_array_equal(stored / np.float32(32768), records.read(i))
        assert example["key"].numpy().decode() == records.paths[i]
        slow = tf.train.Example.FromString(raw.numpy()).features.feature
        assert slow["speaker"].bytes_list.value[0] == example["speaker"].numpy()
    assert i == 11


@pytest.mark.parametrize("pread", [True, False])
def test_threads_share_one_reader(corpus, tmp_path, rng, monkeypatch, pread):
    records = cache(corpus, tmp_path / "c", shard_bytes=4000)
    whole = [records.read(i) for i in range(12)]
    fresh = Records(tmp_path / "c")
    if not pread:
        monkeypatch.delattr(os, "pread")

    def right(i, start):
        return np.array_equal(fresh.crop(i, start, 100), whole[i][start : start + 100])

    i, start = rng.integers(0, 12, 2000), rng.integers(0, 200, 2000)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, i, start))


@pytest.mark.parametrize(
    ("i", "start", "length"), [(0, -1, 5), (0, 0, 301), (0, 299, 2), (0, 5, -1)]
)
def test_a_crop_outside_its_record_is_an_error(corpus, tmp_path, i, start, length):
    records = cache(corpus, tmp_path / "c")
    with pytest.raises(ValueError, match="must lie in the record"):
        records.crop(i, start, length)
    for wrong in (-1, 12):
        with pytest.raises(IndexError, match=r"\[0, 12\)"):
            records.read(wrong)


def test_parts_of_a_file_are_records_of_their_own(tmp_path, rng):
    samples = rng.uniform(-0.5, 0.5, 16000).astype(np.float32)
    put(tmp_path / "talk.wav", samples)
    rows = "talk.wav,a,0.25,0.5\ntalk.wav,b,0.5,\ntalk.wav,a,,0.25\n"
    (tmp_path / "manifest.csv").write_text("path,speaker,start,end\n" + rows)
    records = cache(folders.open_corpus(tmp_path), tmp_path / "c")
    whole = wave.read(tmp_path / "talk.wav")
    np.testing.assert_array_equal(records.read(0), whole[4000:8000])
    np.testing.assert_array_equal(records.read(1), whole[8000:])
    np.testing.assert_array_equal(records.read(2), whole[:4000])
    assert records.paths[0] == "talk.wav[0.25,0.5]"


def test_the_same_corpus_makes_the_same_bytes(corpus, tmp_path):
    for name, threads in (("one", 1), ("two", 5)):
        cache(corpus, tmp_path / name, threads=threads, shard_bytes=8000)
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / name).glob("*.tfrecord")}
        for name in ("one", "two")
    )
    assert one == two and len(one) > 1


def test_the_digest_is_that_of_the_records_however_they_are_sharded(corpus, tmp_path):
    """Whoever has the shards can compute it again; other sounds have another."""
    found = set()
    for name, shard_bytes in (("many", 4000), ("one", 10**9)):
        about = cache(corpus, tmp_path / name, shard_bytes=shard_bytes).about
        sha = hashlib.sha256()
        for shard in about["shards"]:
            for record in tf.data.TFRecordDataset(str(tmp_path / name / shard)):
                sha.update(record.numpy())
        assert about["sha256"] == sha.hexdigest()
        found.add(about["sha256"])
    assert len(found) == 1
    path = corpus.utterances[-1].path
    put(path, -wave.read(path))
    assert cache(corpus, tmp_path / "other").about["sha256"] not in found


# Bad input


@pytest.fixture
def damaged(corpus, tmp_path, rng):
    """The corpus with five files more that can not be used."""
    folder = tmp_path / "corpus" / "s9"
    put(folder / "a.flac", rng.uniform(-0.5, 0.5, 40000))
    whole = (folder / "a.flac").read_bytes()
    (folder / "a.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "b.wav").touch()
    (folder / "c.wav").write_text("This is a text file, not a sound.\n" * 100)
    put(folder / "d.wav", np.zeros(0))
    put(folder / "e.wav", np.array([0, np.nan], np.float32), subtype="FLOAT")
    return folders.open_corpus(tmp_path / "corpus")


def test_damaged_files_are_skipped_listed_and_counted(damaged, tmp_path, capfd):
    records = cache(damaged, tmp_path / "c")
    assert (records.num, records.num_skipped) == (12, 5)
    assert records.speakers == ("s0", "s1", "s2", "s3")
    np.testing.assert_array_equal(records.row, range(12))
    with (tmp_path / "c" / "skipped.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["utterance"] for row in rows] == [
        f"s9/{name}" for name in ("a.flac", "b.wav", "c.wav", "d.wav", "e.wav")
    ]
    assert [row["row"] for row in rows] == ["12", "13", "14", "15", "16"]
    assert all(row["reason"] for row in rows)
    assert "5 of 17 utterances can not be used" in capfd.readouterr().err
    cache(damaged, tmp_path / "c")
    assert "5 of 17 utterances can not be used" in capfd.readouterr().err


def test_short_utterances_and_a_missing_file_are_skipped_too(corpus, tmp_path):
    corpus.utterances[5].path.unlink()
    records = cache(corpus, tmp_path / "c", min_length=600)
    kept = [i for i, u in enumerate(corpus) if i != 5 and int(u.path.stem) > 1]
    assert records.row.tolist() == kept
    assert records.length.min() >= 600
    assert records.num + records.num_skipped == 12


def test_features_that_are_not_finite_are_skipped(corpus, tmp_path):
    def transform(waveform):
        return np.full((4, 2), np.nan if len(waveform) > 3000 else 1.0)

    records = cache(corpus, tmp_path / "c", transform=transform, about={"t": 1})
    assert records.num_skipped == 1
    assert "not finite" in (tmp_path / "c" / "skipped.csv").read_text()


def test_a_corpus_of_damaged_files_alone_is_an_error(damaged, tmp_path):
    with pytest.raises(ValueError, match="all 5 are skipped, the first because"):
        cache(damaged.subset(["s9"]), tmp_path / "c")
    assert not list((tmp_path / "c").glob("[!.]*"))


def test_a_transform_must_say_what_it_does_and_keep_one_shape(corpus, tmp_path):
    with pytest.raises(ValueError, match="`about` must say"):
        cache(corpus, tmp_path / "c", transform=frames)
    with pytest.raises(ValueError, match="must return"):
        transform = lambda x: np.ones((3, len(x)))  # noqa: E731
        cache(corpus, tmp_path / "c", transform=transform, about={"t": 1})


def test_sound_beyond_full_scale_is_clipped_and_counted(tmp_path):
    put(tmp_path / "a" / "1.wav", np.array([1.5, -2.0, 0.5] * 9), subtype="FLOAT")
    put(tmp_path / "a" / "2.wav", np.array([0.1] * 9), subtype="FLOAT")
    records = cache(folders.scan(tmp_path), tmp_path / "c")
    np.testing.assert_array_equal(records.crop(0, 0, 3), [32767 / 32768, -1, 0.5])
    assert records.about["num_clipped"] == 1


# Reuse


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
    assert len(list((tmp_path / "c").glob("*.tfrecord"))) == 1


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
    (shard,) = (tmp_path / "c").glob("*.tfrecord")
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


# Interruption


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
from corpora import folders, records
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
    assert any(name.endswith(".tfrecord") for name in left)
    with pytest.raises(FileNotFoundError):
        Records(folder)
    assert cache(corpus, folder).num == 12
    assert not list(folder.glob("*.partial"))
    assert len(list(folder.glob("*.tfrecord"))) == 1


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


# Distrust of the index


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


@pytest.mark.parametrize(
    "poison",
    [
        {"offset": np.full(12, 1 << 50)},
        {"offset": np.full(12, -1)},
        {"length": np.full(12, 1 << 30, np.int32)},
        {"speaker": np.full(12, 7, np.int32)},
        {"speaker": np.zeros(12)},
        {"row": np.zeros(3, np.int32)},
    ],
)
def test_arrays_that_lie_are_refused(corpus, tmp_path, poison):
    cache(corpus, tmp_path / "c")
    path = tmp_path / "c" / "index.npz"
    with np.load(path) as npz:
        arrays = dict(npz) | poison
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"index.npz must be one that"):
        Records(tmp_path / "c")


def test_the_index_holds_no_objects(corpus, tmp_path):
    cache(corpus, tmp_path / "c")
    with np.load(tmp_path / "c" / "index.npz", allow_pickle=False) as npz:
        assert all(npz[name].dtype.kind in "iu" for name in npz.files)


def test_a_disk_that_is_full_is_an_os_error(corpus, tmp_path, monkeypatch):
    class Full:
        def __init__(self, path):
            Path(path).touch()

        def write(self, record):
            raise tf.errors.ResourceExhaustedError(None, None, "no space left")

        def close(self):
            pass

    monkeypatch.setattr(tf.io, "TFRecordWriter", Full)
    with pytest.raises(OSError, match="no space left"):
        cache(corpus, tmp_path / "c")
    assert not list((tmp_path / "c").glob("[!.]*"))


@pytest.mark.real_data
def test_real_recordings_are_cached_to_the_bit(real_data, tmp_path):
    corpus = folders.open_corpus(real_data / "librispeech_text")
    records = cache(corpus, tmp_path / "c")
    assert records.num == 48
    for i in (0, 20, 47):
        whole = wave.read(corpus.utterances[i].path)
        np.testing.assert_array_equal(records.read(i), whole)
        np.testing.assert_array_equal(records.crop(i, 999, 777), whole[999:1776])
