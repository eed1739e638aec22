"""Teaching a model of segments, by the loop all systems share."""

from flows.batching import bits, trace_batches
from timbre.files import verify_sha256
from timbre.training import loop, optimisers
from timbre.training.array_dataset import batches
from timbre.training.distribution import is_chief, wait_for_all
from timbre.training.interrupts import Diverged


def fit(model, parts, *, run, kind, devices, steps, batch, optimiser, seed, **settings):
    """Trains a model and leaves it with the weights that held-out rows liked best.

    First the model is adapted to the rows to learn from and the labels that are shown:
    see `flows.models.latent_model.LatentModel.adapt`. As this depends on nothing else, a run that goes on
    does it again and then finds its own weights. At the end stand `<kind>.weights.h5`
    and its sha256, and the optimiser's memory is free again.

    Args:
        model: A built `flows.models.latent_model.LatentModel`, made in the scope of `devices`.
        parts: The `flows.data.Parts`; `train` is learned from, `valid` chooses.
        run: The run, a `timbre.training.run.Run`.
        kind: Name of the model in the run, and of its phase.
        devices: A `tf.distribute.Strategy`.
        steps, batch: How long, and how many rows a step.
        optimiser: Dict of arguments of `timbre.training.optimisers.build`.
        seed: Of the order of rows.
        **settings: For `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`; its `best` is in bits per dimension.

    Raises:
        ValueError: There are fewer rows than a batch has, or replicas can not share it.
        Diverged: The loss, or what held-out rows cost, is not finite any more.
    """
    shown = parts.rows("train")
    check(batch, parts.train, devices)
    model.adapt(shown["x"], shown["labels"])
    with devices.scope():
        model.compile(optimizer=optimisers.build(steps=steps, **optimiser))
    held = parts.valid.x, parts.valid.labels
    density = trace_batches(model.log_prob, *held)
    result = loop.fit(
        model,
        batches(shown, batch=batch, seed=seed),
        run=run,
        phase=kind,
        steps=steps,
        strategy=devices,
        validate=lambda: {"bits": bits(density, *held)},
        monitor="bits",
        **settings,
    )
    if result.best_weights is None:
        raise Diverged(
            f"No weights of {kind} gave held-out rows a finite density. Lower the "
            "learning rate, or bound the scales (`backbone.bound`)."
        )
    with devices.scope():
        model.compile()  # lets go of the optimiser, which may be twice the model
    wait_for_all(devices)  # one process has written what all read
    run.load_weights(model, result.best_weights)
    model.fit_class_means(shown["x"], shown["labels"])
    if is_chief(devices):
        run.save_weights(model, f"{kind}.weights.h5")
    wait_for_all(devices)
    return result


def check(batch, rows, devices):
    """Refuses batches that can not be made.

    Args:
        batch: Rows of a step.
        rows: The `flows.data.Rows` to learn from.
        devices: A `tf.distribute.Strategy`.

    Raises:
        ValueError: There are fewer rows than a batch has, or replicas can not share it.
    """
    if batch > len(rows):
        raise ValueError(
            "`batch` must be at most the number of rows to learn from, "
            f"{len(rows)}. Received: {batch}"
        )
    if batch % devices.num_replicas_in_sync:
        raise ValueError(
            "`batch` must be a multiple of the number of replicas, "
            f"{devices.num_replicas_in_sync}. Received: {batch}"
        )


def about(run, kind, parts):
    """What a model is, for those who meet only its export.

    Args:
        run: The run, with the model's weights.
        kind: Name of the model in the run.
        parts: The `flows.data.Parts` it learned from.
    """
    digest = verify_sha256(run.folder / f"{kind}.weights.h5")
    learned = {"data_sha256": parts.facts["sha256"]}
    facts = {name: parts.facts[name] for name in ("vocabulary", "shape", "about")}
    return {"run": run.folder.name, "model": kind, **facts, **learned, "sha256": digest}
