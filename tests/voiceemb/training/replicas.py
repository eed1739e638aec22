"""Prints the losses of the trainers on one or two replicas, as JSON."""

import json
import sys
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from voiceemb.losses.contrastive import CONTRASTIVE_LOSSES
from voiceemb.networks import speaker_encoder
from voiceemb.training.trainers import (
    ContrastiveTrainer,
    SpeakerClassifier,
    TripletTrainer,
)


def main(replicas):
    if replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    rng = np.random.default_rng(0)
    features = rng.uniform(0.1, 9, (4, 3, 16, 64)).astype("float32")
    # Each half of the rows is the other half again, so replicas mine what one would.
    halves = np.concatenate([features[:2], features[:2]])
    groups = np.array([[0] * 3, [1] * 3] * 2, "int32")
    given = np.array([[0, 0, 1], [1, 1, 2], [2, 2, 0], [3, 3, 1]], "int32")
    # A contrast is that of a replica's own speakers: each gets the same two.
    own = halves[: 2 * replicas], groups[: 2 * replicas]
    found = {}
    for name, x, y, make in (
        ("random", features, given, lambda e: TripletTrainer(e, "random")),
        ("sum", features, given, lambda e: TripletTrainer(e, "random", 0.1, "sum")),
        ("mined", halves, groups, lambda e: TripletTrainer(e, "batch_hard")),
        ("classes", features[:, 0], given[:, 0], lambda e: SpeakerClassifier(e, 4)),
        (
            *("margin", features[:, 0], given[:, 0]),
            lambda e: SpeakerClassifier(e, 4, head="aam", sub_centres=2),
        ),
        *(
            (name, *own, partial(ContrastiveTrainer, contrast=name))
            for name in CONTRASTIVE_LOSSES
        ),
    ):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            model = make(
                speaker_encoder.build(
                    stages=(4,), num_blocks=1, embedding_dim=8, weight_decay=0.1
                )
            )
            model(x[:1])
        data = tf.data.Dataset.from_tensors((x, y)).unbatch().batch(len(x))
        batch = next(iter(strategy.experimental_distribute_dataset(data)))

        def loss_of(batch, model=model):
            x, y = batch
            return model.compute_loss(x, y, model(x, training=False))

        loss = strategy.run(tf.function(loss_of), args=(batch,))
        found[name] = float(strategy.reduce("SUM", loss, axis=None))
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
