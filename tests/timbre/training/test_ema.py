"""Averages are lent and given back."""

import keras
import numpy as np
import pytest

from timbre.training.ema import use_averages


def line(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer)
    model.optimizer.build(model.trainable_variables)
    return model, model.trainable_variables[0]


@pytest.mark.parametrize("scaled", [False, True])
def test_the_average_is_the_recurrence_worked_by_hand(scaled):
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    scale = 2.0**15 if scaled else 1.0
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model, weight = line(optimizer)
    weight.assign([[4.0]])
    with use_averages(model):
        assert weight.numpy() == 4  # nothing use_averages yet
    for _ in range(3):
        optimizer.apply([keras.ops.ones((1, 1)) * scale])  # 3, 2, 1
    with use_averages(model):
        # 3, then .75 * 3 + .25 * 2 = 2.75, then .75 * 2.75 + .25 * 1
        assert weight.numpy() == 2.3125
    assert weight.numpy() == 1


def test_weights_come_back_after_an_error():
    model, weight = line(keras.optimizers.SGD(1.0, use_ema=True))
    for _ in range(2):
        model.optimizer.apply([keras.ops.ones((1, 1))])
    before = weight.numpy()
    with pytest.raises(KeyError), use_averages(model):
        assert weight.numpy() != before
        raise KeyError
    np.testing.assert_array_equal(weight.numpy(), before)


def test_an_optimiser_without_averages_lends_the_weights():
    model, weight = line(keras.optimizers.SGD(1.0))
    model.optimizer.apply([keras.ops.ones((1, 1))])
    before = weight.numpy()
    with use_averages(model) as lent:
        assert lent is model and weight.numpy() == before
