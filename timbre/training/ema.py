"""EMA: the exponential moving average of a model's weights.

The optimiser keeps the exponential moving average (`use_ema=True`),
`average = momentum * average + (1 - momentum) * weight`, from the first step on.
"""

from contextlib import contextmanager

import keras


@contextmanager
def averaged(model):
    """Lend a model the averages its optimiser keeps, to evaluate or save it.

    Without `use_ema`, or before the first step, the weights stay as they are.

    Args:
        model: A compiled `keras.Model`.
    """
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not inner.use_ema or not keras.ops.convert_to_numpy(inner.iterations):
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


def finalise(model):
    """Replace a model's weights by the averages its optimiser keeps, if it does."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)
