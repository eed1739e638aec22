"""The page without a browser: sessions, the drawing, the answers."""

from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audio import wave
from metrics.figures import COLOURS
from metrics.rttm import Turn, read_rttm
from tests.voiceemb.pages import conversation, diarize
from voiceemb.conversation import Diarization
from voiceemb.page import session, timeline
from voiceemb.page.desk import Desk
from voiceemb.page.session import Session, alone, peaks, speakers_asked

HOSTILE = "<script>alert(1)</script>\"'onload=x ${1+1} {{value}}"
TALK = [(0.5, 2.5, 200), (3.0, 4.0, 1500), (4.5, 8.0, 200)]


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.wav"
    wave.write(path, conversation(TALK))
    return path


@pytest.fixture
def opened(tmp_path, talk):
    """A session with a conversation and its turns."""
    opened = Session(tmp_path)
    opened.take(talk, "talk.wav")
    assert opened.analyse(diarize)
    return opened


@pytest.fixture
def desk(tmp_path):
    """The buttons' answers, as updates of parts that are only names."""
    names = (
        "state notice file microphone player timeline answer table stages speaker "
        "other name undo numbers exact least most"
    )
    parts = SimpleNamespace(**{name: name for name in names.split()})
    parts.downloads = list(session.FORMATS)
    people = SimpleNamespace(names=["anna"])
    return Desk(parts, dict, tmp_path, people, diarize)


