"""The filterbank in the graph is the one of python_speech_features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import check_layer
from tests.references import fbank
from timbre.audio import filterbank
from timbre.audio.normalisation import FeatureNormalisation

LENGTHS = [1, 100, 400, 401, 16000, 16001, 16079, 25600, 25760, 48123]


@pytest.fixture(scope="module")
def in_graph():
    layer = filterbank.Filterbank()
    signature = [tf.TensorSpec([None, None], tf.float32)]
    return tf.function(layer.__call__, input_signature=signature)


def sounds(rng, samples):
    """Noise, noise near one 16-bit step, a tone and silence, `[4, samples]`."""
    noise = rng.normal(size=samples)
    sine = np.sin(0.05 * np.arange(samples))
    rows = [0.1 * noise, 5e-5 * noise, 0.5 * sine, np.zeros(samples)]
    return np.stack(rows).astype(np.float32)


def check_equal(ours, reference):
    """Within 1e-4; a bin a million times below its frame's peak is lost to float32."""
    assert ours.shape == reference.shape
    peak = reference.max(axis=-1, keepdims=True)
    assert (np.abs(ours - reference) <= 1e-4 * reference + 1e-6 * peak).all()


def per_frame(energies):
    mean = energies.mean(axis=-1, keepdims=True)
    return (energies - mean) / np.maximum(energies.std(axis=-1, keepdims=True), 1e-12)


@pytest.mark.parametrize("samples", LENGTHS)
def test_energies_are_those_of_python_speech_features(in_graph, rng, samples):
    waveform = sounds(rng, samples)
    reference = np.stack([fbank(row) for row in waveform])
    ours = in_graph(waveform).numpy()
    check_equal(ours, reference)
    normalised = FeatureNormalisation()(ours).numpy()
    np.testing.assert_allclose(normalised, per_frame(reference), atol=1e-6, rtol=3e-7)


def test_silence_is_epsilon_and_normalises_to_zeros(in_graph):
    energies = in_graph(np.zeros((1, 4000), np.float32))
    np.testing.assert_array_equal(energies, np.float32(np.finfo(float).eps))
    for log in (False, True):
        for norm in ("frame", "utterance", "mean", "sliding"):
            layer = FeatureNormalisation(log=log, norm=norm)
            np.testing.assert_allclose(layer(energies), 0, atol=1e-2)


@pytest.mark.parametrize(
    ("sample_rate", "arguments"),
    [
        (8000, {"fft_size": 256, "num_bands": 24}),
        (22050, {"fft_size": 1024, "num_bands": 80, "low_hz": 60, "high_hz": 8000}),
        (16000, {"window_s": 0.02, "hop_s": 0.02, "preemphasis": 0.0}),
        (16000, {"window_s": 0.01, "hop_s": 0.015, "num_bands": 40}),
    ],
)
def test_other_numbers_agree_too(rng, sample_rate, arguments):
    waveform = (0.1 * rng.normal(size=5003)).astype(np.float32)
    layer = filterbank.Filterbank(sample_rate, **arguments)
    reference = fbank(waveform, sample_rate=sample_rate, **arguments)
    check_equal(layer(waveform[None])[0].numpy(), reference)


def test_frames_are_counted_as_they_are_made(in_graph):
    layer = filterbank.Filterbank()
    assert layer.num_frames(25600) == 159  # 1.6 s is one frame short of 160
    assert layer.num_frames(25760) == layer.num_frames(25840) == 160
    assert layer.num_frames(25841) == 161
    np.testing.assert_array_equal(
        layer.num_frames(tf.constant(LENGTHS)), [layer.num_frames(n) for n in LENGTHS]
    )
    for frames in (1, 2, 159, 160):
        least = layer.num_samples(frames)
        assert layer.num_frames(least) == frames
        assert layer.num_frames(least - 1) == max(frames - 1, 1)
        assert in_graph(np.zeros((2, least), np.float32)).shape == (2, frames, 64)
    assert layer.num_samples(160) == 25681


def test_the_empty_waveform_is_one_silent_frame(in_graph):
    assert in_graph(np.zeros((3, 0), np.float32)).shape == (3, 1, 64)


def test_a_row_does_not_depend_on_its_batch(in_graph, rng):
    waveform = sounds(rng, 8000)
    alone = np.concatenate([in_graph(row[None]) for row in waveform])
    np.testing.assert_allclose(in_graph(waveform), alone, rtol=1e-6)


def test_gradient_reaches_the_waveform(rng):
    waveform = tf.constant(sounds(rng, 2000))
    with tf.GradientTape() as tape:
        tape.watch(waveform)
        total = tf.reduce_sum(filterbank.Filterbank()(waveform))
    gradient = tape.gradient(total, waveform).numpy()
    assert np.isfinite(gradient).all() and (gradient[0] != 0).all()


def test_float32_is_kept_under_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        energies = filterbank.Filterbank()(sounds(rng, 2000))
        features = FeatureNormalisation()(energies)
    finally:
        keras.config.set_dtype_policy("float32")
    assert energies.dtype == features.dtype == tf.float32


def test_layers_keep_their_contract(rng):
    check_layer(filterbank.Filterbank(num_bands=40, low_hz=50.0), sounds(rng, 3000))
    energies = rng.uniform(0, 1, (2, 30, 8)).astype(np.float32)
    for norm in ("frame", "utterance", "mean", "sliding", "none"):
        layer = FeatureNormalisation(log=True, norm=norm, window=7)
        check_layer(layer, energies)


def test_a_functional_model_knows_its_frames():
    inputs = keras.Input([None])
    energies = filterbank.Filterbank()(inputs)
    assert energies.shape == (None, None, 64)
    assert filterbank.Filterbank()(keras.Input([25760])).shape == (None, 160, 64)
    model = keras.Model(inputs, FeatureNormalisation()(energies))
    assert model.predict(np.zeros((2, 4000), np.float32), verbose=0).shape[0] == 2


def test_the_exported_front_end_gives_the_same(tmp_path, rng, in_graph):
    layer = filterbank.Filterbank()
    module = tf.Module()
    module.energies = tf.function(
        layer.__call__, input_signature=[tf.TensorSpec([None, None], tf.float32)]
    )
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    for samples in (401, 25760):
        waveform = sounds(rng, samples)
        np.testing.assert_array_equal(loaded.energies(waveform), in_graph(waveform))


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"sample_rate": 44100}, "resample"),  # a frame of 1103 samples
        ({"hop_s": 0.0}, "at least one sample"),
        ({"high_hz": 9000.0}, "high_hz <= sample_rate / 2"),
        ({"low_hz": 5000.0, "high_hz": 4000.0}, "low_hz < high_hz"),
        ({"num_bands": 300}, "too narrow"),
    ],
)
def test_a_filterbank_that_can_not_be_is_refused(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        filterbank.Filterbank(**arguments)


def test_a_waveform_without_its_batch_is_refused():
    with pytest.raises(ValueError, match="ndim"):
        filterbank.Filterbank()(np.zeros(16000, np.float32))


@pytest.mark.real_data
def test_real_speech_agrees(real_data, in_graph):
    from timbre.audio import wave

    path = sorted(real_data.glob("librispeech_test_other/*/*.flac"))[0]
    waveform = wave.read(path, end_s=5.0)
    reference = fbank(waveform)
    ours = in_graph(waveform[None])[0].numpy()
    check_equal(ours, reference)
    normalised = FeatureNormalisation()(ours[None])[0].numpy()
    np.testing.assert_allclose(normalised, per_frame(reference), atol=1e-6, rtol=3e-7)
