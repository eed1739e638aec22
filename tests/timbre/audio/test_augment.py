"""Corruptions are sampled by seed, by row, as often as asked, and never NaN."""

import numpy as np
import pytest
import tensorflow as tf

from timbre.audio.augment import Augmenter, spec_augment

SEED = [1, 2]
KINDS = ["speed", "room", "noise", "equaliser", "gain", "bandwidth", "codec"]
EVERYTHING = {f"{kind}_probability": 1.0 for kind in KINDS}


@pytest.fixture
def waveform(rng):
    return (0.1 * rng.normal(size=(4, 4000))).astype(np.float32)


def test_zero_probabilities_change_no_bit(rng):
    loud = (5 * rng.normal(size=(4, 1000))).astype(np.float32)
    np.testing.assert_array_equal(Augmenter()(loud, seed=SEED), loud)


@pytest.mark.parametrize("kind", KINDS)
def test_each_corruption_is_sampled_by_seed_and_by_row(waveform, kind):
    """Four equal rows come out as four different ones."""
    augmenter = Augmenter(**{f"{kind}_probability": 1.0})
    equal = np.repeat(waveform[:1], 8, axis=0)
    first = augmenter(equal, seed=SEED).numpy()
    np.testing.assert_array_equal(augmenter(equal, seed=SEED), first)
    assert not np.array_equal(augmenter(equal, seed=[1, 3]), first)
    distinct = (
        2 if kind in ("bandwidth", "codec") else 8
    )  # a telephone has no parameters
    assert len(np.unique(first, axis=0)) >= distinct
    assert not (first == equal).all(axis=1).any()
    assert first.shape == equal.shape


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_comes_as_often_as_asked_and_spares_the_rest(rng, kind):
    """400 rows with p = 0.3: 120 within five deviations of sqrt(400 * .3 * .7)."""
    rows = (0.1 * rng.normal(size=(400, 64))).astype(np.float32)
    arguments = {f"{kind}_probability": 0.3, "rt60_s": (0.01, 0.02)}
    result = Augmenter(**arguments)(rows, seed=SEED).numpy()
    changed = (result != rows).any(axis=1).sum()
    assert abs(changed - 120) < 5 * np.sqrt(84)


def test_tf_data_gives_what_eager_gives_and_the_same_bits_each_time(waveform):
    augmenter = Augmenter(noise_probability=0.9)
    data = tf.data.Dataset.from_tensors((waveform, tf.constant(SEED))).repeat(2)
    data = data.map(lambda x, seed: augmenter(x, seed=seed))
    assert data.element_spec.shape == (4, 4000)
    first, second = data
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, augmenter(waveform, seed=SEED), atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-20, 1e-3, 1.0, 9.9])
def test_loudness_never_becomes_nan_and_never_clips(rng, level):
    rows = (level * np.clip(rng.normal(size=(6, 3000)), -1, 1)).astype(np.float32)
    augmenter = Augmenter(**EVERYTHING, gain_db=(20.0, 40.0), snr_db=(-20.0, 0.0))
    result = augmenter(rows, seed=SEED).numpy()
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= max(1.0, level)
    at_peak = (
        np.abs(result) >= 0.9999 * np.abs(result).max(axis=1, keepdims=True)
    ).sum(1)
    assert level in (0.0, 1e-20) or at_peak.max() < 100  # clipping would make thousands


def test_noise_recordings_are_mixed_at_the_ratio_asked_for(waveform, rng):
    noises = [rng.normal(size=n).astype(np.float32) for n in (100, 4000, 90000)]
    augmenter = Augmenter(noise_probability=1.0, snr_db=(7.0, 7.0), noises=noises)
    quiet = 0.1 * waveform  # so that nothing has to be limited
    added = augmenter(quiet, seed=SEED).numpy().astype(np.float64) - quiet
    ratio = 10 * np.log10(np.mean(quiet**2.0, axis=1) / np.mean(added**2, axis=1))
    np.testing.assert_allclose(ratio, 7, atol=0.01)


def test_added_noise_is_a_part_of_a_recording(rng):
    """Every window of ramp k * 1000 + n, in a circle, shows where it was cut."""
    noises = [np.arange(1, 51, dtype=np.float32), np.arange(51, 351, dtype=np.float32)]
    augmenter = Augmenter(noise_probability=1.0, noises=noises)
    parts = augmenter.noises.sample(tf.constant([64, 70]), seed=SEED).numpy()
    for part in parts:
        first = 1 if part.max() <= 50 else 51
        length = 50 if first == 1 else 300
        expected = first + (part[0] - first + np.arange(70)) % length
        np.testing.assert_array_equal(part, expected)
    assert len(np.unique(parts[:, 0])) > 20


def test_masks_are_stripes_within_their_limits(rng):
    features = rng.uniform(1, 2, (64, 50, 20)).astype(np.float32)
    limits = {"num_band_masks": 1, "max_bands": 4, "num_frame_masks": 1}
    hidden = spec_augment(features, seed=SEED, **limits, max_frames=10).numpy() == 0
    bands, frames = hidden.all(axis=1), hidden.all(axis=2)
    np.testing.assert_array_equal(hidden, bands[:, None, :] | frames[:, :, None])
    for stripes, widest in ((bands, 4), (frames, 10)):
        edges = np.abs(np.diff(stripes.astype(int), axis=1, prepend=0, append=0)).sum(1)
        assert set(edges) <= {0, 2}  # nothing, or one stripe
        assert set(stripes.sum(axis=1)) == set(range(widest + 1))
        assert stripes.any(axis=0).all()  # anywhere, to both ends


def test_masks_spare_what_they_do_not_hide_and_follow_their_seed(rng):
    features = rng.uniform(1, 2, (4, 50, 20)).astype(np.float32)
    masked = spec_augment(features, seed=SEED, value=-7.0).numpy()
    np.testing.assert_array_equal(masked[masked != -7], features[masked != -7])
    again = spec_augment(features, seed=SEED, value=-7.0)
    np.testing.assert_array_equal(again, masked)
    assert not np.array_equal(spec_augment(features, seed=[9, 9], value=-7.0), masked)
    none = spec_augment(features, seed=SEED, num_band_masks=0, num_frame_masks=0)
    np.testing.assert_array_equal(none, features)
    short = spec_augment(features[:, :3], seed=SEED)  # masks wider than the sound
    assert short.shape == (4, 3, 20)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"noise_probability": 1.1}, "0 to 1"),
        ({"snr_db": (30.0, 5.0)}, "low to high"),
        ({"rt60_s": (0.0, 0.5)}, "above 0"),
        ({"speed": (-1.0, 1.0)}, "above 0"),
        ({"cutoff_hz": (1000.0, 9000.0)}, "half the sample rate"),
        ({"noises": []}, "noises"),
        ({"noises": [np.array([np.nan])]}, "finite"),
        ({"gain_db": (0.0, np.nan)}, "low to high"),
    ],
)
def test_arguments_that_can_not_be_are_refused(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        Augmenter(**arguments)
