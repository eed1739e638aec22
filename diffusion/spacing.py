"""Timestep spacing: the times of a schedule at which a sampler of few steps calls.

Every spacing decreases strictly, `T >= times[0] > ... > times[steps] = 0`, and with as
many steps as the schedule has it visits every time. They differ in between:

- `trailing`: equal steps from T down. The sampler starts at T with any number of steps.
- `leading`: equal steps that end at time 1. It starts before T, where some signal is
  left: for comparison with samplers that do so.
- `linspace`: equal steps from T to 1, both included.
- `karras`: equal steps of `(noise / signal)**(1 / 7)`, dense at low noise.

Reference:
    Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al., 2023),
    table 2, https://arxiv.org/abs/2305.08891; Elucidating the Design Space of
    Diffusion-Based Generative Models (Karras et al., 2022), equation 5,
    https://arxiv.org/abs/2206.00364
"""

import numpy as np
import tensorflow as tf

from timbre.training.networks import check_choice

MAX_SIGMA = 80.0  # Karras et al. (2022): data of unit variance is lost in such noise


def trailing(last, steps):
    """`round(last * k / steps)` for `k = steps, ..., 1`, int64 `[steps]`."""
    k = tf.range(steps, 0, -1)
    return (2 * last * k + steps) // (2 * steps)


def leading(last, steps):
    """`1 + (last // steps) * (k - 1)` for `k = steps, ..., 1`, int64 `[steps]`."""
    return 1 + (last // steps) * (tf.range(steps, 0, -1) - 1)


def linspace(last, steps):
    """Rounded equal steps from `last` to 1, int64 `[steps]`; a single one is `last`."""
    gaps = tf.maximum(steps - 1, 1)
    return last - (2 * (last - 1) * tf.range(steps) + gaps) // (2 * gaps)


def karras(schedule, steps, rho=7.0):
    """The times whose `sigma = noise / signal` are nearest to Karras' spacing.

    From T and from a `sigma` of at most 80 down to time 1. Where several times round to
    one, they move up to the next free ones.

    Args:
        schedule: A `schedules.Schedule`.
        steps: An int, not a tensor.
        rho: Float > 0; the larger, the denser at low noise. Defaults to `7`.

    Returns:
        Decreasing times, int64 `[steps]`, NumPy.
    """
    last = schedule.steps
    log_sigma = -schedule.log_snr[1:] / 2
    ends = np.exp([log_sigma[0], min(log_sigma[-1], np.log(MAX_SIGMA))])
    low, high = ends ** (1 / rho)
    wanted = rho * np.log(np.linspace(high, low, steps)[::-1])
    finite = np.isfinite(log_sigma)
    known = log_sigma[finite], np.arange(1, last + 1)[finite]
    t = np.interp(wanted, *known).round().astype(np.int64)
    t[-1] = last
    k = np.arange(1, steps + 1)
    t = np.maximum.accumulate(t - k) + k
    return np.minimum(t, last - steps + k)[::-1]


EVEN = {"trailing": trailing, "leading": leading, "linspace": linspace}
SPACINGS = (*EVEN, "karras")


def sampling_times(schedule, steps, spacing="trailing"):
    """The times that a sampler of `steps` steps visits.

    Args:
        schedule: A `schedules.Schedule` of T steps.
        steps: Int from 1 to T; for every spacing but `"karras"` also a scalar int
            tensor whose value is not known in the graph.
        spacing: One of `SPACINGS`. Defaults to `"trailing"`.

    Returns:
        Decreasing times that end with 0, int32 `[steps + 1]`.

    Raises:
        ValueError: If `spacing` is unknown or `steps` out of bounds;
            `tf.errors.InvalidArgumentError` if a tensor turns out to be.
    """
    check_choice("spacing", spacing, SPACINGS)
    steps = _check_steps(steps, schedule.steps, spacing)
    if spacing == "karras":
        t = tf.constant(karras(schedule, int(steps)))
    else:
        last = tf.constant(schedule.steps, tf.int64)
        t = EVEN[spacing](last, tf.cast(steps, tf.int64))
    return tf.cast(tf.concat([t, [0]], axis=0), tf.int32)


def _check_steps(steps, last, spacing):
    """`steps`, checked to be 1, ..., `last`; a NumPy value where it is known."""
    known = tf.get_static_value(tf.convert_to_tensor(steps))
    rule = f"`steps` must be a scalar int from 1 to {last}, the steps of the schedule"
    if known is None:
        if spacing == "karras":
            raise ValueError("`steps` must be an int for the karras spacing")
        within = tf.logical_and(steps >= 1, steps <= last)
        with tf.control_dependencies([tf.debugging.Assert(within, [rule, steps])]):
            return tf.identity(steps)
    if known.shape or known.dtype.kind not in "iu" or not 1 <= known <= last:
        raise ValueError(f"{rule}. Received: {steps}")
    return known
