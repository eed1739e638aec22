"""Splits: disjoint, complete, drawn by names and a seed alone."""

import random
from pathlib import Path

import pytest

from corpora.manifest import (
    Corpus,
    Utterance,
    check,
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


def test_checking_names_who_says_too_little():
    rows = (*corpus(3, 2), Utterance(Path("/c/x/1.wav"), "shy"))
    with pytest.warns(UserWarning, match="1 have fewer than 2 utterances: shy"):
        kept = check(Corpus("c", rows))
    assert kept.speakers == ("s0", "s1", "s2")
    assert check(corpus()) == corpus()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Corpus("c", ()), "must have utterances"),
        (corpus(1, 5), "at least 2 speakers.*'c' with 1 speakers"),
        (corpus(5, 1), "at least 2 utterances each.*5 have fewer than 2"),
    ],
)
def test_a_corpus_one_can_not_learn_from_is_an_error(bad, reason):
    with pytest.raises(ValueError, match=reason):
        check(bad)
