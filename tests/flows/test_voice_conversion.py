"""Recordings with a factor changed: only what is asked for changes."""

import numpy as np
import pytest

from flows import voice_conversion
from tests.flows.stand_ins import Model
from timbre.audio.mel import LogMel

FRAMES, BANDS = 8, 6


@pytest.fixture
def model():
    return Model(shape=(FRAMES, BANDS))


@pytest.fixture
def features(rng):
    return rng.normal(size=(37, BANDS)).astype("float32")


def test_sliding_segments_change_every_frame_by_the_way_between_classes(
    model, features
):
    """All segments move by one vector, so the overlapped recording does too."""
    cut, starts = voice_conversion.cut_sliding(features, FRAMES)
    assert cut.shape == (len(starts), FRAMES, BANDS)
    new = voice_conversion.change(
        model, features, cut, starts, "phone", "s", source="a"
    )
    np.testing.assert_allclose(new[:, : BANDS // 2], features[:, :3] + 20, atol=1e-4)
    np.testing.assert_allclose(new[:, BANDS // 2 :], features[:, 3:], atol=1e-5)


def test_no_way_is_no_change_and_half_a_way_is_half_the_change(model, features):
    cut, starts = voice_conversion.cut_sliding(features, FRAMES)
    told = ("speaker", "M02")
    for alpha in (0.0, 0.5):
        new = voice_conversion.change(model, features, cut, starts, *told, alpha=alpha)
        np.testing.assert_allclose(new[:, 3:], features[:, 3:] + 10 * alpha, atol=1e-4)


def test_around_phones_only_phones_change_each_from_its_own_class(model, features):
    """Around frames 4.5 and 24.5 are eight, from 1 to 8 and from 21 to 28."""
    times = [(0.04, 0.05), (0.24, 0.25)]
    cut, starts = voice_conversion.cut_around(features, times, FRAMES, 0.01)
    assert starts.tolist() == [1, 21]
    own = np.array([0, 1], np.int32)
    new = voice_conversion.change(
        model, features, cut, starts, "phone", "s", source=own
    )
    change = (new - features)[:, 0]
    expected = np.zeros(37)
    expected[1:9], expected[21:29] = 20, 10
    np.testing.assert_allclose(change, expected, atol=1e-4)


def test_a_recording_shorter_than_a_segment_is_changed_whole(model, features):
    for count in (1, FRAMES - 1, FRAMES):
        some = features[:count]
        for cut, starts in (
            voice_conversion.cut_sliding(some, FRAMES),
            voice_conversion.cut_around(some, [(0, 0.01 * count)], FRAMES, 0.01),
        ):
            new = voice_conversion.change(model, some, cut, starts, "phone", "i")
            np.testing.assert_allclose(new[:, :3], some[:, :3] + 10, atol=1e-4)


def test_like_someone_unknown_is_as_far_as_the_averages_lie_apart(model, features):
    cut, starts = voice_conversion.cut_sliding(features, FRAMES)
    others, _ = voice_conversion.cut_sliding(features + 7, FRAMES)
    to, source = (model.enrol(x, "speaker") for x in (others, cut))
    new = voice_conversion.change(
        model, features, cut, starts, "speaker", to, source=source
    )
    np.testing.assert_allclose(new[:, 3:], features[:, 3:] + 7, atol=1e-4)
    np.testing.assert_allclose(new[:, :3], features[:, :3], atol=1e-4)


@pytest.mark.slow
def test_a_sound_that_is_not_changed_has_the_same_spectrogram(rng):
    """Out of its own features a tone comes back, as long and no louder than may be."""
    front = LogMel()
    tone = 0.4 * np.sin(2 * np.pi * 500 / 16000 * np.arange(4801)).astype("float32")
    features = voice_conversion.spectrogram(tone, front)
    assert features.shape == (31, 40)
    back = voice_conversion.synthesise(features, front, num_samples=len(tone))
    assert back.shape == tone.shape and np.abs(back).max() <= 1
    again = voice_conversion.spectrogram(back, front)
    loud = features > features.max() - 4
    assert np.abs(again - features)[5:-5][loud[5:-5]].mean() < 0.3
    loudest = voice_conversion.synthesise(features + 8, front, num_samples=len(tone))
    assert np.abs(loudest).max() == pytest.approx(1)


def test_a_listed_phone_that_is_no_class_is_its_kin(tmp_path):
    sound, table = tmp_path / "a.wav", tmp_path / "segments.csv"
    phones = ["ə", "ʌ", "iə", "x"]  # itself, kin of the first, two in one, unknown
    rows = [f"a.wav,{i},{i + 1},{phone},anna" for i, phone in enumerate(phones)]
    table.write_text("\n".join(["path,start,end,phone,speaker", *rows]), "utf-8")
    times, known = voice_conversion.read_segments(table, sound, "phone", ("t", "ə"))
    assert times == [(0, 1), (1, 2), (2, 3), (3, 4)] and known.tolist() == [
        1,
        1,
        -1,
        -1,
    ]
