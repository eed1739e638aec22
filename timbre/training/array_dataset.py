"""Shuffled batches of arrays in memory, as a pure function of seed and step.

Every epoch has every row once, in an order of its own; a batch that crosses the end of
an epoch continues in the next.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def batches(
    arrays: Any, *, batch: int, seed: int = 0
) -> Callable[[int], tf.data.Dataset]:
    """The endless batches of a training, for `timbre.training.loop.fit`.

    Args:
        arrays: An array `[rows, ...]`, or a dict of arrays of as many rows.
        batch: Rows of a batch.
        seed: Of the orders.

    Returns:
        Function from a step to the `tf.data.Dataset` of batches from there on, each a
        tuple of one structure as `arrays`.
    """
    columns = tf.nest.map_structure(tf.convert_to_tensor, arrays)
    sizes = {int(column.shape[0]) for column in tf.nest.flatten(columns)}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"Arrays need as many rows each, at least one. Received: {sorted(sizes)}"
        )
    (num_rows,) = sizes

    def rows(step):
        place = step * batch + tf.range(batch, dtype=tf.int64)
        epoch = tf.cast(place // num_rows, tf.uint32)
        keys = [tf.fill([batch], tf.constant(k, tf.uint32)) for k in (seed, 0)]
        # the raw op, whose wrapper in `tf.random` takes only one seed for all
        return tf.raw_ops.RandomIndexShuffle(
            index=place % num_rows,
            seed=tf.stack([*keys, epoch], axis=1),
            max_index=tf.constant(num_rows - 1, tf.int64),
        )

    def take(step):
        index = rows(step)
        return (tf.nest.map_structure(lambda x: tf.gather(x, index), columns),)

    def after(step):
        return tf.data.Dataset.counter(step).map(take).prefetch(8)

    return after
