"""VoxCeleb: its tree is read, and what is no such tree is not taken for one."""

import pytest

from timbre.corpora import voxceleb
from timbre.corpora.folders import open_corpus

META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
)


def tree(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


FILES = ("id10001/1zcIwhmdeo4/00001.wav", "id10270/x6uYqmx31kE/00002.wav")


def test_a_tree_is_read_with_videos_and_genders(tmp_path):
    tree(tmp_path / "wav", *FILES)
    (tmp_path / "vox1_meta.csv").write_text(META)
    corpus = voxceleb.read(tmp_path)
    assert corpus.keys() == FILES
    assert corpus.speakers == ("id10001", "id10270")
    assert [u.extra for u in corpus] == [
        {"video": "1zcIwhmdeo4", "gender": "m"},
        {"video": "x6uYqmx31kE"},
    ]
    assert open_corpus(tmp_path) == corpus
    assert len(voxceleb.read(tmp_path / "wav")) == 2


def test_genders_of_the_second_release_are_read_too(tmp_path):
    tree(tmp_path, "id00012/21Uxsk56VDQ/00001.flac")
    (tmp_path / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,f ,dev \n"
    )
    (utterance,) = voxceleb.read(tmp_path)
    assert utterance.extra["gender"] == "f"


def test_recordings_that_were_not_converted_are_named(tmp_path):
    tree(tmp_path, "id00012/21Uxsk56VDQ/00001.m4a")
    with pytest.raises(ValueError, match=r"converted from.*\['.m4a'\]"):
        open_corpus(tmp_path)


def test_a_folder_with_other_speakers_is_no_such_tree(tmp_path):
    tree(tmp_path, "id00012/a/1.wav", "anna/a/1.wav")
    assert not voxceleb.is_tree(tmp_path)
    assert open_corpus(tmp_path).speakers == ("anna", "id00012")
    tree(tmp_path / "flat", "id00012/1.wav")
    assert len(open_corpus(tmp_path / "flat")) == 1
