"""The two lessons of a speaker encoder: first names, then distances.

A phase compiles a learner around the encoder, feeds it from a cache, judges it by the
open-set EER of speakers it does not train on, and leaves the encoder with the weights
that did best.
"""

import functools

from training import loop, optimisers
from training.devices import wait_for_all
from voiceemb.learners import SpeakerClassifier, TripletLearner
from voiceemb.monitor import CollapseMonitor


def softmax(
    encoder, data, *, run, devices, steps, batch, dropout, optimiser, seed, **settings
):
    """Phase one: the encoder learns to name the training speakers.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `training.run.Run`.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, batch, dropout: See `configs.Softmax`.
        optimiser: Dict of arguments of `training.optimisers.build`.
        seed: Seed of dropout.
        **settings: Passed on to `training.loop.fit`.

    Returns:
        The `training.loop.Result`.
    """
    _check_even("softmax.batch", batch, devices)
    speakers = len(data.train.speakers)
    with devices.scope():
        learner = SpeakerClassifier(encoder, speakers, dropout, seed, name="classifier")
        learner.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    settings |= {"run": run, "phase": "softmax", "steps": steps, "strategy": devices}
    draw = functools.partial(data.draw.classes, batch=batch)
    return _fit(learner, draw, data, **settings)


def triplet(
    encoder,
    data,
    *,
    run,
    devices,
    steps,
    strategy,
    batch,
    speakers,
    utterances,
    margin,
    reduction,
    warm_up,
    optimiser,
    seed,
    **settings,
):
    """Phase two: the encoder learns distances from triplets.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `training.run.Run`.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, strategy, batch, speakers, utterances, margin, reduction, warm_up: See
            `configs.Triplet`.
        optimiser: Dict of arguments of `training.optimisers.build`.
        seed: Seed of random positives and negatives.
        **settings: Passed on to `training.loop.fit`.

    Returns:
        The `training.loop.Result`.

    Raises:
        Collapsed: If all voices become one point.
    """
    with devices.scope():
        learner = TripletLearner(
            encoder, strategy, margin, reduction, warm_up, seed, name="triplet_learner"
        )
        learner.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    settings |= {"run": run, "phase": "triplet", "steps": steps, "strategy": devices}
    if strategy == "random":
        _check_even("triplet.batch", batch, devices)
        draw = functools.partial(data.draw.triplets, batch=batch)
    else:
        speakers = _speakers_of_a_batch(speakers, data.draw, devices)
        draw = functools.partial(
            data.draw.groups, speakers=speakers, utterances=utterances
        )
    return _fit(learner, draw, data, watch=CollapseMonitor(), **settings)


def _fit(learner, draw, data, *, run, steps, strategy, **settings):
    judge = data.judge(learner.encoder)
    result = loop.fit(
        learner,
        data.batches(draw, steps),
        run=run,
        steps=steps,
        strategy=strategy,
        measure=learner.measure,
        validate=judge,
        monitor="eer" if judge else None,
        **settings,
    )
    wait_for_all(strategy)  # until the chief has written the best weights
    if result.best_weights:
        run.load_weights(learner, result.best_weights)
    elif learner.optimizer.use_ema:
        learner.optimizer.finalize_variable_values(learner.trainable_variables)
    return result


def _check_even(name, rows, devices):
    """Replicas of unequal batches would weigh their rows unequally."""
    if rows % devices.num_replicas_in_sync:
        raise ValueError(
            f"`{name}` must be a multiple of the number of replicas, "
            f"{devices.num_replicas_in_sync}. Received: {rows}"
        )


def _speakers_of_a_batch(speakers, draw, devices):
    """As many speakers as asked and there are, evenly over replicas, two on each."""
    replicas = devices.num_replicas_in_sync
    found = min(speakers, len(draw.names)) // replicas * replicas
    if found < 2 * replicas:
        raise ValueError(
            "Every replica must get at least two speakers, or it has no triplet. "
            f"Received: {min(speakers, len(draw.names))} speakers in a batch for "
            f"{replicas} replicas"
        )
    return found
