"""The index against brute force, its bookkeeping, its files, and the extra engine."""

import json
import pickle
import sys
import tracemalloc

import numpy as np
import pytest

from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment import index as module
from voiceemb.enrolment.index import VoiceIndex


@pytest.fixture(params=["exact", "usearch"])
def engine(request):
    if request.param == "usearch":
        pytest.importorskip("usearch")
    return request.param


def some(rng, num=50, dim=16, **options):
    voices = unit(rng, num, dim)
    index = VoiceIndex(dim, **options)
    index.add([f"화자{i}" for i in range(num)], voices)
    return index, voices


def brute_force(voices, queries, top):
    """Rows and cosines by float64 and a stable sort."""
    voices, queries = (
        x / np.linalg.norm(x, axis=1, keepdims=True).astype(float)
        for x in (voices.astype(float), queries.astype(float))
    )
    cosines = queries @ voices.T
    rows = np.argsort(-cosines.round(14), axis=1, kind="stable")[:, :top]
    return rows, np.take_along_axis(cosines, rows, axis=1)


@pytest.mark.parametrize("top", [1, 5, 50, 80])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**24])
def test_search_is_brute_force_in_blocks_of_any_size(
    rng, engine, monkeypatch, top, block_bytes
):
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    index, voices = some(rng, engine=engine)
    queries = rng.normal(size=(20, 16))
    names, cosines = index.search(queries, k=top)
    rows, expected = brute_force(voices, queries, top)
    assert names.tolist() == [[f"화자{i}" for i in row] for row in rows.tolist()]
    np.testing.assert_allclose(cosines, expected, atol=1e-7)  # queries become float32


def test_one_query_and_many_give_the_same(rng, engine):
    index, _ = some(rng, engine=engine)
    queries = rng.normal(size=(3, 16))
    names, cosines = index.search(queries)
    for query, row, values in zip(queries, names, cosines, strict=True):
        one, alone = index.search(query)
        assert one.shape == alone.shape == (5,) and one.tolist() == row.tolist()
        np.testing.assert_array_equal(alone, values)
    names, cosines = index.search(np.zeros((0, 16)))
    assert names.shape == cosines.shape == (0, 5)


@pytest.mark.parametrize("block_bytes", [1, 200, 2**24])
def test_equal_voices_come_in_the_order_of_enrolment(rng, monkeypatch, block_bytes):
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    one, other = unit(rng, 2, 37)
    index = VoiceIndex(37)
    order = [str(i) for i in rng.permutation(40)]
    index.add(order, [one if int(name) % 3 else other for name in order])
    names, cosines = index.search(np.stack([one, one + 0.1 * other]), k=20)
    alike = [name for name in order if int(name) % 3][:20]
    assert names.tolist() == [alike, alike]
    assert (np.ptp(cosines, axis=1) == 0).all()


def test_cosines_that_float32_can_not_distinguish_are_ordered(rng):
    """Cosines 5e-9 below 1 and less apart, where a step of float32 is 6e-8."""
    query = unit(rng, 1, 64).astype(float)
    voices = query + 1e-4 * rng.uniform(0.5, 1, (300, 1)) * unit(rng, 300, 64)
    index = VoiceIndex(64)
    index.add([str(i) for i in range(300)], voices)
    names, cosines = index.search(query, k=5)
    query, kept = query.astype(np.float32), np.stack([*index._sums.values()])
    rows, expected = brute_force(kept, query, 5)
    assert names.tolist() == [[str(i) for i in row] for row in rows.tolist()]
    np.testing.assert_allclose(cosines, expected, atol=1e-14)


def test_the_length_of_an_embedding_means_nothing(rng, engine):
    index, voices = some(rng, engine=engine)
    scaled = VoiceIndex(16, engine=engine)
    lengths = 10.0 ** rng.integers(-200, 200, (50, 1))
    scaled.add(index.names, voices * lengths)
    query = rng.normal(size=16)
    for there, here in zip(
        scaled.search(query * 1e-250), index.search(query), strict=True
    ):
        np.testing.assert_array_equal(there, here)


