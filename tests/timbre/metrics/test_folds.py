"""Parts of grouped rows: whole groups, classes evenly."""

import numpy as np
import pytest

from timbre.metrics import folds


def test_classes_are_counted_by_the_groups_they_are_in():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, -1, -1])
    groups = np.array([*"aab"] + [*"cc"] + [*"ac"] + [*"ab"])
    assert folds.classes_in_groups(labels, groups).tolist() == [0, 2]
    assert folds.classes_in_groups(labels, groups, min_groups=1).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="one a row"):
        folds.classes_in_groups(labels, groups[1:])


def test_every_class_is_in_all_parts_of_a_division(rng):
    """Rows by class, as lots fall; every fifth of them has a fifth of each class."""
    labels = rng.permutation(np.repeat([0, 1, 2], [50, 10, 5]))
    order = folds.shuffle_by_class(labels, 0)
    assert (np.diff(labels[order]) >= 0).all() and len({*order}) == 65
    assert (np.bincount(labels[order[::5]]) == [10, 2, 1]).all()
    assert (order != folds.shuffle_by_class(labels, 1)).any()


@pytest.mark.parametrize("seed", range(5))
def test_parts_hold_whole_groups_and_no_class_alone(seed):
    """Recordings of many classes, the rare ones in two of them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(23), 40)
    labels = rng.integers(12, size=len(groups))
    for rare in range(12, 30):
        for group in rng.choice(23, 2, replace=False):
            labels[group * 40 + rare] = rare
    part = folds.assign_folds(labels, groups, seed)
    assert all(len({*part[groups == g]}) == 1 for g in range(23))
    assert all(len({*part[labels == k]}) > 1 for k in range(30))
    sizes = np.bincount(part)
    assert len(sizes) == 5 and sizes.max() <= 2 * sizes.min()


@pytest.mark.parametrize("seed", range(5))
def test_a_class_has_its_recordings_in_as_many_parts_as_can_be(seed):
    """Six speakers of five recordings each, some long and some short."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(30), rng.integers(1, 40, size=30))
    part = folds.assign_folds(groups // 5, groups, seed)
    assert all(len({*part[groups // 5 == k]}) == 5 for k in range(6))


def test_no_class_is_all_in_one_part_even_where_its_others_would_be_more_even():
    """Classes 3, 4 and 5 are in all parts but that with the first recording of 2."""
    held = [(0, 3, 4, 5)] * 2 + [(1, 3, 4, 5)] * 2 + [(2,), (2, 3, 4, 5)]
    labels = np.array([label for classes in held for label in classes] * 2)
    groups = np.array([g for g, classes in enumerate(held) for _ in classes] * 2)
    for seed in range(10):
        part = folds.assign_folds(labels, groups, seed)
        assert all(len({*part[labels == k]}) > 1 for k in range(6))


def test_lonely_rows_are_dealt_out_by_class(rng):
    labels = rng.permutation(np.repeat([0, 1, 2], [50, 10, 5]))
    part = folds.assign_folds(labels, rng.permutation(65), 0)
    counts = [np.bincount(part[labels == k]).tolist() for k in range(3)]
    assert counts == [[10] * 5, [2] * 5, [1] * 5]
