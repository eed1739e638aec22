"""The handlers of the page's buttons: their updates and messages."""

from types import SimpleNamespace

import pytest

from tests.voiceemb.page.pages import diarize
from timbre.turns import read_rttm
from voiceemb.page import session
from voiceemb.page.handlers import Handlers


@pytest.fixture
def handlers(tmp_path):
    """The buttons' answers, as updates of parts that are only names."""
    names = (
        "state notice file microphone player timeline answer table stages speaker "
        "other name undo numbers exact low high"
    )
    parts = SimpleNamespace(**{name: name for name in names.split()})
    parts.downloads = list(session.FORMATS)
    people = SimpleNamespace(names=["anna"])
    return Handlers(parts, dict, tmp_path, people, diarize)


def test_buttons_pressed_too_early_say_what_is_missing(handlers):
    said = [
        handlers.find(None, "estimated", 2, 1, 8),
        handlers.rename(None, "anna", "bea"),
        handlers.undo(None, None),
    ]
    for updates in said:
        (update,) = updates.values()
        assert update["visible"] and "Choose or record a sound first" in update["value"]


def test_a_press_shows_the_turns_and_offers_them_for_download(handlers, talk):
    updates = handlers.load_file(str(talk), None)
    opened = updates[handlers.parts.state]
    assert not talk.exists(), "the session keeps its own"
    updates = handlers.find(opened, "exact", 1, 1, 8)
    assert set(opened.found.speakers) == {"speaker 1"}
    updates = handlers.find(opened, "estimated", 1, 1, 8)
    assert updates[handlers.parts.speaker]["choices"] == ["speaker 1", "speaker 2"]
    assert updates[handlers.parts.other]["choices"] == ["speaker 2"]
    updates = handlers.rename(opened, "speaker 2", "anna")
    assert updates[handlers.parts.speaker]["value"] == "anna"
    assert "enrolled" in updates[handlers.parts.table]
    (turns,) = read_rttm(updates[handlers.parts.downloads[0]]["value"]).values()
    assert {turn.speaker for turn in turns} == {"speaker_1", "anna"}
    opened.close()


def test_a_bad_upload_is_a_message_and_the_dropzone_is_free(handlers, tmp_path):
    bad = tmp_path / "<b>bad.wav"
    bad.write_text("words")
    updates = handlers.load_file(str(bad), None)
    notice = updates[handlers.parts.notice]["value"]
    assert "&lt;b&gt;bad.wav" in notice and 'role="alert"' in notice
    assert (
        updates[handlers.parts.file] is None and handlers.parts.timeline not in updates
    )
    assert not list(tmp_path.iterdir()), "nothing is kept of it"


def test_a_session_that_ended_meanwhile_is_a_message(handlers, opened):
    opened.close()
    said = handlers.rename(opened, "speaker 1", "Anna")
    assert "when-error" in said["notice"]["value"]


def test_an_enrolment_says_what_came_of_it(handlers, opened):
    class Report:
        enrolled = False

        def __str__(self):
            return "too little speech"

    handlers.people.enrol = lambda name, sources, names: Report()
    assert "Rename" in handlers.enrol(opened, "speaker 1")["notice"]["value"]
    opened.rename("speaker 1", "Anna")
    (failed,) = handlers.enrol(opened, "Anna").values()
    assert "too little speech" in failed["value"] and "when-error" in failed["value"]
    Report.enrolled = True
    done = handlers.enrol(opened, "Anna")
    assert "when-note" in done["notice"]["value"] and done["speaker"]["value"] == "Anna"


def test_numbers_are_asked_for_where_they_count(handlers):
    shown = {
        mode: [
            part
            for part, update in handlers.show_numbers(mode).items()
            if update["visible"]
        ]
        for mode in ("estimated", "exact", "between")
    }
    assert shown == {
        "estimated": [],
        "exact": ["numbers", "exact"],
        "between": ["numbers", "low", "high"],
    }
