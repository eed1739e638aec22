"""What each norm takes away, and what padding and silence may not do to it."""

import numpy as np
import pytest

from timbre.audio.normalisation import FeatureNormalisation

NORMS = ["frame", "utterance", "mean", "sliding", "none"]


@pytest.fixture
def energies(rng):
    return np.exp(rng.normal(-8, 3, (3, 50, 16))).astype(np.float32)


def plainly(x, log, norm, window):
    """The same in float64, frame by frame."""
    x = np.log(x.astype(np.float64)) if log else x.astype(np.float64)
    if norm == "none":
        return x
    if norm == "frame":
        return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    if norm == "mean":
        return x - x.mean(0)
    if norm == "utterance":
        return (x - x.mean(0)) / x.std(0)
    before, after = (window - 1) // 2, window // 2
    rows = []
    for t in range(len(x)):
        near = x[max(t - before, 0) : t + after + 1]
        rows.append((x[t] - near.mean(0)) / near.std(0))
    return np.stack(rows)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_norms_are_their_formulas(energies, log, norm):
    layer = FeatureNormalisation(log=log, norm=norm, window=10)
    expected = np.stack([plainly(row, log, norm, 10) for row in energies])
    np.testing.assert_allclose(layer(energies), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_padding_changes_nothing_and_becomes_zeros(energies, log, norm):
    layer = FeatureNormalisation(log=log, norm=norm, window=10)
    mask = np.arange(50)[None] < np.array([[50], [31], [2]])
    padded = np.where(mask[..., None], energies, 1e3)
    features = layer(padded, mask=mask).numpy()
    for row, frames in enumerate([50, 31, 2]):
        alone = layer(energies[row : row + 1, :frames])[0]
        np.testing.assert_allclose(features[row, :frames], alone, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(features[row, frames:], 0)


@pytest.mark.parametrize("norm", ["frame", "utterance", "sliding"])
def test_loudness_is_forgotten(energies, norm):
    for log in (False, True):
        layer = FeatureNormalisation(log=log, norm=norm)
        louder = layer(100 * energies)
        np.testing.assert_allclose(louder, layer(energies), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("level", [2.2e-16, 0.3, 1e9])
def test_constant_energies_stay_small_and_finite(log, norm, level):
    """Rounding must not be blown up to features; 40 bands make means inexact."""
    energies = np.full((1, 33, 40), level, np.float32)
    features = FeatureNormalisation(log=log, norm=norm)(energies).numpy()
    assert np.isfinite(features).all()
    if norm != "none":
        assert np.abs(features).max() < 0.05 or norm == "mean"


def test_all_masked_is_all_zeros(energies):
    for norm in NORMS:
        layer = FeatureNormalisation(log=True, norm=norm)
        features = layer(energies, mask=np.zeros((3, 50), bool))
        np.testing.assert_array_equal(features, 0)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"norm": "global"}, "norm"),
        ({"window": 0}, "window"),
        ({"epsilon": 0}, "above"),
    ],
)
def test_a_norm_that_can_not_be_is_refused(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        FeatureNormalisation(**arguments)
