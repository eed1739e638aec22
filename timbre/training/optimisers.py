"""Optimisers from names and numbers, so that a config can say all there is."""

import math

import keras

RULES = ("adam", "sgd")
DECAYS = ("cosine", "linear", "none")


def build(
    *,
    steps,
    name="adam",
    learning_rate=1e-3,
    final_rate=0.0,
    decay="cosine",
    warm_up=0,
    momentum=0.9,
    clip_norm=None,
    ema=None,
    ema_warm_up=False,
):
    """Makes a Keras optimiser whose rate rises, then falls until the last step.

    Args:
        steps: Steps of the phase.
        name: `"adam"` or `"sgd"`. Defaults to `"adam"`.
        learning_rate: Rate after warm-up. Defaults to `1e-3`.
        final_rate: Rate at the last step. Defaults to `0`.
        decay: `"cosine"`, `"linear"` or `"none"`. Defaults to `"cosine"`.
        warm_up: Steps in which the rate rises from zero. Defaults to `0`.
        momentum: Of `"sgd"`. Defaults to `0.9`.
        clip_norm: Largest norm of all gradients together. Defaults to no limit.
        ema: Decay of the moving average of the weights. Defaults to none.
        ema_warm_up: Whether a young average forgets sooner, see `WarmingAverage`.
            Defaults to `False`.

    Returns:
        A `keras.optimizers.Optimizer`.
    """
    if name not in RULES:
        raise ValueError(f"`name` must be one of {RULES}. Received: {name!r}")
    if ema_warm_up and ema is None:
        raise ValueError("`ema_warm_up` needs an average. Received: ema=None")
    rate = Rate(learning_rate, final_rate, decay, warm_up, steps)
    shared = {"learning_rate": rate, "global_clipnorm": clip_norm}
    if ema is not None:
        # Keras would by default copy the averages over the weights now and then.
        shared |= {
            "use_ema": True,
            "ema_momentum": ema,
            "ema_overwrite_frequency": None,
        }
    if name == "sgd":
        rule = WarmingSGD if ema_warm_up else keras.optimizers.SGD
        return rule(momentum=momentum, **shared)
    return (WarmingAdam if ema_warm_up else keras.optimizers.Adam)(**shared)


class WarmingAverage:
    """Lets the moving average of the weights forget its first steps sooner.

    `average = decay * average + (1 - decay) * weight` after step `n = 0, 1, ...`, with
    `decay = min(ema_momentum, (1 + n) / (10 + n))`; the first average is the weights
    after the first step. To be listed before the `keras.optimizers.Optimizer` that
    takes the steps.
    """

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        ops = keras.ops
        n = ops.cast(self.iterations, "float32")
        decay = ops.minimum(self.ema_momentum, (1 + n) / (10 + n))
        decay = ops.where(n > 0, decay, 0.0)
        averages = self._model_variables_moving_average
        for weight, average in zip(trainable_variables, averages, strict=True):
            if average is not None:
                share = ops.cast(decay, weight.dtype)
                average.assign(share * average + (1 - share) * weight)


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
        if decay not in DECAYS:
            raise ValueError(f"`decay` must be one of {DECAYS}. Received: {decay!r}")
        if learning_rate <= 0 or final_rate < 0 or warm_up < 0:
            raise ValueError(
                "A rate must be positive, its last value and its warm-up at least 0. "
                f"Received: learning_rate={learning_rate}, final_rate={final_rate}, "
                f"warm_up={warm_up}"
            )
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
        names = ("learning_rate", "final_rate", "decay", "warm_up", "steps")
        return {name: getattr(self, name) for name in names}
