"""The lessons of a speaker encoder: names, then distances, then names by a margin.

A phase compiles a learner around the encoder, feeds it from a cache, judges it by the
open-set EER of speakers it does not train on, and leaves the encoder with the weights
that did best: the averaged ones, where the optimiser keeps an average, since those are
what is judged and saved. Without speakers to judge by the last weights stay.
"""

import functools

from keras import ops

from timbre.training import loop, optimisers
from timbre.training.distribution import is_chief, wait_for_all
from voiceemb.losses.contrastive import ContrastLearner
from voiceemb.training.collapse import CollapseMonitor
from voiceemb.training.trainers import SpeakerClassifier, TripletLearner


def softmax(
    encoder,
    data,
    *,
    run,
    devices,
    steps,
    batch,
    dropout,
    optimiser,
    seed,
    head="softmax",
    scale=30.0,
    margin=0.2,
    margin_rise=(0, 0),
    sub_centres=1,
    **settings,
):
    """The encoder learns to name the training speakers.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `timbre.training.run.Run`.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, batch, dropout, head, scale, margin, margin_rise, sub_centres: See
            `settings.Softmax`.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Seed of dropout.
        **settings: `crop_frames`, see `settings.Softmax`, and what is passed on to
            `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.
    """
    _check_even("softmax.batch", batch, devices)
    with devices.scope():
        learner = SpeakerClassifier(
            encoder,
            data.num_classes,
            dropout=dropout,
            seed=seed,
            head=head,
            scale=scale,
            margin=margin,
            margin_rise=margin_rise,
            sub_centres=sub_centres,
            name="classifier",
        )
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
    """The encoder learns distances from triplets.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `timbre.training.run.Run`.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, strategy, batch, speakers, utterances, margin, reduction, warm_up: See
            `settings.Triplet`.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Seed of random positives and negatives.
        **settings: `crop_frames`, see `settings.Triplet`, and what is passed on to
            `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.

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
        draw = _groups(data, speakers, utterances, devices)
    return _fit(learner, draw, data, watch=CollapseMonitor("triplet"), **settings)


def metric(
    encoder,
    data,
    *,
    run,
    devices,
    steps,
    contrast,
    speakers,
    utterances,
    temperature,
    optimiser,
    seed,
    **settings,
):
    """The encoder learns distances from choices among the speakers of a batch.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `timbre.training.run.Run`.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, contrast, speakers, utterances, temperature: See `settings.Metric`.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Unused: nothing is drawn but the data.
        **settings: `crop_frames`, see `settings.Metric`, and what is passed on to
            `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.

    Raises:
        Collapsed: If all voices become one point.
    """
    with devices.scope():
        learner = ContrastLearner(
            encoder, contrast, temperature, name="contrast_learner"
        )
        learner.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    settings |= {"run": run, "phase": "metric", "steps": steps, "strategy": devices}
    draw = _groups(data, speakers, utterances, devices)
    return _fit(learner, draw, data, watch=CollapseMonitor("metric"), **settings)


def large_margin(
    encoder, data, *, run, devices, steps, batch, margin, optimiser, seed, **settings
):
    """The encoder names the speakers once more: longer crops, a larger margin.

    It is the encoder the phases before have left; the classes are those that the
    softmax phase of this run ended with, and so are their head, scale and number of
    centres.

    Args:
        encoder: A `SpeakerEncoder`.
        data: A `voiceemb.data.Data`.
        run: The run, a `timbre.training.run.Run` whose softmax phase has ended.
        devices: The `tf.distribute.Strategy` in whose scope `encoder` was made.
        steps, batch, margin: See `settings.LargeMargin`.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Unused: nothing is drawn but the data.
        **settings: `crop_frames`, see `settings.LargeMargin`, and what is passed on to
            `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.

    Reference:
        The IDLAB VoxSRC-20 Submission (Thienpondt et al., 2021), section 3.2,
        https://arxiv.org/abs/2010.11255
    """
    _check_even("large_margin.batch", batch, devices)
    same = {key: run.config["softmax"][key] for key in ("head", "scale", "sub_centres")}
    with devices.scope():
        learner = SpeakerClassifier(
            encoder, data.num_classes, margin=margin, name="classifier", **same
        )
        _take_classes(learner, run)
        learner.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    settings |= {"phase": "large_margin", "steps": steps, "strategy": devices}
    draw = functools.partial(data.draw.classes, batch=batch)
    return _fit(learner, draw, data, run=run, **settings)


PHASES = (softmax, triplet, metric, large_margin)  # in the order they are taught


def _fit(learner, draw, data, *, run, phase, steps, strategy, crop_frames=None, **rest):
    judge = data.judge(learner.encoder)
    result = loop.fit(
        learner,
        data.batches(draw, steps, crop_frames=crop_frames),
        run=run,
        phase=phase,
        steps=steps,
        strategy=strategy,
        measure=learner.measure,
        validate=judge,
        monitor="eer" if judge else None,
        **rest,
    )
    wait_for_all(strategy)  # until the chief has written the best weights
    if result.best_weights:
        run.load_weights(learner, result.best_weights)
        return result
    optimiser = getattr(learner.optimizer, "inner_optimizer", learner.optimizer)
    if optimiser.use_ema:
        optimiser.finalize_variable_values(learner.trainable_variables)
    if is_chief(strategy):
        run.save_weights(learner, _left(phase))
    wait_for_all(strategy)
    return result


def _left(phase):
    """The weights a phase leaves in its run: the best, or the last if none was."""
    return f"checkpoints/{phase}/best.weights.h5"


def _take_classes(learner, run):
    """Loads the classes of the softmax phase; the encoder stays as it is."""
    encoder = learner.encoder
    learner(ops.ones((1, 32, encoder.filterbank.num_bands)))
    kept = encoder.get_weights()
    run.load_weights(learner, _left("softmax"))
    encoder.set_weights(kept)


def _check_even(name, rows, devices):
    """Replicas of unequal batches would weigh their rows unequally."""
    if rows % devices.num_replicas_in_sync:
        raise ValueError(
            f"`{name}` must be a multiple of the number of replicas, "
            f"{devices.num_replicas_in_sync}. Received: {rows}"
        )


def _groups(data, speakers, utterances, devices):
    """Draws batches of several utterances of several speakers."""
    speakers = _speakers_of_a_batch(speakers, data.draw, devices)
    return functools.partial(data.draw.groups, speakers=speakers, utterances=utterances)


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