class Tags(HTMLParser):
    """The tags of a text, and the attributes of those."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def of(self, kind):
        return [a for _, a in self.found if kind in (a.get("class") or "").split()]


def test_the_turns_of_the_stand_in_are_those_of_the_sound(opened):
    expected = [(a, b, "speaker 2" if f > 500 else "speaker 1") for a, b, f in TALK]
    assert [(t.start, t.end, t.speaker) for t in opened.found.turns] == expected


def test_a_session_keeps_the_sound_and_needs_the_file_no_more(opened, talk):
    given = wave.read(talk)
    talk.unlink()
    np.testing.assert_array_equal(opened.recording.read(), given)
    assert opened.recording.duration_s == len(given) / 16000 == 8.5


def test_a_bad_file_changes_nothing_and_is_called_by_the_users_name(opened, tmp_path):
    bad = tmp_path / "deadbeef.wav"
    bad.write_text("not a sound")
    before, turns = opened.recording, opened.found
    with pytest.raises(ValueError, match="^my <talk>.wav: ") as caught:
        opened.take(bad, "my <talk>.wav")
    assert str(tmp_path) not in str(caught.value)
    assert opened.recording is before and opened.found is turns


def test_a_louder_sound_than_a_file_can_hold_keeps_its_shape(tmp_path):
    loud = 2.5 * conversation([(0, 1, 200)]) / 0.3
    soundfile.write(tmp_path / "loud.wav", loud, 16000, subtype="FLOAT")
    opened = Session(tmp_path)
    opened.take(tmp_path / "loud.wav", "loud")
    np.testing.assert_allclose(opened.recording.read(), loud / 2.5, atol=1e-4)


def test_another_recording_takes_the_place_and_the_disk_of_the_first(opened, talk):
    first = opened.recording
    opened.take(talk, "again")
    assert opened.found is None and not first.path.exists()
    assert opened.recording.read().size


def test_a_name_is_never_a_path(tmp_path, talk):
    opened = Session(tmp_path / "..")
    opened.take(talk, "../../etc/passwd")
    assert opened.recording.path.name == "sound.wav"
    assert opened.folder in opened.recording.path.parents
    opened.close()
    assert not opened.folder.exists() and tmp_path.exists()


def test_turns_of_a_recording_that_was_replaced_meanwhile_are_dropped(opened, talk):
    def late(waveform, **options):
        opened.take(talk, "newer")
        return diarize(waveform, **options)

    assert opened.analyse(late) is False
    assert opened.found is None and opened.recording.name == "newer"


@pytest.mark.parametrize("moment", ["first", "last"])
def test_turns_of_a_recording_that_is_replaced_while_they_are_written_are_dropped(
    opened, talk, moment
):
    old = opened.recording.path.parent

    class Slow(Diarization):
        def save(self, path):
            if moment == "last":
                super().save(path)
            if path.suffix == (".rttm" if moment == "first" else ".srt"):
                opened.take(talk, "newer")
            if moment == "first":
                super().save(path)

    def late(waveform, **options):
        return Slow(diarize(waveform, **options).turns, 8.5)

    assert opened.analyse(late) is False
    assert opened.found is None and opened.recording.name == "newer"
    assert not old.exists() and opened.recording.path.exists()


def test_edits_can_be_taken_back_to_what_was_found(opened):
    found = opened.found
    assert opened.rename("speaker 1", "  Anna\tMaria ") == "Anna Maria"
    opened.split("Anna Maria")
    opened.merge("speaker 2", "Anna Maria")
    assert set(opened.found.speakers) == {"speaker 2", "speaker 1"}
    for _ in range(3):
        opened.undo()
    assert opened.found is found
    with pytest.raises(ValueError, match="no change"):
        opened.undo()


@pytest.mark.parametrize("name", ["", " ", None, "speaker 2", "a\x00b", 501 * "a"])
def test_a_name_must_be_one_and_nobody_elses(opened, name):
    with pytest.raises(ValueError, match="name|already"):
        opened.rename("speaker 1", name)
    assert len(opened.versions) == 1


def test_nothing_is_done_to_nobody(tmp_path, opened):
    empty = Session(tmp_path)
    for act in (lambda: empty.split("anna"), lambda: empty.analyse(diarize)):
        with pytest.raises(ValueError, match="Choose or record a sound first"):
            act()
    for act in (opened.split, lambda name: opened.merge("speaker 1", name)):
        with pytest.raises(ValueError, match="Choose a speaker"):
            act("nobody")
    with pytest.raises(ValueError, match="two different"):
        opened.merge("speaker 1", "speaker 1")


def test_each_version_has_its_own_files(opened):
    first = opened.files
    opened.rename("speaker 1", "Anna")
    opened.rename("speaker 2", "Bea")
    assert not {*first} & {*opened.files}
    assert [path.rpartition(".")[2] for path in first] == [*session.FORMATS]
    (turns,) = read_rttm(opened.files[0]).values()
    assert sorted(turns) == sorted(opened.found.turns)
    opened.undo()
    opened.undo()
    assert opened.files == first


def test_a_version_that_can_not_be_written_is_none(opened):
    """In RTTM a space is an underscore, so these two would be one."""
    opened.rename("speaker 1", "Anna Bea")
    with pytest.raises(ValueError, match="Anna"):
        opened.rename("speaker 2", "Anna_Bea")
    assert set(opened.found.speakers) == {"Anna Bea", "speaker 2"}


def test_alone_is_what_a_fine_grid_says(rng):
    """Times are whole numbers, so half-open cells of length one decide exactly."""
    for _ in range(50):
        starts = rng.integers(0, 30, size=6)
        ends = starts + rng.integers(1, 8, size=6)
        turns = [Turn(a, b, "ab"[i % 2]) for i, (a, b) in enumerate(zip(starts, ends))]  # noqa: B905
        grid = {name: np.zeros(40, bool) for name in "ab"}
        for turn in turns:
            grid[turn.speaker][int(turn.start) : int(turn.end)] = True
        found = np.zeros(40, bool)
        spans = alone(turns, "a")
        for start, end in spans:
            found[int(start) : int(end)] = True
        np.testing.assert_array_equal(found, grid["a"] & ~grid["b"])
        assert all(a[1] < b[0] for a, b in zip(spans, spans[1:]))  # noqa: B905


def test_samples_are_the_longest_stretches_that_nobody_else_shares(opened):
    overlapped = [*opened.found.turns, Turn(4.5, 5.0, "speaker 2")]
    found = Diarization(overlapped, 8.5)
    assert seconds(session.samples(opened, found, "speaker 1")) == {
        "talk.wav 5.0-8.0 s": 3.0,
        "talk.wav 0.5-2.5 s": 2.0,
    }
    short = session.samples(opened, found, "speaker 2")
    assert seconds(short) == {"talk.wav 3.0-4.0 s": 1.0}


def seconds(samples):
    return {name: len(part) / 16000 for name, part in samples.items()}


def test_who_is_enrolled_has_a_name(opened):
    taken = {}

    def enrol(name, sources, names):
        taken[name] = dict(zip(names, sources, strict=True))

    people = SimpleNamespace(enrol=enrol)
    with pytest.raises(ValueError, match="Rename speaker 1 first"):
        opened.enrol(people, "speaker 1")
    opened.rename("speaker 1", "Anna")
    opened.enrol(people, "Anna")
    known = {"talk.wav 4.5-8.0 s": 3.5, "talk.wav 0.5-2.5 s": 2.0}
    assert seconds(taken["Anna"]) == known


@pytest.mark.parametrize("samples", [1, 5, 64, 1000, 1037])
def test_peaks_are_the_largest_of_equal_parts(rng, samples):
    waveform = rng.normal(size=samples)
    bins = min(64, samples)
    edges = np.arange(bins + 1) * samples // bins
    parts = [np.abs(waveform[a:b]).max() for a, b in zip(edges, edges[1:])]  # noqa: B905
    np.testing.assert_allclose(peaks(waveform, 64), parts / np.abs(waveform).max())
    assert peaks(waveform, 64).max() == 1


def test_the_outline_of_silence_is_flat():
    np.testing.assert_array_equal(peaks(np.zeros(100, np.float32), 10), 0)


def test_the_control_says_what_diarization_is_asked():
    assert speakers_asked("estimated", 99, None, 0) == {}
    assert speakers_asked("exact", 3.0, None, None) == {"num_speakers": 3}
    between = {"min_speakers": 2, "max_speakers": 5}
    assert speakers_asked("between", None, 2, 5) == between


@pytest.mark.parametrize(
    "asked",
    [("exact", None, 1, 2), ("exact", 0, 1, 2), ("exact", 2.5, 1, 2)]
    + [("between", 2, 5, 2), ("between", 2, 1, 21), ("between", 2, None, 3)],
)
def test_numbers_of_speakers_that_can_not_be_are_refused(asked):
    with pytest.raises(ValueError, match="whole number|not be more"):
        speakers_asked(*asked)


@pytest.mark.parametrize(
    "seconds, places, text",
    [(0, 0, "0:00"), (59.94, 1, "0:59.9"), (59.96, 1, "1:00.0"), (75, 0, "1:15")]
    + [(3599.6, 0, "1:00:00"), (3661.25, 2, "1:01:01.25")],
)
def test_times_are_written_as_clocks_do(seconds, places, text):
    assert timeline.clock(seconds, places) == text


def test_every_turn_is_a_button_in_its_place_with_words(opened):
    drawn = Tags(timeline.draw(opened.recording, opened.found))
    turns = drawn.of("when-turn")
    assert [a["aria-label"] for a in turns] == [
        "speaker 1, 0:00.5 to 0:02.5",
        "speaker 1, 0:04.5 to 0:08.0",
        "speaker 2, 0:03.0 to 0:04.0",
    ]
    assert [a["tabindex"] for a in turns] == ["0", "-1", "0"]
    places = [dict(p.split(":") for p in a["style"].split(";")) for a in turns]
    for place, turn in zip(places, sorted(opened.found.turns, key=_lane), strict=True):
        left, width = (float(place[key].rstrip("%")) for key in ("left", "width"))
        assert np.isclose(left, 100 * turn.start / 8.5, atol=1e-3)
        assert np.isclose(left + width, 100 * turn.end / 8.5, atol=1e-3)


def _lane(turn):
    return turn.speaker, turn.start


def test_lanes_beyond_the_colours_are_told_apart_by_stripes(opened):
    turns = [Turn(i / 2, i / 2 + 0.4, f"voice {i}") for i in range(9)]
    drawn = Tags(timeline.draw(opened.recording, Diarization(turns, 8.5)))
    lanes = drawn.of("when-lane")
    looks = {(a["style"], "when-striped" in a["class"]) for a in lanes}
    assert len(looks) == 9 and len({a["style"] for a in lanes}) == len(COLOURS)


def test_nothing_that_a_user_wrote_becomes_a_tag(opened):
    opened.rename("speaker 1", HOSTILE)
    bad = opened.recording.__class__(
        HOSTILE, *list(vars(opened.recording).values())[1:]
    )
    found = Diarization(opened.found.turns, 8.5, stages={HOSTILE: 1.0}, notes=[HOSTILE])
    known = SimpleNamespace(name=HOSTILE, probability=0.999)
    named = Diarization(found.turns, 8.5, identities={HOSTILE: known})
    texts = {
        "draw": timeline.draw(bad, found),
        "player": timeline.player(bad, HOSTILE),
        "table": timeline.table(named, [HOSTILE]),
        "stages": timeline.stages(found),
        "notice": timeline.notice(HOSTILE, "error"),
    }
    for name, text in texts.items():
        drawn = Tags(text)
        kinds = {tag for tag, _ in drawn.found}
        assert not kinds & {"script", "img"}, name
        attributes = {key for _, a in drawn.found for key in a}
        assert not {key for key in attributes if key.startswith("on")}, name
        written = [*drawn.text, *(v or "" for _, a in drawn.found for v in a.values())]
        assert any(HOSTILE in text for text in written), name


def test_the_table_counts_and_shares(opened):
    text = timeline.table(opened.found, ["speaker 2"])
    cells = Tags(text).text
    assert cells[-3:] == ["0:01.0", "15 %", "1"]
    assert text.count("enrolled") == 1
    known = SimpleNamespace(name="speaker 2", probability=0.9999)
    named = Diarization(opened.found.turns, 8.5, identities={"speaker 2": known})
    assert "recognised, 99 %" in timeline.table(named)


def test_the_work_of_stages_is_a_part_of_real_time():
    found = Diarization([], 50.0, stages={"activity": 0.5, "embedding": 2.0})
    line = "".join(Tags(timeline.stages(found)).text)
    assert "activity 0.5 s (0.010)" in line and "together 2.5 s (0.050)" in line
    assert timeline.stages(Diarization([], 50.0, stages={})) == ""


def test_buttons_pressed_too_early_say_what_is_missing(desk):
    said = [
        desk.find(None, "estimated", 2, 1, 8),
        desk.rename(None, "anna", "bea"),
        desk.undo(None, None),
    ]
    for updates in said:
        (update,) = updates.values()
        assert update["visible"] and "Choose or record a sound first" in update["value"]


def test_a_press_shows_the_turns_and_offers_them_for_download(desk, talk):
    updates = desk.take_file(str(talk), None)
    opened = updates[desk.parts.state]
    assert not talk.exists(), "the session keeps its own"
    updates = desk.find(opened, "exact", 1, 1, 8)
    assert set(opened.found.speakers) == {"speaker 1"}
    updates = desk.find(opened, "estimated", 1, 1, 8)
    assert updates[desk.parts.speaker]["choices"] == ["speaker 1", "speaker 2"]
    assert updates[desk.parts.other]["choices"] == ["speaker 2"]
    updates = desk.rename(opened, "speaker 2", "anna")
    assert updates[desk.parts.speaker]["value"] == "anna"
    assert "enrolled" in updates[desk.parts.table]
    (turns,) = read_rttm(updates[desk.parts.downloads[0]]["value"]).values()
    assert {turn.speaker for turn in turns} == {"speaker_1", "anna"}
    opened.close()


def test_a_bad_upload_is_a_message_and_the_dropzone_is_free(desk, tmp_path):
    bad = tmp_path / "<b>bad.wav"
    bad.write_text("words")
    updates = desk.take_file(str(bad), None)
    notice = updates[desk.parts.notice]["value"]
    assert "&lt;b&gt;bad.wav" in notice and 'role="alert"' in notice
    assert updates[desk.parts.file] is None and desk.parts.timeline not in updates
    assert not list(tmp_path.iterdir()), "nothing is kept of it"


def test_a_session_that_ended_meanwhile_is_a_message(desk, opened):
    opened.close()
    said = desk.rename(opened, "speaker 1", "Anna")
    assert "when-error" in said["notice"]["value"]


def test_an_enrolment_says_what_came_of_it(desk, opened):
    class Report:
        enrolled = False

        def __str__(self):
            return "too little speech"

    desk.people.enrol = lambda name, sources, names: Report()
    assert "Rename" in desk.enrol(opened, "speaker 1")["notice"]["value"]
    opened.rename("speaker 1", "Anna")
    (failed,) = desk.enrol(opened, "Anna").values()
    assert "too little speech" in failed["value"] and "when-error" in failed["value"]
    Report.enrolled = True
    done = desk.enrol(opened, "Anna")
    assert "when-note" in done["notice"]["value"] and done["speaker"]["value"] == "Anna"


def test_numbers_are_asked_for_where_they_count(desk):
    shown = {
        way: [part for part, update in desk.ask(way).items() if update["visible"]]
        for way in ("estimated", "exact", "between")
    }
    assert shown == {
        "estimated": [],
        "exact": ["numbers", "exact"],
        "between": ["numbers", "least", "most"],
    }
