"""Diarization errors by hand and by their laws."""

import re
from dataclasses import replace

import pytest

from tests.timbre.metrics.conversations import OPTIONS, conversation, overlapping, turns
from timbre.metrics import diarization
from timbre.metrics.diarization import DiarizationErrors, score
from timbre.turns import Turn


def test_a_meeting_by_hand():
    """a talks 0-10, b 8-14; x is found 0-9, y 9-12, z 13-16.

    x is a for 9 s, y is b for 3 s. z is over: it agrees with b for 1 s less than y.
    8-9: two speak, one is found. 9-10: two speak, y is right. 12-13: nobody found.
    13-14: z for b. 14-16: z for nobody.
    """
    result = score(
        turns(a=[(0, 10)], b=[(8, 14)]), turns(x=[(0, 9)], y=[(9, 12)], z=[(13, 16)])
    )
    assert result.mapping == {"x": "a", "y": "b"}
    assert (result.total, result.missed, result.false_alarm) == (16, 1 + 1 + 1, 2)
    assert (result.confusion, result.der) == (1, 6 / 16)
    assert result.jer == pytest.approx(((1 - 9 / 10) + (1 - 3 / 6)) / 2)
    # of x 9 s are a's, of y 3 s b's, of z 1 s b's; of a 9 s are x's, of b 3 s y's
    assert (result.purity, result.coverage) == (13 / 15, 12 / 16)
    assert (result.num_speakers, result.num_found) == (2, 3)


def test_the_mapping_is_the_best_and_not_the_greedy_one():
    """x shares 5 s with a and 4 s with b, y 4 s with a: 4 + 4 beats 5 + 0."""
    truth = turns(a=[(0, 5), (10, 14)], b=[(5, 9)])
    result = score(truth, turns(x=[(0, 9)], y=[(10, 14)]))
    assert result.mapping == {"x": "b", "y": "a"}
    assert result.confusion == 5


def test_a_collar_reaches_to_both_sides_of_each_boundary():
    """Of 2-6 with 0.5 s on each side, 2.5-5.5 is left; of 0-8 that and 1.5, 1.5."""
    result = score(turns(a=[(2, 6)]), turns(x=[(0, 8)]), collar=0.5)
    assert (result.total, result.false_alarm) == (3, 1.5 + 1.5)


def test_a_collar_lies_where_the_reference_was_cut_too():
    """0-4 and 4-8 lose 0.5, 1 and 0.5 s; 0-4 and 3-8 lose 0.5, 2.5-4.5 and 0.5 s."""
    assert score(turns(a=[(0, 4), (4, 8)]), [], collar=0.5).total == 6
    assert score(turns(a=[(0, 4), (3, 8)]), [], collar=0.5).total == 5


def test_who_is_in_collars_only_is_counted_and_not_scored():
    result = score(turns(a=[(0, 10)], b=[(10, 10.5)]), turns(x=[(0, 10)]), collar=0.25)
    assert (result.num_speakers, result.num_scored, result.jer) == (2, 1, 0)


def test_a_uem_is_the_union_of_its_parts():
    truth, found = turns(a=[(0, 10)]), turns(x=[(5, 20)])
    result = score(truth, found, uem=[(0, 2), (1, 3), (3, 6), (15, 16)])
    assert (result.total, result.missed, result.false_alarm) == (6, 5, 1)
    assert score(truth, found, uem=[]) == DiarizationErrors()


def test_overlap_is_left_out_where_the_reference_has_it():
    truth, found = turns(a=[(0, 6)], b=[(4, 8)]), turns(x=[(0, 5)], y=[(3, 8)])
    result = score(truth, found, skip_overlap=True)
    assert (result.total, result.false_alarm, result.der) == (6, 1, 1 / 6)


def test_the_reference_itself_is_perfect(rng):
    for truth in (conversation(rng), overlapping(rng)):
        result = score(truth, truth, collar=0.1)
        assert result.der == result.jer == 0
        without = score(truth, truth)
        assert without.mapping == {name: name for name in without.mapping}
        alone = score(turns(a=[(0, 3), (4, 5)], b=[(3, 4)]), turns(a=[(0, 3)]))
        assert alone.purity == 1


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_parts_make_up_the_whole(rng, options):
    for _ in range(20):
        truth, found = overlapping(rng), overlapping(rng)
        result = score(truth, found, **options)
        right = result.total - result.missed - result.confusion
        assert result.found == pytest.approx(
            right + result.confusion + result.false_alarm
        )
        assert result.der * result.total == pytest.approx(
            result.missed + result.false_alarm + result.confusion
        )
        # the best names agree at least as long as those of a one to one mapping
        assert result.pure >= right - 1e-9 and result.covered >= right - 1e-9
        assert min(result.missed, result.false_alarm, result.confusion) >= 0
        assert 0 <= result.jer <= 1


def test_names_and_order_of_turns_change_nothing(rng):
    """But for the JER where several mappings agree as long: names choose one."""
    for _ in range(20):
        truth, found = overlapping(rng), overlapping(rng)
        other = {"a": "zoe", "b": "a", "c": "mia"}
        renamed = [replace(turn, speaker=other[turn.speaker]) for turn in found]
        rng.shuffle(renamed)
        before, after = score(truth, found), score(truth[::-1], renamed)
        mapping = {other[name]: to for name, to in before.mapping.items()}
        assert after.mapping == mapping
        assert after == replace(before, mapping=mapping, jaccard=after.jaccard)
        assert after.jaccard == pytest.approx(before.jaccard)


