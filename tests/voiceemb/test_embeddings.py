import pickle

import numpy as np
import pytest

from tests.references import unit
from voiceemb.embeddings import EmbeddingSet


def some(rng, num=4):
    names = np.array([f"화자{i}" for i in range(num)])
    return EmbeddingSet(unit(rng, num, 8), names, names, {"extractor": "x", "dim": 8})


def test_a_set_written_is_the_set_read(tmp_path, rng):
    voices = some(rng)
    voices.save(tmp_path / "deep" / "set.npz")
    again = EmbeddingSet.load(tmp_path / "deep" / "set.npz")
    np.testing.assert_array_equal(again.embeddings, voices.embeddings)
    assert again.speaker.tolist() == voices.speaker.tolist()
    assert again.about == voices.about
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["set.npz"]


def test_other_programs_read_it_without_objects(tmp_path, rng):
    some(rng).save(tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz", allow_pickle=False) as file:
        assert {*file} == {"embeddings", "speaker", "segment", "about"}
        assert file["embeddings"].dtype == np.float32


def test_a_pickle_is_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "set.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", embeddings=np.array([Trap()], object))
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(tmp_path / "set.npz")
    assert (tmp_path / "sprung").exists() is False


def test_sets_that_do_not_fit_together_are_refused(rng):
    with pytest.raises(ValueError, match=r"`embeddings` \[n, dim\]"):
        EmbeddingSet(unit(rng, 3, 8), ["a"], ["a", "b", "c"], {})
    with pytest.raises(ValueError, match="must be finite"):
        EmbeddingSet(np.full((1, 8), np.nan), ["a"], ["a"], {})


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.array([["a"]])},
        {"speaker": np.array([1])},
        {"segment": np.array([1.5])},
        {"about": "[]"},
        {"about": "{"},
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, change):
    whole = {"embeddings": np.ones((1, 4), "f"), "speaker": np.array(["a"])}
    whole |= {"segment": np.array(["s"]), "about": "{}"}
    np.savez(tmp_path / "set.npz", **whole)
    assert len(EmbeddingSet.load(tmp_path / "set.npz")) == 1
    np.savez(tmp_path / "set.npz", **whole | change)
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(tmp_path / "set.npz")


def test_a_damaged_file_is_refused_wherever_it_is_torn(tmp_path, rng):
    some(rng, 40).save(tmp_path / "set.npz")
    whole = (tmp_path / "set.npz").read_bytes()
    for at in range(0, len(whole), 97):
        torn = bytearray(whole[: at or None])
        torn[len(torn) // 2] ^= 0xFF
        (tmp_path / "torn.npz").write_bytes(torn)
        try:
            EmbeddingSet.load(tmp_path / "torn.npz")
        except ValueError as error:
            assert "Not an embedding set" in str(error)
