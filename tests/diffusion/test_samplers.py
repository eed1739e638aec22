import itertools
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from diffusion import samplers, schedules
from diffusion.samplers import (
    DDIMSampler,
    DDPMSampler,
    DPMSolverSampler,
    HeunSampler,
    UniPCSampler,
)
from diffusion.spacing import SPACINGS, sampling_times
from tests.diffusion import gaussian
from tests.diffusion.gaussian import Gaussian

REFERENCES = {  # add a member here, with its reference, and it is tested
    DDPMSampler(): partial(gaussian.ddpm, variance="posterior"),
    DDPMSampler("beta"): partial(gaussian.ddpm, variance="beta"),
    DDIMSampler(): partial(gaussian.ddim, eta=0.0),
    DDIMSampler(0.6): partial(gaussian.ddim, eta=0.6),
    DDIMSampler(1.0): partial(gaussian.ddim, eta=1.0),
    HeunSampler(): partial(gaussian.heun, average="clean"),
    HeunSampler("noise"): partial(gaussian.heun, average="noise"),
    DPMSolverSampler(): partial(gaussian.multistep, corrected=False),
    UniPCSampler(): partial(gaussian.multistep, corrected=True),
}
ORDERS = {
    DDIMSampler(): 1,
    HeunSampler(): 2,
    HeunSampler("noise"): 2,
    DPMSolverSampler(): 2,
    UniPCSampler(): 3,
}
EVENTS = [(40, 8), (16, 8, 2), (64,)]  # mel, complex, voice: few for no noise
KARRAS = schedules.karras(400, sigma_min=0.02)
COSINE = schedules.cosine(12)

members = pytest.mark.parametrize("sampler", REFERENCES, ids=repr)
solvers = pytest.mark.parametrize("sampler", ORDERS, ids=repr)


def in_graph(data, sampler, **options):
    """A function of the start and the times, traced once for all of their values."""

    @tf.function(reduce_retracing=True)
    def run(x, times):
        arguments = {"schedule": data.schedule, "times": times, "sampler": sampler}
        return samplers.sample(data.denoise, x, **arguments, **options)

    return lambda x, times: run(x, tf.constant(times, tf.int32)).numpy()


def sample(data, sampler, x, times, **options):
    """Without a graph, which pays for few steps."""
    arguments = {"schedule": data.schedule, "times": times, "sampler": sampler}
    return samplers.sample(data.denoise, x, **arguments, **options).numpy()


def standardised(data, sampler, x, y, times):
    """Samples in coordinates: what the reference says, and what is left over."""
    start, end = data.coordinates(x, times[0]), data.coordinates(y, times[-1])
    expected, var = REFERENCES[sampler](data, start, times)
    return expected, end - expected, var


@pytest.mark.parametrize(
    "sampler, event", zip(REFERENCES, 3 * EVENTS, strict=True), ids=repr
)
def test_sampling_finds_the_data_at_every_spacing(sampler, event):
    """From `x_t` at the first time come the mean and the whole covariance of the data.

    At 100 steps the exact recursion is within 6% of every deviation (.5% from order 2
    on). The samples keep to it number by number but for the new noise. That is white,
    and its variance the recursion's, as it is if every step has a seed of its own:
    standardised, the mean of n squares is 1 +- sqrt(2 / n), of n products +- sqrt(1/n).
    """
    data, count = Gaussian(KARRAS, event), 128
    run, bias = in_graph(data, sampler), 0.005 if ORDERS.get(sampler, 1) > 1 else 0.06
    for spacing in SPACINGS:
        times = sampling_times(KARRAS, 100, spacing).numpy()
        x = data.sample(count, times[0])
        _, left, var = standardised(data, sampler, x, run(x, times), times)
        slope, _ = REFERENCES[sampler](data, data.deviation(times[0]), times)
        np.testing.assert_allclose(np.sqrt(slope**2 + var), data.std, rtol=bias)
        if sampler in ORDERS:
            np.testing.assert_allclose(left, 0, atol=1e-8)
            continue
        z = left / np.sqrt(var)
        second = z.T @ z / count
        cross = second[np.triu_indices(len(second), 1)]
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert abs(np.trace(second) / len(second) - 1) < 5 * np.sqrt(2 / z.size)
        assert abs(np.sqrt(np.mean(cross**2) * count) - 1) < 0.1


