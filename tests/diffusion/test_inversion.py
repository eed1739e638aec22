import numpy as np
import pytest
import tensorflow as tf

from diffusion import samplers, schedules
from diffusion.spacing import sampling_times
from tests.diffusion.gaussian import Gaussian

COSINE = schedules.cosine(12)


def there_and_back(data, x, steps):
    """Noise that `x` is made of, and what DDIM makes of it."""

    @tf.function
    def run(x):
        path = {
            "schedule": data.schedule,
            "times": sampling_times(data.schedule, steps),
        }
        noise = samplers.invert(data.denoise, x, **path)
        ddim = samplers.DDIMSampler()
        return noise, samplers.sample(data.denoise, noise, sampler=ddim, **path)

    return [end.numpy() for end in run(tf.constant(x))]


def test_inverting_leads_to_the_noise_that_leads_back():
    """The error of the way there and back halves with the step: order 1."""
    data, errors = Gaussian(schedules.cosine(800)), []
    x = data.sample(20, 0)
    for steps in (100, 200, 400):
        noise, back = there_and_back(data, x, steps)
        errors.append(np.sqrt(np.mean((back - x) ** 2)))
    assert errors[-1] < 0.01
    assert (np.divide(errors[:-1], errors[1:]) > 1.8).all()
    np.testing.assert_allclose(noise, data.flow(x, 0, 800), atol=0.05)


def test_the_first_step_looks_for_the_noise_where_it_leads():
    """`z` of `signal[t] * x_0`, since no noise can be seen at time 0."""
    data, t = Gaussian(COSINE), 6
    x, signal, noise = data.sample(4, 0), COSINE.signal[6], COSINE.noise[6]
    y = signal * data.coordinates(x, 0)
    z = (y - signal * data.clean(y, t)) / noise
    x_t = samplers.invert(data.denoise, x, schedule=COSINE, times=[t, 0])
    np.testing.assert_allclose(data.coordinates(x_t, t), y + noise * z, atol=1e-12)


@pytest.mark.parametrize("event", [(64,), (40, 8), (16, 8, 2)], ids=str)
@pytest.mark.parametrize("steps", [1, 2, 12])
def test_inverting_takes_any_shape_and_any_end(event, steps):
    for schedule in (COSINE, COSINE.rescale_zero_terminal_snr()):
        data = Gaussian(schedule, event)
        x = data.sample(3, 0).astype("float32")
        times = sampling_times(schedule, steps)
        z = samplers.invert(data.denoise, x, schedule=schedule, times=times).numpy()
        assert z.shape == x.shape and z.dtype == x.dtype and np.isfinite(z).all()
