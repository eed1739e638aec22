"""There and back again, exactly."""

import numpy as np
import pytest
import tensorflow as tf

from timbre.audio.stft import inverse, stft


@pytest.mark.parametrize("samples", [1, 127, 128, 500, 4000, 4097])
@pytest.mark.parametrize(("window", "hop"), [(510, 128), (512, 160), (401, 100)])
def test_inverse_gives_every_sample_back(rng, samples, window, hop):
    waveform = rng.normal(size=(2, samples)).astype(np.float32)
    spectrum = stft(waveform, window=window, hop=hop)
    assert spectrum.shape == (2, 1 + samples // hop, window // 2 + 1)
    back = inverse(spectrum, num_samples=samples, window=window, hop=hop)
    np.testing.assert_allclose(back, waveform, atol=2e-6)


def test_spectrum_is_its_formula(rng):
    waveform = rng.normal(size=(1, 1000)).astype(np.float32)
    padded = np.pad(waveform[0].astype(np.float64), (255, 255))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(510) / 510)
    expected = [np.fft.rfft(window * padded[t : t + 510]) for t in range(0, 1001, 128)]
    np.testing.assert_allclose(stft(waveform)[0], expected, atol=1e-4)


def test_inverse_is_linear_and_differentiable(rng):
    spectrum = stft(tf.constant(rng.normal(size=(1, 1000)), tf.float32))
    once = inverse(spectrum, num_samples=1000)
    np.testing.assert_allclose(
        inverse(3 * spectrum, num_samples=1000), 3 * once, atol=1e-5
    )
    with tf.GradientTape() as tape:
        tape.watch(spectrum)
        total = tf.reduce_sum(inverse(spectrum, num_samples=1000) ** 2)
    assert np.isfinite(tape.gradient(total, spectrum).numpy()).all()


def test_any_length_runs_in_one_graph(rng):
    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def there_and_back(waveform):
        return inverse(stft(waveform), num_samples=tf.shape(waveform)[1])

    for samples in (300, 777):
        waveform = rng.normal(size=(1, samples)).astype(np.float32)
        np.testing.assert_allclose(there_and_back(waveform), waveform, atol=2e-6)


def test_what_can_not_be_inverted_is_refused():
    with pytest.raises(ValueError, match="a third"):
        stft(np.zeros((1, 100), np.float32), window=512, hop=256)
    with pytest.raises(tf.errors.InvalidArgumentError, match="num_samples"):
        inverse(tf.zeros([1, 3, 256], tf.complex64), num_samples=3 * 128)
