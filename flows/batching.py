"""Blocks: functions of a model over more rows than it should see at once."""

import math

import keras
import numpy as np

BLOCK = 2048  # rows mapped at once


def map_batches(function, *arrays, block=BLOCK):
    """Maps rows by a function of a model, in blocks; compiled if there are many.

    Args:
        function: Of tensors, one for each array; gives a tensor or a dict of such.
        *arrays: NumPy `[rows, ...]`, as many rows each, one or more.
        block: Rows at once. Defaults to `2048`.

    Returns:
        What the function gives, as NumPy.
    """
    if len(arrays[0]) > 2 * block:  # to trace takes as long as about three blocks
        function = trace_batches(function, *arrays)
    found = []
    for start in range(0, len(arrays[0]), block):
        given = (keras.ops.convert_to_tensor(a[start : start + block]) for a in arrays)
        found.append(
            keras.tree.map_structure(keras.ops.convert_to_numpy, function(*given))
        )
    return keras.tree.map_structure(lambda *part: np.concatenate(part), *found)


def trace_batches(function, *arrays):
    """A function traced once for blocks of such arrays, if there is a graph to trace.

    Args:
        function: See map_batches; one that is traced already is given back.
        *arrays: NumPy `[rows, ...]`.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return function
    shapes = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arrays]
    graph = tf.function(function, input_signature=shapes, autograph=False)
    return graph.get_concrete_function()


def bits(log_prob, x, labels):
    """Mean `-log2 p(x | labels) / D`, in bits per dimension of the features.

    Of a VAE it is the mean bound, which lies above. Scaling a feature by `s` adds
    `log2(s)`, so these bits compare models of the same features only.

    Args:
        log_prob: Maps segments `[batch, *shape]` and labels to nats, `[batch]`.
        x: Segments `[n, *shape]` of D numbers each, one or more.
        labels: Int32 `[n, F]`, -1 where they are not to be told.
    """
    nats = map_batches(log_prob, x, labels).mean(dtype=float)
    return -float(nats) / math.prod(x.shape[1:]) / math.log(2)
