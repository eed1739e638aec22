"""Contracts of a kind: add a member to a test's list, and it is tested."""

import tempfile
from pathlib import Path

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


def check_bijector(bijector, x, context=None, round_trip=None, identity=False):
    """A map can be undone, knows its determinant, can be trained and saved.

    All but the identity is checked with weights that are moved away from their start.

    Args:
        bijector: A `flows.bijectors.base.Bijector`.
        x: `[batch, ..., channels]`, a few rows of a few numbers.
        context: What goes with `x`, or `None`: every channel that the map moves at all
            must depend on it.
        round_trip: Largest error of there and back; by default 1e-9 in float64, else
            1e-4.
        identity: Whether the map claims to be the identity at first.
    """
    double = bijector.compute_dtype == "float64"
    atol = round_trip or (1e-9 if double else 1e-4)
    x = np.asarray(x, bijector.compute_dtype)
    if identity:
        z, log_det = map(np.asarray, bijector.forward_and_log_det(x, context))
        np.testing.assert_allclose(z, x, atol=atol)
        np.testing.assert_allclose(log_det, np.zeros(len(x)), atol=atol)
    stir(bijector, x, context)
    z, log_det = map(np.asarray, bijector.forward_and_log_det(x, context))
    assert log_det.shape == (len(x),) and z.dtype == log_det.dtype == x.dtype
    back, undone = map(np.asarray, bijector.inverse_and_log_det(z, context))
    np.testing.assert_allclose(back, x, atol=atol)
    np.testing.assert_allclose(undone, -log_det, atol=10 * atol)
    np.testing.assert_array_equal(bijector.forward(x, context), z)
    latent = np.random.default_rng(1).normal(size=z.shape).astype(z.dtype)
    data = bijector.inverse(latent, context)
    np.testing.assert_allclose(bijector.forward(data, context), latent, atol=atol)
    truth = _log_det_of_jacobian(bijector, x, context)
    np.testing.assert_allclose(log_det, truth, rtol=atol, atol=10 * atol)
    _check_every_weight_moves(bijector, x, context)
    _check_context_reaches(bijector, x, context)
    _check_saved(bijector, x, context, (z, log_det))


def stir(bijector, x, context=None, size=0.1):
    """Moves every trainable weight away from where it starts, after building."""
    rng = np.random.default_rng(0)
    bijector.forward(x, context)
    for weight in bijector.trainable_weights:
        weight.assign(weight + size * rng.normal(size=weight.shape))


def _log_det_of_jacobian(bijector, x, context):
    """`log |det dz / dx|` of each row, by automatic differentiation, `[batch]`.

    Rows are independent: the batch goes in once for each number of `z`, and one
    gradient gives all rows of all Jacobians.
    """
    import tensorflow as tf

    rows, dim = len(x), x[0].size
    copies = tf.constant(np.tile(x, (dim, *[1] * (x.ndim - 1))))
    if context is not None:
        context = np.tile(context, (dim, *[1] * (context.ndim - 1)))
    with tf.GradientTape() as tape:
        tape.watch(copies)
        z = tf.reshape(bijector.forward(copies, context), (dim, rows, dim))
        one_each = tf.reduce_sum(tf.einsum("ini->in", z))
    jacobian = tf.reshape(tape.gradient(one_each, copies), (dim, rows, dim))
    jacobian = np.moveaxis(np.asarray(jacobian, "float64"), 0, 1)
    return np.linalg.slogdet(jacobian)[1]


def _check_every_weight_moves(bijector, x, context):
    import tensorflow as tf

    weights = bijector.trainable_weights
    with tf.GradientTape() as tape:
        z, log_det = bijector.forward_and_log_det(x, context)
        loss = tf.reduce_sum(z**2) - tf.reduce_sum(log_det)
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, f"no gradient reaches {weight.path}"
        assert np.isfinite(gradient).all(), f"the gradient of {weight.path}"
        assert np.abs(gradient).max() > 0, f"{weight.path} stays where it is"


def _check_context_reaches(bijector, x, context):
    """In some row another context gives another number, channel by channel.

    Channels that come out as they went in are let off: a coupling's told half.
    """
    if context is None:
        return
    z, other = (np.asarray(bijector.forward(x, c)) for c in (context, -context))
    rows = tuple(range(x.ndim - 1))
    kept, same = (z == x).all(axis=rows), (z == other).all(axis=rows)
    deaf = np.flatnonzero(same & ~kept)
    assert not deaf.size, f"the context does not reach the channels {deaf}"


def _check_saved(bijector, x, context, expected):
    """Config and `.weights.h5` make a bijector of the same answers."""
    config = keras.saving.serialize_keras_object(bijector)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == bijector.get_config()
    copy.forward(x, context)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bijector.weights.h5"
        _model(bijector).save_weights(path)
        _model(copy).load_weights(path)
    z, log_det = copy.forward_and_log_det(x, context)
    np.testing.assert_array_equal(z, expected[0])
    np.testing.assert_array_equal(log_det, expected[1])


def _model(layer):
    """A model of one layer that is built: layers alone can not be saved."""
    model = keras.Model()
    model.layer = layer
    model.built = True
    return model
