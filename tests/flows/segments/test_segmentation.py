"""Segments: their frames, how they are fitted, and overlap-add back."""

import numpy as np
import pytest

from flows.segments import segmentation
from flows.segments.segmentation import (
    FITS,
    extract,
    find_segment,
    fit_frames,
    overlap_add,
    sliding_starts,
)

HOP = 0.01


@pytest.fixture
def features(rng):
    return rng.normal(size=(50, 3)).astype("float32")


@pytest.mark.parametrize(
    ("start_s", "end_s", "frames", "found"),
    [
        (0.20, 0.21, 1, (21, 22)),  # 20.5 is as near to 20 as to 21
        (0.20, 0.22, 1, (21, 22)),  # frame 21 is centred on 0.21 s
        (0.20, 0.22, 5, (19, 24)),  # two each way
        (0.20, 0.30, 4, (24, 28)),  # 25 lies between 24 and 27, the upper of two ways
        (0.00, 0.02, 10, (0, 10)),  # moved inside
        (0.47, 0.50, 10, (40, 50)),
        (0.20, 0.22, 80, (0, 50)),  # the recording is too short
    ],
)
def test_a_window_is_around_the_middle_and_inside(start_s, end_s, frames, found):
    assert find_segment(start_s, end_s, 50, frames, HOP) == found


@pytest.mark.parametrize("fit", ["pad", "repeat", "stretch"])
@pytest.mark.parametrize(
    ("start_s", "end_s", "found"),
    [
        (0.20, 0.25, (20, 25)),  # frame 25 belongs to what comes then
        (0.07, 0.29, (7, 29)),  # 0.07 / 0.01 is 7.000000000000001 in binary
        (0.201, 0.249, (21, 25)),
        (0.201, 0.205, (20, 21)),  # no frame is centred in it: the nearest
        (0.45, 0.51, (45, 50)),  # a label may end a frame late
        (0.499, 0.51, (49, 50)),
    ],
)
def test_a_phone_has_the_frames_centred_in_it(start_s, end_s, found, fit):
    assert find_segment(start_s, end_s, 50, 20, HOP, fit) == found


def test_windows_of_any_phone_lie_in_the_recording(rng):
    for _ in range(500):
        num_frames, frames = rng.integers(1, 60, size=2)
        start_s = rng.uniform(0, num_frames * HOP)
        end_s = start_s + rng.uniform(0.001, 0.4)
        end_s = min(end_s, (num_frames + 1) * HOP)
        for fit in FITS:
            start, end = find_segment(start_s, end_s, num_frames, frames, HOP, fit)
            assert 0 <= start < end <= num_frames
            if fit == "centre":
                assert end - start == min(frames, num_frames)
        middle = (start_s + end_s) / 2 / HOP
        start, end = find_segment(start_s, end_s, num_frames, frames, HOP)
        if 0 < start and end < num_frames:
            assert abs((start + end - 1) / 2 - middle) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    "times",
    [
        (0.6, 0.7),
        (0.505, 0.51),
        (0.45, 0.52),
        (0.2, 9),
        (0.2, 0.2),
        (0.3, 0.2),
        (-0.1, 0.2),
    ],
)
def test_a_phone_outside_of_the_recording_is_refused(times):
    with pytest.raises(ValueError, match="in 50 frames"):
        find_segment(*times, 50, 20, HOP)


