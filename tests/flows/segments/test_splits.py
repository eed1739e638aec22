"""Splits: what is left out, what is trained on, and that no split meets another."""

import numpy as np
import pytest

from flows.segments import splits


def columns(**names):
    return {name: np.array(column, str) for name, column in names.items()}


LIMITS = {"rows": 1000, "classes": 40, "min_rows": 1, "seed": 0}


def test_all_rows_stay_where_nothing_is_rare():
    rows, left = splits.select(columns(phone=[*"aabb"], speaker=[*"xyxy"]), **LIMITS)
    assert rows.tolist() == [0, 1, 2, 3]
    nothing = {"phone": 0, "speaker": 0}
    assert left == {"rare": 0, "by lot": 0, "unlabelled (kept)": nothing}


def test_rare_classes_go_and_rows_without_a_label_stay():
    labels = columns(phone=[*"aaab", *"bc", "", ""])
    rows, left = splits.select(labels, **LIMITS | {"min_rows": 2})
    assert rows.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert left["rare"] == 1 and left["unlabelled (kept)"] == {"phone": 2}


def test_the_classes_with_most_rows_stay_and_names_break_ties():
    labels = columns(phone=[*"abbccdd"])
    rows, _ = splits.select(labels, **LIMITS | {"classes": 2})
    assert {labels["phone"][i] for i in rows} == {"b", "c"}


def test_speakers_have_a_least_and_a_most_as_other_factors_have():
    labels = columns(phone=[*"aaaaaab"], speaker=[*"xxxyyzz"])
    rows, _ = splits.select(labels, **LIMITS | {"min_rows": 3})
    assert rows.tolist() == [0, 1, 2]
    rows, _ = splits.select(labels, **LIMITS | {"classes": 1})
    assert rows.tolist() == [0, 1, 2]


def test_what_becomes_rare_when_another_is_left_out_goes_too():
    """Without `b` there is one `x` left, and without it only two `a`."""
    labels = columns(phone=[*"aaabb"], emotion=[*"yyxxx"])
    told = LIMITS | {"min_rows": 3}
    with pytest.raises(ValueError, match="5 rows, of which none stays"):
        splits.select(labels, **told)
    labels = columns(phone=[*"aaaabb"], emotion=[*"yyyxxx"])
    rows, _ = splits.select(labels, **told)
    assert rows.tolist() == [0, 1, 2]


def test_leaving_out_goes_on_until_nothing_is_rare():
    """Without `x`, which is rare, one `a` is left; so `y` goes, and then `b`."""
    labels = columns(phone=[*"aaabbbccc"], emotion=[*"xxyyyzzzz"])
    rows, _ = splits.select(labels, **LIMITS | {"min_rows": 3})
    assert rows.tolist() == [6, 7, 8]


def test_no_label_is_no_class_among_those_with_most_rows():
    labels = columns(phone=["", "", "", "a", "a", "b", "c"])
    rows, _ = splits.select(labels, **LIMITS | {"classes": 2})
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_sample_keeps_its_number_and_what_it_makes_rare_goes(rng):
    labels = columns(phone=rng.choice([*"abc"], p=[0.6, 0.399, 0.001], size=10_000))
    rows, left = splits.select(labels, **LIMITS | {"rows": 500, "min_rows": 3})
    assert set(labels["phone"][rows]) == {"a", "b"} and (np.diff(rows) > 0).all()
    assert left["by lot"] > 0 and len(rows) + left["rare"] + left["by lot"] == 10_000
    assert 490 < len(rows) <= 500
    other, _ = splits.select(labels, **LIMITS | {"rows": 500, "seed": 1})
    assert other.tolist() != rows.tolist()


def test_a_share_of_the_speakers_is_unseen_and_at_least_one():
    speaker = np.array([f"s{i % 10}" for i in range(100)])
    for share, count in ((0.0, 0), (0.01, 1), (0.26, 3)):
        out = splits.select_unseen(speaker, speaker, share, seed=0)
        assert len(set(speaker[out])) == count
        assert not set(speaker[out]) & set(speaker[~out])
    everybody = {
        tuple(splits.select_unseen(speaker, speaker, 0.1, seed=s)) for s in range(40)
    }
    assert len(everybody) == 10


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_unseen_together_and_as_many_as_are_wanted_or_more(seed):
    """Twelve speakers of six groups, at most three each; four or more are wanted."""
    row = np.random.default_rng(seed).integers(0, 12, size=500)
    speaker = np.array([f"s{i}" for i in row])
    group_of = np.array([*"aaabbccdddef"])
    group = group_of[row]
    out = splits.select_unseen(speaker, group, 1 / 3, seed=seed)
    assert not set(group[out]) & set(group[~out])
    assert not set(speaker[out]) & set(speaker[~out])
    assert 4 <= len(set(speaker[out])) <= 6


