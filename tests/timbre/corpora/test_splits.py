"""Splits: disjoint, complete, drawn by names and a seed alone."""

import random
from pathlib import Path

import pytest

from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.splits import (
    filter_speakers,
    split_by_speaker,
    split_by_utterance,
)


def corpus(speakers=20, utterances=5):
    return Corpus(
        "c",
        tuple(
            Utterance(Path(f"/c/s{s}/{u}.wav"), f"s{s}")
            for s in range(speakers)
            for u in range(utterances)
        ),
    )


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"counts": (12, 8)}, (12, 8)),
        ({"counts": (None, 3, 4)}, (13, 3, 4)),
        ({"counts": (2, 2)}, (2, 2)),
        ({"shares": (0.8, 0.1, 0.1)}, (16, 2, 2)),
        ({"shares": (1 / 3, 1 / 3, 1 / 3)}, (7, 6, 7)),
    ],
)
def test_no_speaker_is_in_two_parts(options, sizes):
    parts = split_by_speaker(corpus(), **options)
    assert tuple(len(part.speakers) for part in parts) == sizes
    everyone = [speaker for part in parts for speaker in part.speakers]
    assert len(set(everyone)) == len(everyone) == sum(sizes)
    assert all(len(part) == 5 * len(part.speakers) for part in parts)


def test_a_split_depends_on_seed_and_names_and_not_on_order():
    first, _ = split_by_speaker(corpus(), counts=(10, 10))
    rows = list(corpus().utterances)
    random.Random(1).shuffle(rows)
    shuffled, _ = split_by_speaker(Corpus("d", tuple(rows)), counts=(10, 10))
    other, _ = split_by_speaker(corpus(), counts=(10, 10), seed=1)
    assert shuffled.speakers == first.speakers != other.speakers


def test_every_speaker_is_as_likely_to_be_drawn():
    """Over 400 seeds each of 20 is drawn 200 times, give or take 5 deviations of 10."""
    drawn = [
        speaker
        for seed in range(400)
        for speaker in split_by_speaker(corpus(20, 1), counts=(10,), seed=seed)[
            0
        ].speakers
    ]
    assert all(abs(drawn.count(f"s{s}") - 200) < 50 for s in range(20))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "Exactly one"),
        ({"counts": (1,), "shares": (0.5,)}, "Exactly one"),
        ({"counts": (15, 6)}, "Every part must get a speaker"),
        ({"counts": (20, None)}, "Every part must get a speaker"),
        ({"counts": (None, None)}, "At most one"),
        ({"counts": (0, 5)}, "Every part must get a speaker"),
        ({"shares": (0.9, 0.2)}, "at most 1"),
        ({"shares": (0.99, 0.01)}, "Every part must get a speaker"),
        ({"counts": ()}, "Every part must get a speaker"),
    ],
)
def test_a_split_that_can_not_be_made_is_an_error(options, reason):
    with pytest.raises(ValueError, match=reason):
        split_by_speaker(corpus(), **options)


def test_a_closed_set_holds_out_some_utterances_of_every_speaker():
    kept, held = split_by_utterance(corpus(7, 5), 0.4, seed=3)
    assert kept.speakers == held.speakers
    assert all(len(group) == 3 for group in kept.by_speaker().values())
    assert {*kept.utterances, *held.utterances} == set(corpus(7, 5))
    assert not set(kept) & set(held)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_closed_set_keeps_one_and_holds_out_one_whatever_the_share(share):
    kept, held = split_by_utterance(corpus(3, 2), share)
    assert len(kept) == len(held) == 3


def test_a_single_utterance_is_never_held_out():
    kept, held = split_by_utterance(corpus(3, 1), 0.5)
    assert (len(kept), len(held)) == (3, 0)
    with pytest.raises(ValueError, match="share=1"):
        split_by_utterance(corpus(), 1)


