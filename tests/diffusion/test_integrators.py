"""Integrators on Gaussian data, whose score and whose flow are known exactly."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion import integrators
from diffusion.integrators import (
    EulerFlow,
    HeunFlow,
    PredictorCorrector,
    integrate,
    num_calls,
)
from diffusion.sde import OUVESDE, VESDE, VPSDE, MeanRevertingVPSDE
from tests.diffusion.gaussian_sde import (
    MEMBERS,
    SDES,
    Gaussian,
    compile_integration,
    every_integrator,
    run_integration,
)

EVENTS = [(64,), (40, 8), (16, 8, 2)]
VP, MEAN_REVERTING, VE, OUVE = SDES
REVERSED = [  # VP with every integrator is above
    *((integrator, OUVE) for integrator in MEMBERS),
    *zip(MEMBERS, [MEAN_REVERTING, VE, VE, MEAN_REVERTING, VE] * 2, strict=False),
]


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


@pytest.mark.parametrize(
    "integrator, event", zip(MEMBERS, 3 * EVENTS, strict=True), ids=repr
)
def test_the_exact_score_leads_to_the_data_whatever_the_rank(integrator, event):
    data = Gaussian(VPSDE(), event)
    start = data.sample(1.0, count=16384 // np.prod(event))
    samples = run_integration(data, start, integrator, 100)
    check_finds_the_data(data, samples, tolerance=0.06)


@pytest.mark.parametrize("integrator, sde", REVERSED, ids=repr)
def test_every_process_is_reversed(integrator, sde):
    data = Gaussian(sde, (8,))
    samples = run_integration(data, data.sample(sde.T, count=2048), integrator, 150)
    check_finds_the_data(data, samples, tolerance=0.08)


@pytest.mark.parametrize(
    "sde", [VPSDE(), MeanRevertingVPSDE(), VESDE(sigma_min=0.05, sigma_max=50.0)]
)
def test_the_prior_leads_to_the_data_where_its_gap_is_small(sde):
    data = Gaussian(sde, (8,))
    start = sde.prior([2048, 8], (1, 1), data.condition)
    samples = run_integration(data, start, HeunFlow(), 100)
    check_finds_the_data(data, samples, tolerance=0.06)


def test_a_corrector_reduces_the_bias_of_the_prior_of_ouve():
    """The flow keeps the error of a start beside the truth; Langevin steps forget it.

    The error is measured where the steps end, in units of the distribution there.
    """
    data = Gaussian(OUVESDE(), (8,))
    start = data.sde.prior([512, 8], (1, 1), data.condition)
    errors = []
    for integrator in (HeunFlow(), PredictorCorrector(snr=0.5, corrector_steps=2)):
        x = run_integration(data, start, integrator, 50, t_end=0.5, denoise_last=False)
        errors.append(np.abs(np.mean(data.straight(x, *data.at(0.5)), axis=0)).mean())
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    "integrator, order, sde",
    [
        (EulerFlow(), 1, OUVE),
        (EulerFlow(midpoint=True), 1, OUVE),
        *((HeunFlow(), 2, sde) for sde in SDES),
    ],
)
def test_half_a_step_is_half_or_a_quarter_of_the_error(integrator, order, sde):
    """Against the exact flow: in float64, from the same noise to the same time."""
    data = Gaussian(sde, (3, 4), "float64")
    z = tf.random.stateless_normal([16, 3, 4], (0, 1), dtype="float64")
    start, exact = data.flow(z, sde.T), data.flow(z, 0.05)
    options = {"t_end": 0.05, "denoise_last": False}
    run = compile_integration(data, integrator, **options)
    errors = [
        np.sqrt(np.mean((run(start, steps) - exact) ** 2)) for steps in (100, 200, 400)
    ]
    np.testing.assert_allclose(
        np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.2
    )


def test_the_ten_steps_of_grad_tts_reach_time_zero(rng):
    """The score is not called at 0, where it has no value; Heun's rule would."""
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
def test_a_sample_does_not_depend_on_how_many_follow_it(integrator):
    if getattr(integrator, "corrector", None) == "langevin":
        return  # as published, its step is that of the whole batch
    data = Gaussian(VPSDE(), (6,))
    x = data.sample(1.0, count=16)
    options = {"sde": data.sde, "integrator": integrator, "steps": 3}
    few, many = (integrate(data.score, y, **options) for y in (x[:4], x))
    np.testing.assert_allclose(few, many[:4], rtol=1e-5, atol=1e-6)


@every_integrator
def test_one_graph_serves_every_number_of_steps_and_seed(integrator):
    """Eager execution agrees, calls of the score are as stated, a seed gives bits."""
    data = Gaussian(OUVESDE(), (6,))
    x = data.sample(1.0, count=4)
    options = {"sde": data.sde, "mean": data.condition, "integrator": integrator}
    calls, traces = tf.Variable(0), []

    def score(x, t):
        traces.append(t)
        calls.assign_add(1)
        return data.score(x, t)

    @tf.function(reduce_retracing=True)
    def graph(x, steps, seed):
        return integrate(score, x, steps=steps, seed=seed, **options)

    def run(steps, seed=(0, 0)):
        return graph(x, tf.constant(steps), tf.constant(seed)).numpy()

    for steps in (1, 4):
        eager = integrate(data.score, x, steps=steps, **options)
        calls.assign(0)
        np.testing.assert_allclose(run(steps), eager, rtol=1e-4, atol=1e-5)
        assert int(calls) == num_calls(integrator, steps)
    first, again, other = (run(4, seed) for seed in [(0, 1), (0, 1), (0, 2)])
    np.testing.assert_array_equal(first, again)
    deterministic = isinstance(integrator, EulerFlow | HeunFlow)
    assert (first == other).all() == deterministic
    assert graph.experimental_get_tracing_count() == len(traces) == 1
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(0)
    calls.assign(0)
    integrate(score, x, steps=3, denoise_last=False, **options)
    assert int(calls) == num_calls(integrator, 3, denoise_last=False)


def test_integration_is_differentiable():
    """Through score and steps: the end of a linear flow is linear in its start."""
    data = Gaussian(VPSDE(), (3,), "float64")
    x, run = data.sample(1.0, count=2), compile_integration(data, HeunFlow())
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(run(x, 5))
    moved = tf.reduce_sum(run(x + 1.0, 5)) - total
    np.testing.assert_allclose(tf.reduce_sum(tape.gradient(total, x)), moved, rtol=1e-9)


def test_a_network_is_served_with_its_integrator(tmp_path):
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
    samples = run_integration(data, data.sample(0.4, count=2048), HeunFlow(), 50)
    check_finds_the_data(data, samples, tolerance=0.05)


def test_a_score_of_another_shape_is_refused():
    options = {"sde": VPSDE(), "integrator": EulerFlow(), "steps": 2}
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="shape"):
        integrate(lambda x, t: -x[:, :1], tf.ones([2, 3]), **options)


@pytest.mark.parametrize("options", [{"steps": 0}, {"t_end": 1.0}, {"t_end": -0.1}])
def test_an_impossible_integration_is_refused(options):
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
