"""RTTM and UEM files: what is read is what is written, errors name their line."""

import itertools
import math
import sys

import numpy as np
import pytest

from timbre import turns
from timbre.turns import Turn, read_rttm, read_uem, write, write_rttm

LINE = "SPEAKER talk 1 {} {} <NA> <NA> {} <NA> <NA>"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.rttm"


def read(path, *lines, read=read_rttm):
    text = "\n".join(lines)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


def test_a_turn_is_read_as_start_end_and_speaker(path):
    found = read(path, LINE.format("1.50", "2.25", "ann"))
    assert found == {"talk": [Turn(1.5, 3.75, "ann")]}
    assert found["talk"][0].duration == 2.25


def test_recordings_are_parted_and_turns_sorted_by_time(path):
    found = read(
        path,
        "SPEAKER two 1 5 1 <NA> <NA> b <NA> <NA>",
        "SPEAKER one 1 0 1 <NA> <NA> a <NA> <NA>",
        "SPEAKER two 1 0 1 <NA> <NA> a <NA> <NA>",
    )
    assert found == {
        "two": [Turn(0, 1, "a"), Turn(5, 6, "b")],
        "one": [Turn(0, 1, "a")],
    }


def test_channels_of_a_recording_are_scored_apart(path):
    """Both sides of a call have a `spk1`; the third field tells them apart."""
    lines = [
        "SPEAKER call {} 0 5 <NA> <NA> spk1 <NA> <NA>",
        "SPEAKER call {} 4 6 <NA> <NA> spk1 <NA> <NA>",
    ]
    sides = [lines[0].format(1), lines[1].format(2)]
    assert read(path, *sides) == {
        "call 1": [Turn(0, 5, "spk1")],
        "call 2": [Turn(4, 10, "spk1")],
    }
    assert list(read(path, lines[0].format("A"), lines[1].format("A"))) == ["call"]
    assert read(path, "call 1 0 5", "call 2 4 10", read=read_uem) == {
        "call 1": [(0, 5)],
        "call 2": [(4, 10)],
    }


def test_other_types_comments_and_blank_lines_are_passed_over(path):
    found = read(
        path,
        ";; written by hand",
        "",
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown ann <NA> <NA>",
        "LEXEME talk 1 1.0 0.3 hello lex ann 0.9 <NA>",
        "NOSCORE talk 1 0 1 <NA> <NA> <NA> <NA>",
        "   \t",
        LINE.format(0, 1, "ann"),
    )
    assert found == {"talk": [Turn(0, 1, "ann")]}
    assert read(path, "") == {}


@pytest.mark.parametrize("fields", [8, 9, 10])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_short_lines_tabs_and_any_line_ends_are_read(path, fields, end):
    line = "\t".join(LINE.format(".5", "1e0", "ännä").split()[:fields])
    path.write_bytes(b"\xef\xbb\xbf" + (line + end + line).encode())
    assert read_rttm(path) == {"talk": [Turn(0.5, 1.5, "ännä")] * 2}


def test_turns_that_meet_in_the_file_meet_here(path):
    """As floats 0.1 + 0.2 is more than 0.3, and 3599.1 + 0.2 less than 3599.3."""
    lines = [LINE.format(start, "0.2", "a") for start in ("0.1", "3599.1")]
    assert [turn.end for turn in read(path, *lines)["talk"]] == [0.3, 3599.3]
    assert 0.1 + 0.2 != 0.3 and 3599.1 + 0.2 != 3599.3


@pytest.mark.parametrize("nothing", ["0", "0.000", "-0.0", "1e-300"])
def test_a_turn_of_no_duration_is_left_out(path, nothing):
    lines = LINE.format("1.0", nothing, "ann"), LINE.format("1.0", "0.01", "bob")
    assert read(path, *lines) == {"talk": [Turn(1.0, 1.01, "bob")]}
    assert read(path, lines[0]) == {"talk": []}


