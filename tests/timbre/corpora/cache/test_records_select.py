"""A selection of a cache is what caching those utterances alone would have made."""

import dataclasses

import numpy as np
import pytest
import soundfile

from timbre.corpora import folders, splits
from timbre.corpora.cache.records import Records, cache
from timbre.corpora.corpus import Corpus


@pytest.fixture
def corpus(tmp_path, rng):
    """Five speakers, fifteen files of many lengths, one of them too short to use."""
    for i in range(15):
        samples = rng.uniform(-0.9, 0.9, 20 if i == 7 else 300 + 57 * i)
        path = tmp_path / "corpus" / f"s{i % 5}" / f"{i:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, 16000)
    return folders.open_corpus(tmp_path / "corpus")


OPTIONS = {"min_length": 100, "shard_bytes": 2000}


@pytest.fixture
def whole(corpus, tmp_path):
    return cache(corpus, tmp_path / "whole", **OPTIONS)


def check_same(part, alone):
    """Everything a reader sees is the same, but for the names of the files."""
    assert (part.num, len(part)) == (alone.num, len(alone))
    assert part.speakers == alone.speakers and part.shape == alone.shape
    assert part.num_skipped == alone.num_skipped
    for name in ("speaker", "length", "row"):
        found, expected = getattr(part, name), getattr(alone, name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype == np.int32
    assert len(part.paths) == part.num
    for i in range(part.num):
        assert part.paths[i].endswith(alone.paths[i])
        np.testing.assert_array_equal(part.read(i), alone.read(i))
        np.testing.assert_array_equal(part.crop(i, 3, 40), alone.crop(i, 3, 40))


@pytest.mark.parametrize("kind", ["speakers", "utterances", "one", "all"])
def test_a_part_is_what_caching_it_alone_would_make(corpus, whole, tmp_path, kind):
    parts = {
        "speakers": lambda: splits.split_by_speaker(corpus, counts=(2, None)),
        "utterances": lambda: splits.split_by_utterance(corpus, 0.4),
        "one": lambda: [corpus.subset(["s2"])],
        "all": lambda: [corpus],
    }
    for number, part in enumerate(parts[kind]()):
        alone = cache(part, tmp_path / f"{number}", **OPTIONS)
        check_same(whole.select(corpus.rows(part)), alone)


def test_rows_of_a_part_count_in_the_part(corpus, whole):
    """So the utterance of record `i` is `utterances[row[i]]`, whole or part."""
    chosen = corpus.subset(["s1", "s2"]).utterances[::-1]
    part = whole.select(corpus.rows(chosen))
    assert part.num_skipped == 1 and part.num == len(chosen) - 1
    for i in range(part.num):
        utterance = chosen[part.row[i]]
        assert utterance.path.as_posix().endswith(part.paths[i])
        assert part.speakers[part.speaker[i]] == utterance.speaker


def test_a_part_of_a_part_is_a_part(corpus, whole):
    outer, inner = corpus.subset(["s0", "s2", "s4"]), corpus.subset(["s4", "s2"])
    nested = whole.select(corpus.rows(outer)).select(outer.rows(inner))
    check_same(nested, whole.select(corpus.rows(inner)))


def test_parts_share_the_reader_and_leave_the_whole_as_it_was(corpus, whole, tmp_path):
    part = whole.select(corpus.rows(corpus.subset(["s3"])))
    assert part._reader is whole._reader
    check_same(whole, Records(tmp_path / "whole"))


def test_a_part_streams_its_own_records(corpus, whole):
    part = whole.select(corpus.rows(corpus.subset(["s2", "s3"])))
    streamed = list(part.dataset().as_numpy_iterator())
    assert len(streamed) == part.num
    for i, (array, speaker) in enumerate(streamed):
        np.testing.assert_array_equal(array, part.read(i))
        assert speaker == part.speaker[i]


@pytest.mark.parametrize("rows", [[0, 0], [15], [-1], [0.0], [], [[0]], [True]])
def test_rows_must_be_rows_each_once(whole, rows):
    with pytest.raises(ValueError, match=r"whole numbers in \[0, 15\), each once"):
        whole.select(rows)


def test_a_part_that_was_skipped_altogether_is_an_error(corpus, whole):
    (skipped,) = set(range(15)) - set(whole.row.tolist())
    with pytest.raises(ValueError, match="1 rows of .*all of them skipped"):
        whole.select([skipped])


def test_utterances_are_identified_by_file_times_and_speaker(corpus):
    first, second, *_ = corpus
    same = dataclasses.replace(second, text="new", extra={"gender": "f"})
    assert corpus.rows([same, first]) == (1, 0)
    for change in ({"speaker": "other"}, {"start": 0.1}, {"end": 0.2}):
        other = Corpus("part", (dataclasses.replace(first, **change), second))
        with pytest.raises(ValueError, match=r"Received 1 that are not: .*00.wav"):
            corpus.rows(other)


def test_crops_of_one_length_repeat_what_is_too_short(whole):
    i = np.array([[0, 3], [5, 0]])
    start = np.array([[0, 7], [100, 0]])
    length = int(whole.length[0]) + 20
    crops = whole.crops(i, start, length)
    assert crops.shape == (2, 2, length) and crops.dtype == np.float32
    np.testing.assert_array_equal(crops[0, 1], whole.crop(3, 7, length))
    np.testing.assert_array_equal(crops[1, 0], whole.crop(5, 100, length))
    short = whole.read(0)
    np.testing.assert_array_equal(crops[0, 0], np.append(short, short[:20]))
    np.testing.assert_array_equal(crops[1, 1], crops[0, 0])
