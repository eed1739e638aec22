import itertools
from pathlib import Path

import pytest

from timbre.corpora.corpus import Corpus, Utterance, bare, corpus_of
from timbre.corpora.splits import without
from voiceemb.training import splits


def paper_corpus(speakers, each):
    """Rows without files, as dividing needs no sound."""
    return Corpus(
        "paper",
        tuple(
            Utterance(Path(f"/x/{s}/{i}.wav"), f"s{s:02}")
            for s, i in itertools.product(range(speakers), range(each))
        ),
    )


def split(corpus, **changes):
    settings = {"validation": 4, "test": 5, "closed_set_share": 0.2, **changes}
    return splits.split(corpus, **settings)


def test_parts_share_no_speaker_and_no_utterance():
    corpus = paper_corpus(30, 10)
    parts = split(corpus)
    assert parts.protocol == "open-set"
    assert len(parts.validation.speakers) == 4 and len(parts.test.speakers) == 5
    open_sets = [set(p.speakers) for p in (parts.train, parts.validation, parts.test)]
    assert not any(a & b for a, b in itertools.combinations(open_sets, 2))
    assert set(parts.closed_set.speakers) == set(parts.train.speakers)
    whole = [u for p in (*parts_of(parts),) for u in p]
    assert sorted(u.path for u in whole) == sorted(u.path for u in corpus)
    assert len(parts.closed_set) == 21 * 2


def parts_of(parts):
    return (parts.train, parts.validation, parts.test, parts.closed_set)


def test_the_same_seed_gives_the_same_split_and_another_another():
    corpus = paper_corpus(30, 4)
    assert split(corpus).test.speakers == split(corpus).test.speakers
    assert split(corpus).test.speakers != split(corpus, seed=1).test.speakers


def test_a_small_corpus_spares_a_fifth_of_its_speakers_at_most():
    parts = split(paper_corpus(12, 5), validation=16, test=20)
    assert [len(p.speakers) for p in parts_of(parts)[:3]] == [8, 2, 2]


def test_a_tiny_corpus_is_validated_on_a_closed_set_and_says_so():
    parts = split(paper_corpus(3, 6))
    assert parts.protocol == "closed-set" and parts.test is None
    assert len(parts.train.speakers) == 3
    assert parts.validation.utterances == parts.closed_set.utterances
    assert not set(parts.train.utterances) & set(parts.closed_set.utterances)


def test_two_speakers_with_two_utterances_train_without_validation():
    parts = split(paper_corpus(2, 2))
    assert len(parts.train) == 4
    assert parts.validation is parts.closed_set is parts.test is None
    assert parts.facts(sounds="a")["speakers"] == {"train": ["s00", "s01"]}


def test_excluded_speakers_are_in_no_part_even_when_joined():
    corpus = paper_corpus(15, 4)
    joined = Corpus(
        "joined", tuple(Utterance(u.path, f"set/{u.speaker}") for u in corpus)
    )
    for whole in (corpus, joined):
        parts = split(without(whole, ("s03", "s07")))
        named = {bare(n) for p in parts_of(parts) for n in p.speakers}
        assert named == {f"s{i:02}" for i in range(15)} - {"s03", "s07"}


def test_a_speaker_to_exclude_whom_nobody_knows_is_an_error():
    with pytest.raises(ValueError, match="must speak .* s99"):
        without(paper_corpus(15, 4), ("s01", "s99"))


def test_facts_are_the_digests_of_all_splits_and_sounds():
    corpus = paper_corpus(30, 10)
    facts = split(corpus).facts(sounds="a")
    names = ["train", "validation", "test", "closed"]
    assert [*facts["sha256"]] == [*names, "sounds"] and [*facts["speakers"]] == names
    other = split(corpus, seed=1).facts(sounds="a")["sha256"]
    assert other["train"] != facts["sha256"]["train"]
    assert other["sounds"] == facts["sha256"]["sounds"] == "a"


def test_groups_stay_in_one_split():
    corpus = paper_corpus(40, 4)
    corpus = Corpus(
        "groups",
        tuple(
            Utterance(
                u.path, u.speaker, extra={"variant": str(int(u.speaker[1:]) // 4)}
            )
            for u in corpus
        ),
    )
    parts = split(corpus, groups="variant")
    variants = [
        {u.extra["variant"] for u in part}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert not any(a & b for a, b in itertools.combinations(variants, 2))


@pytest.mark.parametrize("speakers, each", [(1, 9), (9, 1)])
def test_one_speaker_or_one_utterance_each_is_an_error(speakers, each):
    with pytest.raises(ValueError, match="at least 2 speakers"):
        split(paper_corpus(speakers, each))


def joined(**sizes):
    return Corpus(
        "joined",
        tuple(
            Utterance(Path(f"/x/{name}/{s}/{i}.wav"), f"{name}/s{s:02}")
            for name, speakers in sizes.items()
            for s, i in itertools.product(range(speakers), range(6))
        ),
    )


def test_a_held_out_corpus_validates_alone_and_trains_nothing():
    parts = split(joined(near=20, far=3), held_out_corpora=("far",))
    assert parts.validation.speakers == ("far/s00", "far/s01", "far/s02")
    corpora = {corpus_of(s) for s in (*parts.train.speakers, *parts.test.speakers)}
    assert corpora == {"near"} and len(parts.test.speakers) == 4
    assert parts.protocol == "open-set" and parts.closed_set is not None


@pytest.mark.parametrize("held_out_corpora", [("nowhere",), ("near", "far")])
def test_held_out_corpora_must_be_some_of_those_joined(held_out_corpora):
    with pytest.raises(ValueError, match="must be some, not all"):
        split(joined(near=20, far=3), held_out_corpora=held_out_corpora)


def test_a_split_nobody_wants_is_left_out_and_the_other_stays():
    chosen = split(paper_corpus(30, 6), test=0)
    assert len(chosen.validation.speakers) == 4 and chosen.test is None
    assert chosen.protocol == "open-set" and len(chosen.train.speakers) == 26
    tested = split(paper_corpus(30, 6), validation=0)
    assert len(tested.test.speakers) == 5 and tested.protocol == "closed-set"
    assert tested.validation is tested.closed_set
