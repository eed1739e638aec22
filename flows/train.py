"""Training of flows and of their baseline, one model after another."""

from flows.batching import bits_per_dim, trace_batches
from flows.models.registry import weights_file
from timbre.training import loop, optimisers
from timbre.training.array_dataset import batches
from timbre.training.distribution import is_chief, wait_for_all
from timbre.training.interrupts import Diverged


def fit(config, model, data, *, run, strategy):
    """Train the models of a run one after another: `fit_model` of each.

    Args:
        model: Dict, kind to a built `flows.models.latent_model.LatentModel`.
        config, data, run, strategy: As for `fit_model`.

    Returns:
        Dict, kind to its `timbre.training.loop.Result`.
    """
    return {
        kind: fit_model(config, one, data, kind=kind, run=run, strategy=strategy)
        for kind, one in model.items()
    }


def fit_model(config, model, data, *, kind, run, strategy):
    """Train a model and leave it with the weights of the best validation density.

    First the model is adapted to the training rows and the labels that are shown; a run
    that is resumed does it again and then restores its own weights. At the end stand
    `<kind>.weights.h5` and its sha256, and the optimiser's memory is free again.

    Args:
        config: A `flows.config.SpeechFlowConfig`.
        model: A built `LatentModel`, made in the scope of `strategy`.
        data: The `flows.data.SegmentSplits`; `valid` selects weights.
        kind: Name of the model in the run, and of its phase.
        run: A `timbre.training.run.Run`.
        strategy: A `tf.distribute.Strategy`.

    Returns:
        The `timbre.training.loop.Result`; its `best` is in bits per dimension.

    Raises:
        Diverged: The loss, or the validation density, is not finite any more.
    """
    shown = data.rows("train")
    model.adapt(shown["x"], shown["labels"])
    with strategy.scope():
        model.compile(optimizer=optimisers.build(config.optimiser, steps=config.steps))
    held_out = data.valid.x, data.valid.labels
    density = trace_batches(model.log_prob, *held_out)
    result = loop.fit(
        model,
        batches(shown, batch=config.batch, seed=config.seed),
        run=run,
        phase=kind,
        steps=config.steps,
        config=config,
        strategy=strategy,
        validate=lambda: {"bits": bits_per_dim(density, *held_out)},
        monitor="bits",
    )
    if result.best_weights is None:
        raise Diverged(
            f"No weights of {kind} gave held-out rows a finite density. Lower the "
            "learning rate, or bound the scales (`backbone.bound`)."
        )
    loop.select_weights(model, result, run=run, phase=kind, strategy=strategy)
    with strategy.scope():
        model.compile()  # lets go of the optimiser, which may be twice the model
    model.fit_class_means(shown["x"], shown["labels"])
    if is_chief(strategy):
        run.save_weights(model, weights_file(kind))
    wait_for_all(strategy)
    return result
