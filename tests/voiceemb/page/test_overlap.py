"""Two who speak at once, on the page without a browser: drawn, edited, written."""

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.voiceemb.page.pages import AT_ONCE, analysed, recorded
from timbre.turns import read_rttm
from voiceemb.diarization.result import Diarization
from voiceemb.page import timeline_html

LOW = [(0.5, 4.0), (7.0, 9.0)]
HIGH = [(2.0, 3.0), (5.0, 8.0)]  # within one of `LOW`, and over the edge of the other


@pytest.fixture
def opened(tmp_path):
    return analysed(tmp_path, recorded(tmp_path / "talk.wav", AT_ONCE))


def spans(found, *names):
    return [(t.start, t.end) for t in found.turns if t.speaker in names]


class Lanes(HTMLParser):
    """Of each lane, by its name, the turns as they are drawn; and the bands."""

    def __init__(self, text):
        super().__init__()
        self.turns, self.bands = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        kind = attributes.get("class", "").split()
        if "when-lane" in kind:
            self.turns[attributes["aria-label"]] = []
        elif "when-turn" in kind:
            self.turns[[*self.turns][-1]].append(attributes)
        elif "when-band" in kind:
            self.bands.append(attributes["d"])


def test_each_has_a_lane_with_all_of_their_turns_in_place(opened):
    drawn = Lanes(timeline_html.render(opened.recording, opened.found))
    for name, expected in (("speaker 1", LOW), ("speaker 2", HIGH)):
        turns = drawn.turns[name]
        times = [(float(a["data-start"]), float(a["data-end"])) for a in turns]
        assert times == expected
        for a, (start, end) in zip(turns, expected, strict=True):
            left, width = 100 * start / 9.5, 100 * (end - start) / 9.5
            assert a["style"] == f"left:{left:.4f}%;width:{width:.4f}%"
            assert a["aria-label"].startswith(f"{name}, 0:0{start:.1f} to ")
    assert [*drawn.turns] == ["speaker 1", "speaker 2"]
    assert [path.count("M") for path in drawn.bands] == [2, 2]


def test_what_is_said_at_once_counts_for_each(opened):
    assert opened.found.speakers == {"speaker 1": 5.5, "speaker 2": 4.0}
    table = timeline_html.table(opened.found)
    assert "<b>58 %</b>" in table and "<b>42 %</b>" in table  # 5.5 and 4 of 9.5


def test_edits_of_one_leave_the_turns_of_the_other(opened):
    opened.rename("speaker 1", "Zoe")
    assert spans(opened.found, "Zoe") == LOW
    opened.split("Zoe")
    parts = {name for name in opened.found.speakers if name != "speaker 2"}
    assert len(parts) == 2 and sorted(spans(opened.found, *parts)) == LOW
    opened.rename("speaker 2", "Ada")
    assert spans(opened.found, "Ada") == HIGH
    opened.merge("Zoe", "speaker 1")
    assert spans(opened.found, "Zoe") == LOW and spans(opened.found, "Ada") == HIGH
    for _ in range(4):
        opened.undo()
    assert spans(opened.found, "speaker 1") == LOW


def test_every_version_can_be_written_and_read(opened):
    opened.rename("speaker 1", "Zoe")
    opened.split("speaker 2")
    for version in opened.versions:
        turns = version.found.turns
        rttm, table, whole, titles = map(Path, version.files)
        (read,) = read_rttm(rttm).values()
        told = [(t.start, t.end, t.speaker.replace(" ", "_")) for t in turns]
        assert [(t.start, t.end, t.speaker) for t in read] == told
        rows = [*csv.reader(table.read_text("utf-8").splitlines())][1:]
        assert [(float(a), float(b), c) for a, b, c in rows] == [
            (t.start, t.end, t.speaker) for t in turns
        ]
        assert Diarization.read(whole).turns == turns
        assert titles.read_text("utf-8").count(" --> ") == len(turns) == 4


def test_samples_for_an_enrolment_are_of_one_voice(opened):
    taken = {}

    class People:
        def enrol(self, name, sources, names):
            taken.update(zip(names, map(len, sources), strict=True))

    opened.rename("speaker 2", "Ada")
    opened.enrol(People(), "Ada")
    assert taken == {"talk.wav 5.0-7.0 s": 32000}
