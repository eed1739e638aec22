"""Records: random access and streaming read what was cached."""

import csv
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.timbre.corpora.recordings import frames, put, twelve_files
from timbre.audio import wave
from timbre.corpora import folders
from timbre.corpora.cache.records import Records, cache


@pytest.fixture
def corpus(tmp_path, rng):
    return twelve_files(tmp_path / "corpus", rng)


def cached(corpus, folder, kind, **options):
    if kind == "features":
        options |= {"transform": frames, "about": {"frames": 8}}
    return cache(corpus, folder, **options)


DTYPES = {"waveform": "<i2", "features": "<f4"}


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


@pytest.mark.parametrize("kind", ["waveform", "features"])
def test_shards_are_the_arrays_one_after_the_other(corpus, tmp_path, kind):
    """The layout in words: no header, no padding, little-endian, in order."""
    records = cached(corpus, tmp_path / "c", kind, shard_bytes=8000)
    files = sorted((tmp_path / "c").glob("*.bin"))
    assert [file.name for file in files] == records.about["shards"]
    flat = np.frombuffer(b"".join(file.read_bytes() for file in files), DTYPES[kind])
    expected = np.concatenate([records.read(i).ravel() for i in range(12)])
    scale = np.float32(32768 if kind == "waveform" else 1)
    np.testing.assert_array_equal(flat / scale, expected)


def test_the_digest_is_the_same_in_every_process(corpus, tmp_path):
    found = cache(corpus, tmp_path / "here").about["sha256"]
    code = (
        "import sys; from timbre.corpora import folders; "
        "from timbre.corpora.cache.records import cache; "
        "corpus = folders.open_corpus(sys.argv[1]); "
        "print(cache(corpus, sys.argv[2]).about['sha256'])"
    )
    command = [sys.executable, "-c", code, tmp_path / "corpus", tmp_path / "there"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found]
    here, there = (
        [p.read_bytes() for p in sorted((tmp_path / name).glob("*.bin"))]
        for name in ("here", "there")
    )
    assert here == there


def test_a_record_whose_bytes_changed_is_an_error_and_others_are_read(corpus, tmp_path):
    records = cache(corpus, tmp_path / "c")
    whole = [records.read(i) for i in range(12)]
    (shard,) = (tmp_path / "c").glob("*.bin")
    data = bytearray(shard.read_bytes())
    data[2 * 300 + 7] ^= 1  # in the second record; the first has 300 samples
    shard.write_bytes(data)
    fresh = Records(tmp_path / "c")
    with pytest.raises(ValueError, match=f"{fresh.paths[1]} in .* bytes changed"):
        fresh.read(1)
    with pytest.raises(ValueError, match="bytes changed"):
        fresh.select([1]).read(0)
    for i in (0, *range(2, 12)):
        np.testing.assert_array_equal(fresh.read(i), whole[i])


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
        {p.name: p.read_bytes() for p in (tmp_path / name).glob("*.bin")}
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
            sha.update((tmp_path / name / shard).read_bytes())
        assert about["sha256"] == sha.hexdigest()
        found.add(about["sha256"])
    assert len(found) == 1
    path = corpus.utterances[-1].path
    put(path, -wave.read(path))
    assert cache(corpus, tmp_path / "other").about["sha256"] not in found


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
    shapes = (lambda x: (3, len(x)), lambda x: (3,) if len(x) == 300 else (3, 8))
    for n, shape in enumerate(shapes):
        with pytest.raises(ValueError, match="must return"):
            cache(
                corpus,
                tmp_path / "c",
                transform=lambda x, shape=shape: np.ones(shape(x)),
                about={"t": n},
            )


def test_sound_beyond_full_scale_is_clipped_and_counted(tmp_path):
    put(tmp_path / "a" / "1.wav", np.array([1.5, -2.0, 0.5] * 9), subtype="FLOAT")
    put(tmp_path / "a" / "2.wav", np.array([0.1] * 9), subtype="FLOAT")
    records = cache(folders.scan(tmp_path), tmp_path / "c")
    np.testing.assert_array_equal(records.crop(0, 0, 3), [32767 / 32768, -1, 0.5])
    assert records.about["num_clipped"] == 1


@pytest.mark.real_data
def test_real_recordings_are_cached_to_the_bit(real_data, tmp_path):
    corpus = folders.open_corpus(real_data / "librispeech_text")
    records = cache(corpus, tmp_path / "c")
    assert records.num == 48
    for i in (0, 20, 47):
        whole = wave.read(corpus.utterances[i].path)
        np.testing.assert_array_equal(records.read(i), whole)
        np.testing.assert_array_equal(records.crop(i, 999, 777), whole[999:1776])
