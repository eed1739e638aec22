"""Integrators on Gaussian data, whose score and whose flow are known exactly."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion import integrators
from diffusion.integrators import (
    EulerFlow,
    EulerMaruyama,
    HeunFlow,
    PredictorCorrector,
    ReverseDiffusion,
    integrate,
    num_calls,
)
from diffusion.sde import OUVESDE, VESDE, VPSDE, MeanRevertingVPSDE

MEMBERS = [  # a new integrator is tested by a line here
    EulerMaruyama(),
    EulerMaruyama(midpoint=True),
    ReverseDiffusion(),
    PredictorCorrector(),
    PredictorCorrector(predictor="euler_maruyama", corrector="langevin", snr=0.1),
    PredictorCorrector(corrector=None),
    EulerFlow(),
    EulerFlow(midpoint=True),
    HeunFlow(),
]
SDES = [
    VPSDE(),
    MeanRevertingVPSDE(),
    VESDE(sigma_min=0.05, sigma_max=5.0),
    OUVESDE(planes=2),
]
every_integrator = pytest.mark.parametrize("integrator", MEMBERS, ids=repr)
every_sde = pytest.mark.parametrize("sde", SDES, ids=repr)


class Gaussian:
    """Data `N(mean, turn @ diag(power) @ turn.T)`, correlated along the last axis."""

    def __init__(self, sde, event, dtype="float32"):
        rng = np.random.default_rng(1)
        self.sde, self.dtype, dim = sde, dtype, event[-1]
        turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        self.turn = tf.constant(turn, dtype)
        self.power = tf.constant(np.linspace(0.3, 2.0, dim), dtype)
        self.mean = tf.constant(rng.normal(size=(1, *event)), dtype)
        drawn_to = tf.constant(rng.normal(size=(1, *event)), dtype)
        self.condition = drawn_to if sde.conditional else None

    def at(self, t):
        """Mean of `x_t`, and its variance in each of the directions `turn`."""
        centre, std = self.sde.marginal(self.mean, t, self.condition)
        keep = tf.exp(-tf.cast(self.sde.total_pull(0.0, t), self.dtype))
        return centre, keep**2 * self.power + std**2

    def straight(self, x, centre, power):
        """Samples as they would be were they standard normal."""
        return tf.einsum("...i,ij->...j", x - centre, self.turn) / tf.sqrt(power)

    def score(self, x, t):
        centre, power = self.at(t)
        z = self.straight(x, centre, power) / tf.sqrt(power)
        return -tf.einsum("...j,ij->...i", z, self.turn)

    def draw(self, t, count, seed=(5, 6)):
        """Exact samples of `x_t`."""
        shape = [count, *self.mean.shape[1:]]
        return self.flow(tf.random.stateless_normal(shape, seed, dtype=self.dtype), t)

    def flow(self, z, t):
        """The probability flow: each `z` keeps its place in a changing Gaussian."""
        centre, power = self.at(t)
        return centre + tf.einsum("...j,ij->...i", z * tf.sqrt(power), self.turn)


def walker(data, integrator, **options):
    """`integrate` with the exact score: a graph of start, number of steps and seed."""

    @tf.function
    def graph(x, steps, seed):
        options.update(sde=data.sde, integrator=integrator, mean=data.condition)
        return integrate(data.score, x, steps=steps, seed=seed, **options)

    def run(x, steps, seed=(0, 0)):
        return graph(x, tf.constant(steps), tf.constant(seed))

    return run


def walk(data, x, integrator, steps, **options):
    """What one `walker` finds."""
    return walker(data, integrator, **options)(x, steps)


def check_finds_the_data(data, samples, tolerance):
    """Mean and covariance of samples, measured in units of the data's own."""
    z = data.straight(samples, data.mean, data.power).numpy()
    offset = np.abs(z.mean(axis=0)).max() * np.sqrt(len(z))
    assert offset < 6, "the mean is off, in standard errors"
    rows = z.reshape(-1, z.shape[-1])
    covariance = rows.T @ rows / len(rows)
    assert abs(np.trace(covariance) / len(covariance) - 1) < tolerance
    largest = np.abs(covariance - np.eye(len(covariance))).max()
    assert largest < tolerance + 6 / np.sqrt(len(rows))


