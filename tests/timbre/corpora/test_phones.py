"""Phones: labels are read as they lie, and what is wrong is named by its line."""

import tracemalloc

import numpy as np
import pytest
import soundfile

from timbre.audio import wave
from timbre.corpora import phone_sets, phones
from timbre.corpora.phones import Segment

HEADER = "path,start,end,phone,speaker"


def put(folder, text, name="segments.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_in_its_order_with_all_its_columns(tmp_path):
    text = f"{HEADER},stress,word\na/1.wav,0,0.25,ɑː,ann,1,\n../b.FLAC,.5,2,sil,,,so\n"
    labels = phones.read(put(tmp_path / "here", text))
    assert labels.name == "here" and len(labels) == 2
    assert tuple(labels) == (
        Segment(tmp_path / "here" / "a/1.wav", 0, 0.25, "ɑː", "ann", {"stress": "1"}),
        Segment(tmp_path / "here" / "../b.FLAC", 0.5, 2, "sil", "", {"word": "so"}),
    )


def test_columns_stand_in_any_order_and_a_spreadsheet_is_read(tmp_path):
    text = "\ufeffspeaker,end,phone,start,path\r\nann,2,a,1,x.wav\r\n"
    labels = phones.read(put(tmp_path, text, "mine.csv"))
    assert labels.name == "mine"
    assert labels.segments == (Segment(tmp_path / "x.wav", 1, 2, "a", "ann"),)


def test_each_recording_is_once_in_the_corpus(tmp_path):
    text = f"{HEADER}\nb.wav,0,1,x,ann\na.wav,0,1,x,ben\nb.wav,1,2,y,ann\n"
    corpus = phones.read(put(tmp_path, text)).corpus()
    assert [(u.path.name, u.speaker) for u in corpus] == [
        ("b.wav", "ann"),
        ("a.wav", "ben"),
    ]
    assert {(u.start, u.end) for u in corpus} == {(None, None)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "columns path, start, end, phone, speaker"),
        ("path,start,end,phone\na.wav,0,1,x\n", "columns path.*segments.csv"),
        (f"{HEADER},phone\na.wav,0,1,x,s,x\n", "none twice"),
        (f"{HEADER}\n", "is empty"),
        (f"{HEADER}\na.wav,0,1,x,s\na.mp4,0,1,x,s\n", "path='a.mp4'.*line 3"),
        (f"{HEADER}\na\0.wav,0,1,x,s\n", "must name a file"),
        (f"{HEADER}\na.wav,0,1,x\n", "as many cells.*line 2"),
        (f"{HEADER}\na.wav,0,1,x,s,t\n", "as many cells.*line 2"),
        (f"{HEADER}\na.wav,2,1,x,s\n", "`end` must come after.*line 2"),
        (f"{HEADER}\na.wav,1,1,x,s\n", "`end` must come after.*line 2"),
        (f"{HEADER}\na.wav,-1,1,x,s\n", "start='-1'.*line 2"),
        (f"{HEADER}\na.wav,0,soon,x,s\n", "end='soon'.*line 2"),
        (f"{HEADER}\na.wav,,1,x,s\n", "start=''.*line 2"),
        (f"{HEADER}\na.wav,nan,1,x,s\n", "start='nan'"),
        (f"{HEADER}\na.wav,0,inf,x,s\n", "end='inf'"),
        (f'{HEADER}\n"a.wav,0,1,x,s\n', "must be a CSV file"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_line(tmp_path, text, reason):
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        phones.read(put(tmp_path, text))


def test_a_file_that_is_no_text_is_no_table(tmp_path):
    path = tmp_path / "segments.csv"
    path.write_bytes(HEADER.encode() + b"\n\xff\xfe\x00.wav,0,1,x,s\n")
    with pytest.raises(ValueError, match="CSV file in UTF-8"):
        phones.read(path)


TIMIT = set(
    "b d g p t k dx q bcl dcl gcl pcl tcl kcl jh ch s sh z zh f th v dh m n ng em en "
    "eng nx l r w y hh hv el iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr "
    "ax-h pau epi h#".split()
)


def test_61_labels_are_mapped_to_39_without_the_glottal_stop():
    assert set(phone_sets.TIMIT_TO_39) == TIMIT and len(TIMIT) == 61
    mapped = {phone_sets.map_timit(phone) for phone in TIMIT}
    assert len(mapped - {None}) == 39 and phone_sets.map_timit("q") is None
    assert len(mapped - {None, "sil"}) == 38
    for phone in mapped - {None, "sil"}:
        assert phone_sets.map_timit(phone) == phone


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ("aa ao", "aa"),
        ("ah ax ax-h", "ah"),
        ("er axr", "er"),
        ("hh hv", "hh"),
        ("ih ix", "ih"),
        ("l el", "l"),
        ("m em", "m"),
        ("n en nx", "n"),
        ("ng eng", "ng"),
        ("sh zh", "sh"),
        ("uw ux", "uw"),
        ("pcl tcl kcl bcl dcl gcl h# pau epi", "sil"),
        ("IY iy", "iy"),
    ],
)
def test_merged_labels_have_one_class(labels, label):
    assert {phone_sets.map_timit(phone) for phone in labels.split()} == {label}


def test_a_label_that_timit_does_not_have_is_refused():
    with pytest.raises(ValueError, match="one of its 61 labels. Received: 'ɑ'"):
        phone_sets.map_timit("ɑ")


