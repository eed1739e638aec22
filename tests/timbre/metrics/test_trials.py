"""Trial lists: which pairs they hold, how they are written."""

import hashlib
import itertools
import tracemalloc

import numpy as np
import pytest

from timbre.metrics import trials as trials_module
from timbre.metrics.trials import (
    all_pairs,
    deep_speaker_trials,
    read_trials,
    write_trials,
)


def speaker_labels(*counts):
    return np.repeat([f"s{i:03d}" for i in range(len(counts))], counts)


def pairs(trials):
    return {frozenset(pair) for pair in zip(trials.enrol, trials.test, strict=True)}


def test_all_pairs_are_all_pairs(rng):
    speakers = rng.permutation(speaker_labels(3, 1, 4))
    trials = all_pairs(speakers)
    every = {frozenset(p) for p in itertools.combinations(range(8), 2)}
    assert pairs(trials) == every and len(trials) == len(every)
    same = speakers[trials.enrol] == speakers[trials.test]
    np.testing.assert_array_equal(trials.label, same)
    assert trials.note == "" and trials.kind == "all-pairs"


@pytest.mark.parametrize("max_trials", [60, 100, 400])
def test_too_many_pairs_are_subsampled_and_all_same_pairs_kept(rng, max_trials):
    speakers = rng.permutation(speaker_labels(*[3] * 10))  # 30 same, 405 different
    trials = all_pairs(speakers, max_trials=max_trials)
    assert len(trials) == len(pairs(trials)) == max_trials
    assert trials.label.sum() == 30
    same = speakers[trials.enrol] == speakers[trials.test]
    np.testing.assert_array_equal(trials.label, same)
    assert f"{max_trials - 30} of 405 different" in trials.note


def test_even_same_pairs_are_subsampled_rather_than_fill_the_memory():
    trials = all_pairs(speaker_labels(50, 50), max_trials=100)  # 2450 same
    assert len(trials) == len(pairs(trials)) == 100 and trials.label.sum() == 50
    assert trials.note == "50 of 2450 same and 50 of 2500 different pairs, seed 0"


def test_few_different_pairs_leave_room_for_same_pairs():
    trials = all_pairs(speaker_labels(20, 1), max_trials=100)  # 190 same, 20 different
    assert (len(trials), trials.label.sum()) == (100, 80)


