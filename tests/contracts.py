"""Contracts of a kind: add a member to a test's list, and it is tested."""

import keras
import numpy as np


def check_layer(layer, *inputs, atol=1e-6):
    """A layer computes finite values, and its config rebuilds the same layer.

    Args:
        layer: A `keras.layers.Layer` or `keras.Model`.
        *inputs: Arrays that `layer` is called with.
        atol: Largest difference allowed between the layer and its copy.
    """
    expected = keras.ops.convert_to_numpy(layer(*inputs))
    assert np.isfinite(expected).all(), f"{layer.name} gives values that are not finite"
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    actual = keras.ops.convert_to_numpy(copy(*inputs))
    np.testing.assert_allclose(actual, expected, atol=atol)


def check_gradients(model, *inputs):
    """In training every weight has a finite gradient, every kernel one that moves it.

    Args:
        model: A `keras.Model` or layer that is built.
        *inputs: Arrays that `model` is called with.
    """
    import tensorflow as tf

    weights = model.trainable_weights
    with tf.GradientTape() as tape:
        y = model(*inputs, training=True)
        loss = tf.reduce_sum(y * tf.random.stateless_normal(y.shape, (0, 0)))
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, f"no gradient reaches {weight.path}"
        gradient = tf.convert_to_tensor(gradient)  # an embedding's names its rows
        assert np.isfinite(gradient).all(), f"the gradient of {weight.path}"
        if weight.name.endswith("kernel"):
            assert np.abs(gradient).max() > 0, f"{weight.path} stays where it is"
