"""The forward process in training: times, noise and noised samples.

`x_t = signal[t] * x_0 + noise[t] * z`, `z ~ N(0, 1)`, at times `t` from 1 to T.

Times come in antithetic pairs `t, T + 1 - t`, each uniform: a batch holds as many early
times as late ones, which reduces the variance of its loss.
"""

import keras
import numpy as np
from keras import ops

from diffusion import schedules


def match_rank(level, x):
    """A level for all samples (scalar) or each (`[batch]`), to broadcast with `x`."""
    return ops.reshape(level, (*ops.shape(level), *(1,) * (x.ndim - level.ndim)))


def antithetic_times(count, steps, seed):
    """Times from 1 to T = `steps`, int32 `[count]`.

    Rows `i` and `i + ceil(count / 2)` sum to T + 1; `seed` may be a `SeedGenerator`.
    """
    first = keras.random.randint(((count + 1) // 2,), 1, steps + 1, "int32", seed)
    return ops.concatenate([first, steps + 1 - first])[:count]


class NoisedModel(keras.Model):
    """Base of models that are trained on noised samples, of any rank.

    Args:
        schedule: Dict of arguments of `diffusion.schedules.build`.
        seed: Seed of times, noise and dropout. Defaults to `0`.

    Attributes:
        levels: The `diffusion.schedules.Schedule` that `schedule` describes.
    """

    def __init__(self, schedule, seed=0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.schedule = dict(schedule)
        self.seed = seed
        self.levels = schedules.build(**self.schedule)
        self.random_state = keras.random.SeedGenerator(seed)

    def sample_times_and_noise(self, x_0):
        """Times `[batch]` and noise shaped as `x_0`, the same on all replicas."""
        shape = ops.shape(x_0)
        t = antithetic_times(shape[0], self.levels.steps, self.random_state)
        return t, keras.random.normal(shape, seed=self.random_state)

    def signal_and_noise(self, t, x):
        """The levels at times `t`, a scalar or `[batch]`, to broadcast with `x`."""
        return tuple(
            match_rank(ops.take(table.astype("float32"), t), x)
            for table in (self.levels.signal, self.levels.noise)
        )

    def add_noise(self, x_0, t, z):
        """`signal[t] * x_0 + noise[t] * z`."""
        signal, noise = self.signal_and_noise(t, x_0)
        return signal * x_0 + noise * z

    def check_steps(self, network):
        """Refuses a network that was made for another number of steps."""
        if network.steps != self.levels.steps:
            raise ValueError(
                "`schedule` must have as many steps as the network. Received: "
                f"{self.levels.steps} and {network.steps}"
            )


def unknown_labels(x, attributes):
    """The label -1, unknown, for all samples `x`, int32 `[batch, attributes]`."""
    return ops.full((ops.shape(x)[0], attributes), -1, dtype="int32")


def signal_to_noise(schedule) -> np.ndarray:
    """The SNR `signal**2 / noise**2` at the times 0 (infinite) to T, `[T + 1]`."""
    with np.errstate(divide="ignore"):
        return np.square(schedule.signal) / np.square(schedule.noise)
