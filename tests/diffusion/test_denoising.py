"""Denoising: each prediction says the others, and each weighting means the same."""

import numpy as np
import pytest

from diffusion.denoising import (
    PREDICTIONS,
    WEIGHTINGS,
    loss_weight,
    target,
    to_clean,
    to_noise,
)

EVENTS = [(8,), (5, 3), (4, 2, 2)]


def noised(rng, event, levels):
    x_0, z = rng.normal(size=(2, len(levels), *event))
    signal = levels.reshape(-1, *[1] * len(event))
    noise = np.sqrt(1 - signal**2)
    return x_0, z, signal * x_0 + noise * z, signal, noise


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_each_prediction_says_the_clean_sample_and_the_noise(kind, event, rng):
    x_0, z, x_t, *levels = noised(rng, event, np.array([0.999, 0.7, 0.02]))
    output = target(kind, x_0, z, *levels)
    np.testing.assert_allclose(to_clean(kind, output, x_t, *levels), x_0, atol=1e-12)
    np.testing.assert_allclose(to_noise(kind, output, x_t, *levels), z, atol=1e-12)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_any_output_becomes_a_pair_that_makes_the_noisy_sample(kind, rng):
    _, _, x_t, *levels = noised(rng, (8,), np.array([0.9, 0.5, 0.1]))
    output = rng.normal(size=x_t.shape)
    x_0 = to_clean(kind, output, x_t, *levels)
    z = to_noise(kind, output, x_t, *levels)
    np.testing.assert_allclose(levels[0] * x_0 + levels[1] * z, x_t, atol=1e-12)
    np.testing.assert_allclose(target(kind, x_0, z, *levels), output, atol=1e-12)


@pytest.mark.parametrize("kind", ["clean", "velocity"])
def test_without_signal_the_clean_sample_is_still_determined(kind, rng):
    x_0, z, x_t, *levels = noised(rng, (8,), np.zeros(3))
    output = target(kind, x_0, z, *levels)
    np.testing.assert_allclose(to_clean(kind, output, x_t, *levels), x_0, atol=1e-12)
    np.testing.assert_allclose(to_noise(kind, output, x_t, *levels), x_t, atol=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS[1:])
def test_a_weighting_is_the_same_whatever_is_predicted(weighting, rng):
    """The same error in x_0, made by each kind of prediction, costs the same."""
    snr = np.array([1e-4, 0.1, 1.0, 4.9, 5.1, 1e4])
    x_0, z, x_t, *levels = noised(rng, (8,), np.sqrt(snr / (snr + 1)))
    costs = []
    for kind in PREDICTIONS:
        right = target(kind, x_0, z, *levels)
        worse = x_0 + 0.3
        wrong = target(kind, worse, (x_t - levels[0] * worse) / levels[1], *levels)
        error = np.mean((wrong - right) ** 2, axis=-1)
        costs.append(loss_weight(weighting, kind, snr) * error)
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-9)
    np.testing.assert_allclose(costs[2], costs[1], rtol=1e-9)


def test_weights_have_their_published_values():
    snr = np.array([0.5, 5.0, 20.0])
    low = np.minimum(snr, 5)
    expected = {"noise": low / snr, "clean": low, "velocity": low / (snr + 1)}
    for kind in PREDICTIONS:
        found = loss_weight("min_snr", kind, snr)
        np.testing.assert_allclose(found, expected[kind])
        assert (loss_weight("plain", kind, snr) == 1).all()
    np.testing.assert_allclose(loss_weight("p2", "noise", snr), 1 / (1 + snr))
    assert loss_weight("min_snr", "noise", 0.0) == 1
    assert loss_weight("min_snr", "velocity", 0.0) == 0


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: to_clean("eps", 0, 0, 1, 0), "`kind` must be one of"),
        (lambda: loss_weight("snr", "noise", 1.0), "`weighting` must be one of"),
        (lambda: loss_weight("p2", "score", 1.0), "`prediction` must be one of"),
    ],
)
def test_a_wrong_name_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
