"""A step that is not finite leaves no trace but a count."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training.checkpoint import TrainState
from timbre.training.train_step import compile_step

BATCH = np.float32([[1, 2], [3, 4]]), np.float32([[1], [2]])
SIGNATURE = tuple(tf.TensorSpec([2, n], tf.float32) for n in (2, 1))


def prepare(tmp_path, layers, optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse")
    model.optimizer.build(model.trainable_variables)
    state = TrainState(model, tmp_path)
    strategy = tf.distribute.get_strategy()
    step = compile_step(model, state, SIGNATURE, strategy=strategy, **kwargs)
    return model, state, step


def values(model):
    return [v.numpy() for v in model.variables + model.optimizer.variables]


def poisoned(value):
    x, y = BATCH
    return np.where(x == 2, np.float32(value), x), y


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_bad_batch_changes_nothing_to_the_bit(tmp_path, value):
    layers = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    optimizer = keras.optimizers.Adam(0.1, use_ema=True)
    model, state, step = prepare(tmp_path, layers, optimizer)
    step(BATCH)
    before = values(model)
    step(poisoned(value))
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(state.skipped) == int(state.streak) == 1
    step(BATCH)
    changed = [(a != b).any() for a, b in zip(before, values(model), strict=True)]
    assert sum(changed) > len(changed) / 2
    assert (int(state.skipped), int(state.streak)) == (1, 0)


def test_statistics_count_even_where_the_loss_hides_them(tmp_path):
    """A batch variance of 1e60 is infinite, and dividing by it gives a clean zero."""
    layers = [keras.layers.BatchNormalization()]
    model, state, step = prepare(tmp_path, layers, keras.optimizers.SGD(0.01))
    before = values(model)
    assert np.isfinite(step(poisoned(1e30))["loss"]) and int(state.skipped) == 1
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_step_is_gradient_descent(tmp_path):
    """`w - rate * gradient`, worked out by NumPy for the mean squared error."""
    model, _, step = prepare(tmp_path, [], keras.optimizers.SGD(0.01))
    kernel, bias = model.get_weights()
    x, y = BATCH
    error = x @ kernel + bias - y
    assert np.isclose(step(BATCH)["loss"], np.mean(error**2))
    expected = kernel - 0.01 * x.T @ (2 * error / len(x))
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)


def test_streaks_count_skips_in_a_row(tmp_path):
    _, state, step = prepare(tmp_path, [], keras.optimizers.SGD(0.01))
    streaks = []
    for batch in (poisoned(np.nan), poisoned(np.nan), BATCH, poisoned(np.nan)):
        step(batch)
        streaks.append(int(state.streak))
    assert streaks == [1, 2, 0, 1] and int(state.skipped) == 3


def test_a_loss_that_is_finite_is_no_excuse_for_a_gradient_that_is_not(tmp_path):
    class Cliff(keras.layers.Layer):
        def call(self, x):
            return keras.ops.sqrt(keras.ops.abs(x) * 0.0)  # d sqrt(0) is infinite

    optimizer = keras.optimizers.SGD(0.01)
    layers = [keras.layers.Dense(1), Cliff()]
    model, state, step = prepare(tmp_path, layers, optimizer)
    before = values(model)
    assert np.isfinite(step(BATCH)["loss"]) and int(state.skipped) == 1
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_measures_see_the_batch(tmp_path):
    _, _, step = prepare(
        tmp_path,
        [],
        keras.optimizers.SGD(0.01),
        measure=lambda x, y, y_pred: {
            "size": tf.shape(y_pred)[0],
            "y": tf.reduce_sum(y),
        },
    )
    logs = step(BATCH)
    assert (logs["size"], logs["y"]) == (2, 3) and set(logs) == {"loss", "size", "y"}


def test_loss_scaling_lowers_its_scale_at_a_bad_batch(tmp_path):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    model, state, step = prepare(tmp_path, [], optimizer)
    weights = model.get_weights()
    step(poisoned(np.nan))
    assert optimizer.dynamic_scale.numpy() == 2.0**14 and int(state.skipped) == 1
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    step(BATCH)
    assert optimizer.dynamic_scale.numpy() == 2.0**14
    assert (model.get_weights()[0] != weights[0]).any()


@pytest.mark.slow
def test_xla_takes_the_same_step(tmp_path):
    results = []
    for jit_compile in (False, True):
        model, state, step = prepare(
            tmp_path,
            [keras.layers.BatchNormalization()],
            keras.optimizers.SGD(0.01),
            jit_compile=jit_compile,
        )
        step(BATCH)
        step(poisoned(np.nan))
        results.append(model.get_weights())
        assert int(state.skipped) == 1
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-5, atol=1e-6)
