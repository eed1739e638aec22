"""SDEs against moments integrated in NumPy, and the laws that all of them keep."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from diffusion import sde as sdes
from diffusion.sde import OUVESDE, VESDE, VPSDE, MeanRevertingVPSDE

MEMBERS = [  # a new SDE is tested by a line here
    VPSDE(),
    VPSDE(beta_min=0.0, beta_max=4.0, T=2.0),
    MeanRevertingVPSDE(),
    VESDE(),
    VESDE(sigma_min=0.1, sigma_max=5.0, T=0.5, components=2),
    OUVESDE(),
    OUVESDE(theta=3.0, sigma_min=0.1, sigma_max=2.0, T=1.5, components=2),
]
every_sde = pytest.mark.parametrize("sde", MEMBERS, ids=repr)


def condition(sde, value):
    """`value` for the SDEs that are drawn to it, nothing for the others."""
    return value if sde.conditional else None


def moments(sde, x_0, mean, t, steps=2000):
    """Mean and variance of `x_t`, by Runge-Kutta steps along their ODEs.

    `d mean / dt = drift(mean)` and `d var / dt = 2 * slope * var + diffusion**2`, where
    `slope` is the derivative of the drift by `x`. Reads drift and diffusion alone.
    """
    grid = np.linspace(0, t, 2 * steps + 1)
    ones = tf.ones([grid.size], tf.float64)
    ask = [condition(sde, mean * ones)] * 2
    offset = sde.drift(0 * ones, grid, ask[0]).numpy()
    slope = sde.drift(ones, grid, ask[1]).numpy() - offset
    power = sde.diffusion(grid).numpy() ** 2

    def ahead(y, i):
        return np.array([slope[i] * y[0] + offset[i], 2 * slope[i] * y[1] + power[i]])

    y, h = np.array([x_0, 0.0]), t / steps
    for i in range(0, 2 * steps, 2):
        a = ahead(y, i)
        b = ahead(y + h / 2 * a, i + 1)
        c = ahead(y + h / 2 * b, i + 1)
        y = y + h / 6 * (a + 2 * b + 2 * c + ahead(y + h * c, i + 2))
    return y


@every_sde
@pytest.mark.parametrize("share", [0.03, 0.5, 1.0])
def test_the_marginal_is_what_drift_and_diffusion_lead_to(sde, share):
    t = share * sde.T
    expected = moments(sde, x_0=1.7, mean=-0.6, t=t)
    x_0 = tf.constant([1.7], tf.float64)
    mean, std = sde.marginal(x_0, t, condition(sde, -0.6))
    actual = [float(mean[0]), float(std) ** 2]
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-12)


@every_sde
def test_the_marginal_starts_at_the_clean_sample(sde, rng):
    x_0 = tf.constant(rng.normal(size=(3, 4)))
    mean, std = sde.marginal(x_0, 0.0, condition(sde, 2.0))
    np.testing.assert_array_equal(mean, x_0)
    assert float(std) == 0


@every_sde
def test_two_transitions_in_a_row_are_one(sde, rng):
    """By way of `s` or not: means follow each other and variances add up."""
    x = tf.constant(rng.normal(size=(5, 2)))
    a, s, t = 0.1 * sde.T, 0.4 * sde.T, 0.9 * sde.T
    mean = condition(sde, 2.0)
    halfway, first = sde.transition(x, a, s, mean)
    arrived, second = sde.transition(halfway, s, t, mean)
    nothing, _ = sde.transition(tf.zeros_like(x), s, t, mean)
    kept = (sde.transition(tf.ones_like(x), s, t, mean)[0] - nothing)[0, 0]
    direct, std = sde.transition(x, a, t, mean)
    np.testing.assert_allclose(arrived, direct, rtol=1e-12)
    np.testing.assert_allclose((kept * first) ** 2 + second**2, std**2, rtol=1e-12)


@every_sde
def test_the_drift_is_the_derivative_of_the_mean(sde):
    x_0, t = tf.constant([[1.5, -0.2]], tf.float64), 0.3 * sde.T
    mean = condition(sde, 0.4)
    ahead, _ = sde.marginal(x_0, t + 1e-6, mean)
    behind, _ = sde.marginal(x_0, t - 1e-6, mean)
    here, _ = sde.marginal(x_0, t, mean)
    slope = (ahead - behind) / 2e-6
    np.testing.assert_allclose(sde.drift(here, t, mean), slope, rtol=1e-7, atol=1e-9)


def naive_variance(sde, t):
    """In float64 and without expm1: off by 1e-16 / t or so, independent of the code."""
    if isinstance(sde, VPSDE):
        rise = (sde.beta_max - sde.beta_min) / 2
        return 1 - np.exp(-(sde.beta_min * t + rise * t**2))
    growth, theta = np.log(sde.sigma_max / sde.sigma_min), sde.theta
    grown = (sde.sigma_max / sde.sigma_min) ** (2 * t) - np.exp(-2 * theta * t)
    return sde.sigma_min**2 * grown * growth / (theta + growth) / sde.components


@every_sde
def test_float32_keeps_its_precision_at_small_times(sde):
    """`1 - exp(-a)` would be 5 % wrong at 1e-5 and 0 at 1e-7."""
    t = np.geomspace(1e-3, sde.T, 50).astype(np.float32)
    std = sde.std(t)
    assert std.dtype == tf.float32
    expected = np.sqrt(naive_variance(sde, t.astype(np.float64)))
    np.testing.assert_allclose(std, expected, rtol=3e-6)
    tiny = np.geomspace(1e-12, 1e-3, 50)
    np.testing.assert_allclose(sde.std(np.float32(tiny)), sde.std(tiny), rtol=3e-6)


@every_sde
def test_noise_begins_as_diffusion_times_the_root_of_time(sde):
    t = np.array([1e-9])
    started = sde.diffusion(t / 2) * np.sqrt(t)  # beta(0) may be 0: take the middle
    np.testing.assert_allclose(sde.std(t), started, rtol=1e-6)


@every_sde
def test_the_prior_is_the_marginal_but_for_the_stated_gap(sde):
    """The same std; the mean of the marginal lies off by `gap * (x_0 - mean)`."""
    x_0, mean = tf.ones([4000, 8]), condition(sde, -2.0)
    gap = np.exp(-float(sde.integrated_rate(0.0, sde.T)))
    centre, std = sde.marginal(x_0, sde.T, mean)
    rest = mean or 0.0
    np.testing.assert_allclose(centre, rest + gap * (x_0 - rest), rtol=1e-4, atol=1e-5)
    start = sde.prior(x_0.shape, (0, 1), mean)
    noise = (start - rest) / std
    assert abs(np.mean(noise)) < 0.03 and abs(np.std(noise) - 1) < 0.02


@pytest.mark.parametrize(
    "sde, gap",
    [
        (VPSDE(), 0.00657),
        (MeanRevertingVPSDE(), 0.00665),
        (VESDE(), 1.0),
        (OUVESDE(), 0.2231),
    ],
)
def test_the_gap_of_each_prior_is_the_one_its_docstring_states(sde, gap):
    assert np.exp(-float(sde.integrated_rate(0.0, 1.0))) == pytest.approx(gap, rel=1e-3)


def test_temperature_divides_the_noise_of_the_prior():
    """Above 1 it is calmer; without end nothing but the condition is left."""
    sde, mean = MeanRevertingVPSDE(), tf.constant([[1.0, -3.0]])
    plain = sde.prior([2, 2], (0, 0), mean) - mean
    calm = sde.prior([2, 2], (0, 0), mean, temperature=1.5) - mean
    np.testing.assert_allclose(calm, plain / 1.5, rtol=1e-5)
    still = sde.prior([2, 2], (0, 0), mean, temperature=np.inf)
    np.testing.assert_array_equal(still, np.tile(mean, (2, 1)))


def test_ouve_has_the_published_values():
    """Noise, share of the noisy recording and diffusion of SGMSE, by formula."""
    sde, t = OUVESDE(), np.array([0.03, 0.1, 0.25, 0.5, 0.75, 1.0])
    std = [0.01883, 0.0358, 0.0638, 0.1217, 0.2184, 0.38898]
    np.testing.assert_allclose(sde.std(t), std, atol=6e-5)
    zeros = tf.zeros([6, 1], tf.float64)
    share = [[0.044], [0.139], [0.313], [0.528], [0.675], [0.777]]
    np.testing.assert_allclose(sde.marginal(zeros, t, 1.0)[0], share, atol=6e-4)
    np.testing.assert_allclose(sde.diffusion([0.03, 1.0]), [0.115, 1.073], atol=6e-4)


def test_grad_tts_has_the_published_values():
    mean, std = MeanRevertingVPSDE().marginal(tf.ones([1], tf.float64), 1.0, 0.0)
    assert float(mean[0]) == pytest.approx(np.exp(-10.025 / 2))
    assert float(std) ** 2 == pytest.approx(1 - np.exp(-10.025))


def test_grad_tts_about_zero_is_variance_preserving(rng):
    x = tf.constant(rng.normal(size=(4, 3)))
    plain, about = VPSDE(), MeanRevertingVPSDE(beta_min=0.1)
    for a, b in zip(plain.marginal(x, 0.3), about.marginal(x, 0.3, 0.0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("t", [0.25, 1.0])
def test_vp_is_the_limit_of_the_linear_schedule(t):
    """`beta[i] = beta(i / N) / N`: alpha_bar errs half as much with twice the steps."""
    limit = -2 * float(VPSDE().integrated_rate(0.0, t))
    errors = []
    for steps in (1000, 2000, 4000):
        times = np.arange(1, round(steps * t) + 1) / steps
        beta = (0.1 + 19.9 * times) / steps
        errors.append(np.log1p(-beta).sum() - limit)
    assert abs(errors[0]) < 0.1
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.02)


def test_two_components_make_complex_noise_of_the_power_of_one():
    """`E|z|**2 = 1` of the papers: the components share what one would have."""
    whole, shared = OUVESDE(), OUVESDE(components=2)
    x_0 = tf.zeros([64, 16, 16, 2])
    x_t, z, std = shared.perturb(x_0, 0.5, (3, 4), 0.0)
    power = np.mean(np.sum(np.square(x_t), axis=-1))
    assert power == pytest.approx(float(whole.std(0.5)) ** 2, rel=0.03)
    assert float(std) == pytest.approx(float(whole.std(0.5)) / np.sqrt(2))
    np.testing.assert_allclose(
        shared.diffusion(0.5) ** 2 * 2, whole.diffusion(0.5) ** 2
    )


@every_sde
@pytest.mark.parametrize("event", [(64,), (40, 8), (16, 8, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_times_are_of_a_sample_or_of_all_whatever_the_rank(sde, event, dtype, rng):
    x_0 = tf.constant(rng.normal(size=(3, *event)), dtype)
    mean = condition(sde, tf.constant(rng.normal(size=(3, *event)), dtype))
    times = sde.T * np.array([0.2, 0.5, 1.0])
    together, std = sde.marginal(x_0, times, mean)
    assert std.shape == (3, *[1] * len(event))
    drift = sde.drift(x_0, times, mean)
    for i, t in enumerate(times):
        one = slice(i, i + 1)
        own = condition(sde, mean[one] if sde.conditional else None)
        alone, level = sde.marginal(x_0[one], t, own)
        assert together.dtype == alone.dtype == level.dtype == drift.dtype == dtype
        assert level.shape == ()
        np.testing.assert_allclose(together[one], alone, rtol=1e-6)
        np.testing.assert_allclose(std[i], np.reshape(level, [1] * len(event)))
        np.testing.assert_allclose(drift[one], sde.drift(x_0[one], t, own), rtol=1e-6)


@every_sde
def test_perturbing_gives_the_noise_whose_score_it_teaches(sde, rng):
    """`-z / std` is the gradient of the log density of `x_t` given `x_0`."""
    x_0, t = tf.constant(rng.normal(size=(4, 5))), sde.T * np.array([0.1, 0.3, 0.7, 1])
    mean = condition(sde, 1.0)
    x_t, z, std = sde.perturb(x_0, t, (1, 2), mean)
    centre, _ = sde.marginal(x_0, t, mean)
    with tf.GradientTape() as tape:
        tape.watch(x_t)
        log_density = -tf.reduce_sum(((x_t - centre) / std) ** 2) / 2
    np.testing.assert_allclose(tape.gradient(log_density, x_t), -z / std, rtol=1e-6)
    again, _, _ = sde.perturb(x_0, t, (1, 2), mean)
    np.testing.assert_array_equal(x_t, again)


@every_sde
def test_the_clean_sample_is_found_from_the_score_of_its_own_noise(sde, rng):
    x_0, t = tf.constant(rng.normal(size=(4, 5))), sde.T * np.array([0.01, 0.3, 0.7, 1])
    mean = condition(sde, 1.0)
    x_t, z, std = sde.perturb(x_0, t, (1, 2), mean)
    np.testing.assert_allclose(sde.denoise(x_t, t, -z / std, mean), x_0, rtol=1e-9)


@every_sde
def test_reverse_and_flow_take_the_whole_and_half_of_the_score(sde, rng):
    x, score = tf.constant(rng.normal(size=(2, 3, 7)))
    t, mean = sde.T * np.array([0.2, 0.4, 0.9]), condition(sde, 1.0)
    drift, power = sde.drift(x, t, mean), sde.diffusion(t)[:, None] ** 2
    reverse = sde.reverse_drift(x, t, score, mean)
    np.testing.assert_allclose(reverse, drift - power * score, rtol=1e-12)
    flow = sde.flow_drift(x, t, score, mean)
    np.testing.assert_allclose(flow, drift - power * score / 2, rtol=1e-12)


@every_sde
def test_an_earlier_end_changes_nothing_before_it(sde, rng):
    x = tf.constant(rng.normal(size=(2, 2)))
    short, t = dataclasses.replace(sde, T=sde.T / 2), sde.T / 3
    for a, b in zip(
        sde.marginal(x, t, condition(sde, 1.0)),
        short.marginal(x, t, condition(sde, 1.0)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@every_sde
def test_a_condition_is_neither_forgotten_nor_ignored(sde):
    wrong = None if sde.conditional else 1.0
    with pytest.raises(ValueError, match="`mean`. Received"):
        sde.drift(tf.ones([2, 3]), 0.5, wrong)
    with pytest.raises(ValueError, match="`mean`. Received"):
        sde.prior([2, 3], (0, 0), wrong)


def test_times_of_more_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="scalar or"):
        VPSDE().marginal(tf.ones([2, 3]), np.ones([2, 1]))


@pytest.mark.parametrize(
    "name, options, rule",
    [
        ("vp", {"beta_min": 3.0, "beta_max": 2.0}, "`beta_max`"),
        ("vp", {"beta_min": 0.0, "beta_max": 0.0}, "`beta_max`"),
        ("vp", {"T": 0.0}, "`T`"),
        ("ve", {"sigma_min": 0.0}, "`sigma_min`"),
        ("ve", {"sigma_max": float("nan")}, "`sigma_max`"),
        ("ouve", {"theta": -1.0}, "`theta`"),
        ("ouve", {"components": 0}, "`components`"),
        ("vq", {}, "must be one of"),
    ],
)
def test_what_is_no_process_is_refused(name, options, rule):
    with pytest.raises(ValueError, match=rule):
        sdes.build(name, **options)


def test_every_sde_is_built_by_name_and_tested_here():
    assert {type(sde) for sde in MEMBERS} == set(sdes.SDES.values())
    assert sdes.build("ouve", theta=2.0) == OUVESDE(theta=2.0)
