import keras
import numpy as np
import pytest

from training import optimisers


def rates(steps, at, **arguments):
    rate = optimisers.build(steps=steps, **arguments)._learning_rate
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
    sgd = optimisers.build(steps=9, name="sgd", momentum=0.99, clip_norm=5.0, ema=0.9)
    assert isinstance(sgd, keras.optimizers.SGD) and sgd.momentum == 0.99
    assert sgd.global_clipnorm == 5.0
    assert sgd.use_ema and sgd.ema_momentum == 0.9
    assert sgd.ema_overwrite_frequency is None
    assert isinstance(optimisers.build(steps=9), keras.optimizers.Adam)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(sgd))
    assert float(copy._learning_rate(3)) == float(sgd._learning_rate(3))


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"name": "adagrad"}, "`name` must be one of"),
        ({"decay": "steps"}, "`decay` must be one of"),
        ({"learning_rate": 0.0}, "must be positive"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        optimisers.build(steps=10, **arguments)
