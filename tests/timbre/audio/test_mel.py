"""Log energies are those of NumPy and SciPy, in the bands where they belong."""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tests.contracts import check_layer
from timbre.audio import mel

LAYERS = [
    {},
    {"num_bands": 80, "low_hz": 50.0, "high_hz": 7600.0},
    {"window": 400, "num_bands": 40},
    {"window": 400, "num_bands": 200, "spectrum": "linear"},
    {"sample_rate": 8000, "window": 256, "hop": 80, "num_bands": 24},
]


def by_hand(waveform, layer):
    """The log energies of one waveform in float64, by `scipy.signal.stft`."""
    spectrum = scipy.signal.stft(
        np.append(waveform.astype(np.float64), np.zeros(layer.window)),
        window="hann",
        nperseg=layer.window,
        noverlap=layer.window - layer.hop,
        boundary="zeros",
        padded=True,
    )[2].T  # (frames, bins), divided by the sum of the window
    power = np.square(np.abs(spectrum) * layer.window / 2)
    power = power[: 1 + len(waveform) // layer.hop]
    if layer.spectrum == "linear":
        energies = power[:, : layer.num_bands]
    else:
        energies = power @ triangles(layer)
    return np.log(np.maximum(energies, layer.floor))


def triangles(layer):
    """The weights, interpolated between three corners, one band after the other."""
    top = layer.high_hz or layer.sample_rate / 2
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (layer.low_hz, top))
    corners = np.linspace(low, high, layer.num_bands + 2)
    corners = 700 * (10 ** (corners / 2595) - 1)
    hz = np.fft.rfftfreq(layer.window, 1 / layer.sample_rate)
    bands = [
        np.interp(hz, corners[b : b + 3], [0, 1, 0]) for b in range(layer.num_bands)
    ]
    return np.stack(bands, axis=1)


def test_the_scale_has_its_known_points():
    assert mel.hz_to_mel(0) == 0
    assert mel.hz_to_mel(1000) == pytest.approx(1000, abs=0.02)  # it was made so
    assert mel.hz_to_mel(6300) == pytest.approx(2595)  # 1 + 6300 / 700 = 10
    hz = np.linspace(0, 24000, 50)
    np.testing.assert_allclose(mel.mel_to_hz(mel.hz_to_mel(hz)), hz, atol=1e-9)


@pytest.mark.parametrize("window", [400, 512, 1024])
def test_triangles_are_where_the_scale_puts_them(window):
    layer = mel.LogMel(window=window, num_bands=30, low_hz=80.0, high_hz=7000.0)
    numbers = {"sample_rate": 16000, "window": window, "num_bands": 30}
    matrix = mel.mel_matrix(**numbers, low_hz=80, high_hz=7000)
    assert matrix.shape == (window // 2 + 1, 30) and matrix.dtype == np.float64
    np.testing.assert_allclose(matrix, triangles(layer), atol=1e-12)
    np.testing.assert_allclose(layer.matrix, matrix, rtol=1e-6)


def test_triangles_add_up_to_one_between_the_first_peak_and_the_last():
    matrix = mel.mel_matrix(sample_rate=16000, window=1024, num_bands=40)
    hz = np.arange(513) * 16000 / 1024
    peaks = mel.mel_to_hz(np.linspace(0, mel.hz_to_mel(8000), 42))[1:-1]
    inside = (hz >= peaks[0]) & (hz <= peaks[-1])
    np.testing.assert_allclose(matrix.sum(axis=1)[inside], 1)
    assert (matrix.sum(axis=1) <= 1 + 1e-12).all() and (matrix >= 0).all()


@pytest.mark.parametrize("arguments", LAYERS)
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 3000])
def test_energies_are_those_of_scipy(rng, arguments, samples):
    layer = mel.LogMel(**arguments)
    waveform = (0.1 * rng.normal(size=(2, samples))).astype(np.float32)
    ours = layer(waveform).numpy()
    assert ours.shape == (2, 1 + samples // layer.hop, layer.num_bands)
    assert ours.dtype == np.float32
    expected = [by_hand(row, layer) for row in waveform]
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_a_tone_lands_in_its_band_with_its_energy():
    layer, linear = mel.LogMel(), mel.LogMel(num_bands=257, spectrum="linear")
    centres = mel.mel_to_hz(np.linspace(0, mel.hz_to_mel(8000), 42))[1:-1]
    time = np.arange(16000) / 16000
    for band in (5, 17, 33):
        tone = np.sin(2 * np.pi * centres[band] * time)[None]
        assert (layer(tone)[0, 2:-2].numpy().argmax(axis=-1) == band).all()
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)[None]  # bin 32 of 31.25 Hz
    inside = linear(tone)[0, 2:-2, 32]
    np.testing.assert_allclose(inside, 2 * np.log(0.5 * 512 / 4), atol=1e-4)


