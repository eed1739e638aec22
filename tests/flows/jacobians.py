"""Bijectors moved away from their start, and their Jacobians."""

import numpy as np
import tensorflow as tf


def shaken(bijector, scale=0.2):
    """A built bijector, noise of this deviation added to its trained weights."""
    rng = np.random.default_rng(0)
    for weight in bijector.trainable_weights:
        weight.assign(weight + scale * rng.normal(size=weight.shape))
    return bijector


def slopes(function, x):
    """`d function(x) / d x` of each row, `[batch, dim]` to `[batch, dim, dim]`.

    Rows are independent: the batch goes in once for each output, and one gradient
    gives all.
    """
    rows, dim = x.shape
    copies = tf.constant(np.tile(x, (dim, 1)))
    with tf.GradientTape() as tape:
        tape.watch(copies)
        z = tf.reshape(function(copies), (dim, rows, dim))
        one_each = tf.reduce_sum(tf.einsum("ini->in", z))
    found = tf.reshape(tape.gradient(one_each, copies), (dim, rows, dim))
    return np.moveaxis(found.numpy(), 0, 1)