def test_a_hundred_thousand_utterances_stay_small():
    speakers = speaker_labels(*[100] * 1000)  # five thousand million pairs
    tracemalloc.start()
    trials = all_pairs(speakers, max_trials=2000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(trials) == 2000 and peak < 100e6


def test_subsampled_pairs_are_spread_evenly(rng):
    """Every utterance meets about as many trials as every other."""
    trials = all_pairs(speaker_labels(*[10] * 40), max_trials=20_000)
    different = ~trials.label
    sides = np.concatenate([trials.enrol[different], trials.test[different]])
    counts = np.bincount(sides, minlength=400)
    assert abs(counts - counts.mean()).max() < 6 * np.sqrt(counts.mean())


@pytest.mark.parametrize("make", [all_pairs, deep_speaker_trials])
def test_one_seed_one_list(make):
    options = {"max_trials": 50} if make is all_pairs else {"negatives": 5}
    lists = [make(speaker_labels(*[4] * 9), seed=seed, **options) for seed in (1, 1, 2)]
    assert lists[0].digest() == lists[1].digest() != lists[2].digest()


def test_deep_speaker_has_one_positive_and_99_negatives_of_99_speakers():
    speakers = speaker_labels(*[3] * 120)
    trials = deep_speaker_trials(speakers)
    assert len(trials) == 120 * 100 and trials.note == ""
    for start in range(0, len(trials), 100):
        block = slice(start, start + 100)
        label, enrol, test = (
            column[block] for column in (trials.label, trials.enrol, trials.test)
        )
        assert len(set(enrol)) == 1 and label.tolist() == [True] + [False] * 99
        assert test[0] != enrol[0] and speakers[test[0]] == speakers[enrol[0]]
        assert len(set(speakers[test[1:]])) == 99
        assert speakers[enrol[0]] not in speakers[test[1:]]


def test_deep_speaker_says_what_it_lacks():
    trials = deep_speaker_trials(speaker_labels(20, 20, 1, 6))
    # 3 speakers with an anchor; the others offer 27, 27 and 41 utterances.
    assert len(trials) == 3 + 27 + 27 + 41
    assert trials.note == (
        "1 speakers of one utterance have no anchor; "
        "down to 27 negatives an anchor instead of 99; "
        "negatives from 3 other speakers only"
    )
    for anchor in np.unique(trials.enrol):
        tests = trials.test[trials.enrol == anchor]
        assert len(set(tests)) == len(tests)


def test_deep_speaker_takes_one_of_each_speaker_before_a_second_of_any():
    speakers = speaker_labels(30, 30, 2)
    trials = deep_speaker_trials(speakers, negatives=6)
    first = speakers[trials.enrol] == "s000"
    others = speakers[trials.test[first & ~trials.label]]
    assert sorted(others) == ["s001"] * 4 + ["s002"] * 2


@pytest.mark.parametrize("make", [all_pairs, deep_speaker_trials])
@pytest.mark.parametrize("speakers", [[], ["a"], ["a", "a"], ["a", "b", "c"]])
def test_lists_without_both_kinds_are_refused(make, speakers):
    with pytest.raises(ValueError, match="two speakers.*Received"):
        make(speakers)


def test_a_list_reads_back_as_it_was_written(tmp_path):
    names = ["a/1.wav", "a/two words.wav", "b/100%.wav", "b/말.wav", "b/x\u00a0y.wav"]
    trials = all_pairs(["a", "a", "b", "b", "b"], segments=names)
    digest = write_trials(tmp_path / "deep" / "trials.txt", trials, scores=range(10))
    text = (tmp_path / "deep" / "trials.txt").read_bytes()
    assert digest == trials.digest() == hashlib.sha256(text).hexdigest()
    assert text.splitlines()[0] == b"1 a/1.wav a/two%20words.wav"
    again = read_trials(tmp_path / "deep" / "trials.txt")
    assert again.digest() == digest
    moved = again.locate(names[::-1])
    assert moved.digest() == digest
    np.testing.assert_array_equal(moved.enrol, 4 - trials.enrol)
    scores = (tmp_path / "deep" / "trials.scores").read_text()
    assert [float(line) for line in scores.split()] == list(range(10))
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {
        "trials.txt",
        "trials.scores",
    }


def test_the_usual_forms_of_a_list_are_read(tmp_path):
    (tmp_path / "t").write_text("1 a b\n\ntarget a c\nnontarget b d\n0 c d\n")
    trials = read_trials(tmp_path / "t")
    assert trials.label.tolist() == [True, True, False, False]
    assert trials.segments[trials.test].tolist() == ["b", "c", "d", "d"]
    assert trials.speakers is None


@pytest.mark.parametrize("line", ["1 a", "2 a b", "a b 1", "1 a b c"])
def test_a_line_of_another_form_is_named(tmp_path, line):
    (tmp_path / "t").write_text(f"1 a b\n{line}\n")
    with pytest.raises(ValueError, match="line 2 must be.*Received"):
        read_trials(tmp_path / "t")


def test_an_utterance_without_embedding_is_named(tmp_path):
    (tmp_path / "t").write_text("1 a b\n0 a c\n")
    with pytest.raises(ValueError, match="none for 1, such as 'c'"):
        read_trials(tmp_path / "t").locate(["a", "b"])
    with pytest.raises(ValueError, match="must differ"):
        read_trials(tmp_path / "t").locate(["a", "a"])


def test_an_interrupted_write_leaves_the_old_list(tmp_path):
    path = tmp_path / "t"
    path.write_text("old")

    def lines():
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trials_module._write_lines(path, lines())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
