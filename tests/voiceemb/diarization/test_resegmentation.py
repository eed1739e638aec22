"""Re-segmentation: the path against brute force, turns against their rules."""

import itertools

import numpy as np
import pytest

from voiceemb.diarization import resegmentation
from voiceemb.diarization.resegmentation import (
    CELL_S,
    best_path,
    cell_scores,
    path_spans,
)


def test_the_best_path_is_that_of_brute_force(rng):
    def value(path, table, change):
        kept = sum(table[cell, speaker] for cell, speaker in enumerate(path))
        return kept - change * sum(a != b for a, b in itertools.pairwise(path))

    for change in (0.0, 0.3, 0.3, 0.6, 0.6, 1.0, 1.0):
        table = rng.normal(size=(6, 3))
        every = itertools.product(range(3), repeat=6)
        expected = max(every, key=lambda path: value(path, table, change))
        assert best_path(table, change).tolist() == [*expected]
    assert best_path(np.zeros((0, 2))).tolist() == []


def test_a_path_without_a_price_follows_the_scores_and_a_dear_one_stays(rng):
    table = rng.normal(size=(50, 4))
    np.testing.assert_array_equal(best_path(table, 0.0), table.argmax(axis=1))
    assert {*best_path(table, 1e6).tolist()} == {int(table.sum(axis=0).argmax())}


def test_a_change_is_found_between_windows_finer_than_their_step():
    """Windows of 1.5 s, each 0.75 s: a linear mixture crosses where the voice does."""
    for truth in (4.8, 5.0, 5.3, 5.45):
        starts = np.arange(0, 8.5, 0.75)
        first = np.clip((truth - starts) / 1.5, 0, 1)
        cosines = np.stack([first, 1 - first], axis=1)
        path = best_path(cell_scores(starts, starts + 1.5, cosines, 200))
        (change,) = np.flatnonzero(np.diff(path)) + 1
        assert abs(change * CELL_S - truth) < 0.2


def test_cells_without_a_window_are_those_of_the_nearest():
    table = cell_scores([1.0, 4.0], [2.0, 5.0], [[1, 0], [0, 1]], 120)
    path = table.argmax(axis=1)
    assert (path[:60] == 0).all() and (path[61:] == 1).all()
    assert (cell_scores([], [], np.zeros((0, 2)), 5) == 0).all()


def test_turns_begin_and_end_with_speech_and_change_inside_it():
    path = np.r_[np.zeros(40, int), np.ones(60, int)]
    found = path_spans([(0.33, 3.21), (4.5, 4.9)], path)
    assert found == [(0.33, 2.0, 0), (2.0, 3.21, 1), (4.5, 4.9, 1)]


def test_short_gaps_of_one_speaker_are_closed_and_those_of_two_are_not():
    gap = resegmentation.MIN_GAP_S
    path = np.r_[np.zeros(80, int), np.ones(40, int)]
    segments = [(0.0, 1.0), (1.0 + 0.9 * gap, 2.0), (2.0 + 1.1 * gap, 4.0)]
    assert path_spans(segments, path)[0] == (0.0, 2.0, 0)
    other = path_spans([(3.0, 3.95), (4.05, 5.0)], path)
    assert other == [(3.0, 3.95, 0), (4.05, 5.0, 1)]


def test_a_turn_that_is_too_short_goes_to_the_neighbour_it_touches():
    path = np.zeros(100, int)
    path[40:44] = 1  # 0.2 s
    assert path_spans([(0.0, 5.0)], path) == [(0.0, 5.0, 0)]
    path[:3] = 2  # at the beginning there is only one neighbour
    assert path_spans([(0.0, 5.0)], path) == [(0.0, 5.0, 0)]
    path[40:46] = 1  # 0.3 s
    assert [speaker for *_, speaker in path_spans([(0.0, 5.0)], path)] == [0, 1, 0]
    assert path_spans([(2.0, 2.2)], path) == [(2.0, 2.2, 1)]  # nobody to go to


@pytest.mark.parametrize("seed", range(5))
def test_turns_cover_all_speech_once_and_in_order(seed):
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.uniform(0, 20, 12)).reshape(-1, 2)
    segments = [(a, b) for a, b in edges.tolist() if b - a > 0.01]
    path = np.repeat(rng.integers(3, size=80), 5)
    found = path_spans(segments, path)
    assert all(start < end for start, end, _ in found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    speech = sum(end - start for start, end in segments)
    turns = sum(end - start for start, end, _ in found)
    gaps = resegmentation.MIN_GAP_S * len(segments)
    assert speech - 1e-9 <= turns <= speech + gaps


def test_a_forced_speaker_speaks_long_enough_to_be_kept():
    path = np.zeros(100, int)
    resegmentation.force_speaker(path, 2.5, 1)
    assert {speaker for *_, speaker in path_spans([(0.0, 5.0)], path)} == {0, 1}