@pytest.mark.parametrize("fit", FITS)
def test_as_many_frames_as_wanted_are_kept_as_they_are(features, fit):
    np.testing.assert_array_equal(
        extract(features, 11, 31, frames=20, fit=fit), features[11:31]
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("num", [1, 2, 3, 7, 30])
def test_a_segment_has_its_length_and_the_type_of_the_features(features, fit, num):
    found = fit_frames(features[:num], num_frames=7, fit=fit)
    assert found.shape == (7, 3) and found.dtype == np.float32


def test_padding_is_the_least_number_on_either_side(features):
    for fit in ("pad", "centre"):
        found = fit_frames(features[:4], num_frames=7, fit=fit)
        np.testing.assert_array_equal(found[1:5], features[:4])
        np.testing.assert_array_equal(
            found[[0, 5, 6]], np.full((3, 3), features[:4].min())
        )


def test_repeating_begins_again(features):
    found = fit_frames(features[:3], num_frames=8, fit="repeat")
    np.testing.assert_array_equal(found, features[[0, 1, 2, 0, 1, 2, 0, 1]])


@pytest.mark.parametrize("fit", ["pad", "repeat", "centre"])
def test_what_is_too_long_keeps_its_middle(features, fit):
    found = fit_frames(features[:9], num_frames=5, fit=fit)
    np.testing.assert_array_equal(found, features[2:7])


@pytest.mark.parametrize(("num", "frames"), [(2, 9), (9, 4), (30, 7), (5, 1), (1, 4)])
def test_stretching_is_interpolation_along_straight_lines(features, num, frames):
    at = np.linspace(0, num - 1, frames) if frames > 1 else [(num - 1) / 2]
    expected = [np.interp(at, np.arange(num), band) for band in features[:num].T]
    found = fit_frames(features[:num], num_frames=frames, fit="stretch")
    np.testing.assert_allclose(found.T, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("num_frames", "frames", "hop"),
    [(50, 20, 7), (50, 20, 10), (50, 20, 20), (20, 20, 3), (9, 20, 5), (8, 21, 1)],
)
def test_what_is_cut_and_put_back_is_what_it_was(features, num_frames, frames, hop):
    original = features[:num_frames]
    starts = sliding_starts(num_frames, frames, hop)
    cuts = [extract(original, s, s + frames, frames=frames) for s in starts]
    found = overlap_add(cuts, starts, num_frames)
    np.testing.assert_allclose(found, original, rtol=1e-6)
    assert found.dtype == np.float32 and found.shape == original.shape


def test_a_cover_begins_at_the_start_and_ends_at_the_end():
    np.testing.assert_array_equal(sliding_starts(50, 20, 10), [0, 10, 20, 30])
    np.testing.assert_array_equal(sliding_starts(47, 20, 10), [0, 10, 20, 27])
    np.testing.assert_array_equal(sliding_starts(15, 20, 10), [-2])  # as `extract` pads


def test_frames_without_a_segment_keep_the_original(features):
    changed = features[[10, 11, 12, 13]] + 1
    found = overlap_add(changed[None], [10], 50, features)
    expected = features.copy()
    expected[10:14] = changed
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert features[10, 0] == changed[0, 0] - 1  # what was given is not written on


def test_where_two_overlap_the_nearer_middle_weighs_more():
    """Frame 2 is last but one of the first segment and first of the second."""
    ones, twos = np.ones((4, 1)), np.full((4, 1), 2.0)
    found = overlap_add([ones, twos], [0, 2], 6)[:, 0]
    weight = np.sin(np.pi * (np.arange(4) + 0.5) / 4) ** 2
    share = weight[0] / (weight[0] + weight[2])
    np.testing.assert_allclose(found, [1, 1, 1 + share, 2 - share, 2, 2])


def test_mistakes_are_named(features):
    with pytest.raises(ValueError, match="`fit` must be one of"):
        fit_frames(features, num_frames=20, fit="crop")
    with pytest.raises(ValueError, match="`frames` at least 1"):
        find_segment(0, 1, 50, 0, HOP)
    with pytest.raises(ValueError, match="at least one frame"):
        extract(features, 50, 60, frames=20)
    with pytest.raises(ValueError, match="hop=21"):
        sliding_starts(50, 20, 21)
    with pytest.raises(ValueError, match="need `original`. Received: 46 of 50"):
        overlap_add(features[None, :4], [0], 50)
    with pytest.raises(ValueError, match="need a start each"):
        overlap_add(features[None], [0, 1], 50)
    assert segmentation.FITS == ("centre", "pad", "repeat", "stretch")
