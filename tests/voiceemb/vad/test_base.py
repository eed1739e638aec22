"""Frames come when their samples are there, the same whatever the blocks."""

import numpy as np
import pytest

from voiceemb.vad.base import (
    BATCH_FRAMES,
    FRAME,
    HOP,
    Detector,
    FrameStream,
    energies_db,
    num_frames,
)


class Sums(Detector):
    """Says the sum of the samples of each frame, and of all frames before."""

    name = "sums"

    def stream(self):
        return SumsStream()


class SumsStream(FrameStream):
    total = 0.0

    def frames(self, frames):
        assert 1 <= len(frames) <= BATCH_FRAMES and frames.shape[1] == FRAME
        sums = self.total + np.cumsum(frames.sum(axis=1))
        self.total = sums[-1]
        return sums.astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 399, 400, 561, 1000, 200_000])
def test_there_is_a_frame_for_every_ten_milliseconds(samples):
    waveform = np.ones(samples, np.float32)
    sums = np.diff(Sums().probabilities(waveform), prepend=0)
    assert len(sums) == num_frames(samples) == samples // HOP
    left = samples - HOP * np.arange(len(sums))
    np.testing.assert_array_equal(sums, np.minimum(left, FRAME))


def test_a_frame_comes_with_its_last_sample_and_not_before():
    stream = Sums().stream()
    come = [len(stream.push(np.ones(1, np.float32))) for _ in range(1000)]
    due = np.arange(FRAME, 1001, HOP) - 1
    np.testing.assert_array_equal(np.flatnonzero(come), due)
    assert len(stream.finish()) == 1000 // HOP - len(due)


def test_what_is_no_sound_is_refused_and_nothing_changes():
    stream, whole = Sums().stream(), np.arange(1000, dtype=np.float32) % 7
    found = [stream.push(whole[:500])]
    wrongs = [whole * np.nan, np.array([1.0, np.inf]), np.ones(5, int)]
    wrongs += [np.ones((5, 1)), np.float32(1)]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="Sound .* Received"):
            stream.push(wrong)
    found += [stream.push(whole[500:].astype(np.float64)), stream.finish()]
    np.testing.assert_array_equal(np.concatenate(found), Sums().probabilities(whole))


def test_a_stream_ends_once():
    stream = Sums().stream()
    stream.finish()
    with pytest.raises(ValueError, match="finished"):
        stream.push(np.ones(5, np.float32))
    with pytest.raises(ValueError, match="finished"):
        stream.finish()


def test_levels_are_those_of_theory(rng):
    """A sine of amplitude a has power a**2 / 2, white noise its variance."""
    time = np.arange(16000) / 16000
    sine = np.sin(2 * np.pi * 1000 * time)  # 25 periods a frame
    np.testing.assert_allclose(energies_db(sine)[:-2], -3.0103, atol=1e-4)
    np.testing.assert_allclose(energies_db(sine / 100)[:-2], -43.0103, atol=1e-4)
    noise = rng.normal(0, 0.1, 160_000)
    assert np.isclose(energies_db(noise)[:-2].mean(), -20, atol=0.1)
    np.testing.assert_array_equal(energies_db(np.zeros(800)), np.full(5, -120.0))
    np.testing.assert_array_equal(energies_db(np.full(800, 0.5))[:3], np.full(3, -120))
    assert energies_db(noise).dtype == np.float32
    assert energies_db(np.zeros(100)).shape == (0,)
    with pytest.raises(ValueError, match="finite"):
        energies_db(np.array([np.nan]))
