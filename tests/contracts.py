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