@members
def test_one_step_two_steps_and_all_steps_are_those_of_the_papers(sampler):
    data = Gaussian(COSINE, (3, 2))
    run = in_graph(data, sampler)
    for spacing, steps in itertools.product(SPACINGS, (1, 2, COSINE.steps)):
        times = sampling_times(COSINE, steps, spacing).numpy()
        x = data.sample(40, times[0])
        y = run(x, times)
        _, left, var = standardised(data, sampler, x, y, times)
        if sampler in ORDERS or steps == 1:
            np.testing.assert_allclose(left, 0, atol=1e-9)
        else:
            assert abs(np.mean(left**2 / var) - 1) < 5 * np.sqrt(2 / left.size)


@members
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_pure_noise_at_the_end_harms_nobody(sampler, steps):
    """With zero terminal SNR, `x_T` says nothing: the first estimate is the mean."""
    data = Gaussian(schedules.linear(10, 0.05, 0.8).rescale_zero_terminal_snr())
    x = data.sample(200, 10)
    np.testing.assert_allclose(data.denoise(x, 10)[0], data.mean)
    times = sampling_times(data.schedule, steps, "karras").numpy()
    y = sample(data, sampler, x, times)
    _, left, var = standardised(data, sampler, x, y, times)
    if sampler in ORDERS or steps == 1:
        np.testing.assert_allclose(left, 0, atol=1e-9)
    else:
        assert abs(np.mean(left**2 / var) - 1) < 5 * np.sqrt(2 / left.size)


@members
def test_a_schedule_of_one_step_returns_its_only_estimate(sampler):
    data = Gaussian(schedules.karras(1))
    for spacing in SPACINGS:
        times = sampling_times(data.schedule, 1, spacing)
        assert times.numpy().tolist() == [1, 0]
        x = data.sample(3, 1)
        np.testing.assert_allclose(sample(data, sampler, x, times), data.denoise(x, 1))


@solvers
def test_halving_the_step_divides_the_error_by_two_to_the_order(sampler):
    """Against the exact probability flow, between times where it is smooth."""
    data, errors = Gaussian(schedules.cosine(3600)), []
    x, run = data.sample(20, 2400), in_graph(data, sampler)
    for steps in (10, 20, 40):
        times = np.linspace(2400, 600, steps + 1).astype(int)
        exact = data.flow(x, 2400, 600)
        errors.append(np.sqrt(np.mean((run(x, times) - exact) ** 2)))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, ORDERS[sampler], atol=0.35)
    assert abs(orders[1] - ORDERS[sampler]) < 0.2


def test_the_mean_of_the_clean_estimates_bears_any_width():
    """Heun's docstring: ten steps of a cosine whose sigma ends at 20,000."""
    data = Gaussian(schedules.cosine(1000), spread=(1.0, 1.0))
    times = sampling_times(data.schedule, 10).numpy()
    clean = gaussian.heun(data, data.deviation(1000), times, "clean")[0]
    noise = gaussian.heun(data, data.deviation(1000), times, "noise")[0]
    np.testing.assert_allclose([clean[0], noise[0]], [0.968, 39.4], rtol=1e-3)


def test_ddim_without_new_noise_is_euler_along_the_flow_in_sigma():
    data, times = Gaussian(COSINE), sampling_times(COSINE, 5).numpy()
    x = data.sample(8, 12)
    expected = gaussian.euler(data, data.coordinates(x, 12), times)[0]
    actual = data.coordinates(sample(data, DDIMSampler(), x, times), 0)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


@pytest.mark.parametrize("steps", [5, 12])
def test_ddim_with_all_noise_new_is_ddpm(steps):
    """The same formula, by other roots and products: equal to rounding."""
    data, times = Gaussian(COSINE), sampling_times(COSINE, steps)
    x = data.sample(8, COSINE.steps).astype("float32")
    both = [
        sample(data, m, x, times, seed=(3, 4))
        for m in (DDIMSampler(1.0), DDPMSampler())
    ]
    np.testing.assert_allclose(*both, rtol=0, atol=2e-6)