BAD = {
    LINE.format("x", 1, "a"): "start in seconds, a number from 0 .* 'x'",
    LINE.format("nan", 1, "a"): "start in seconds, a number .* 'nan'",
    LINE.format(0, "inf", "a"): "duration in seconds, a number .* 'inf'",
    LINE.format(0, "-0.5", "a"): "duration in seconds, a number .* '-0.5'",
    LINE.format("-1", 2, "a"): "start in seconds, a number from 0 .* '-1'",
    LINE.format("1_0", 2, "a"): "start in seconds, a number .* '1_0'",
    LINE.format("٣", 2, "a"): "start in seconds, a number .* '٣'",
    LINE.format("1e999", 2, "a"): "start in seconds, a number from 0 to 1e\\+07",
    LINE.format("1e9999", 2, "a"): "start in seconds, a number",
    LINE.format("<NA>", "<NA>", "a"): "start in seconds, a number .* '<NA>'",
    LINE.format(0, 1, "Ann Lee"): "8 to 10 fields.* no space in a name",
    "SPEAKER talk 1 0 1 <NA> <NA>": "must have 8 to 10 fields",
    LINE.format(0, 1, "<NA>"): "must name its speaker",
    "speaker talk 1 0 1 <NA> <NA> a": "must begin with SPEAKER",
    "talk 1 0.0 30.0": "must begin with SPEAKER",
    LINE.format(0, 1, "a" * 4096): "must have at most 4096 bytes. Received: '41",
}


@pytest.mark.parametrize("line, rule", BAD.items(), ids=range(len(BAD)))
def test_a_bad_line_is_named_with_its_rule_and_what_came(path, line, rule):
    with pytest.raises(ValueError, match=rf"some\.rttm: line 3 .*{rule}"):
        read(path, LINE.format(0, 1, "a"), ";; next is bad", line)


def test_what_is_not_text_is_refused(path):
    path.write_bytes(LINE.format(0, 1, "a").encode() + b"\nSPEAKER t\xff\xfe 1 0 1")
    with pytest.raises(ValueError, match=r"line 2 must be UTF-8. Received: b'SPEAKER"):
        read_rttm(path)
    path.write_text(LINE.format(0, 1, "a"), encoding="utf-16")
    with pytest.raises(ValueError, match=r"line 1 must be UTF-8"):
        read_rttm(path)


