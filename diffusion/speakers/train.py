"""Teaching a diffusion model what voices there are, by the loop all systems share."""

import keras
import numpy as np

from timbre.training import loop, optimisers
from timbre.training.array_dataset import batches
from timbre.training.distribution import is_chief, wait_for_all

LEFT = "checkpoints/voices/left.weights.h5"  # what the phase leaves: the averages


def fit(
    model, learn, held=None, *, run, devices, steps, batch, optimiser, seed, **settings
):
    """Trains a model on the rows of a set and leaves it with its averaged weights.

    Args:
        model: A `SpeakerDiffusion` made in the scope of `devices`; its scaler is
            fitted here.
        learn: Dict of `x_0`, float32 `[n, dim]`, and `labels`, int32 `[n, a]`.
        held: The same of other speakers, whose loss is shown; or `None`.
        run: The run, a `timbre.training.run.Run`.
        devices: A `tf.distribute.Strategy`.
        steps, batch: How long, and how many rows a step.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Of the order of rows.
        **settings: For `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.
    """
    if batch % devices.num_replicas_in_sync:
        raise ValueError(
            "`batch` must be a multiple of the number of replicas, "
            f"{devices.num_replicas_in_sync}. Received: {batch}"
        )
    model.scaler.fit(learn["x_0"])
    with devices.scope():
        model.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    result = loop.fit(
        model,
        batches(learn, batch=batch, seed=seed),
        run=run,
        phase="voices",
        steps=steps,
        strategy=devices,
        validate=None if held is None else lambda: {"held_loss": loss(model, held)},
        **settings,
    )
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if inner.use_ema:
        inner.finalize_variable_values(model.trainable_variables)
    if is_chief(devices):
        run.save_weights(model, LEFT)
    wait_for_all(devices)
    return result


def loss(model, rows, draws=4):
    """Mean loss on some rows, each with several times and noises, never trained on.

    Args:
        model: A `SpeakerDiffusion`.
        rows: As `fit` takes them.
        draws: Times and noises for each row.
    """
    many = {name: np.repeat(column, draws, axis=0) for name, column in rows.items()}
    return float(np.mean(keras.ops.convert_to_numpy(model(many, training=False))))
