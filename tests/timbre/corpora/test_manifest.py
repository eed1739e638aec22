"""Manifests: what is written is read, and what is wrong is named by its line."""

import pytest

from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance


def put(folder, text, name="manifest.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_that_was_written_reads_back_the_same(tmp_path):
    rows = (
        Utterance(tmp_path / "a" / "ä ö.flac", "Ann", text='she said, "no"\nand left'),
        Utterance(tmp_path / "a" / "b.WAV", "Ben", start=0.1, end=1 / 3),
        Utterance(tmp_path / "c.mp3", "한국", extra={"gender": "F", "fps": "25"}),
    )
    read = manifest.read(manifest.write(tmp_path / "manifest.csv", rows))
    assert read == Corpus(tmp_path.name, rows)
    assert read.digest() == Corpus("other", rows).digest()


def test_a_corpus_that_moved_keeps_its_digest_and_a_changed_one_does_not(tmp_path):
    text = "path,speaker,text\na/1.wav,a,yes\nb/1.wav,b,no\n"
    here = manifest.read(put(tmp_path / "here", text))
    there = manifest.read(put(tmp_path / "far" / "there", text))
    assert here.digest() == there.digest()
    for old, new in (("a/1", "a/2"), (",b,", ",c,"), ("yes", "yep")):
        changed = manifest.read(put(tmp_path / "new", text.replace(old, new)))
        assert changed.digest() != here.digest()


def test_paths_in_a_manifest_elsewhere_are_relative_to_it(tmp_path):
    sound = Utterance(tmp_path / "sounds" / "a" / "1.wav", "a")
    path = manifest.write(tmp_path / "lists" / "train.csv", [sound])
    assert "../sounds/a/1.wav" in path.read_text()
    read = manifest.read(path)
    assert read.name == "train"
    assert read.utterances[0].path.resolve() == sound.path


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    sound = tmp_path / "elsewhere" / "1.wav"
    corpus = manifest.read(put(tmp_path / "m", f"path,speaker\n{sound},a\n"))
    assert corpus.utterances[0].path == sound


def test_the_audio_column_names_the_sound_of_a_video(tmp_path):
    text = "path,audio,speaker\nx.mp4,x.flac,s1\n"
    (utterance,) = manifest.read(put(tmp_path, text))
    assert utterance.path == tmp_path / "x.flac"
    assert utterance.extra == {"video": "x.mp4"}


def test_a_byte_order_mark_of_a_spreadsheet_is_no_column(tmp_path):
    corpus = manifest.read(put(tmp_path, "\ufeffpath,speaker\r\na.wav,a\r\n"))
    assert corpus.speakers == ("a",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "columns path, speaker"),
        ("path,kind\na.wav,x\n", "columns path, speaker"),
        ("path,speaker,speaker\na.wav,x,y\n", "none twice"),
        ("path,speaker\n", "is empty"),
        ("path,speaker\na.wav,x\nb.mp4,x\n", "path='b.mp4'.*line 3"),
        ("path,speaker\na.wav,x\nb.wav, \n", "`speaker` must not be empty.*line 3"),
        ("path,speaker\na.wav\n", "as many cells.*line 2"),
        ("path,speaker\na.wav,x,y\n", "as many cells.*line 2"),
        ("path,speaker\na.wav,x\na.wav,x\n", "line 3 repeats line 2"),
        ("path,speaker,start\na.wav,x,-1\n", "start='-1'.*line 2"),
        ("path,speaker,start\na.wav,x,nan\n", "start='nan'"),
        ("path,speaker,end\na.wav,x,soon\n", "end='soon'"),
        ("path,speaker,start,end\na.wav,x,2,2\n", "`end` must come after"),
        ('path,speaker\n"a.wav,x\n', "must be a CSV file"),
        ("path,speaker\na\0.wav,x\n", "must name a file"),
    ],
)
def test_a_wrong_manifest_is_an_error_that_names_the_line(tmp_path, text, reason):
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        manifest.read(put(tmp_path, text))


def test_a_file_that_is_no_text_is_no_manifest(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"path,speaker\n\xff\xfe\x00.wav,a\n")
    with pytest.raises(ValueError, match="CSV file in UTF-8"):
        manifest.read(path)


def test_a_manifest_that_could_not_be_written_leaves_the_old_one(tmp_path):
    path = put(tmp_path, "path,speaker\na.wav,a\n")
    broken = [Utterance(tmp_path / "b.wav", "b"), Utterance(None, "c")]
    with pytest.raises(AttributeError):
        manifest.write(path, broken)
    assert path.read_text() == "path,speaker\na.wav,a\n"
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.csv"]


def test_speakers_of_one_name_in_two_corpora_stay_two(tmp_path):
    one = Corpus("one", (Utterance(tmp_path / "1" / "x.wav", "anna"),))
    two = Corpus("two", (Utterance(tmp_path / "2" / "x.wav", "anna"),))
    joined = manifest.join([one, two])
    assert joined.speakers == ("one/anna", "two/anna")
    assert [u.extra["corpus"] for u in joined] == ["one", "two"]
    again = manifest.read(manifest.write(tmp_path / "lists" / "all.csv", joined))
    assert again.digest() == joined.digest()
    with pytest.raises(ValueError, match="different names"):
        manifest.join([one, one])


def test_by_speaker_and_subset_share_out_every_utterance():
    corpus = Corpus("c", tuple(Utterance(f"{i}.wav", "abc"[i % 3]) for i in range(7)))
    groups = corpus.by_speaker()
    assert list(groups) == ["a", "b", "c"]
    assert sorted(u.path for g in groups.values() for u in g) == [
        u.path for u in corpus
    ]
    assert corpus.subset("b").utterances == groups["b"]
    with pytest.raises(ValueError, match="unknown speakers: z"):
        corpus.subset(["a", "z"])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "utterances", "speakers"),
    [
        ("librispeech_many", 538, 200),
        ("librispeech_test_other", 80, 8),
        ("vctk_excerpt", 30, 3),
        ("emodb", 436, 8),
        ("korean_emotiontts", 189, 32),
        ("av_grid", 47, 7),
    ],
)
def test_manifests_of_real_corpora_are_read(real_data, name, utterances, speakers):
    corpus = manifest.read(real_data / name / "manifest.csv")
    assert (corpus.name, len(corpus), len(corpus.speakers)) == (
        name,
        utterances,
        speakers,
    )
    assert all(u.path.is_file() for u in corpus)