def test_a_huge_file_is_refused_before_it_is_taken_apart(path, monkeypatch):
    monkeypatch.setattr(turns, "MAX_BYTES", 1000)
    line = LINE.format(0, 1, "a") + "\n"
    path.write_text(line * (1000 // len(line)))
    assert len(read_rttm(path)["talk"]) == 1000 // len(line)
    path.write_text(line * (1000 // len(line) + 1))
    with pytest.raises(ValueError, match="some.rttm: must have at most 1000 bytes"):
        read_rttm(path)


def test_an_error_shows_no_more_than_the_beginning_of_a_line(path):
    with pytest.raises(ValueError) as caught:
        read(path, "x" * 4000)
    assert len(str(caught.value)) < 250 + len(str(path))


def test_what_is_written_is_read_to_the_millisecond(path, rng):
    def turns(count):
        times = np.cumsum(rng.integers(1, 5000, (count, 2)), axis=1) / 1000
        return sorted(Turn(*t, f"voice_{k}") for k, t in enumerate(times.tolist()))

    talks = {"first": turns(50), "öther": turns(3)}
    write_rttm(path, talks)
    assert read_rttm(path) == talks
    fine = [Turn(*np.sort(rng.uniform(0, 1e4, 2)).tolist(), "a") for _ in range(50)]
    write_rttm(path, {"fine": fine})
    for turn, found in zip(sorted(fine), read_rttm(path)["fine"], strict=True):
        assert math.isclose(turn.start, found.start, abs_tol=5.01e-4)
        assert math.isclose(turn.end, found.end, abs_tol=5.01e-4)


def test_turns_that_meet_are_written_so(path):
    """Rounded alone, 0.0004 + 1.0008 would end at 1.001, after the next begins."""
    write_rttm(path, {"talk": [Turn(0.0004, 1.0012, "a"), Turn(1.0012, 2.0, "b")]})
    one, two = read_rttm(path)["talk"]
    assert one.end == two.start == 1.001


def test_a_turn_too_short_to_be_written_gets_a_millisecond(path):
    write_rttm(path, {"talk": [Turn(1.0, 1.0001, "a")]})
    assert read_rttm(path) == {"talk": [Turn(1.0, 1.001, "a")]}


def test_the_lines_are_those_of_the_format(path):
    write_rttm(path, {"my talk": [Turn(2, 3.5, "bob"), Turn(0, 1, "Ann \t Lee")]})
    assert path.read_bytes() == (
        b"SPEAKER my_talk 1 0.000 1.000 <NA> <NA> Ann_Lee <NA> <NA>\n"
        b"SPEAKER my_talk 1 2.000 1.500 <NA> <NA> bob <NA> <NA>\n"
    )


def test_every_white_space_in_a_name_is_written_as_one_sign(path):
    spaces = [chr(k) for k in range(sys.maxunicode) if chr(k).isspace()]
    names = [f"a{space}{k}" for k, space in enumerate(spaces)]
    write_rttm(path, {"talk": [Turn(0, 1, name) for name in names]})
    found = {turn.speaker for turn in read_rttm(path)["talk"]}
    assert found == {f"a_{k}" for k in range(len(names))}


def test_names_that_would_become_one_are_refused(path):
    path.write_text("before")
    alike = [Turn(0, 1, "Ann Lee"), Turn(2, 3, "Ann_Lee")]
    with pytest.raises(ValueError, match="speaker must differ.*'Ann Lee', 'Ann_Lee'"):
        write_rttm(path, {"talk": alike})
    with pytest.raises(ValueError, match="recording must differ"):
        write_rttm(path, {"a b": [], "a_b": []})
    with pytest.raises(ValueError, match="speaker must not be blank or <NA>"):
        write_rttm(path, {"talk": [Turn(0, 1, "<NA>")]})
    with pytest.raises(ValueError, match="recording must not be blank"):
        write_rttm(path, {" ": alike[:1]})
    assert path.read_text() == "before"


def test_a_file_is_written_whole_or_not_at_all(path):
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_rttm(path, {"talk": [Turn(0, 1, "a"), Turn(1, 2, "\ud800")]})
    assert path.read_text() == "before" and [*path.parent.iterdir()] == [path]
    write_rttm(path.parent / "new" / "empty.rttm", {"talk": []})
    assert read_rttm(path.parent / "new" / "empty.rttm") == {}


@pytest.mark.parametrize(
    "start, end, speaker",
    [
        (1, 1, "a"),
        (2, 1, "a"),
        (-1, 1, "a"),
        (0, math.inf, "a"),
        (math.nan, 1, "a"),
        (0, math.nan, "a"),
        (0, 1, ""),
        (0, 1, " \n"),
        (0, 1, None),
    ],
)
def test_what_is_no_turn_can_not_be_made(start, end, speaker):
    with pytest.raises(ValueError, match="A turn must have .* Received: "):
        Turn(start, end, speaker)


def test_turns_of_any_numbers_are_alike():
    turn = Turn(np.float32(0.5), 1, "a")
    assert turn == Turn(0.5, 1.0, "a") and type(turn.start) is type(turn.end) is float
    assert sorted([Turn(1, 2, "a"), Turn(0, 2, "b"), Turn(0, 1, "c")])[0].speaker == "c"


def test_parts_of_a_uem_are_read_and_sorted(path):
    found = read(
        path,
        ";; scored parts",
        "talk 1 20 30.5",
        "talk 1 0.000 10.000",
        "other NA 1 2",
        "none 1 5 5",
        read=read_uem,
    )
    assert found == {"talk": [(0, 10), (20, 30.5)], "other": [(1, 2)], "none": []}


@pytest.mark.parametrize(
    "line, rule",
    [
        ("talk 1 0", "must be `recording channel start end`"),
        ("talk 1 0 1 2", "must be `recording channel start end`"),
        ("talk 1 5 4", "must not end before it starts"),
        ("talk 1 0 nan", "must have its end in seconds"),
        ("talk 1 -1 4", "must have its start in seconds"),
    ],
)
def test_a_bad_line_of_a_uem_is_named(path, line, rule):
    with pytest.raises(ValueError, match=rf"some\.rttm: line 2 ({rule})"):
        read(path, "talk 1 0 1", line, read=read_uem)


def test_the_turns_are_those_that_pyannote_reads(path, rng):
    load = pytest.importorskip("pyannote.database.util").load_rttm
    times = enumerate(rng.uniform(0, 9, (60, 2)).round(3).tolist())
    lines = [
        LINE.format(*t, f"v{k % 4}").replace("talk", f"talk{k % 3}") for k, t in times
    ]
    lines.append(LINE.format("3.000", "0.000", "ghost").replace("talk", "talk0"))
    found = read(path, *lines)
    for name, annotation in load(path).items():
        tracks = [(s.start, s.end, who) for s, _, who in annotation.itertracks(True)]
        expected = [(t.start, t.end, t.speaker) for t in found[name]]
        for ours, theirs in zip(expected, sorted(tracks), strict=True):
            assert ours[2] == theirs[2]
            assert ours[:2] == pytest.approx(theirs[:2], abs=1e-12)


@pytest.mark.real_data
def test_real_files_come_back_as_they_were(real_data, path):
    files = sorted((real_data / "diarization").glob("*.rttm"))
    assert files
    for file in files:
        turns = read_rttm(file)
        write_rttm(path, turns)
        assert read_rttm(path) == turns
        assert [*read_uem(file.with_suffix(".uem"))] == [*turns]


@pytest.mark.parametrize(
    "seconds, decimals, text",
    [(0, 0, "0:00"), (59.94, 1, "0:59.9"), (59.96, 1, "1:00.0"), (75, 0, "1:15")]
    + [(3599.6, 0, "1:00:00"), (3661.25, 2, "1:01:01.25")],
)
def test_times_are_written_as_clocks_do(seconds, decimals, text):
    assert turns.format_time(seconds, decimals) == text


def test_exclusive_spans_are_those_of_a_fine_grid(rng):
    """Times are whole numbers, so half-open cells of length one decide exactly."""
    for _ in range(50):
        starts = rng.integers(0, 30, size=6)
        ends = starts + rng.integers(1, 8, size=6)
        names = ["a", "b"] * 3
        talk = [*map(Turn, starts, ends, names)]
        grid = {name: np.zeros(40, bool) for name in "ab"}
        for turn in talk:
            grid[turn.speaker][int(turn.start) : int(turn.end)] = True
        found = np.zeros(40, bool)
        spans = turns.exclusive_spans(talk, "a")
        for start, end in spans:
            found[int(start) : int(end)] = True
        np.testing.assert_array_equal(found, grid["a"] & ~grid["b"])
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))


def test_spans_of_one_speaker_are_merged_across_short_gaps_only():
    spans = [(0, 1, "a"), (1.25, 2, "a"), (2, 3, "b"), (3, 4, "a"), (4.5, 5, "a")]
    expected = [(0, 2, "a"), (2, 3, "b"), (3, 4, "a"), (4.5, 5, "a")]
    assert turns.merge_spans(spans, 0.25) == expected
    assert turns.merge_spans(spans) == spans
    assert turns.merge_spans([(0, 5, "a"), (1, 2, "a")]) == [(0, 5, "a")]


def test_texts_of_turns_are_exact(tmp_path):
    talk = [Turn(0.5, 61.25, "ann"), Turn(3661.0004, 3662, 'b "\tc')]
    for suffix, text in {
        ".csv": 'start,end,speaker\n0.500,61.250,ann\n3661.000,3662.000,"b ""\tc"\n',
        ".srt": "1\n00:00:00,500 --> 00:01:01,250\n[ann]\n\n"
        '2\n01:01:01,000 --> 01:01:02,000\n[b "\tc]\n',
        ".txt": '0.500000\t61.250000\tann\n3661.000400\t3662.000000\tb " c\n',
    }.items():
        turns.write(tmp_path / f"new/talk{suffix}", talk)
        assert (tmp_path / f"new/talk{suffix}").read_text("utf-8") == text
    turns.write(tmp_path / "talk.rttm", talk[:1])
    assert read_rttm(tmp_path / "talk.rttm") == {"talk": talk[:1]}
    with pytest.raises(ValueError, match="ends in one of"):
        turns.write(tmp_path / "talk.doc", talk)


def test_rttm_names_the_recording_and_not_its_own_file(tmp_path):
    write(tmp_path / "hyp.rttm", [Turn(0, 1, "a")], recording="meeting_07")
    write(tmp_path / "talk.rttm", [Turn(0, 1, "a")])
    assert list(read_rttm(tmp_path / "hyp.rttm")) == ["meeting_07"]
    assert list(read_rttm(tmp_path / "talk.rttm")) == ["talk"]