def test_silence_is_the_floor():
    for floor in (1e-5, 0.1):
        layer = mel.LogMel(floor=floor)
        np.testing.assert_allclose(layer(np.zeros((1, 900))), np.log(floor), rtol=1e-6)


def test_ten_times_louder_is_the_logarithm_of_a_hundred_more(rng):
    waveform = rng.normal(size=(1, 2000)).astype(np.float32)
    for arguments in LAYERS:
        layer = mel.LogMel(**arguments)
        more = layer(10 * waveform) - layer(waveform)
        np.testing.assert_allclose(more, np.log(100), atol=1e-3)


@pytest.mark.parametrize("window", [400, 512])
def test_a_hop_later_is_a_frame_later(rng, window):
    layer = mel.LogMel(window=window)
    waveform = rng.normal(size=(1, 4000)).astype(np.float32)
    early = layer(waveform)[0]
    late = layer(np.pad(waveform, ((0, 0), (160, 0))))[0]
    np.testing.assert_allclose(late[3:], early[2:], atol=1e-4)


def test_a_long_hop_is_cut_into_parts():
    hops = {(512, 160): 1, (512, 170): 1, (400, 160): 2, (510, 510 // 2): 3}
    for (window, hop), parts in hops.items():
        assert mel.LogMel(window=window, hop=hop).parts == parts


def test_the_layer_keeps_its_contract(rng):
    waveform = rng.normal(size=(2, 1000)).astype(np.float32)
    for arguments in LAYERS:
        check_layer(mel.LogMel(**arguments), waveform)


def test_a_functional_model_knows_its_frames():
    assert mel.LogMel()(keras.Input([None])).shape == (None, None, 40)
    assert mel.LogMel()(keras.Input([16000])).shape == (None, 101, 40)


def test_float32_is_kept_under_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        features = mel.LogMel()(rng.normal(size=(1, 500)))
    finally:
        keras.config.set_dtype_policy("float32")
    assert features.dtype == tf.float32


def test_the_exported_front_end_gives_the_same(tmp_path, rng):
    layer, module = mel.LogMel(window=400), tf.Module()
    signature = [tf.TensorSpec([None, None], tf.float32)]
    module.features = tf.function(layer.__call__, input_signature=signature)
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    for samples in (100, 3000):
        waveform = rng.normal(size=(2, samples)).astype(np.float32)
        expected = layer(waveform)
        np.testing.assert_allclose(loaded.features(waveform), expected, atol=1e-4)


def test_gradient_reaches_the_waveform(rng):
    waveform = tf.constant(rng.normal(size=(1, 1000)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(waveform)
        total = tf.reduce_sum(mel.LogMel()(waveform))
    gradient = tape.gradient(total, waveform).numpy()
    assert np.isfinite(gradient).all() and (gradient != 0).all()


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"num_bands": 200}, "too narrow"),
        ({"num_bands": 0}, "num_bands >= 1"),
        ({"high_hz": 9000.0}, "high_hz <= sample_rate / 2"),
        ({"low_hz": 5000.0, "high_hz": 4000.0}, "low_hz < high_hz"),
        ({"num_bands": 258, "spectrum": "linear"}, "1 to 257 bins"),
        ({"low_hz": 20.0, "spectrum": "linear"}, "begins at 0 Hz"),
        ({"hop": 512}, "below it"),
        ({"hop": 0}, "at least 1"),
        ({"hop": 401}, "a third"),
        ({"floor": 0.0}, "`floor` must be above 0"),
        ({"spectrum": "bark"}, "`spectrum` must be one of"),
    ],
)
def test_a_front_end_that_can_not_be_is_refused(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        mel.LogMel(**arguments)


def test_a_waveform_without_its_batch_is_refused():
    with pytest.raises(ValueError, match="ndim"):
        mel.LogMel()(np.zeros(16000, np.float32))
