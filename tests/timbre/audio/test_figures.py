"""The picture of an utterance holds what it was given."""

import numpy as np
import pytest

from timbre.audio.figures import utterance_figure


def test_three_panels_share_one_time_axis(rng, tmp_path):
    waveform, features = rng.normal(size=16000) * 0.1, rng.normal(size=(99, 64))
    figure = utterance_figure(waveform, features, title="목소리 1")
    wave, spectrum, seen = figure.axes[:3]
    assert wave.get_xlim() == spectrum.get_xlim() == seen.get_xlim() == (0, 1)
    np.testing.assert_array_equal(wave.lines[0].get_ydata(), waveform)
    np.testing.assert_array_equal(seen.images[0].get_array(), features.T)
    assert seen.images[0].get_extent()[1] == pytest.approx(0.99)


def test_a_tone_stands_at_its_frequency():
    waveform = np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    image = utterance_figure(waveform, np.ones((99, 4))).axes[1].images[0]
    level = np.asarray(image.get_array())
    low, high = image.get_extent()[2:]
    row = level[:, level.shape[1] // 2].argmax()
    assert low + (row + 0.5) * (high - low) / len(level) == pytest.approx(2.0, abs=0.03)
    assert level.max() == pytest.approx(0)


@pytest.mark.parametrize("samples", [1, 399, 4000])
def test_silence_and_short_sounds_are_drawn(tmp_path, samples):
    figure = utterance_figure(np.zeros(samples), np.zeros((1, 8)))
    figure.savefig(tmp_path / "a.png", dpi=30)
    assert (tmp_path / "a.png").stat().st_size > 0


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="Received"):
        utterance_figure(np.zeros((1, 100)), np.zeros((1, 8)))
