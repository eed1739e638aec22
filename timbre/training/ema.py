"""EMA: the exponential moving average of a model's weights.

The optimiser keeps it (`use_ema=True`) from the first step on,
`average = momentum * average + (1 - momentum) * weight`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def use_averages(model: keras.Model) -> Iterator[keras.Model]:
    """Give a compiled model its averages for as long as the context lasts.

    Without `use_ema`, or before the first step, the weights stay as they are.
    """
    optimizer = _inner_optimizer(model)
    if not optimizer.use_ema or not keras.ops.convert_to_numpy(optimizer.iterations):
        yield model
        return
    weights = [weight.value for weight in model.trainable_variables]
    kept = [weight.numpy() for weight in weights]
    try:
        finalise(model)
        yield model
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)


def finalise(model: keras.Model) -> None:
    """Replace a model's weights by the averages its optimiser keeps, if it does."""
    optimizer = _inner_optimizer(model)
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)


def _inner_optimizer(model):
    """The optimiser that keeps the averages, inside one that scales the loss."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)
