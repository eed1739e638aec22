"""Timelines: what is written is read back to the bit, whatever kills the writer."""

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from timbre import plotting, turns
from voiceemb.streaming import timeline
from voiceemb.streaming.events import TimelineEvent
from voiceemb.streaming.figures import MAX_LANES, timeline_figure


def said(pattern, every=0.5, **values):
    """A event a letter: `.` nobody speaks, `-` nobody known, or a name's letter."""
    return [
        TimelineEvent(
            start=i * every,
            end=(i + 1) * every,
            speech_prob=0.0 if letter == "." else 0.9,
            is_speech=letter != ".",
            energy_db=-60.0 if letter == "." else -20.0,
            speaker=None if letter in ".-" else letter,
            **values,
        )
        for i, letter in enumerate(pattern)
    ]


def odd(rng, num=20):
    """Events with numbers that text could lose, and names that could break a line."""
    names = ["anna", "김철수", 'a "b" \\', "line\nbreak", None]
    bits = rng.integers(0, 2**32, (num, 64), dtype=np.uint32)
    points = bits.view(np.float32)
    points[~np.isfinite(points)] = 1e-45  # all other float32 there are
    return [
        TimelineEvent(
            start=i / 3,
            end=(i + 1) / 3,
            speech_prob=float(rng.uniform()),
            is_speech=bool(i % 2),
            energy_db=float(rng.normal(-40, 20)),
            embedding=points[i] if i % 4 else None,
            speaker=names[i % len(names)],
            score=float(rng.normal()) if i % 3 else None,
            probability=np.float32(rng.uniform()) if i % 3 else None,
        )
        for i in range(num)
    ]


def test_what_is_appended_is_read_back_to_the_bit(rng, tmp_path):
    path, events = tmp_path / "talk.jsonl", odd(rng)
    assert timeline.append(path, events[:7]) == 7
    assert timeline.append(path, []) == 0
    assert timeline.append(path, iter(events[7:])) == 13
    again = timeline.read(path)
    assert again == events and again.notes == []
    for one, other in zip(again, events, strict=True):
        for field in dataclasses.fields(TimelineEvent):
            kinds = {type(getattr(x, field.name)) for x in (one, other)}
            assert len(kinds) == 1, field.name
    lines = path.read_text("utf-8").split("\n")
    assert len(lines) == 21 and all(json.loads(line) for line in lines[:-1])


def test_events_differ_when_a_bit_differs():
    point = np.array([0.6, 0.8], np.float32)
    one = said("a", embedding=point)[0]
    assert one == said("a", embedding=point.copy())[0] and one != "a"
    assert hash(one) == hash(said("a", embedding=point.copy())[0])
    nudged = np.nextafter(point, np.float32(1))
    assert one != said("a", embedding=nudged)[0] and one != said("a")[0]


def test_a_file_cut_at_any_byte_loses_only_the_event_that_is_cut(rng, tmp_path):
    path, events = tmp_path / "talk.jsonl", odd(rng, 3)
    short = [dataclasses.replace(one, embedding=None) for one in events]
    timeline.append(path, short)
    whole = path.read_bytes()
    ends = np.flatnonzero(np.frombuffer(whole, np.uint8) == ord("\n")) + 1
    for cut in {*range(0, len(whole) + 1, 7), *ends - 1, *ends}:
        path.write_bytes(whole[:cut])
        kept = int((ends - 1 <= cut).sum())  # complete but for its end is complete
        torn = cut not in {0, *ends - 1, *ends}
        found = timeline.read(path)
        assert found == short[:kept] and len(found.notes) == torn
        timeline.append(path, short[kept:])
        assert path.read_bytes() == whole and timeline.read(path).notes == []


def test_a_long_line_that_is_torn_is_taken_away(tmp_path):
    path = tmp_path / "talk.jsonl"
    long = said("ab", embedding=np.full(40_000, 1 / 3, np.float32))
    timeline.append(path, long)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert timeline.append(path, long[1:]) == 1
    assert path.read_bytes() == whole


