"""Training of a diffusion model over speaker embeddings."""

import keras
import numpy as np

from timbre.training import loop, optimisers
from timbre.training.array_dataset import batches
from timbre.training.distribution import is_chief


def fit(config, model, data, *, run, strategy):
    """Train a model, leave it with its averaged weights, return the `loop.Result`.

    Args:
        config: A `diffusion.speakers.config.SpeakerDiffusionConfig`.
        model: A `SpeakerDiffusion` made in the scope of `strategy`; its scaler is
            fitted here.
        data: The `diffusion.speakers.data.EmbeddingSplits`; the loss of the held-out
            rows is logged.
        run: A `timbre.training.run.Run`.
        strategy: A `tf.distribute.Strategy`.
    """
    train, held_out = data.rows()
    model.scaler.fit(train["x_0"])
    with strategy.scope():
        model.compile(optimizer=optimisers.build(config.optimiser, steps=config.steps))
    result = loop.fit(
        model,
        batches(train, batch=config.batch, seed=config.seed),
        run=run,
        phase="voices",
        steps=config.steps,
        config=config,
        strategy=strategy,
        validate=lambda: {"held_loss": loss(model, held_out)},
    )
    loop.select_weights(model, result, run=run, phase="voices", strategy=strategy)
    if is_chief(strategy):
        run.save_weights(model)
    return result


def loss(model, rows, draws=4):
    """Mean loss on rows of `EmbeddingSplits.rows`, each with some times and noises."""
    many = {name: np.repeat(column, draws, axis=0) for name, column in rows.items()}
    return float(np.mean(keras.ops.convert_to_numpy(model(many, training=False))))
