"""Optimisers and learning rate schedules, built from a config."""

import math

import keras

from timbre.training.config import OptimiserConfig
from timbre.training.networks import check_choice

DECAYS = ("cosine", "linear", "none")


def build(config: OptimiserConfig, *, steps: int) -> keras.optimizers.Optimizer:
    """Builds a Keras optimiser whose rate rises, then falls until step `steps`."""
    ema = config.ema is not None
    shared = {
        "learning_rate": Rate(
            config.learning_rate, config.final_rate, config.decay, config.warm_up, steps
        ),
        "global_clipnorm": config.clip_norm,
        "use_ema": ema,
        "ema_momentum": config.ema if ema else 0.99,
        # Keras would by default copy the averages over the weights now and then.
        "ema_overwrite_frequency": None,
    }
    check_choice("name", config.name, ["adam", "sgd"])
    if config.name == "adam":
        rule = WarmingAdam if config.ema_warm_up else keras.optimizers.Adam
        return rule(**shared)
    rule = WarmingSGD if config.ema_warm_up else keras.optimizers.SGD
    return rule(momentum=config.momentum, **shared)


class WarmingAverage:
    """Lets the moving average of the weights forget its first steps sooner.

    `average = decay * average + (1 - decay) * weight` after step `n = 0, 1, ...`, with
    `decay = min(ema_momentum, (1 + n) / (10 + n))`; the first average is the weights
    after the first step. To be listed before the `keras.optimizers.Optimizer`.
    """

    @property
    def ema_momentum(self):
        n = keras.ops.cast(self.iterations, "float32")  # pyright: ignore[reportAttributeAccessIssue]
        return keras.ops.minimum(self._ema_limit, (1 + n) / (10 + n))

    @ema_momentum.setter
    def ema_momentum(self, limit):
        self._ema_limit = limit

    def get_config(self):
        return {**super().get_config(), "ema_momentum": self._ema_limit}  # pyright: ignore[reportAttributeAccessIssue]


@keras.saving.register_keras_serializable(package="training")
class WarmingAdam(WarmingAverage, keras.optimizers.Adam):
    """Adam, with a `WarmingAverage`."""


@keras.saving.register_keras_serializable(package="training")
class WarmingSGD(WarmingAverage, keras.optimizers.SGD):
    """Gradient descent, with a `WarmingAverage`."""


@keras.saving.register_keras_serializable(package="training")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises evenly, then falls by half a cosine or a line.

    With `p` the share of the steps after warm-up that are done,
    `rate = final_rate + (learning_rate - final_rate) * (1 + cos(pi * p)) / 2`.

    Args:
        learning_rate: Rate after warm-up.
        final_rate: Rate at the last step.
        decay: `"cosine"`, `"linear"` or `"none"`.
        warm_up: Steps in which the rate rises from zero.
        steps: The last step.
    """

    def __init__(self, learning_rate, final_rate, decay, warm_up, steps):
        check_choice("decay", decay, DECAYS)
        self.learning_rate = learning_rate
        self.final_rate = final_rate
        self.decay = decay
        self.warm_up = warm_up
        self.steps = steps

    def __call__(self, step):
        ops = keras.ops
        step = ops.cast(step, "float32")
        done = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        done = ops.clip(done, 0.0, 1.0)
        left = {
            "cosine": (1 + ops.cos(math.pi * done)) / 2,
            "linear": 1 - done,
            "none": ops.ones_like(done),
        }[self.decay]
        rate = self.final_rate + (self.learning_rate - self.final_rate) * left
        rise = (step + 1) / max(self.warm_up, 1)
        return ops.where(step < self.warm_up, self.learning_rate * rise, rate)

    def get_config(self):
        return dict(vars(self))
