"""Checks of a request inside a served graph.

A server passes on whatever it is sent, so the limits of the inputs stand in the graph.
A check is an op that fails with its rule in words; it runs before what depends on it:

    with tf.control_dependencies([check_finite(x, "x")]):
        x = tf.identity(x)
"""

from collections.abc import Mapping

import tensorflow as tf


def check_finite(x: tf.Tensor, name: str) -> tf.Operation:
    """Refuses NaN and infinity in a tensor, which the error calls `name`."""
    return tf.debugging.assert_all_finite(x, f"`{name}` must be finite")


def check_between(value: tf.Tensor, low: int, high: int, name: str) -> list:
    """Refuses numbers below `low` or above `high`, both of which are allowed."""
    rule = f"`{name}` must be between {low} and {high}"
    return [
        tf.debugging.assert_greater_equal(value, low, rule),
        tf.debugging.assert_less_equal(value, high, rule),
    ]


def check_labels(
    labels: tf.Tensor, num_classes: Mapping[str, int], name: str
) -> tf.Operation:
    """Refuses what is neither a class index of its factor nor -1, for unknown.

    Args:
        labels: int32 `[..., factors]`, called `name` in the error.
        num_classes: Of each factor; 0 allows -1 only.
        name: As the request calls the labels.
    """
    limits = tf.constant([*num_classes.values()], tf.int32)
    known = tf.reduce_all((labels >= -1) & (labels < limits))
    factors = ", ".join(factor for factor, num in num_classes.items() if num) or "none"
    rule = f"`{name}` must be class indices of what the model has ({factors}) or -1"
    return tf.debugging.assert_equal(known, True, rule)


def check_same_rows(x: tf.Tensor, y: tf.Tensor, names: tuple[str, str]) -> tf.Operation:
    """Refuses two tensors of which one has more rows; `names` are theirs."""
    rule = "`{1}` must have as many rows as `{0}`".format(*names)
    return tf.debugging.assert_equal(tf.shape(x)[0], tf.shape(y)[0], rule)
