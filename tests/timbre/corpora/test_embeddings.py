import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from tests.archives import endless, no_letter
from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet

WHOLE = {
    "embeddings": np.ones((1, 4), "f"),
    "speaker": np.array(["a"]),
    "segment": np.array(["s"]),
    "about": "{}",
    "label_mood": np.array(["glad"]),
}


def some(rng, num=4):
    names = np.array([f"화자{i}" for i in range(num)])
    about, labels = {"extractor": "x", "dim": 8}, {"말/lang": [""] * (num - 1) + ["ko"]}
    return EmbeddingSet(unit(rng, num, 8), names, names, about, labels)


def test_a_set_written_is_the_set_read(tmp_path, rng):
    voices = some(rng)
    voices.save(tmp_path / "deep" / "set.npz")
    again = EmbeddingSet.load(tmp_path / "deep" / "set.npz")
    np.testing.assert_array_equal(again.embeddings, voices.embeddings)
    assert again.speaker.tolist() == voices.speaker.tolist()
    assert again.about == voices.about
    assert {k: v.tolist() for k, v in again.labels.items()} == voices.labels
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["set.npz"]


def test_other_programs_read_it_without_objects(tmp_path, rng):
    some(rng).save(tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz", allow_pickle=False) as file:
        assert {*file} == {*WHOLE} - {"label_mood"} | {"label_말/lang"}
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
    points, three = unit(rng, 3, 8), ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"`embeddings` \[n, dim\]"):
        EmbeddingSet(points, ["a"], three, {})
    with pytest.raises(ValueError, match=r"each of `labels` \[n\]"):
        EmbeddingSet(points, three, three, {}, {"style": ["glad"]})
    with pytest.raises(ValueError, match="name that can be printed"):
        EmbeddingSet(points, three, three, {}, {"a\0": three})
    with pytest.raises(ValueError, match="name that can be printed"):
        EmbeddingSet(points, three, three, {}, {"": three})
    points[1:, 3] = np.nan
    with pytest.raises(ValueError, match="2 of 3 rows, the first is row 1"):
        EmbeddingSet(points, three, three, {})


def test_a_subset_keeps_what_belongs_together(rng):
    voices = some(rng)
    for rows in ([3, 0], np.array([True, False, False, True])):
        part = voices.subset(rows)
        where = [list(voices.speaker).index(name) for name in part.speaker]
        assert sorted(where) == [0, 3]
        np.testing.assert_array_equal(part.embeddings, voices.embeddings[where])
        assert part.labels["말/lang"].tolist() == [
            "ko" if i == 3 else "" for i in where
        ]
        assert part.about == voices.about


def test_sets_of_other_programs_may_hold_points_and_speakers_only(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        embeddings=np.ones((2, 4), np.float64),
        speaker=np.array(["a", "b"]),
        unknown=np.array([object()]),  # and what is not ours stays unread
    )
    voices = EmbeddingSet.load(tmp_path / "set.npz")
    assert voices.embeddings.dtype == np.float32 and voices.about == {}
    assert voices.segment.tolist() == ["", ""] and voices.labels == {}
    voices.save(tmp_path / "again.npz")
    assert len(EmbeddingSet.load(tmp_path / "again.npz")) == 2


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name, rows, dim, num_speakers",
    [("xvector512", 790, 512, 497), ("singer256", 48, 256, 48)],
)
def test_real_sets_are_read(real_data, name, rows, dim, num_speakers):
    path = real_data / "speaker_embeddings" / f"{name}.npz"
    voices = EmbeddingSet.load(path)
    assert voices.embeddings.shape == (rows, dim)
    assert len({*voices.speaker}) == num_speakers


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.array([["a"]])},
        {"embeddings": np.ones((1, 4), int)},
        {"speaker": np.array([1])},
        {"speaker": np.array("a")},
        {"segment": np.array([1.5])},
        {"about": "[]"},
        {"about": "{"},
        {"label_mood": np.array([1])},
        {"label_mood": np.array([["glad"]])},
        {"label_mood": np.array([object()])},
        {"label_": np.array(["glad"])},
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, change):
    np.savez(tmp_path / "set.npz", **WHOLE)
    assert len(EmbeddingSet.load(tmp_path / "set.npz")) == 1
    np.savez(tmp_path / "set.npz", **WHOLE | change)
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(tmp_path / "set.npz")


def packed(path, members, way=zipfile.ZIP_DEFLATED):
    """An archive of raw members, whatever they claim to be."""
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def raw(array=None, **header):
    """The bytes of an array, or of a header with nothing behind it."""
    file = io.BytesIO()
    if array is None:
        fields = {"fortran_order": False, **header}
        np.lib.format.write_array_header_2_0(file, fields)
    else:
        np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": {"descr": "<f4", "shape": (2**40, 2**20)}},
        {"embeddings": {"descr": "<f4", "shape": (2**60, 0)}},
        {"speaker": {"descr": "<U1000000000", "shape": (1,)}},
        {"speaker": {"descr": "<U0", "shape": (2**60,)}},
        {"about": {"descr": "<U1000000000", "shape": ()}},
        {"label_mood": {"descr": "|O", "shape": (1,)}},
        {"embeddings": {"descr": "<f4", "shape": (-1, 4)}},
    ],
)
def test_an_array_larger_than_its_file_is_refused_unread(tmp_path, change):
    members = {name: raw(array) for name, array in WHOLE.items()}
    packed(tmp_path / "set.npz", members)
    assert len(EmbeddingSet.load(tmp_path / "set.npz")) == 1
    members |= {name: raw(**header) for name, header in change.items()}
    packed(tmp_path / "set.npz", members)
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(tmp_path / "set.npz")


def test_a_small_file_that_unfolds_to_a_large_one_is_refused_unread(tmp_path):
    path, num = tmp_path / "set.npz", 2**18 + 1
    members = {"embeddings": raw(np.zeros((num, 64), "f")), "speaker": raw(["a"])}
    packed(path, members)
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match=r"that would unfold to 67\d{6}"):
        EmbeddingSet.load(path)


def test_an_archive_packed_in_an_unknown_way_is_refused(tmp_path):
    path = tmp_path / "set.npz"
    packed(path, {name: raw(array) for name, array in WHOLE.items()})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\x08\x00", b"\x63\x00"))  # method 99
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(path)
    path.write_bytes(json.dumps({"embeddings": [[1.0]]}).encode())
    with pytest.raises(ValueError, match="Not an embedding set"):
        EmbeddingSet.load(path)
    with pytest.raises(FileNotFoundError):
        EmbeddingSet.load(tmp_path / "none.npz")


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


@pytest.mark.parametrize("spoil", [no_letter, endless])
def test_whatever_the_bytes_are_the_error_is_a_value_error(tmp_path, spoil):
    spoil(tmp_path / "set.npz")
    with pytest.raises(ValueError, match="Not an embedding set.*set.npz"):
        EmbeddingSet.load(tmp_path / "set.npz")
