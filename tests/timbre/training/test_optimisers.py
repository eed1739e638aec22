import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training import optimisers
from timbre.training.config import OptimiserConfig


def build(*, steps, **arguments):
    return optimisers.build(
        OptimiserConfig(**{"final_rate": 0.0, **arguments}), steps=steps
    )


def rates(steps, at, **arguments):
    rate = build(steps=steps, **arguments)._learning_rate
    return [float(rate(step)) for step in at]


def test_a_cosine_rate_falls_from_the_first_to_the_last():
    found = rates(100, [0, 50, 100, 200], learning_rate=1.0, final_rate=0.2)
    np.testing.assert_allclose(found, [1.0, 0.6, 0.2, 0.2], atol=1e-6)


def test_a_linear_rate_falls_evenly_and_none_stays():
    found = rates(100, [0, 25, 100], learning_rate=1.0, decay="linear")
    np.testing.assert_allclose(found, [1, 0.75, 0], atol=1e-6)
    np.testing.assert_allclose(
        rates(9, [0, 9], learning_rate=0.5, decay="none"), 0.5, atol=1e-6
    )


def test_a_rate_rises_evenly_in_its_warm_up():
    found = rates(110, [0, 4, 9, 10, 110], learning_rate=1.0, warm_up=10)
    np.testing.assert_allclose(found, [0.1, 0.5, 1, 1, 0], atol=1e-6)


def test_what_is_asked_for_is_what_is_built():
    sgd = build(steps=9, name="sgd", momentum=0.99, clip_norm=5.0, ema=0.9)
    assert isinstance(sgd, keras.optimizers.SGD) and sgd.momentum == 0.99
    assert sgd.global_clipnorm == 5.0
    assert sgd.use_ema and sgd.ema_momentum == 0.9
    assert sgd.ema_overwrite_frequency is None
    assert isinstance(build(steps=9), keras.optimizers.Adam)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(sgd))
    assert float(copy._learning_rate(3)) == float(sgd._learning_rate(3))


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"name": "adagrad"}, "`name` must be one of .*'adam', 'sgd'"),
        ({"decay": "steps"}, "`decay` must be one of"),
        ({"learning_rate": 0.0}, "`learning_rate` of OptimiserConfig must be"),
        ({"ema_warm_up": True}, "`ema_warm_up` needs an average"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        build(steps=10, **arguments)


def walk(num, **arguments):
    """Weights and averages after each of `num` steps on uneven gradients."""
    optimiser = build(steps=num, decay="none", **arguments)
    weight = keras.Variable(np.array([1.0, -2.0], "float32"))
    optimiser.build([weight])
    weights, averages = [], []

    @tf.function
    def step(gradient):
        optimiser.apply([gradient], [weight])

    for i in range(num):
        step(tf.constant([np.cos(i), 1.0], tf.float32))
        weights.append(weight.numpy())
        averages.append(optimiser._model_variables_moving_average[0].numpy())
    return np.array(weights), np.array(averages)


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("ema", [0.9, 0.5])
def test_a_young_average_forgets_sooner(name, ema):
    options = {"name": name, "learning_rate": 0.1, "ema": ema}
    weights, averages = walk(100, ema_warm_up=True, **options)
    expected = [weights[0]]
    for n, weight in enumerate(weights[1:], start=1):
        decay = min(ema, (1 + n) / (10 + n))
        expected.append(decay * expected[-1] + (1 - decay) * weight)
    np.testing.assert_allclose(averages, expected, rtol=1e-4, atol=1e-5)
    same, _ = walk(100, **options)
    np.testing.assert_array_equal(weights, same)  # averaging moves no weight


def test_without_warm_up_the_average_is_that_of_keras():
    options = {"learning_rate": 0.1, "ema": 0.9}
    assert type(build(steps=9, **options)) is keras.optimizers.Adam
    weights, averages = walk(30, **options)
    expected = [weights[0]]
    for weight in weights[1:]:
        expected.append(0.9 * expected[-1] + 0.1 * weight)
    np.testing.assert_allclose(averages, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_warming_average_comes_back_from_its_config_and_its_state(name, tmp_path):
    options = {"name": name, "ema": 0.999, "ema_warm_up": True, "clip_norm": 1.0}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=build(steps=9, **options), loss="mse")
    x = np.arange(12.0).reshape(4, 3)
    model.fit(x, x[:, :2], epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(model.optimizer)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for one in (model, again):
        one.fit(x, x[:, :2], epochs=3, verbose=0)
        one.optimizer.finalize_variable_values(one.trainable_variables)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_warming_average_passes_through_a_loss_scale():
    inner = build(steps=9, ema=0.9, ema_warm_up=True)
    optimiser = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0)
    weight = keras.Variable(np.ones(2, "float32"))
    optimiser.apply([tf.constant([8.0, 16.0])], [weight])
    average = inner._model_variables_moving_average[0]
    np.testing.assert_array_equal(average.numpy(), weight.numpy())
