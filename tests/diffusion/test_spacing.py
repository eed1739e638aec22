import numpy as np
import pytest
import tensorflow as tf

from diffusion import schedules
from diffusion.spacing import SPACINGS, sampling_times

SCHEDULE = schedules.cosine(1000)
ENDS = [
    SCHEDULE,
    SCHEDULE.rescale_zero_terminal_snr(),
    schedules.karras(37),
    schedules.linear(500),
]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", ENDS, ids=repr)
def test_every_spacing_falls_to_0_in_as_many_steps_as_asked(schedule, spacing):
    last = schedule.steps
    for steps in (1, 2, 3, 10, last // 2 + 1, last - 1, last):
        t = sampling_times(schedule, steps, spacing)
        assert t.dtype == tf.int32 and t.shape == (steps + 1,)
        assert (np.diff(t) < 0).all() and t[-1] == 0
        assert t[0] == last or (spacing == "leading" and t[0] <= last)
    assert t.numpy().tolist() == list(range(last, -1, -1))


@pytest.mark.parametrize(
    "spacing, expected",
    [  # Lin et al. (2023), table 2, for T = 1000 and 10 steps
        ("leading", [901, 801, 701, 601, 501, 401, 301, 201, 101, 1, 0]),
        ("linspace", [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1, 0]),
        ("trailing", [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100, 0]),
    ],
)
def test_ten_steps_of_a_thousand(spacing, expected):
    assert sampling_times(SCHEDULE, 10, spacing).numpy().tolist() == expected


def test_even_times_are_rounded():
    """Steps of 1000 / 7 = 142.86, and of 999 / 7 = 142.71."""
    trailing, linspace = (
        sampling_times(SCHEDULE, 7),
        sampling_times(SCHEDULE, 8, "linspace"),
    )
    assert trailing.numpy().tolist() == [1000, 857, 714, 571, 429, 286, 143, 0]
    assert linspace.numpy().tolist() == [1000, 857, 715, 572, 429, 286, 144, 1, 0]


def test_karras_times_are_even_in_the_seventh_root_of_sigma():
    schedule = schedules.karras(3001)
    t = sampling_times(schedule, 6, "karras").numpy()
    np.testing.assert_array_equal(t, [3001, 2401, 1801, 1201, 601, 1, 0])


def test_karras_times_leave_out_what_lies_beyond_a_sigma_of_80():
    schedule = schedules.cosine(1000)
    sigma = schedule.noise[1:] / schedule.signal[1:]
    t = sampling_times(schedule, 5, "karras").numpy()
    low = sigma[0]
    roots = np.linspace(80 ** (1 / 7), low ** (1 / 7), 5)[1:4]
    near = [1 + np.argmin(np.abs(np.log(sigma) - 7 * np.log(r))) for r in roots]
    assert t.tolist() == [1000, *near, 1, 0]


@pytest.mark.parametrize("spacing", SPACINGS[:3])
def test_the_count_may_be_a_tensor_of_a_graph(spacing):
    run = tf.function(lambda steps: sampling_times(SCHEDULE, steps, spacing))
    for steps in (1, 7, 1000):
        expected = sampling_times(SCHEDULE, steps, spacing)
        np.testing.assert_array_equal(run(tf.constant(steps)), expected)
    assert run.experimental_get_tracing_count() == 1
    for steps in (0, 1001):
        with pytest.raises(tf.errors.InvalidArgumentError, match="from 1 to 1000"):
            run(tf.constant(steps))


@pytest.mark.parametrize("steps", [0, -3, 1001, 2.5, [5], True, tf.constant(0)])
def test_a_count_out_of_bounds_is_refused(steps):
    with pytest.raises(ValueError, match="from 1 to 1000.*Received"):
        sampling_times(SCHEDULE, steps)


def test_what_is_no_spacing_is_refused():
    with pytest.raises(ValueError, match="`spacing` must be one of.*Received: 'even'"):
        sampling_times(SCHEDULE, 5, "even")
    with pytest.raises(ValueError, match="must be an int for the karras spacing"):
        tf.function(lambda steps: sampling_times(SCHEDULE, steps, "karras"))(
            tf.constant(5)
        )
