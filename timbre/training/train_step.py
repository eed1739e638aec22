"""One training step, skipped and counted where the batch is not finite.

If every replica's loss, gradients and batch statistics are finite, all replicas apply
the summed gradients; else all put back what the forward pass touched (the statistics,
the states of seed generators) and apply nothing, as if the batch had never been: all
states are those of the step before, to the bit.

Keras leaves each replica its own batch statistics. Here they are averaged after
every step, so that all replicas count and one copy, the saved one, is all there is.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from timbre.training.checkpoint import TrainState


def compile_step(
    model: keras.Model,
    state: TrainState,
    signature: Any,
    *,
    strategy: tf.distribute.Strategy,
    measure: Callable[..., dict] | None = None,
    jit_compile: bool = False,
) -> Callable[..., dict]:
    """A `tf.function` that takes one step and returns what it measured.

    Args:
        model, strategy: As for `timbre.training.loop.fit`, the model built.
        state: A `TrainState`; its `skipped` and `streak` are counted here.
        signature: Element spec of the distributed dataset.
        measure: Maps `(x, y, y_pred)` to a dict of scalars, averaged over replicas.
        jit_compile: Whether XLA compiles the forward and backward pass.
    """
    optimizer, weights = model.optimizer, model.trainable_variables
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    touched = _touched(model)
    # each device's own copy, as replicas may disagree; reading them copies nothing
    copies = [c for v in touched for c in strategy.experimental_local_results(v)]
    # variables made untrainable, unlike weights that were frozen later
    statistics = [v for v in touched if v.dtype.is_floating and not v.trainable]

    def differentiate(batch):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
            objective = optimizer.scale_loss(loss)
        gradients = tape.gradient(objective, weights)
        logs = measure(x, y, y_pred) if measure else {}
        return loss, gradients, _finite([loss, *gradients, *statistics]), logs

    def apply(gradients):
        strategy.run(lambda g: optimizer.apply(g, weights), args=(gradients,))
        if statistics and strategy.num_replicas_in_sync > 1:
            strategy.run(_average_over_replicas, args=(statistics,))
        return tf.constant(0, tf.int64)

    def undo(gradients, before):
        for copy, value in zip(copies, before, strict=True):
            copy.assign(value)
        if scaled:  # its own rule for bad gradients: lower the scale, touch no weight
            strategy.run(lambda g: optimizer.apply(_make_nan(g), weights), (gradients,))
        return tf.constant(1, tf.int64)

    if jit_compile:
        differentiate = tf.function(differentiate, jit_compile=True)

    @tf.function(input_signature=[signature])
    def step(batch):
        before = [tf.identity(copy) for copy in copies]
        loss, gradients, finite, logs = strategy.run(differentiate, args=(batch,))
        good = strategy.reduce("SUM", finite, axis=None)
        skip = tf.cond(
            tf.equal(good, strategy.num_replicas_in_sync),
            lambda: apply(gradients),
            lambda: undo(gradients, before),
        )
        state.skipped.assign_add(skip)
        state.streak.assign((state.streak + skip) * skip)
        means = {k: strategy.reduce("MEAN", v, axis=None) for k, v in logs.items()}
        return {"loss": strategy.reduce("SUM", loss, axis=None), **means}

    return step


def _touched(model):
    """The variables that a forward pass may change: statistics and random states."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [v.value for v in model.non_trainable_variables if id(v) not in metrics]


def _average_over_replicas(variables):
    """Run by each replica: give all of them the mean of their values."""
    replica = tf.distribute.get_replica_context()
    means = replica.all_reduce("MEAN", [tf.identity(v) for v in variables])
    for variable, value in zip(variables, means, strict=True):
        variable.assign(value)


def _finite(tensors):
    """1 if every number is finite, else 0: replicas are counted by a sum."""
    values = [t.values if isinstance(t, tf.IndexedSlices) else t for t in tensors]
    flags = [tf.reduce_all(tf.math.is_finite(v)) for v in values if v is not None]
    return tf.cast(tf.reduce_all(flags), tf.int32)


def _make_nan(gradients):
    return [g if g is None else g * float("nan") for g in gradients]
