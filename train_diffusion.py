"""Trains a diffusion model: voices that never existed.

    python train_diffusion.py speakers                        # made-up points
    python train_diffusion.py speakers --set voices.npz       # what an encoder wrote
    python train_diffusion.py speakers --preset faithful      # the original, its faults

The run folder ends with weights, a report against baselines, figures, a card and a
SavedModel. A run that was stopped goes on when the same command is given again.
"""

import dataclasses
import sys

import configs
from timbre.training import script

MAY_CHANGE = ("set", "runs", "stop_after", "sampling.*")  # its rows are remembered
SETTINGS = (
    *("steps", "batch", "seed", "log_every", "validate_every", "save_every"),
    *("patience", "stop_after", "jit_compile", "optimiser"),
)


def main(arguments=None):
    """Trains the system that is named first; returns the folder of the run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["speakers"]:
        return speakers(arguments[1:])
    if arguments and set(arguments) <= {"-h", "--help"}:
        return print(f"usage: train_diffusion.py speakers [options]\n\n{__doc__}")
    sys.exit(f"error: name what to train: speakers. Received: {arguments[:1]}")


def speakers(arguments):
    """Trains a diffusion over speaker embeddings; returns the folder of the run."""
    config, fresh = script.parse(
        configs.SPEAKER_DIFFUSIONS,
        default="default",
        about=__doc__,
        arguments=arguments,
    )
    plan = dataclasses.asdict(config)
    run = script.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=MAY_CHANGE
    )

    from diffusion.speakers import report, train
    from diffusion.speakers.signatures import signatures
    from timbre.serving.publish import publish
    from timbre.training import distribution
    from timbre.training.interrupts import Diverged
    from timbre.training.run import RunError

    with script.preparing(run):
        strategy, model, parts = _prepare(plan)
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    with script.explained(ValueError, OSError, RunError, Diverged):
        parts.remember(run)
        result = train.fit(model, *parts.rows(), run=run, **settings)
        if not distribution.is_chief(strategy):
            return run.folder  # one process writes the rest
        run.save_weights(model)
        voices = report.finish(run, parts, result)
        publish(run.path("export"), signatures(voices), about=voices.about)
    return run.folder


def _prepare(plan):
    """The devices, the untrained model on them, and the set, divided."""
    from diffusion.speakers import data, generator, model
    from timbre.training import distribution, interrupts

    interrupts.make_deterministic(plan["seed"])
    strategy = distribution.open_strategy(plan["strategy"], policy=plan["policy"])
    names = ("set", "points", "level", "held", "labels", "blocks", "sphere", "seed")
    parts = data.prepare(**{name: plan[name] for name in names})
    with strategy.scope():
        made = model.build(**generator.model_arguments(plan, parts.facts))
    return strategy, made, parts


if __name__ == "__main__":
    main()