def test_speakers_with_too_few_utterances_are_left_out_by_name():
    rows = (*corpus(3, 2), Utterance(Path("/c/x/1.wav"), "shy"))
    with pytest.warns(UserWarning, match="1 with fewer than 2 utterances: shy"):
        kept = filter_speakers(Corpus("c", rows))
    assert kept.speakers == ("s0", "s1", "s2")
    assert filter_speakers(corpus()) == corpus()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Corpus("c", ()), "must have utterances"),
        (corpus(1, 5), "at least 2 speakers.*'c' with 1 speakers"),
        (corpus(5, 1), "at least 2 utterances each.*5 with fewer than 2"),
    ],
)
def test_a_corpus_one_can_not_learn_from_is_an_error(bad, reason):
    with pytest.raises(ValueError, match=reason):
        filter_speakers(bad)


# Speakers of one group, here their number modulo something, stay together


def in_groups(speakers=20, groups=6, column="variant"):
    return Corpus(
        "c",
        tuple(
            Utterance(Path(f"/c/s{s}/{u}.wav"), f"s{s}", extra={column: f"v{number}"})
            for s in range(speakers)
            for number in [s % groups]
            for u in range(2)
        ),
    )


def values(part, column="variant"):
    return {u.extra[column] for u in part}


@pytest.mark.parametrize(
    "options",
    [
        {"counts": (None, 3, 4)},
        {"counts": (3, None, 4)},
        {"counts": (3, 4, None)},
        {"counts": (3, 4)},
        {"shares": (0.5, 0.3, 0.2)},
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_separated(options, seed):
    """Groups of 20 in 6 have 3 or 4: a part passes its count by 3 at most."""
    parts = split_by_speaker(in_groups(), **options, seed=seed, groups="variant")
    seen = [value for part in parts for value in values(part)]
    assert len(set(seen)) == len(seen)
    for part in parts:  # whole groups
        assert part == in_groups().subset(
            u.speaker for u in in_groups() if u.extra["variant"] in values(part)
        )
    for part, count in zip(parts, options.get("counts", ()), strict=False):
        assert count is None or count <= len(part.speakers) <= count + 3
    if len(parts) == 3:  # nobody is left out
        assert sum(len(part) for part in parts) == len(in_groups())


def test_a_split_of_groups_depends_on_seed_and_names_and_not_on_order():
    options = {"counts": (None, 5), "groups": "variant"}
    rows = list(in_groups().utterances)
    _, first = split_by_speaker(in_groups(), **options)
    random.Random(1).shuffle(rows)
    _, shuffled = split_by_speaker(Corpus("d", tuple(rows)), **options)
    others = [split_by_speaker(in_groups(), **options, seed=s)[1] for s in range(1, 9)]
    assert shuffled.speakers == first.speakers
    assert any(other.speakers != first.speakers for other in others)


@pytest.mark.parametrize(
    "options",
    [
        {"counts": (None, 3, 4)},
        {"counts": (3, None, 4)},
        {"counts": (2, 2)},
        {"shares": (0.8, 0.1, 0.1)},
    ],
)
def test_speakers_without_the_column_are_split_as_if_it_were_not_asked_for(options):
    plain = split_by_speaker(corpus(), **options, seed=3)
    assert split_by_speaker(corpus(), **options, seed=3, groups="variant") == plain
    alone = in_groups(groups=20)  # every speaker is a group
    found = split_by_speaker(alone, **options, seed=3, groups="variant")
    assert [p.speakers for p in found] == [p.speakers for p in plain]


def test_groups_are_joined_through_a_common_speaker():
    """A speaker of two channels joins everyone of either."""
    channels = {"a": "1", "c": "2", "b": "12", "d": "3", "e": "3", "f": ""}
    rows = tuple(
        Utterance(Path(f"/{name}{i}.wav"), name, extra={"channel": i} if i else {})
        for name, own in channels.items()
        for i in own or [None]
    )
    for seed in range(20):
        parts = split_by_speaker(
            Corpus("c", rows), counts=(1, None), seed=seed, groups="channel"
        )
        first, second = (set(part.speakers) for part in parts)
        assert first in ({"a", "b", "c"}, {"d", "e"}, {"f"})
        assert first | second == set(channels)


def test_one_group_fills_no_two_parts():
    with pytest.raises(ValueError, match="20 speakers of corpus 'c' form 1 groups"):
        split_by_speaker(in_groups(groups=1), counts=(None, 3), groups="variant")
    with pytest.raises(ValueError, match=r"2 groups of up to 10.*parts of \[10, 10, "):
        split_by_speaker(in_groups(groups=2), counts=(3, 3, None), groups="variant")