def test_a_turn_cut_in_two_changes_nothing(rng):
    for _ in range(20):
        truth, found = conversation(rng), conversation(rng)
        whole = score(truth, found)
        pieces = [
            replace(turn, **{side: (turn.start + turn.end) / 2})
            for turn in truth
            for side in ("start", "end")
        ]
        assert score(pieces, found) == whole
        assert score(found, pieces) == score(found, truth)
        cut = {"collar": 0.25, "uem": [(1, 20)]}
        assert score(found, pieces, **cut) == score(found, truth, **cut)


def test_a_later_recording_has_the_same_errors(rng):
    truth, found = conversation(rng), conversation(rng)
    later = [
        [replace(t, start=t.start + 7200, end=t.end + 7200) for t in side]
        for side in (truth, found)
    ]
    assert score(*later, collar=0.25) == score(truth, found, collar=0.25)


def test_missed_and_false_alarm_change_places_with_the_sides(rng):
    for _ in range(10):
        truth, found = overlapping(rng), overlapping(rng)
        one, two = score(truth, found), score(found, truth)
        assert (one.missed, one.false_alarm) == (two.false_alarm, two.missed)
        assert (one.confusion, one.total) == (two.confusion, two.found)
        assert (one.purity, one.coverage) == (two.coverage, two.purity)


def test_boundaries_that_should_meet_do():
    """0.1 + 0.2 is not 0.3 for a computer; nobody speaks for 1e-17 s."""
    truth = turns(a=[(0, 0.1 + 0.2)], b=[(0.3, 0.5)])
    assert score(truth, truth, skip_overlap=True).total == 0.5
    meet = turns(a=[(1.0, 1.0 + 3 * 0.1)])
    assert score(meet, [], collar=0.15).num_scored == 0


def test_without_a_reference_something_found_is_all_wrong():
    found = turns(x=[(0, 5)])
    result = score([], found)
    assert (result.der, result.jer, result.false_alarm) == (1, 1, 5)
    assert (result.purity, result.coverage) == (0, 1)
    nothing = score([], [])
    assert nothing == DiarizationErrors() and nothing.der == nothing.jer == 0
    assert nothing.purity == nothing.coverage == 1
    missed = score(found, [])
    assert (missed.der, missed.jer, missed.purity, missed.coverage) == (1, 1, 1, 0)


def test_errors_pool_as_if_the_recordings_were_one_after_another(rng):
    files = [(conversation(rng), conversation(rng)) for _ in range(4)]
    pooled = sum((score(*file) for file in files), DiarizationErrors())
    joined = [[], []]
    for number, file in enumerate(files):
        for side, expected in zip(joined, file, strict=True):
            side += [
                Turn(
                    t.start + 100 * number, t.end + 100 * number, f"{number}{t.speaker}"
                )
                for t in expected
            ]
    whole = score(*joined)
    for name in ("der", "jer", "purity", "coverage", "num_speakers", "num_found"):
        assert getattr(pooled, name) == pytest.approx(getattr(whole, name)), name
    assert pooled.mapping == {}
    with pytest.raises(TypeError):
        pooled + 1


def test_work_grows_with_the_turns_and_not_with_their_square(rng, monkeypatch):
    """A turn of 1.5 s covers few segments, however many turns a recording has."""
    sizes = []

    def activity(*arguments):
        sizes.append(_activity(*arguments))
        return sizes[-1]

    _activity = diarization._activity
    monkeypatch.setattr(diarization, "_activity", activity)
    for count in (300, 3000):
        starts = rng.uniform(0, 1.2 * count, (2, count))
        names = [f"voice {k}" for k in rng.integers(8, size=count)]
        sides = [
            [Turn(t, t + 1.5, name) for t, name in zip(side, names, strict=True)]
            for side in starts.tolist()
        ]
        assert score(*sides, collar=0.25).total > 0
    few, many = sizes[0].nnz, sizes[2].nnz
    assert 8 < many / few < 12


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"collar": -0.1}, "`collar` must be seconds from 0"),
        ({"collar": float("nan")}, "`collar` must be seconds from 0"),
        ({"uem": [(0, float("inf"))]}, "`uem` must be seconds from 0"),
        ({"uem": [(3, 2)]}, r"ending before it starts.* \[\[3.0, 2.0\]\]"),
        ({"uem": [(0, float("nan"))]}, "`uem` must be seconds from 0"),
        ({"uem": [0, 30]}, "pairs of start and end"),
    ],
)
def test_bad_options_are_refused(options, rule):
    with pytest.raises(ValueError, match=rule):
        score(turns(a=[(0, 1)]), [], **options)


def test_what_is_no_turn_is_refused():
    with pytest.raises(TypeError, match="turns of one recording"):
        score({"file": turns(a=[(0, 1)])}, [])
    with pytest.raises(ValueError, match="`hypothesis` must be seconds"):
        score([], turns(a=[(0, 1e10)]))


def test_the_table_says_what_a_reader_needs():
    truth = turns(a=[(0, 10)], b=[(8, 14)])
    found = turns(x=[(0, 9)], y=[(9, 12)], z=[(13, 16)])
    result = score(truth, found)
    rows = {"talk": result, "all": result + score([], [])}
    head, talk, pooled = diarization.table(rows).splitlines()
    names = ["file", "speakers", "DER %", "missed", "false alarm", "confusion", "JER %"]
    assert [name.strip() for name in re.split(" {2,}", head)] == names
    cells = ["talk", "2/3", "37.50", "18.75", "12.50", "6.25", "30.00"]
    assert talk.split() == cells
    assert pooled.split() == ["all", *cells[1:]]
    assert len(head) == len(talk) == len(pooled)
    assert diarization.table([]).split("  ")[0] == "file"
