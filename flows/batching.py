"""Functions of a model over more rows than fit into one batch."""

import math

import keras
import numpy as np

BLOCK = 2048  # rows of a batch


def map_batches(function, *arrays, block=BLOCK):
    """Applies a function of a model to rows in batches; traced if there are many.

    Args:
        function: Of tensors, one for each array; returns a tensor or a dict of such.
        *arrays: NumPy `[rows, ...]`, as many rows each, one or more.
        block: Rows of a batch. Defaults to `2048`.

    Returns:
        What the function returns, as NumPy.
    """
    if len(arrays[0]) > 2 * block:  # tracing takes as long as about three
        function = trace_batches(function, *arrays)
    found = []
    for start in range(0, len(arrays[0]), block):
        rows = [keras.ops.convert_to_tensor(a[start : start + block]) for a in arrays]
        result = function(*rows)
        found.append(keras.tree.map_structure(keras.ops.convert_to_numpy, result))
    return keras.tree.map_structure(lambda *values: np.concatenate(values), *found)


def trace_batches(function, *arrays):
    """Traces a function once for batches of such arrays, where the backend has graphs.

    One that is traced already is returned. Arguments are as for `map_batches`.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return function
    shapes = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arrays]
    graph = tf.function(function, input_signature=shapes, autograph=False)
    return graph.get_concrete_function()


def bits_per_dim(log_prob, x, labels):
    """Mean `-log2 p(x | labels) / D`, in bits per dimension of the features.

    Of a VAE it is an upper bound. Scaling a feature by `s` adds `log2(s)`: compare
    models of the same features only.

    Args:
        log_prob: Maps segments `[batch, *shape]` and labels to nats, `[batch]`.
        x: Segments `[n, *shape]` of D numbers each, one or more.
        labels: Class indices, int32 `[n, F]`, -1 to marginalise.
    """
    nats = map_batches(log_prob, x, labels).mean(dtype=float)
    return -float(nats) / math.prod(x.shape[1:]) / math.log(2)
