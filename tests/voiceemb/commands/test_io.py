"""What commands do around their work: a new store stays only if it is of use."""

import numpy as np
import pytest

from tests.voiceemb.tones import Loud, ToneEncoder, tone
from voiceemb.commands import io
from voiceemb.encoder import Encoder
from voiceemb.enrolment.people import People

ABOUT = {
    "extractor": "tones",
    "sample_rate": 16000,
    "dim": 2,
    "window_samples": 32000,
    "sha256": "a" * 64,
}


@pytest.fixture
def encoder():
    """A low tone is one voice, a high tone another."""
    hear = ToneEncoder().embed_utterance
    return Encoder(lambda batch: np.stack([hear(x) for x in batch]), ABOUT)


@pytest.fixture(params=["absent", "empty", "deep"])
def folder(request, tmp_path):
    """A place for a store, where nothing is yet."""
    if request.param == "empty":
        (tmp_path / "people").mkdir()
    return tmp_path / ("a/b/people" if request.param == "deep" else "people")


def enrol(people, name, sound):
    return people.enrol(name, [sound], force=True).enrolled


def test_a_new_store_stays_with_who_is_in_it(encoder, folder, capsys):
    with io.open_or_create_store(folder, encoder, Loud()) as people:
        assert enrol(people, "anna", tone("low", 6))
    assert capsys.readouterr().err == f"a new store: {folder}\n"
    assert People.open(folder).names == ["anna"]
    with io.open_or_create_store(folder, encoder, Loud()) as people:
        assert people.names == ["anna"]
    assert capsys.readouterr().err == ""


def test_of_a_new_store_with_nobody_in_it_nothing_stays(encoder, folder, capsys):
    root = next(path for path in folder.parents if path.exists())
    before = sorted(root.rglob("*"))
    with io.open_or_create_store(folder, encoder, Loud()) as people:
        assert not people.enrol("anna", [tone("low", 1)]).enrolled
    assert sorted(root.rglob("*")) == before and capsys.readouterr().err == ""


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_of_a_new_store_nothing_stays_after_a_fault(encoder, folder, fault):
    with pytest.raises(fault), io.open_or_create_store(folder, encoder, Loud()):
        raise fault
    assert not folder.exists() or not any(folder.iterdir())


def test_a_store_that_another_process_made_meanwhile_is_left_as_it_is(encoder, folder):
    with (
        pytest.raises(FileExistsError, match="absent or empty folder"),
        io.open_or_create_store(folder, encoder, Loud()) as people,
    ):
        enrol(People.create(folder, encoder, detector=Loud()), "ben", tone("high", 6))
        enrol(people, "anna", tone("low", 6))
    assert People.open(folder).names == ["ben"]
    assert not [*folder.parent.glob(".*")]


def test_what_is_in_the_way_is_left(encoder, tmp_path):
    """Before anything is heard, or if it came while that was done."""
    notes = tmp_path / "people" / "notes.txt"
    with (
        pytest.raises(FileExistsError, match="absent or empty folder"),
        io.open_or_create_store(tmp_path / "people", encoder, Loud()) as people,
    ):
        enrol(people, "anna", tone("low", 6))
        notes.parent.mkdir()
        notes.write_text("kept")
    with (
        pytest.raises(FileExistsError, match="absent or empty folder"),
        io.open_or_create_store(tmp_path / "people", encoder, Loud()) as people,
    ):
        raise AssertionError("it was heard")
    assert [path.name for path in tmp_path.rglob("*")] == ["people", "notes.txt"]


def test_an_empty_store_that_was_there_before_is_left(encoder, folder):
    People.create(folder, encoder)
    with io.open_or_create_store(folder, encoder, Loud()) as people:
        assert not people.enrol("anna", [tone("low", 1)]).enrolled
    assert len(People.open(folder)) == 0


def test_what_others_put_beside_a_new_store_is_left(encoder, tmp_path):
    folder = tmp_path / "mine" / "people"
    with io.open_or_create_store(folder, encoder, Loud()):
        (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
