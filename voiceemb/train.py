"""Training stages of a speaker encoder.

Softmax pre-training, triplet fine-tuning, contrastive fine-tuning and large-margin
fine-tuning, each if it is given steps. A stage trains a model around the encoder by
`timbre.training.loop.fit` and leaves it with the best weights by the EER of validation
speakers: the averages (EMA) where the optimiser keeps them. Without validation speakers
the last weights stay.

Every stage is a function of `(config, encoder, data, *, run, strategy)`, see `fit`; it
returns its trainer and the function that samples its batches.
"""

import functools

from keras import ops

from timbre.training import loop, optimisers
from timbre.training.distribution import is_chief
from voiceemb.training.trainers import (
    ContrastiveTrainer,
    SpeakerClassifier,
    TripletTrainer,
)
from voiceemb.training.validation import CollapseDetector


def fit(config, model, data, *, run, strategy):
    """Train an encoder through its stages and write its weights.

    Args:
        config: A `voiceemb.config.SpeakerEncoderConfig`.
        model: The `SpeakerEncoder`, built in the scope of `strategy`.
        data: A `voiceemb.data.EncoderData`.
        run: A `timbre.training.run.Run`.
        strategy: A `tf.distribute.Strategy`.

    Returns:
        Dict, name of each stage to its `timbre.training.loop.Result`.

    Raises:
        CollapseError: All speakers have nearly one embedding.
    """
    results = {}
    for prepare in STAGES:
        name = prepare.__name__
        if getattr(config, name).steps:
            with strategy.scope():
                stage = prepare(config, model, data, run=run, strategy=strategy)
            results[name] = _fit(name, *stage, config, data, run=run, strategy=strategy)
    if is_chief(strategy):
        run.save_weights(model)
    return results


def softmax(config, encoder, data, *, run, strategy):
    """Classify the training speakers, by softmax or a margin softmax."""
    stage = config.softmax
    trainer = SpeakerClassifier(
        encoder,
        data.num_classes,
        dropout=stage.dropout,
        seed=config.seed,
        head=stage.head,
        scale=stage.scale,
        margin=stage.margin,
        margin_rise=stage.margin_rise,
        sub_centres=stage.sub_centres,
        name="classifier",
    )
    return trainer, functools.partial(data.sampler.classes, batch=stage.batch)


def triplet(config, encoder, data, *, run, strategy):
    """Triplet loss, with triplets mined in batches or sampled at random."""
    stage = config.triplet
    trainer = TripletTrainer(
        encoder,
        stage.strategy,
        stage.margin,
        stage.reduction,
        stage.warm_up,
        config.seed,
        name="triplet_learner",
    )
    if stage.strategy == "random":
        return trainer, functools.partial(data.sampler.triplets, batch=stage.batch)
    return trainer, _sample_groups(stage, data, strategy)


def metric(config, encoder, data, *, run, strategy):
    """Contrastive loss over the speakers of a batch."""
    stage = config.metric
    trainer = ContrastiveTrainer(
        encoder, stage.contrast, stage.temperature, name="contrast_learner"
    )
    return trainer, _sample_groups(stage, data, strategy)


def large_margin(config, encoder, data, *, run, strategy):
    """Large-margin fine-tuning: longer crops, a larger margin.

    It starts from the encoder that the stages before have left; the classes, their head
    and its scale are those of the softmax stage of this run.

    Reference:
        The IDLAB VoxSRC-20 Submission (Thienpondt et al., 2021), section 3.2,
        https://arxiv.org/abs/2010.11255
    """
    stage, first = config.large_margin, config.softmax
    trainer = SpeakerClassifier(
        encoder,
        data.num_classes,
        head=first.head,
        scale=first.scale,
        margin=stage.margin,
        sub_centres=first.sub_centres,
        name="classifier",
    )
    _load_classes(trainer, run)
    return trainer, functools.partial(data.sampler.classes, batch=stage.batch)


STAGES = (softmax, triplet, metric, large_margin)  # in the order of training


def _fit(name, trainer, sample, config, data, *, run, strategy):
    """Compile and fit a trainer, and select its weights."""
    stage = getattr(config, name)
    with strategy.scope():
        trainer.compile(optimizer=optimisers.build(stage.optimiser, steps=stage.steps))
    validate = data.validate(trainer.encoder)
    result = loop.fit(
        trainer,
        data.batches(sample, stage.steps, crop_frames=stage.crop_frames),
        run=run,
        phase=name,
        steps=stage.steps,
        config=config,
        strategy=strategy,
        measure=trainer.measure,
        watch=CollapseDetector(name) if name in ("triplet", "metric") else None,
        validate=validate,
        monitor="eer" if validate else None,
    )
    loop.select_weights(trainer, result, run=run, phase=name, strategy=strategy)
    return result


def _load_classes(trainer, run):
    """Load the classes of the softmax stage; the encoder stays as it is."""
    encoder = trainer.encoder
    trainer(ops.ones((1, 32, encoder.filterbank.num_bands)))
    kept = encoder.get_weights()
    run.load_weights(trainer, loop.best_weights_name("softmax"))
    encoder.set_weights(kept)


def _sample_groups(stage, data, strategy):
    """Samples batches of several utterances of several speakers."""
    speakers = _speakers_per_batch(stage.speakers, data.sampler, strategy)
    sizes = {"speakers": speakers, "utterances": stage.utterances}
    return functools.partial(data.sampler.groups, **sizes)


def _speakers_per_batch(speakers, sample, strategy):
    """As many speakers as asked and there are, evenly over replicas, two on each."""
    replicas = strategy.num_replicas_in_sync
    there = min(speakers, len(sample.speakers))
    if there < 2 * replicas:
        raise ValueError(
            "Every replica must get at least two speakers, or it has no triplet. "
            f"Received: {there} speakers in a batch for {replicas} replicas"
        )
    return there // replicas * replicas
