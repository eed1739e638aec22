"""Single steps of integrators: those that were published, number by number."""

import numpy as np
import pytest
import tensorflow as tf

from diffusion.integrators import (
    EulerFlow,
    EulerMaruyama,
    PredictorCorrector,
    ReverseDiffusion,
)
from diffusion.sde import OUVESDE, VESDE, VPSDE, MeanRevertingVPSDE
from tests.diffusion.gaussian_sde import Gaussian


def one_step(integrator, sde, x, t, s, seed=(7, 8), mean=None):
    """A step with the score `-x`, and the noise that it has sampled."""
    z = tf.random.stateless_normal(x.shape, seed, dtype=x.dtype, alg="philox")
    options = {"sde": sde, "seed": seed, "mean": mean}
    t, s = tf.constant(t, x.dtype), tf.constant(s, x.dtype)
    return integrator.step(lambda x, t: -x, x, t, s, **options).numpy(), z.numpy()


def test_reverse_diffusion_of_vp_is_the_published_step(rng):
    """`(2 - sqrt(1 - beta)) x + beta * score + sqrt(beta) z` (Song et al., 2021)."""
    x = tf.constant(rng.normal(size=(5, 3)))
    actual, z = one_step(ReverseDiffusion(), VPSDE(), x, 0.50, 0.49)
    beta = 1 - np.exp(-0.01 * (0.1 + 19.9 * 0.495))
    x = x.numpy()
    expected = (2 - np.sqrt(1 - beta)) * x - beta * x + np.sqrt(beta) * z
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_reverse_diffusion_of_ve_is_the_published_step(rng):
    """`x + power * score + sqrt(power) * z`: `power` is the step in `sigma**2`."""
    x = tf.constant(rng.normal(size=(5, 3)))
    actual, z = one_step(ReverseDiffusion(), VESDE(), x, 0.50, 0.49)
    power = 1e-4 * (5000**1.0 - 5000**0.98)
    expected = x - power * x + np.sqrt(power) * z
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_euler_maruyama_of_ouve_is_the_published_step(rng):
    """`x - theta (mean - x) h + g**2 h score + g sqrt(h) z` (Richter et al., 2023)."""
    x = tf.constant(rng.normal(size=(5, 3)))
    actual, z = one_step(EulerMaruyama(), OUVESDE(), x, 0.50, 0.48, mean=2.0)
    g, h = 0.05 * 10**0.5 * np.sqrt(2 * np.log(10)), 0.02
    expected = x - 1.5 * (2.0 - x) * h - g**2 * h * x + g * np.sqrt(h) * z
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_grad_tts_reads_the_middle_of_a_step(rng):
    """`x - h beta ((mean - x) - score) / 2` with `beta` and score in the middle.

    With noise: `x - h beta ((mean - x) / 2 - score) + sqrt(h beta) z`.
    """
    x, sde = tf.constant(rng.normal(size=(5, 3))), MeanRevertingVPSDE()
    t, s = (tf.constant(v, "float64") for v in (0.5, 0.4))
    options = {"sde": sde, "seed": (7, 8), "mean": 2.0}

    def score(x, t):
        return -x * t

    z = tf.random.stateless_normal(x.shape, (7, 8), dtype=x.dtype, alg="philox")
    h, beta, slope = 0.1, 0.05 + 19.95 * 0.45, -x * 0.45
    expected = x - h * beta * (2.0 - x - slope) / 2
    actual = EulerFlow(midpoint=True).step(score, x, t, s, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    expected = x - h * beta * ((2.0 - x) / 2 - slope) + np.sqrt(h * beta) * z
    actual = EulerMaruyama(midpoint=True).step(score, x, t, s, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_complex_noise_in_two_components_is_the_published_sampler(rng):
    """`z` of `E|z|**2 = 1` and half our score give the same step and correction."""
    x = tf.constant(rng.normal(size=(4, 6, 2)))
    whole = OUVESDE()
    actual, noise = one_step(
        EulerMaruyama(), OUVESDE(components=2), x, 0.5, 0.4, mean=2.0
    )
    z, score = noise / np.sqrt(2), -x.numpy() / 2
    g = float(whole.diffusion(np.float64(0.5)))
    expected = x - 0.15 * (2.0 - x) + 0.1 * g**2 * score + np.sqrt(0.1) * g * z
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    size = 2 * (0.5 * float(whole.std(np.float64(0.5)))) ** 2
    expected = x + size * score + np.sqrt(2 * size) * z
    corrector, t = PredictorCorrector(snr=0.5), tf.constant(0.5, "float64")
    options = {"sde": OUVESDE(components=2), "seed": (7, 8)}
    actual = corrector.correct(lambda x, t: -x, x, t, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize("snr, t", [(0.5, 1.0), (0.5, 0.2), (0.16, 0.5)])
def test_langevin_steps_settle_as_wide_as_stated(snr, t):
    """`v / (1 - snr**2 * std**2 / v)` on data of variance `v`."""
    data = Gaussian(VPSDE(), (1,))
    corrector, at = PredictorCorrector(snr=snr), tf.constant(t)
    std = float(data.sde.std(t))
    power = float(data.at(at)[1][0])
    x = data.sample(at, count=20000)
    for i in range(int(2 / (snr * std) ** 2 * power)):
        x = corrector.correct(data.score, x, at, sde=data.sde, seed=(0, i))
    expected = power / (1 - snr**2 * std**2 / power)
    assert np.var(x) == pytest.approx(expected, rel=0.03)


def test_the_published_langevin_step_measures_noise_against_score(rng):
    x, t = tf.constant(rng.normal(size=(6, 5, 2))), tf.constant(0.5, "float64")
    corrector = PredictorCorrector(corrector="langevin", snr=0.3)
    actual = corrector.correct(lambda x, t: -3 * x, x, t, sde=VPSDE(), seed=(7, 8))
    z = tf.random.stateless_normal(x.shape, (7, 8), dtype=x.dtype).numpy()
    x = x.numpy()
    lengths = [np.mean([np.linalg.norm(row) for row in y]) for y in (z, 3 * x)]
    size = 2 * (0.3 * lengths[0] / lengths[1]) ** 2
    np.testing.assert_allclose(actual, x - size * 3 * x + np.sqrt(2 * size) * z)
