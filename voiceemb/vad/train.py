"""Training of the voice activity network on simulated mixtures."""

import keras

from timbre.training import loop, optimisers
from timbre.training.distribution import is_chief
from voiceemb.vad.evaluate import evaluate
from voiceemb.vad.network import WEIGHTS


def fit(config, model, data, *, run, strategy):
    """Train a network and leave it with the weights of the lowest validation loss.

    Args:
        config: A `voiceemb.vad.config.VadConfig`.
        model: An `ActivityNetwork`, made in the scope of `strategy`.
        data: The `voiceemb.vad.data.VadData`.
        run, strategy: A `timbre.training.run.Run` and a `tf.distribute.Strategy`.

    Returns:
        The `timbre.training.loop.Result`.
    """
    with strategy.scope():
        model.compile(
            optimizer=optimisers.build(config.optimiser, steps=config.steps),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
    result = loop.fit(
        model,
        data.train.batches(batch=config.batch, ahead=model.ahead),
        run=run,
        phase="activity",
        steps=config.steps,
        config=config,
        strategy=strategy,
        validate=lambda: evaluate(model, data.waveforms, data.active),
        monitor="loss",
    )
    loop.select_weights(model, result, run=run, phase="activity", strategy=strategy)
    if is_chief(strategy):
        run.save_weights(model, WEIGHTS)
    return result
