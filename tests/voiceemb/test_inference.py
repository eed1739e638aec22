"""Means of windows, however many batches they fill."""

import numpy as np
import pytest

from voiceemb.inference import unit, windowed_mean


@pytest.mark.parametrize("counts", [(1,), (4,), (5,), (3, 1, 2), (9, 0, 4, 1)])
def test_a_mean_of_windows_is_that_of_its_utterance_in_batches_of_any_number(
    rng, counts
):
    """A count of 0 is an utterance shorter than a window, embedded alone."""
    batches = []

    def embed(windows):
        batches.append(windows.shape)
        return windows[:, :3]

    utterances = [rng.normal(size=(max(n, 1), 6 if n else 5)) for n in counts]
    windows = ((i, w) for i, own in enumerate(utterances) for w in own)
    found = windowed_mean(embed, windows, 6, batch=4)
    expected = unit(np.array([own[:, :3].sum(axis=0) for own in utterances]))
    np.testing.assert_allclose(found, expected)
    full, rest = divmod(sum(counts), 4)
    sizes = sorted(n for n, length in batches if length == 6)
    assert sizes == sorted([4] * full + [rest] * bool(rest))
    assert [n for n, length in batches if length == 5] == [1] * counts.count(0)


def test_no_window_gives_no_row():
    assert len(windowed_mean(None, (), 6, batch=4)) == 0