def test_unseen_speakers_must_be_known_and_not_be_all():
    with pytest.raises(ValueError, match="1 of 3 rows without"):
        splits.select_unseen(*2 * [np.array(["a", "", "b"])], 0.1, seed=0)
    with pytest.raises(ValueError, match="unseen=0.9 of 2 speakers"):
        splits.select_unseen(*2 * [np.array(["a", "b"])], 0.9, seed=0)
    speaker, one = np.array(["a", "b", "c"]), np.array(["f", "f", "f"])
    with pytest.raises(ValueError, match="of 3 speakers in 1 groups"):
        splits.select_unseen(speaker, one, 0.1, seed=0)


def test_classes_are_of_the_seen_where_they_are_speakers():
    labels = columns(speaker=[*"abc"], phone=["y", "x", "z"])
    out = np.array([False, False, True])
    vocabulary = splits.build_vocabulary(labels, out)
    assert vocabulary == {"speaker": ("a", "b"), "phone": ("x", "y", "z")}
    indices = splits.encode_labels(labels, vocabulary)
    assert indices.dtype == np.int32 and indices.tolist() == [[0, 1], [1, 0], [-1, 2]]


def test_one_class_is_no_factor():
    with pytest.raises(ValueError, match=r"Received: 'phone' with \['a'\]"):
        splits.build_vocabulary(columns(phone=["a", "", "a"]), np.zeros(3, bool))


@pytest.fixture
def many(rng):
    """300 recordings of 30 speakers, ten rows each; one class is in few recordings."""
    recording = np.repeat(np.arange(300), 10)
    labels = rng.integers(-1, 6, size=(3000, 2)).astype(np.int32)
    labels[rng.permutation(3000)[:3], 0] = 6
    return recording, labels, recording % 30 >= 27


@pytest.mark.parametrize("seed", range(20))
def test_parts_share_no_recording_and_every_class_is_learned_from(many, seed):
    recording, labels, out = many
    labels[out & (labels[:, 0] == 6), 0] = 0
    index = splits.split(recording, labels, out, shares=(0.1, 0.15), seed=seed)
    assert list(index) == list(splits.SPLITS)
    recordings = {name: set(recording[rows]) for name, rows in index.items()}
    assert (
        sum(map(len, recordings.values()))
        == len(set().union(*recordings.values()))
        == 300
    )
    sizes = {name: len(names) for name, names in recordings.items()}
    assert sizes == {"train": 203, "valid": 27, "test": 40, "unseen": 30}
    assert sum(map(len, index.values())) == 3000
    assert out[index["unseen"]].all() and not out[index["train"]].any()
    for column in labels.T:
        assert set(column[index["train"]]) == set(column)


def test_who_speaks_beside_the_unseen_is_in_no_part():
    recording = np.array([0, 0, 1, 2, 3, 4])
    out = np.array([True, False, False, False, False, False])
    index = splits.split(
        recording, np.zeros((6, 1), int), out, shares=(0.2, 0.2), seed=0
    )
    assert index["unseen"].tolist() == [0]
    assert 1 not in np.concatenate([*index.values()])


def test_a_seed_is_a_split(many):
    told = {"shares": (0.1, 0.15)}
    one, again = (splits.split(*many, **told, seed=3) for _ in range(2))
    other = splits.split(*many, **told, seed=4)
    assert all((one[name] == again[name]).all() for name in one)
    assert set(one["test"]) != set(other["test"])


def test_too_few_recordings_are_refused():
    labels = np.array([[0], [1], [2]])
    with pytest.raises(ValueError, match="3 recordings, of which 1 are left and 3"):
        splits.split(np.arange(3), labels, np.zeros(3, bool), shares=(0.1, 0.1), seed=0)


def test_a_class_that_only_the_unseen_have_is_named():
    with pytest.raises(ValueError, match="only unseen speakers have mood glad$"):
        splits.check_all_classes(
            np.array([[0], [2]]), {"mood": ("calm", "glad", "sad")}
        )


def test_a_share_of_the_labels_is_masked_each_independently(rng):
    labels = rng.integers(0, 5, size=(20_000, 2)).astype(np.int32)
    shown = splits.mask_labels(labels, 0.3, seed=0)
    gone = shown == -1
    assert (shown[~gone] == labels[~gone]).all() and shown.dtype == np.int32
    np.testing.assert_allclose(gone.mean(axis=0), 0.3, atol=0.01)  # 3 deviations
    np.testing.assert_allclose(gone.all(axis=1).mean(), 0.09, atol=0.01)
    assert (splits.mask_labels(labels, 0.0, seed=0) == labels).all()


def test_a_class_keeps_a_label_however_many_are_masked():
    labels = np.arange(8, dtype=np.int32).repeat(2)[:, None]
    shown = splits.mask_labels(labels, 0.99, seed=0)
    assert set(shown[:, 0]) - {-1} == set(range(8))
