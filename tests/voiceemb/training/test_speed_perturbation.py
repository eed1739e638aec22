"""Voices at other speeds: what is read is what resampling the whole would give."""

import numpy as np
import pytest

from timbre.audio import wave
from voiceemb.training.speed_perturbation import SpeedPerturbedRecords

RATE = 16000


class Tones:
    """Two speakers, a tone each; the second record of the second is short."""

    speakers, speaker = ("low", "high"), np.array([0, 1, 1], np.int32)
    length, shape, hz = np.array([16000, 12000, 700], np.int32), (), (200, 500, 500)

    def crop(self, i, start, length):
        assert 0 <= start and start + length <= self.length[i]
        at = np.arange(start, start + length)
        return np.sin(2 * np.pi * self.hz[i] * at / RATE).astype(np.float32)


@pytest.fixture
def voices():
    return SpeedPerturbedRecords(Tones(), (1.0, 0.8, 1.25))


def test_each_speed_of_a_speaker_is_a_speaker(voices):
    assert voices.num == len(voices) == 9
    assert voices.speakers == (
        "low",
        "low x0.8",
        "low x1.25",
        "high",
        "high x0.8",
        "high x1.25",
    )
    np.testing.assert_array_equal(voices.speaker, [0, 1, 2, 3, 4, 5, 3, 4, 5])
    np.testing.assert_array_equal(voices.length[:3], [16000, 20000, 12800])


def test_a_tone_is_higher_by_the_speed(voices):
    rows = np.arange(6)
    found = voices.crops(rows, np.full(6, 300), 8000)
    assert found.shape == (6, 8000) and found.dtype == np.float32
    peak = np.abs(np.fft.rfft(found * np.hanning(8000))).argmax(axis=1) * RATE / 8000
    np.testing.assert_allclose(peak, [200, 160, 250, 500, 400, 625], atol=2)


def test_at_its_own_speed_a_crop_is_the_record_to_the_bit(voices):
    found = voices.crops(np.array([[0], [3]]), np.array([[17], [90]]), 400)
    np.testing.assert_array_equal(found[0, 0], Tones().crop(0, 17, 400))
    np.testing.assert_array_equal(found[1, 0], Tones().crop(1, 90, 400))


def test_a_crop_is_that_of_the_whole_record_played(voices):
    whole = wave.resample(Tones().crop(0, 0, 16000), from_rate=20000, to_rate=16000)
    crop = voices.crops(np.array([2]), np.array([4000]), 4000)[0]
    np.testing.assert_allclose(crop[200:-200], whole[4200:7800], atol=1e-3)


def test_every_start_that_fits_the_length_can_be_read(voices):
    for record in range(9):
        last = int(voices.length[record])
        for start in (0, last // 2, last - 1):
            crop = voices.crops(np.array([record]), np.array([start]), 1000)
            assert np.isfinite(crop).all() and crop.shape == (1, 1000)


def test_a_short_record_is_repeated(voices):
    crop = voices.crops(np.array([8]), np.array([0]), 2000)[0]
    period = len(wave.resample(Tones().crop(2, 0, 700), from_rate=20000, to_rate=16000))
    np.testing.assert_array_equal(crop[:period], crop[period : 2 * period])


def test_features_have_no_speed():
    class Features(Tones):
        shape = (64,)

    with pytest.raises(ValueError, match="Only waveforms"):
        SpeedPerturbedRecords(Features(), (0.9, 1.0))


@pytest.mark.parametrize("speeds", [(), (1.0, 1.0), (0.4,), (float("nan"),)])
def test_speeds_must_be_possible_and_differ(voices, speeds):
    with pytest.raises(ValueError, match="`speeds` must be ratios"):
        SpeedPerturbedRecords(voices, speeds)
