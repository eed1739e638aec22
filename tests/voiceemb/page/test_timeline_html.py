"""The drawing of the page: lanes, turns, the table, and no HTML of a user's own."""

from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from tests.voiceemb.page.pages import analysed, recorded
from timbre.plotting import COLOURS
from timbre.turns import Turn
from voiceemb.diarization.result import Diarization
from voiceemb.page import timeline_html

HOSTILE = "<script>alert(1)</script>\"'onload=x ${1+1} {{value}}"


@pytest.fixture
def opened(tmp_path):
    return analysed(tmp_path, recorded(tmp_path / "talk.wav"))


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


def test_every_turn_is_a_button_in_its_place_with_words(opened):
    drawn = Tags(timeline_html.render(opened.recording, opened.found))
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


def test_lanes_beyond_the_colours_are_distinguished_by_stripes(opened):
    turns = [Turn(i / 2, i / 2 + 0.4, f"voice {i}") for i in range(9)]
    drawn = Tags(timeline_html.render(opened.recording, Diarization(turns, 8.5)))
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
        "render": timeline_html.render(bad, found),
        "player": timeline_html.player(bad, HOSTILE),
        "table": timeline_html.table(named, [HOSTILE]),
        "stages": timeline_html.stages(found),
        "notice": timeline_html.notice(HOSTILE, "error"),
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
    text = timeline_html.table(opened.found, ["speaker 2"])
    cells = Tags(text).text
    assert cells[-3:] == ["0:01.0", "15 %", "1"]
    assert text.count("enrolled") == 1
    known = SimpleNamespace(name="speaker 2", probability=0.9999)
    named = Diarization(opened.found.turns, 8.5, identities={"speaker 2": known})
    assert "recognised, 99 %" in timeline_html.table(named)


def test_the_work_of_stages_is_a_part_of_real_time():
    found = Diarization([], 50.0, stages={"activity": 0.5, "embedding": 2.0})
    line = "".join(Tags(timeline_html.stages(found)).text)
    assert "activity 0.5 s (0.010)" in line and "together 2.5 s (0.050)" in line
    assert timeline_html.stages(Diarization([], 50.0, stages={})) == ""