def test_damage_that_no_kill_explains_is_said_with_its_line(tmp_path):
    path = tmp_path / "talk.jsonl"
    timeline.append(path, said("abc"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    with pytest.raises(ValueError, match="line 2"):
        timeline.read(path)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"start": 0}',
        b'{"start": NaN, "end": 1}',
        b'{"start": 0, "end": 1, "speech_prob": 0, "is_speech": 1, "energy_db": 0}',
        b'{"strat": 0}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_is_an_error(tmp_path, line):
    path = tmp_path / "talk.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(ValueError, match="line 1"):
        timeline.read(path)


def test_an_integer_that_no_float_can_be_is_no_level(tmp_path):
    """A last line that holds one is taken away, so the timeline can go on."""
    path, huge = tmp_path / "talk.jsonl", str(10**400).encode()
    timeline.append(path, said("ab"))
    path.write_bytes(path.read_bytes().replace(b"-20.0", huge))
    with pytest.raises(ValueError, match="line 1: `energy_db` is finite"):
        timeline.read(path)
    path.write_bytes(path.read_bytes().replace(huge, b"-20.0", 1)[:-1])
    assert timeline.read(path) == said("a")
    timeline.append(path, said("ab")[1:])
    assert timeline.read(path) == said("ab")


@pytest.mark.parametrize("text", ["my notes", "my notes\n", '{"a": 1}\n'])
def test_nothing_is_added_to_a_file_that_is_no_timeline(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="added to a timeline"):
        timeline.append(path, said("a"))
    assert path.read_text() == text


def test_what_is_no_event_is_refused_and_the_others_are_kept(tmp_path):
    path = tmp_path / "talk.jsonl"
    with pytest.raises(TypeError, match="made of events"):
        timeline.append(path, [*said("a"), {"start": 0.5}])
    assert timeline.read(path) == said("a")


def test_a_full_disk_leaves_whole_slices(small_disk):
    path = small_disk / "talk.jsonl"
    (small_disk / "ballast").write_bytes(bytes(23 * 2**20))
    big = said("a" * 60, embedding=np.full(4000, 1 / 3, np.float32))
    with pytest.raises(OSError):
        timeline.append(path, big)
    found = timeline.read(path)
    assert 0 < len(found) < 60 and found == big[: len(found)] and not found.notes
    (small_disk / "ballast").unlink()
    timeline.append(path, big[len(found) :])
    assert timeline.read(path) == big


def test_an_event_is_on_the_disk_before_the_next_one_is_made(tmp_path):
    """A process that is killed has written what it was given."""
    path = tmp_path / "talk.jsonl"
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from voiceemb.streaming.events import TimelineEvent
from voiceemb.streaming.timeline import append
def heard():
    yield TimelineEvent(0, 0.5, 1, True, -20)
    os.kill(os.getpid(), signal.SIGKILL)
append(sys.argv[2], heard())
"""
    done = subprocess.run([sys.executable, "-c", code, str(ROOT), str(path)])
    assert done.returncode == -9
    assert timeline.read(path) == [TimelineEvent(0, 0.5, 1, True, -20)]


@pytest.mark.parametrize(
    "values, error",
    [
        ({"start": -1.0}, ValueError),
        ({"end": 0.0}, ValueError),
        ({"start": "0"}, TypeError),
        ({"end": float("inf")}, ValueError),
        ({"speech_prob": 1.1}, ValueError),
        ({"probability": -0.1}, ValueError),
        ({"energy_db": float("nan")}, ValueError),
        ({"energy_db": True}, TypeError),
        ({"is_speech": 1}, TypeError),
        ({"speaker": 3}, TypeError),
        ({"speaker": ""}, ValueError),
        ({"score": float("nan")}, ValueError),
        ({"embedding": [1.0, float("nan")]}, ValueError),
        ({"embedding": [[1.0]]}, TypeError),
        ({"embedding": "anna"}, TypeError),
        ({"embedding": []}, TypeError),
    ],
)
def test_an_event_of_something_else_is_refused(values, error):
    good = {"start": 0.0, "end": 0.5, "speech_prob": 0.5, "is_speech": True}
    with pytest.raises(error, match="Received"):
        TimelineEvent(**{**good, "energy_db": -20.0, **values})


def test_turns_are_events_of_one_name_that_touch():
    found = timeline.turns(said("aab.-bb..b"))
    assert [(t.start, t.end, t.speaker) for t in found] == [
        (0.0, 1.0, "a"),
        (1.0, 1.5, "b"),
        (2.5, 3.5, "b"),
        (4.5, 5.0, "b"),
    ]
    assert timeline.turns([]) == [] and timeline.turns(said("..-")) == []


def test_turns_and_their_events_say_the_same_for_any_timeline(rng):
    pattern = "".join(rng.choice(list("ab-."), 300))
    events = said(pattern)
    inside = {
        (turn.speaker, i)
        for turn in timeline.turns(events)
        for i in range(round(turn.start * 2), round(turn.end * 2))
    }
    expected = {(x, i) for i, x in enumerate(pattern) if x in "ab"}
    assert inside == expected


def test_a_table_has_a_row_an_event_and_empty_cells_for_none(tmp_path):
    events = [*said("a", score=0.5, probability=0.25), *said("..")[1:]]
    path = timeline.save(tmp_path / "talk.csv", events)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["speaker"] for row in rows] == ["a", ""]
    assert [row["probability"] for row in rows] == ["0.25", ""]
    assert float(rows[1]["energy_db"]) == -60 and "embedding" not in rows[0]


def test_arrays_keep_every_number_and_hold_no_objects(rng, tmp_path):
    events = odd(rng)
    path = timeline.save(tmp_path / "talk.npz", events)
    with np.load(path, allow_pickle=False) as held:
        assert set(held) == {field.name for field in dataclasses.fields(TimelineEvent)}
        for i, one in enumerate(events):
            assert held["start"][i] == one.start and held["end"][i] == one.end
            assert held["speaker"][i] == (one.speaker or "")
            if one.embedding is None:
                assert np.isnan(held["embedding"][i]).all()
            else:
                assert held["embedding"][i].tobytes() == one.embedding.tobytes()
        assert np.isnan(held["score"][0]) and held["score"][1] == events[1].score


@pytest.mark.parametrize("events", [[], said("a.")])
def test_arrays_without_embeddings_have_none(tmp_path, events):
    with np.load(timeline.save(tmp_path / "talk.npz", events)) as held:
        assert held["embedding"].shape == (len(events), 0)


def test_embeddings_of_two_encoders_are_no_array(tmp_path):
    ones = said("a", embedding=np.ones(2)) + said("a", embedding=np.ones(3))
    with pytest.raises(ValueError, match=r"one length. Received: \[2, 3\]"):
        timeline.save(tmp_path / "talk.npz", ones)
    assert list(tmp_path.iterdir()) == []


def test_rttm_holds_the_turns(tmp_path):
    events = said("aa.bb-")
    path = timeline.save(tmp_path / "talk.rttm", events)
    assert turns.read_rttm(path) == {"talk": timeline.turns(events)}


def test_labels_are_what_audacity_reads(tmp_path):
    events = [dataclasses.replace(one, speaker="a\tb") for one in said("aa")]
    path = timeline.save(tmp_path / "talk.txt", events)
    assert path.read_text() == "0.000000\t1.000000\ta b\n"


def test_lines_are_what_append_makes(rng, tmp_path):
    events = odd(rng)
    path = timeline.save(tmp_path / "talk.jsonl", events)
    assert timeline.read(path) == events
    timeline.append(tmp_path / "other.jsonl", events)
    assert path.read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"saved as .*\.jsonl"):
        timeline.save(tmp_path / "talk.xlsx", said("a"))


def bars(figure):
    """Spans of each lane of the picture, by its label."""
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    spans = [
        [tuple(path.get_extents().intervalx) for path in lane.get_paths()]
        for lane in axes.collections
    ]
    return dict(zip(labels, spans, strict=True))


def test_a_picture_has_a_lane_a_speaker_in_the_order_of_first_words():
    figure = timeline_figure(said("bb-a.b"), title="Talk")
    assert bars(figure) == {
        "b  1.5 s": [(0, 1), (2.5, 3)],
        "a  0.5 s": [(1.5, 2)],
        "nobody known  0.5 s": [(1, 1.5)],
    }
    assert figure.axes[0].get_title(loc="left") == "Talk"
    assert figure.axes[2].get_xlim() == (0, 3)


def test_many_speakers_share_the_last_lane():
    letters = "abcdefghijklmnopqrst"
    drawn = bars(timeline_figure(said("".join(2 * x for x in letters) + "t")))
    assert len(drawn) == MAX_LANES
    assert drawn["9 others  9 s"] and drawn["t  1.5 s"]


@pytest.mark.parametrize("pattern", ["a", ".", "ab-." * 450])
def test_a_picture_of_any_length_can_be_saved(tmp_path, pattern):
    figure = timeline_figure(said(pattern))
    path = plotting.save(figure, tmp_path / "talk.png", dpi=40)
    assert path.stat().st_size > 1000


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="an event or more"):
        timeline_figure([])