@every_integrator
@pytest.mark.parametrize("event", [(64,), (40, 8), (16, 8, 2)])
def test_the_exact_score_leads_to_the_data_whatever_the_rank(integrator, event):
    data = Gaussian(VPSDE(), event)
    start = data.draw(1.0, count=16384 // np.prod(event))
    samples = walk(data, start, integrator, 100)
    check_finds_the_data(data, samples, tolerance=0.06)


@every_integrator
@every_sde
def test_every_process_is_walked_back(integrator, sde):
    data = Gaussian(sde, (8,))
    samples = walk(data, data.draw(sde.T, count=2048), integrator, 150)
    check_finds_the_data(data, samples, tolerance=0.08)


@pytest.mark.parametrize(
    "sde", [VPSDE(), MeanRevertingVPSDE(), VESDE(sigma_min=0.05, sigma_max=50.0)]
)
def test_the_prior_leads_to_the_data_where_its_gap_is_small(sde):
    data = Gaussian(sde, (8,))
    start = sde.prior([2048, 8], (1, 1), data.condition)
    samples = walk(data, start, HeunFlow(), 100)
    check_finds_the_data(data, samples, tolerance=0.06)


def test_a_corrector_mends_the_prior_of_ouve():
    """The flow keeps the error of a start beside the truth; Langevin steps forget it.

    The error is measured where the steps end, in units of the distribution there.
    """
    data = Gaussian(OUVESDE(), (8,))
    start = data.sde.prior([512, 8], (1, 1), data.condition)
    errors = []
    for integrator in (HeunFlow(), PredictorCorrector(snr=0.5, corrector_steps=2)):
        x = walk(data, start, integrator, 50, t_end=0.5, denoise_last=False)
        errors.append(np.abs(np.mean(data.straight(x, *data.at(0.5)), axis=0)).mean())
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    "integrator, order",
    [(EulerFlow(), 1), (EulerFlow(midpoint=True), 1), (HeunFlow(), 2)],
)
@every_sde
def test_half_a_step_is_half_or_a_quarter_of_the_error(integrator, order, sde):
    """Against the exact flow: in float64, from the same noise to the same time."""
    data = Gaussian(sde, (3, 4), "float64")
    z = tf.random.stateless_normal([16, 3, 4], (0, 1), dtype="float64")
    start, exact = data.flow(z, sde.T), data.flow(z, 0.05)
    options = {"t_end": 0.05, "denoise_last": False}
    run = walker(data, integrator, **options)
    errors = [
        np.sqrt(np.mean((run(start, steps) - exact) ** 2)) for steps in (100, 200, 400)
    ]
    np.testing.assert_allclose(
        np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.2
    )


def test_the_ten_steps_of_grad_tts_reach_time_zero(rng):
    """Nothing is asked at 0, where this score has no value; Heun's rule would."""
    sde, x_0 = MeanRevertingVPSDE(), tf.constant(rng.normal(size=(4, 6)))
    mean = tf.zeros_like(x_0)

    def score(x, t):
        centre, std = sde.marginal(x_0, t, mean)
        return (centre - x) / std**2

    x = sde.prior(x_0.shape, (0, 0), mean, dtype="float64")
    options = {"sde": sde, "mean": mean, "steps": 10, "t_end": 0.0}
    found = integrate(score, x, integrator=EulerFlow(midpoint=True), **options)
    assert np.isfinite(found).all()
    assert np.abs(found - x_0).mean() < np.abs(x - x_0).mean() / 4
    lost = integrate(score, x, integrator=HeunFlow(), **options)
    assert not np.isfinite(lost).all()


def one_step(integrator, sde, x, t, s, seed=(7, 8), mean=None):
    """A step with the score `-x`, and the noise that it has drawn."""
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


