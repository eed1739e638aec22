"""Names of speakers, and conversations in which they come back from the disk."""

import dataclasses

import numpy as np
import pytest

from timbre.turns import Turn, read_rttm
from voiceemb.diarization.result import Diarization, Windows
from voiceemb.names import normalise_name

JOINED = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"  # a Persian name with U+200C


@pytest.fixture
def talk():
    """One speaker, one window."""
    point = np.eye(1, 4, dtype=np.float32)
    return Diarization(
        [Turn(0.5, 2.0, "speaker 1")],
        3.0,
        embeddings={"speaker 1": point[0]},
        windows=Windows(*np.array([[0.5], [2.0]]), point, np.array(["speaker 1"])),
        notes=["Two lines\nof a note.\t", ""],
    )


@pytest.mark.parametrize("name", [JOINED, "x" * 500, "  Ána 민 ", "A\u0301na"])
def test_a_name_that_people_may_have_is_read_back_from_a_conversation(
    name, talk, tmp_path
):
    named = talk.rename("speaker 1", name)
    kept = normalise_name(name)
    named.save(tmp_path / "talk.json")
    read = Diarization.read(tmp_path / "talk.json")
    assert read.turns == [Turn(0.5, 2.0, kept)]
    assert [*read.embeddings] == read.windows.labels.tolist() == [kept]
    assert read.notes == talk.notes


@pytest.mark.parametrize("name", ["", "a\nb", "a\u202eb", "x" * 501, None, 3])
def test_a_name_that_people_may_not_have_is_refused(name, talk):
    with pytest.raises(ValueError, match="1 to 500 letters"):
        normalise_name(name)
    with pytest.raises(ValueError, match="1 to 500 letters"):
        talk.rename("speaker 1", name)


@pytest.mark.parametrize("part", ["turns", "embeddings", "windows"])
def test_a_conversation_with_such_a_name_is_not_read(part, talk, tmp_path):
    bad = {
        "turns": [Turn(0.5, 2.0, "a\nb")],
        "embeddings": {"a\nb": np.ones(4, np.float32)},
        "windows": dataclasses.replace(talk.windows, labels=np.array(["a\nb"])),
    }
    dataclasses.replace(talk, **{part: bad[part]}).save(tmp_path / "talk.json")
    with pytest.raises(ValueError, match="1 to 500 letters"):
        Diarization.read(tmp_path / "talk.json")


@pytest.mark.parametrize("number", ["3.0", "0.5", "2.0", "1.0"])
def test_an_integer_that_no_float_can_be_is_no_conversation(number, talk, tmp_path):
    path = tmp_path / "talk.json"
    talk.save(path)
    path.write_text(path.read_text("utf-8").replace(number, str(10**400)), "utf-8")
    with pytest.raises(ValueError, match="Not a voiceemb diarization"):
        Diarization.read(path)


def test_suffixes_in_capitals_name_the_same_formats(talk, tmp_path):
    for name in ("talk.RTTM", "talk.Json", "talk.TXT"):
        talk.save(tmp_path / name)
    assert read_rttm(tmp_path / "talk.RTTM")["talk"][0].start == 0.5
    assert Diarization.read(tmp_path / "talk.Json").turns == talk.turns
    text = (tmp_path / "talk.TXT").read_text("utf-8")
    assert text == "0.500000\t2.000000\tspeaker 1\n"