def test_a_voice_is_the_mean_of_its_recordings_in_whatever_portions_they_come(
    rng, engine
):
    recordings = unit(rng, 6, 16)
    once, bit_by_bit = VoiceIndex(16, engine=engine), VoiceIndex(16, engine=engine)
    once.add("anna", 3 * recordings)
    for recording in recordings[:3]:
        bit_by_bit.add("anna", recording)
    bit_by_bit.add(["ben", "anna", "anna", "anna"], [-recordings[0], *recordings[3:]])
    mean = recordings.astype(float).mean(axis=0)
    query = rng.normal(size=16)
    expected = query @ mean / np.linalg.norm(query) / np.linalg.norm(mean)
    for index in (once, bit_by_bit):
        names, cosines = index.search(query, k=2)
        assert cosines[names == "anna"] == pytest.approx(expected, abs=1e-6)
    assert len(once) == 1 and bit_by_bit.names == ["anna", "ben"]


def test_a_removed_voice_is_gone_and_others_stay(rng, engine):
    index, voices = some(rng, engine=engine)
    queries = rng.normal(size=(4, 16))
    left = list(range(50))
    for gone in rng.permutation(50)[:47].tolist():  # past the point of tidying up
        index.remove(f"화자{gone}")
        left.remove(gone)
        names, cosines = index.search(queries, k=3)
        rows, expected = brute_force(voices[left], queries, 3)
        assert names.tolist() == [[f"화자{left[i]}" for i in row] for row in rows]
        np.testing.assert_allclose(cosines, expected, atol=1e-7)
        row_of_gone = (
            np.abs(np.stack([*index._sums.values()]) @ voices[gone]) > 1 - 1e-6
        )
        assert not row_of_gone.any() and f"화자{gone}" not in index
    assert index.names == [f"화자{i}" for i in left] and len(index) == 3
    with pytest.raises(KeyError):
        index.remove("화자-1")


def test_a_voice_may_come_again_after_its_removal(rng, engine):
    index, voices = some(rng, 5, engine=engine)
    index.remove("화자2")
    index.add("화자2", voices[0])
    names, cosines = index.search(voices[0], k=2)
    assert names.tolist() == ["화자0", "화자2"]  # the newcomer stands behind
    assert cosines[0] == cosines[1] == pytest.approx(1)


