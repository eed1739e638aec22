"""A small run in a process of its own, to be killed, interrupted and resumed.

Batch statistics, dropout, a learning rate schedule, averaged weights, and batches
that may hold a NaN: everything that must survive. Writes its whole state at the end.
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from timbre.training import distribution
from timbre.training.config import LoopConfig
from timbre.training.interrupts import make_deterministic
from timbre.training.loop import fit
from timbre.training.run import Run


def batches(step, nan_at=-1):
    """Global batches of 8 rows, a function of the step; row 0 of one may be NaN."""

    def make(i):
        x = tf.random.stateless_normal((8, 4), seed=[0, i])
        bad = tf.equal(i, nan_at) & (tf.range(8) == 0)
        return tf.where(bad[:, None], float("nan"), x), tf.reduce_sum(x, 1)[:, None]

    return tf.data.Dataset.range(step, 10**9).map(make)


def rich_model():
    """A network that holds every kind of state a run can have."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model.compile(keras.optimizers.Adam(rate, use_ema=True), loss="mse")
    return model


def plain_model():
    """A network whose gradient is the same however a batch is split."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss="mse")
    return model


def open_strategy(replicas):
    """Several workers, or a mirrored strategy on so many pretended processors."""
    if "TF_CONFIG" in os.environ:
        return distribution.open_strategy("multiworker")
    if replicas == 1:
        return tf.distribute.get_strategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, logical)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--nan-at", type=int, default=-1)
    parser.add_argument("--pause-s", type=float, default=0.0)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    make_deterministic(0)
    strategy = open_strategy(given.replicas)
    with strategy.scope():
        model = plain_model() if given.plain else rich_model()
    first = model.trainable_variables[0].value
    chief = distribution.is_chief(strategy)
    config = {"replicas": given.replicas}
    result = fit(
        model,
        lambda step: batches(step, given.nan_at),
        run=Run.open(given.folder, config, exclusive=chief),
        phase="only",
        steps=given.steps,
        measure=lambda x, y, y_pred: {"error": tf.reduce_mean(tf.abs(y - y_pred))},
        watch=lambda step, logs: time.sleep(given.pause_s),
        validate=lambda: {"norm": np.linalg.norm(first.numpy())},
        monitor="norm",
        config=LoopConfig(log_every=4, validate_every=10, save_every=3),
        strategy=strategy,
    )
    copies = {
        f"{index:02} {variable.path} {copy}": part.numpy()
        for index, variable in enumerate(model.variables + model.optimizer.variables)
        for copy, part in enumerate(strategy.experimental_local_results(variable.value))
    }
    about = {"best": result.best, "best_step": result.best_step}
    np.savez(given.out, skipped=result.skipped, **about, **copies)


if __name__ == "__main__":
    main()
