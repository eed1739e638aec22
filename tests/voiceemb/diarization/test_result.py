"""Conversations corrected, written and read back; files that are none."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from timbre.turns import Turn, read_rttm
from voiceemb.diarization.result import Diarization, Windows
from voiceemb.enrolment.identification import Identity


@pytest.fixture
def talk(rng):
    """Two speakers, of whom the second is two voices in truth."""
    centres = np.eye(3, 8)
    spans = [(0.5, 3, 0), (3, 5, 1), (6, 8, 2), (8, 11, 0), (12, 14.25, 1)]
    starts = np.concatenate([np.arange(a, b - 0.9, 0.5) for a, b, _ in spans])
    voice = np.concatenate([np.full(len(np.arange(a, b - 0.9, 0.5)), v)
                            for a, b, v in spans])  # fmt: skip
    points = centres[voice] + 0.05 * rng.normal(size=(len(voice), 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = np.array(["speaker 1", "speaker 2", "speaker 2"])
    turns = [Turn(a, b, str(names[v])) for a, b, v in spans]
    return Diarization(
        turns,
        15.0,
        embeddings={
            "speaker 1": np.eye(1, 8, dtype="f4")[0],
            "speaker 2": np.full(8, 8**-0.5, "f4"),
        },
        identities={"speaker 1": Identity(None, 0.9, 0.1, [])},
        stages={"read": 0.25, "embed": 1.5},
        windows=Windows(starts, starts + 1, points.astype("f4"), names[voice]),
        notes=["A note."],
    )


def test_a_renamed_speaker_is_renamed_everywhere(talk):
    new = talk.rename("speaker 1", "  Ána 민 ")
    assert [*new.speakers] == ["speaker 2", "Ána 민"]
    assert {*new.windows.labels.tolist()} == {*new.embeddings} == {*new.speakers}
    assert [*new.identities] == ["Ána 민"]
    assert [(t.start, t.end) for t in new.turns] == [
        (t.start, t.end) for t in talk.turns
    ]
    back = new.rename("Ána 민", "speaker 1")
    assert back.turns == talk.turns and [*talk.speakers] == ["speaker 2", "speaker 1"]


def test_merged_speakers_are_one_and_touching_turns_are_one(talk):
    new = talk.merge("speaker 2", "speaker 1")
    assert [*new.speakers] == [*new.embeddings] == ["speaker 2"] and not new.identities
    spans = [(turn.start, turn.end) for turn in new.turns]
    assert spans == [(0.5, 5.0), (6.0, 11.0), (12.0, 14.25)]
    mean = talk.windows.embeddings.mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(new.embeddings["speaker 2"], expected, rtol=1e-5)


def test_a_split_finds_the_two_voices_and_a_merge_takes_it_back(talk):
    new = talk.split("speaker 2")
    assert [(t.start, t.end, t.speaker) for t in new.turns] == [
        (0.5, 3.0, "speaker 1"),
        (3.0, 5.0, "speaker 2"),
        (6.0, 8.0, "speaker 3"),
        (8.0, 11.0, "speaker 1"),
        (12.0, 14.25, "speaker 2"),
    ]
    assert {*new.windows.labels.tolist()} == {*new.embeddings} == {*new.speakers}
    assert new.embeddings["speaker 3"].argmax() == 2
    assert new.merge("speaker 2", "speaker 3").turns == talk.turns
    assert "speaker 1" in new.identities


def test_a_split_keeps_others_apart_who_speak_in_a_short_gap(talk):
    """A gap that another speaker fills is no gap: nothing overlaps, nothing is lost."""
    windows = talk.windows
    own = {"labels": np.where(windows.starts_s < 6, "A", windows.labels)}
    spans = [(0.5, 2, "A"), (2, 2.4, "B"), (2.4, 5, "A")]
    turns = [Turn(*span) for span in spans]
    both = dataclasses.replace(
        talk, turns=turns, windows=dataclasses.replace(windows, **own)
    )
    parted = both.split("A")
    (new,) = {*parted.speakers} - {"A", "B"}
    for found in (parted, parted.merge("A", new)):
        ends = [0.0, *(turn.end for turn in found.turns)]
        starts = [turn.start for turn in found.turns]
        assert all(start >= end for start, end in zip(starts, ends, strict=False))
        assert sum(found.speakers.values()) == pytest.approx(4.5)


def test_who_has_more_windows_keeps_the_name_in_a_split(talk):
    """The voice of 6 to 8 s comes first here, and is the smaller part."""
    windows = talk.windows
    late = windows.starts_s >= 6.5  # two windows against three
    own = {"labels": np.where(late, windows.labels, "speaker 1")}
    later = dataclasses.replace(talk, windows=dataclasses.replace(windows, **own))
    later = dataclasses.replace(later, turns=[t for t in talk.turns if t.start >= 6])
    spans = [(t.start, t.speaker) for t in later.split("speaker 2").turns]
    assert spans == [(6, "speaker 3"), (8, "speaker 1"), (12, "speaker 2")]


def test_a_split_name_is_one_that_is_free(talk):
    new = talk.rename("speaker 1", "Anna").split("speaker 2")
    assert {*new.speakers} == {"Anna", "speaker 1", "speaker 2"}


def test_corrections_that_make_no_sense_are_refused(talk):
    for act in (
        lambda: talk.rename("nobody", "x"),
        lambda: talk.merge("speaker 1", "nobody"),
        lambda: talk.split("nobody"),
    ):
        with pytest.raises(KeyError, match="nobody"):
            act()
    with pytest.raises(ValueError, match="merge them"):
        talk.rename("speaker 1", "speaker 2")
    assert talk.rename("speaker 1", "speaker 1").turns == talk.turns
    for name in ("", "  ", "a\nb", "a\tb", "x" * 501, None, 3):
        with pytest.raises(ValueError, match="name has 1 to"):
            talk.rename("speaker 1", name)
    with pytest.raises(ValueError, match="Two different"):
        talk.merge("speaker 1", "speaker 1")
    bare = Diarization(talk.turns, 15.0)
    with pytest.raises(ValueError, match="takes two"):
        bare.split("speaker 1")
    assert bare.merge("speaker 1", "speaker 2").embeddings == {}


def test_json_is_read_back_as_it_was_and_can_be_split_again(talk, tmp_path):
    path = tmp_path / "deep" / "talk.json"
    talk.save(path)
    again = Diarization.read(path)
    assert again.turns == talk.turns and again.duration_s == talk.duration_s
    assert again.notes == talk.notes and again.stages == talk.stages
    assert [*again.embeddings] == [*talk.embeddings]
    for name, embedding in talk.embeddings.items():
        np.testing.assert_allclose(again.embeddings[name], embedding, atol=1e-6)
    np.testing.assert_allclose(
        again.windows.embeddings, talk.windows.embeddings, atol=1e-3
    )
    np.testing.assert_array_equal(again.windows.labels, talk.windows.labels)
    np.testing.assert_allclose(again.windows.starts_s, talk.windows.starts_s)
    assert again.split("speaker 2").turns == talk.split("speaker 2").turns
    assert [p.name for p in path.parent.iterdir()] == ["talk.json"]
    assert again.identities == {}  # they belong to a store of people


def test_nobody_is_written_and_read_as_well(tmp_path):
    nobody = Diarization([], 2.0, notes=["No speech was found."])
    for suffix in ("json", "rttm", "csv", "srt", "txt"):
        nobody.save(tmp_path / f"nobody.{suffix}")
    again = Diarization.read(tmp_path / "nobody.json")
    assert again.turns == [] and again.notes == nobody.notes and not len(again.windows)
    assert (tmp_path / "nobody.csv").read_text() == "start,end,speaker\n"


def test_rttm_csv_and_labels_say_the_same(talk, tmp_path):
    talk = talk.rename("speaker 1", 'a "quoted", name')
    for suffix in ("rttm", "csv", "txt"):
        talk.save(tmp_path / f"my talk.{suffix}")
    (turns,) = read_rttm(tmp_path / "my talk.rttm").values()
    assert [t.speaker for t in turns][:2] == ['a_"quoted",_name', "speaker_2"]
    with open(tmp_path / "my talk.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert rows[0] == {"start": "0.500", "end": "3.000", "speaker": 'a "quoted", name'}
    lines = (tmp_path / "my talk.txt").read_text().splitlines()
    assert lines[1].split("\t") == ["3.000000", "5.000000", "speaker 2"]
    assert len(rows) == len(lines) == len(turns) == 5


def test_subtitles_say_who_speaks_and_hours_are_hours(tmp_path):
    turns = [Turn(0.0004, 2.9996, "Anna"), Turn(3661.25, 3662.0, "speaker 2")]
    Diarization(turns, 4000.0).save(tmp_path / "talk.srt")
    assert (tmp_path / "talk.srt").read_text() == (
        "1\n00:00:00,000 --> 00:00:03,000\n[Anna]\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\n[speaker 2]\n"
    )


def test_a_file_that_can_not_be_written_leaves_the_old_one(talk, tmp_path):
    path = tmp_path / "talk.rttm"
    talk.save(path)
    before = path.read_bytes()
    clash = talk.rename("speaker 1", "a b").rename("speaker 2", "a_b")
    with pytest.raises(ValueError):
        clash.save(path)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="ends in one of"):
        talk.save(tmp_path / "talk.docx")
    assert [p.name for p in tmp_path.iterdir()] == ["talk.rttm"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"version": 2},
        {"duration_s": -1},
        {"duration_s": True},
        {"duration_s": 1.0},  # turns behind the end
        {"duration_s": float("nan")},
        {"turns": [[2, 1, "a"]]},
        {"turns": [[0, 1]]},
        {"turns": [[0, 1, ""]]},
        {"turns": [[0, 1, "a\nb"]]},
        {"turns": [[0, 1, 7]]},
        {"turns": [[3, 4, "a"], [1, 2, "a"]]},
        {"turns": {"a": 1}},
        {"speakers": {"a": [1.0, 2.0]}},  # of another length than windows
        {"speakers": {"a": [[1.0] * 8]}},
        {"speakers": {"a": [1e999] * 8}},
        {"speakers": [1]},
        {"stages": {"read": "fast"}},
        {"notes": [3]},
        {"windows": None},
        {"windows": {"dim": 10**12}},
        {"windows": {"dim": -1}},
        {"windows": {"embeddings": "AAAA"}},
        {"windows": {"embeddings": "*"}},
        {"windows": {"ends_s": [0.0]}},
        {"windows": {"speaker": [1]}},
    ],
)
def test_a_spoiled_file_is_refused(talk, tmp_path, change):
    path = tmp_path / "talk.json"
    talk.save(path)
    held = json.loads(path.read_text("utf-8"))
    for key, value in change.items():
        whole = isinstance(value, dict) and key == "windows"
        held[key] = held[key] | value if whole else value
    path.write_text(json.dumps(held), "utf-8")
    with pytest.raises(ValueError, match="Not a voiceemb diarization"):
        Diarization.read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 9999])
def test_what_is_no_conversation_at_all_is_refused(tmp_path, content):
    path = tmp_path / "talk.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Not a voiceemb diarization"):
        Diarization.read(path)
    with pytest.raises(FileNotFoundError):
        Diarization.read(tmp_path / "missing.json")