def test_what_can_not_be_searched_or_added_is_refused_and_changes_nothing(rng, engine):
    empty = VoiceIndex(4, engine=engine)
    with pytest.raises(ValueError, match="0 voices"):
        empty.search(np.ones(4))
    empty.add([], np.zeros((0, 4)))
    index, voices = some(rng, 3, 4, engine=engine)
    for wrong in (np.ones(5), np.ones((2, 3)), np.ones((1, 1, 4)), 1.0):
        with pytest.raises(ValueError, match=r"must be \[4\]"):
            index.add("x", wrong)
        with pytest.raises(ValueError, match=r"must be \[4\]"):
            index.search(wrong)
    for wrong in ([np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [0, 0, 0, 0]):
        with pytest.raises(ValueError, match="finite"):
            index.add(["x", "y"], [np.ones(4), wrong])
        with pytest.raises(ValueError, match="finite"):
            index.search(wrong)
    for names in ([], ["a"], ["a", ""], ["a", None]):
        with pytest.raises(ValueError, match="needs a name"):
            index.add(names, np.ones((2, 4)))
    with pytest.raises(ValueError, match="must not cancel"):
        index.add("화자0", -voices[0])
    with pytest.raises(ValueError, match="`k`"):
        index.search(np.ones(4), k=0)
    assert index.names == ["화자0", "화자1", "화자2"] and not empty.names
    assert index.search(voices[0])[1][0] == pytest.approx(1)


def test_an_index_written_is_the_index_read(tmp_path, rng, engine):
    index, voices = some(rng, engine=engine, about={"extractor": "x"})
    index.add("화자3", voices[4])
    index.remove("화자7")
    index.save(tmp_path / "deep" / "voices.npz")
    again = VoiceIndex.load(tmp_path / "deep" / "voices.npz", engine=engine)
    assert again.names == index.names and again.about == {"extractor": "x"}
    for one in (index, again):
        one.add("화자3", voices[5])  # what was enrolled keeps its weight
    queries = rng.normal(size=(9, 16))
    for there, here in zip(again.search(queries), index.search(queries), strict=True):
        np.testing.assert_array_equal(there, here)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["voices.npz"]
    VoiceIndex(16, engine=engine).save(tmp_path / "empty.npz")
    assert len(VoiceIndex.load(tmp_path / "empty.npz", engine=engine)) == 0


def test_an_embedding_set_is_read_as_an_index(tmp_path, rng):
    rows, speaker = unit(rng, 6, 8), np.array(["a", "b", "a", "a", "b", "c"])
    path = tmp_path / "set.npz"
    EmbeddingSet(rows, speaker, np.arange(6).astype(str), {"dim": 8}).save(path)
    index = VoiceIndex.load(path)
    assert index.names == ["a", "b", "c"] and index.about == {"dim": 8}
    names, cosines = index.search(rows[[0, 2, 3]].sum(axis=0), k=1)
    assert names == ["a"] and cosines == pytest.approx(1)
    index.save(path)
    held = EmbeddingSet.load(path)  # and an index is an embedding set
    assert (
        held.speaker.tolist() == ["a", "b", "c"] and held.about["kind"] == "voice index"
    )


GOOD = {
    "embeddings": np.eye(2, dtype=np.float32),
    "speaker": np.array(["a", "b"]),
    "segment": np.array(["a", "b"]),
    "about": json.dumps({"kind": "voice index"}),
}


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.array([["a", "b"], ["c", "d"]])},
        {"embeddings": np.eye(2, dtype=np.complex64)},
        {"embeddings": np.full((2, 2), np.nan, np.float32)},
        {"embeddings": np.zeros((2, 2), np.float32)},
        {"embeddings": np.zeros((2, 0), np.float32)},
        {"embeddings": np.ones((3, 2), np.float32)},
        {"embeddings": np.array([[1, object()], [0, 1]], object)},
        {"speaker": np.array(["a", "a"])},
        {"speaker": np.array(["a", ""])},
        {"speaker": np.array([1, 2])},
        {"speaker": np.array("ab")},
        {"about": "[1]"},
        {"about": "1"},
        {"about": "{"},
    ],
)
def test_a_poisoned_file_is_refused(tmp_path, change):
    path = tmp_path / "voices.npz"
    np.savez(path, **GOOD)
    assert VoiceIndex.load(path).names == ["a", "b"]
    np.savez(path, **GOOD | change)
    with pytest.raises(ValueError):
        VoiceIndex.load(path)


def test_a_pickle_or_a_torn_file_is_refused_unread(tmp_path, rng):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "voices.npz"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError):
        VoiceIndex.load(path)
    some(rng)[0].save(path)
    whole = path.read_bytes()
    for spoiled in (whole[: len(whole) // 2], whole[:200] + b"\0" * 80 + whole[280:]):
        path.write_bytes(spoiled)
        with pytest.raises(ValueError):
            VoiceIndex.load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_search_holds_the_cosines_of_a_few_queries_at_once(rng, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**20)
    index, voices = some(rng, 30_000, 16)
    index.search(voices[0])  # the first makes one array of all voices, and keeps it
    tracemalloc.start()
    index.search(voices[:64], k=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # all cosines at once would be 7.7 MB, and their order 15 MB


def test_a_missing_extra_is_named_in_the_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ImportError, match="pip install usearch"):
        VoiceIndex(4, engine="usearch")
    with pytest.raises(ValueError, match="`engine`"):
        VoiceIndex(4, engine="faiss")


def test_the_graph_finds_nearly_all_and_is_exact_in_what_it_finds(rng):
    pytest.importorskip("usearch")
    exact, voices = some(rng, 2000, 32)
    graph, again = VoiceIndex(32, engine="usearch"), VoiceIndex(32, engine="usearch")
    for one in (graph, again):
        one.add(exact.names, voices)
    queries = voices[:200] + 0.1 * rng.normal(size=(200, 32))
    names, cosines = exact.search(queries, k=10)
    found, said = graph.search(queries, k=10)
    np.testing.assert_array_equal(again.search(queries, k=10)[0], found)
    pairs = zip(names, cosines, found, said, strict=True)
    recall = []
    for true, values, some_names, some_values in pairs:
        known = dict(zip(true.tolist(), values.tolist(), strict=True))
        recall.append(np.mean([name in known for name in some_names]))
        for name, value in zip(some_names.tolist(), some_values.tolist(), strict=True):
            assert known.get(name, value) == value
    assert np.mean(recall) > 0.95
