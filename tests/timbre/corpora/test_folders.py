"""Folders: any tree of recordings opens, or says why it does not."""

import os

import pytest

from timbre.corpora import manifest
from timbre.corpora.folders import open_corpus


def tree(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_the_first_folder_is_the_speaker_however_deep_a_file_lies(tmp_path):
    root = tree(
        tmp_path / "mine",
        *("b/2.flac", "a/x/y/1.WAV", "a/1.ogg", "c/1.mp3", "c/1.txt", "note.txt"),
    )
    corpus = open_corpus(root)
    assert corpus.name == "mine"
    assert corpus.keys() == ("a/1.ogg", "a/x/y/1.WAV", "b/2.flac", "c/1.mp3")
    assert [u.speaker for u in corpus] == ["a", "a", "b", "c"]
    assert not (root / "manifest.csv").exists()


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    tree(tmp_path, "a/1.wav", "a/._1.wav", ".git/1.wav", "a/.cache/2.wav")
    assert len(open_corpus(tmp_path)) == 1


def test_links_to_folders_are_followed_once(tmp_path):
    tree(tmp_path / "elsewhere", "1.wav")
    root = tree(tmp_path / "mine", "b/1.wav")
    os.symlink(tmp_path / "elsewhere", root / "a")
    os.symlink(root, root / "b" / "back")
    assert [u.speaker for u in open_corpus(root)] == ["a", "b"]


def test_a_manifest_comes_before_the_files(tmp_path):
    tree(tmp_path, "a/1.wav", "a/2.wav")
    (tmp_path / "manifest.csv").write_text("path,speaker\na/1.wav,Ann\n")
    for source in (tmp_path, tmp_path / "manifest.csv", str(tmp_path), [tmp_path]):
        corpus = open_corpus(source)
        assert (corpus.speakers, len(corpus)) == (("Ann",), 1)
        assert corpus.name == tmp_path.name
    assert open_corpus(corpus) is corpus
    assert open_corpus(corpus, name="new").name == "new"


def test_a_folder_and_the_manifest_made_for_it_are_the_same_corpus(tmp_path):
    corpus = open_corpus(tree(tmp_path, "a/1.wav", "b/x/1.wav"))
    manifest.write(tmp_path / "manifest.csv", corpus)
    assert open_corpus(tmp_path).digest() == corpus.digest()


def test_one_folder_name_in_two_trees_is_two_speakers(tmp_path):
    tree(tmp_path, "x/train/anna/1.wav", "y/train/anna/1.wav", "z/anna/1.wav")
    joined = open_corpus([tmp_path / "x" / "train", tmp_path / "z"])
    assert joined.speakers == ("train/anna", "z/anna")
    joined = open_corpus([tmp_path / "x" / "train", tmp_path / "y" / "train"])
    assert joined.speakers == ("x/train/anna", "y/train/anna")
    with pytest.raises(ValueError, match="must differ"):
        open_corpus([tmp_path / "z", tmp_path / "z"])


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((), "must hold recordings.*which has none"),
        (("a/readme.txt",), "must hold recordings"),
        (("a/1.wav", "2.wav", "3.wav"), "2 files outside: 2.wav, 3.wav"),
    ],
)
def test_a_folder_without_speakers_is_an_error(tmp_path, files, reason):
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        open_corpus(tree(tmp_path, *files))


def test_what_is_not_there_or_not_a_corpus_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_corpus(tmp_path / "nowhere")
    tree(tmp_path, "a/1.wav")
    with pytest.raises(ValueError, match="open the folder above"):
        open_corpus(tmp_path / "a" / "1.wav")
    with pytest.raises(ValueError, match="must not be empty"):
        open_corpus([])


@pytest.mark.real_data
def test_several_real_corpora_open_as_one(real_data):
    names = ("librispeech_text", "librispeech_test_other", "av_grid")
    joined = open_corpus([real_data / name for name in names])
    assert len(joined) == 48 + 80 + 47
    assert len(joined.speakers) == 2 + 8 + 7


@pytest.mark.real_data
def test_a_real_folder_reads_without_its_manifest_too(real_data, tmp_path):
    os.symlink(real_data / "emodb" / "03", tmp_path / "03")
    corpus = open_corpus(tmp_path)
    assert corpus.speakers == ("03",)
    assert all(u.path.is_file() for u in corpus)