def test_complex_noise_in_two_planes_is_the_published_sampler(rng):
    """`z` of `E|z|**2 = 1` and half our score give the same step and correction."""
    x = tf.constant(rng.normal(size=(4, 6, 2)))
    whole = OUVESDE()
    actual, noise = one_step(EulerMaruyama(), OUVESDE(planes=2), x, 0.5, 0.4, mean=2.0)
    z, score = noise / np.sqrt(2), -x.numpy() / 2
    g = float(whole.diffusion(np.float64(0.5)))
    expected = x - 0.15 * (2.0 - x) + 0.1 * g**2 * score + np.sqrt(0.1) * g * z
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    size = 2 * (0.5 * float(whole.std(np.float64(0.5)))) ** 2
    expected = x + size * score + np.sqrt(2 * size) * z
    corrector, t = PredictorCorrector(snr=0.5), tf.constant(0.5, "float64")
    options = {"sde": OUVESDE(planes=2), "seed": (7, 8)}
    actual = corrector.correct(lambda x, t: -x, x, t, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize("snr, t", [(0.5, 1.0), (0.5, 0.2), (0.16, 0.5)])
def test_langevin_steps_settle_as_wide_as_stated(snr, t):
    """`v / (1 - snr**2 * std**2 / v)` on data of variance `v`."""
    data = Gaussian(VPSDE(), (1,))
    corrector, at = PredictorCorrector(snr=snr), tf.constant(t)
    std = float(data.sde.std(t))
    power = float(data.at(at)[1][0])
    x = data.draw(at, count=20000)
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


@every_integrator
@pytest.mark.parametrize("steps", [1, 2])
def test_one_step_and_two_stay_finite(integrator, steps):
    for sde in SDES:
        data = Gaussian(sde, (3, 2))
        x = sde.prior([4, 3, 2], (0, 0), data.condition)
        options = {"sde": sde, "mean": data.condition}
        found = integrate(data.score, x, integrator=integrator, steps=steps, **options)
        assert found.shape == x.shape and np.isfinite(found).all()


@every_integrator
def test_the_same_seed_gives_the_same_bits(integrator):
    data = Gaussian(VPSDE(), (6,))
    x = data.draw(1.0, count=8)
    run = walker(data, integrator)
    first, again, other = (run(x, 5, seed).numpy() for seed in [(0, 1), (0, 1), (0, 2)])
    np.testing.assert_array_equal(first, again)
    deterministic = isinstance(integrator, EulerFlow | HeunFlow)
    assert (first == other).all() == deterministic


@every_integrator
def test_a_sample_does_not_depend_on_how_many_follow_it(integrator):
    if getattr(integrator, "corrector", None) == "langevin":
        return  # as published, its step is that of the whole batch
    data = Gaussian(VPSDE(), (6,))
    x = data.draw(1.0, count=16)
    options = {"sde": data.sde, "integrator": integrator, "steps": 3}
    few, many = (integrate(data.score, y, **options) for y in (x[:4], x))
    np.testing.assert_allclose(few, many[:4], rtol=1e-5, atol=1e-6)


@every_integrator
def test_the_score_is_traced_once_and_called_as_often_as_stated(integrator):
    calls = tf.Variable(0)
    traces = []

    def score(x, t):
        traces.append(t)
        calls.assign_add(1)
        return -x

    @tf.function
    def graph(x, steps, denoise_last):
        options = {"integrator": integrator, "steps": steps}
        return integrate(score, x, sde=VPSDE(), denoise_last=denoise_last, **options)

    graph(tf.ones([2, 3]), tf.constant(7), True)
    assert len(traces) == 1
    assert int(calls) == num_calls(integrator, 7)
    graph(tf.ones([2, 3]), tf.constant(4), False)
    more = num_calls(integrator, 4, denoise_last=False)
    assert int(calls) == num_calls(integrator, 7) + more


@every_integrator
def test_a_graph_takes_the_number_of_steps_as_a_tensor(integrator):
    """One trace serves all, and eager execution agrees with it."""
    data = Gaussian(OUVESDE(), (6,))
    x = data.draw(1.0, count=4)
    options = {"sde": data.sde, "mean": data.condition, "integrator": integrator}

    @tf.function(input_signature=[tf.TensorSpec([None, 6]), tf.TensorSpec([], "int32")])
    def graph(x, steps):
        return integrate(data.score, x, steps=steps, **options)

    for steps in (1, 4):
        eager = integrate(data.score, x, steps=steps, **options)
        found = graph(x, tf.constant(steps))
        np.testing.assert_allclose(found, eager, rtol=1e-4, atol=1e-5)
    assert graph.experimental_get_tracing_count() == 1
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(x, tf.constant(0))


def test_a_walk_is_differentiable():
    """Through score and steps: the end of a linear flow is linear in its start."""
    data = Gaussian(VPSDE(), (3,), "float64")
    x, run = data.draw(1.0, count=2), walker(data, HeunFlow())
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(run(x, 5))
    moved = tf.reduce_sum(run(x + 1.0, 5)) - total
    np.testing.assert_allclose(tf.reduce_sum(tape.gradient(total, x)), moved, rtol=1e-9)


def test_a_network_is_served_with_its_walk(tmp_path):
    """Count, seed and steps are inputs of the saved graph; same bits reloaded."""
    network = keras.Sequential([keras.layers.Input([5]), keras.layers.Dense(5)])
    sde = VPSDE()

    class Server(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([], "int32"),
                tf.TensorSpec([2], "int32"),
                tf.TensorSpec([], "int32"),
            ]
        )
        def generate(self, count, seed, steps):
            x = sde.prior([count, 5], seed)
            options = {"sde": sde, "integrator": HeunFlow(), "steps": steps}
            return integrate(lambda x, t: -x / (1 + network(x) ** 2), x, **options)

    server, ask = Server(), (tf.constant(3), tf.constant([4, 5]), tf.constant(6))
    server.network = network
    expected = server.generate(*ask)
    tf.saved_model.save(server, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    again = loaded.generate(*ask)
    np.testing.assert_array_equal(again, expected)
    assert again.shape == (3, 5)


def test_an_earlier_start_is_an_sde_that_ends_earlier():
    """From the distribution at half time, half the way leads to the data."""
    data = Gaussian(dataclasses.replace(VPSDE(), T=0.4), (8,))
    samples = walk(data, data.draw(0.4, count=2048), HeunFlow(), 50)
    check_finds_the_data(data, samples, tolerance=0.05)


def test_a_score_of_another_shape_is_refused():
    options = {"sde": VPSDE(), "integrator": EulerFlow(), "steps": 2}
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="shape"):
        integrate(lambda x, t: -x[:, :1], tf.ones([2, 3]), **options)


@pytest.mark.parametrize("options", [{"steps": 0}, {"t_end": 1.0}, {"t_end": -0.1}])
def test_a_walk_that_leads_nowhere_is_refused(options):
    options = {"steps": 3, **options}
    with pytest.raises(ValueError, match="Received"):
        integrate(
            lambda x, t: -x,
            tf.ones([2]),
            sde=VPSDE(),
            integrator=EulerFlow(),
            **options,
        )


@pytest.mark.parametrize(
    "options",
    [
        {"predictor": "predictor_corrector"},
        {"predictor": "euler"},
        {"corrector": "newton"},
        {"snr": 0.0},
        {"corrector_steps": 0},
    ],
)
def test_a_corrector_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match="Received"):
        integrators.build("predictor_corrector", **options)


def test_every_integrator_is_built_by_name_and_tested_here():
    assert {type(member) for member in MEMBERS} == set(integrators.INTEGRATORS.values())
    assert integrators.build("euler_flow", midpoint=True) == EulerFlow(midpoint=True)
    with pytest.raises(ValueError, match="must be one of"):
        integrators.build("euler")