MERGED = {  # eSpeak's English phones, as Lee and Hon have those of TIMIT
    "ɐ ʌ ə": "ə",
    "ᵻ ɪ": "ɪ",
    "i iː": "iː",
    "ɜː ɚ": "ɚ",
    "ɔ ɑː ɔː": "ɔː",
    "ʒ ʃ": "ʃ",
    "əl l": "l",
    "ɔːɹ ɛɹ ɑːɹ ʊɹ ɪɹ aɪɚ iə aɪə": None,
}


@pytest.mark.parametrize(("labels", "label"), MERGED.items())
def test_espeak_phones_are_merged_and_two_in_one_are_dropped(labels, label):
    assert {phone_sets.map_espeak(phone) for phone in labels.split()} == {label}


def test_all_other_phones_stay_and_mapping_is_idempotent():
    for phone in (*"tnsmæʊɾ", "oʊ", "tʃ", "uː", "aɪ", "sil", ""):
        assert phone_sets.map_espeak(phone) == phone
    for mapped in {*phone_sets.ESPEAK.values()} - {None}:
        assert phone_sets.map_espeak(mapped) == mapped
    assert len(phone_sets.ESPEAK) == sum(len(labels.split()) for labels in MERGED) - 7


def test_a_recording_has_one_path_and_a_row_is_small(tmp_path):
    """What is the same is there once: 140 bytes a row, where 670 had been."""
    rows = (
        f"speaker{i // 125}/recording{i // 50}.wav,{i % 50},{i % 50 + 0.5},"
        f"{'abcd'[i % 4]},speaker{i // 125},female"
        for i in range(5000)
    )
    path = put(tmp_path, "\n".join([f"{HEADER},gender", *rows, ""]))
    tracemalloc.start()
    labels = phones.read(path)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({id(s.path) for s in labels}) == len({s.path for s in labels})
    assert used / len(labels) < 180


LABELS = "0 1600 h#\n1600 3200 IX\n3200 3680 q\n3680 6400 ao\n"


@pytest.fixture
def tree(tmp_path, rng):
    """Two speakers: one tree in capitals, SPHERE, the other in small letters, RIFF."""
    for folder, name, kind in (
        ("TRAIN/DR1/FCJF0", "SA1.{}", "NIST"),
        ("test/dr2/mdab0", "si2.{}", "WAV"),
    ):
        place = tmp_path / "timit" / folder
        place.mkdir(parents=True)
        case = str.upper if kind == "NIST" else str.lower
        sound = rng.uniform(-0.5, 0.5, 8000)
        soundfile.write(place / name.format(case("wav")), sound, 16000, format=kind)
        (place / name.format(case("phn"))).write_text(LABELS)
    return tmp_path / "timit"


def test_a_timit_tree_is_read_in_any_case_mapped_and_without_silence(tree):
    labels = phones.read_timit(tree)
    assert [(s.speaker, s.phone, s.start_s, s.end_s) for s in labels] == [
        ("FCJF0", "ih", 0.1, 0.2),
        ("FCJF0", "aa", 0.23, 0.4),
        ("MDAB0", "ih", 0.1, 0.2),
        ("MDAB0", "aa", 0.23, 0.4),
    ]
    assert labels.segments[0].extra == {
        "part": "train",
        "dialect": "dr1",
        "gender": "F",
        "sentence": "sa1",
    }
    assert labels.segments[0].path == tree / "TRAIN/DR1/FCJF0/SA1.WAV"
    whole = phones.read_timit(tree, map_phones=False)
    assert [s.phone for s in whole][:4] == ["h#", "ix", "q", "ao"] and len(whole) == 8
    assert len(phones.read_timit(tree / "TRAIN")) == 2  # half of it


def test_recordings_in_sphere_are_read_as_they_lie(tree):
    sphere, riff = (u.path for u in phones.read_timit(tree).corpus())
    assert sphere == tree / "TRAIN/DR1/FCJF0/SA1.WAV"
    assert riff == tree / "test/dr2/mdab0/si2.wav"
    expected, _ = soundfile.read(sphere, dtype="float32")
    np.testing.assert_array_equal(wave.read(sphere), expected)


def test_of_two_recordings_the_longer_name_is_read(tree):
    place = tree / "TRAIN/DR1/FCJF0"
    soundfile.write(place / "SA1.WAV.wav", np.zeros(8000), 16000)
    assert phones.read_timit(tree).segments[0].path.name == "SA1.WAV.wav"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 1600\n", r"a phone. Received: '0 1600' .*PHN, line 1"),
        ("0 9 aa\n1600 1600 aa\n", "line 2"),
        ("-1 1600 aa\n", "line 1"),
        ("0 now aa\n", "line 1"),
        ("0 9 aa\n9 19 xx\n", r"61 labels. Received: 'xx' .*line 2"),
    ],
)
def test_a_wrong_label_is_named_by_file_and_line(tree, text, reason):
    (tree / "TRAIN/DR1/FCJF0/SA1.PHN").write_text(text)
    with pytest.raises(ValueError, match=reason):
        phones.read_timit(tree)


def test_a_tree_without_labels_or_recordings_is_refused(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="which has none"):
        phones.read_timit(tmp_path / "empty")
    (tree / "test/dr2/mdab0/si2.wav").unlink()
    with pytest.raises(ValueError, match=r"beside their recording. .*si2\.phn"):
        phones.read_timit(tree)