@members
def test_the_same_seed_gives_the_same_bits_and_the_batch_does_not_matter(sampler):
    data, times = Gaussian(COSINE, (4, 3)), sampling_times(COSINE, 6)
    x = data.sample(9, times[0]).astype("float32")
    first, again, other = (
        sample(data, sampler, x, times, seed=seed) for seed in [(1, 2), (1, 2), (1, 3)]
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(
        first[:4], sample(data, sampler, x[:4], times, seed=(1, 2))
    )
    assert (first == other).all() if sampler in ORDERS else (first != other).all()


@members
def test_the_network_is_traced_once_and_called_as_often_as_counted(sampler):
    data, traced, called = Gaussian(COSINE), [], []

    @tf.function(
        input_signature=[tf.TensorSpec((None, 6)), tf.TensorSpec((), tf.int32)]
    )
    def run(x, steps):
        def network(x, t):
            assert t.dtype == tf.int32 and t.shape == ()
            traced.append(t)
            tf.py_function(lambda t: called.append(int(t)), [t], [])
            return data.denoise(x, t)

        times = sampling_times(COSINE, steps)
        return samplers.sample(
            network, x, schedule=COSINE, times=times, sampler=sampler
        )

    x = data.sample(5, COSINE.steps).astype("float32")
    for steps in (1, 7, 12):
        called.clear()
        y = run(x, tf.constant(steps))
        assert len(called) == sampler.num_calls(steps)
        assert min(called) >= 1 and max(called) == COSINE.steps
    direct = sample(data, sampler, x, sampling_times(COSINE, steps))
    np.testing.assert_allclose(y, direct, atol=1e-4)
    assert len(traced) == (2 if isinstance(sampler, HeunSampler) else 1)


@members
def test_clipping_bounds_the_estimates_and_with_them_the_samples(sampler):
    data = Gaussian(COSINE, spread=(2.0, 3.0))
    x = data.sample(50, COSINE.steps)
    times = sampling_times(COSINE, 8)
    free = sample(data, sampler, x, times)
    y = sample(data, sampler, x, times, clip=0.75)
    assert np.abs(free).max() > 1 and np.abs(y).max() == 0.75
    wide = sample(data, sampler, x, times, clip=1e3)
    np.testing.assert_array_equal(wide, free)


def test_build_is_the_class_of_that_name():
    assert samplers.build() == DDIMSampler()
    assert samplers.build("heun", average="noise") == HeunSampler("noise")
    built = {type(samplers.build(name)) for name in samplers.SAMPLERS}
    assert built == {type(member) for member in REFERENCES}


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: samplers.build("euler"), "`name` must be one of"),
        (lambda: DDPMSampler("learned"), "one of .*'posterior', 'beta'"),
        (lambda: DDIMSampler(1.5), "from 0 to 1"),
        (lambda: HeunSampler("both"), "one of .*'clean', 'noise'"),
    ],
)
def test_what_is_no_sampler_is_refused(make, rule):
    with pytest.raises(ValueError, match=f"{rule}.*Received"):
        make()


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"times": [12]}, "`times` must fall"),
        ({"times": [[12, 0]]}, "`times` must fall"),
        ({"times": [0, 12]}, "`times` must fall"),
        ({"times": [6, 6, 0]}, "`times` must fall"),
        ({"times": [13, 0]}, "`times` must fall"),
        ({"times": [12, -1]}, "`times` must fall"),
        ({"times": [12, 0], "clip": 0.0}, "`clip` must be above 0"),
    ],
)
def test_what_can_not_be_sampled_is_refused(options, rule):
    data = Gaussian(COSINE)
    with pytest.raises(ValueError, match=f"{rule}.*Received"):
        sample(data, DDIMSampler(), data.sample(2, 12), **options)


def test_an_estimate_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="[Ss]hape"):
        tf.function(samplers.sample)(
            lambda x, t: x[:, :1],
            tf.zeros((2, 6)),
            schedule=COSINE,
            times=[12, 0],
            sampler=DDIMSampler(),
        )
