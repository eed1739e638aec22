"""Trains flows on speech: what is said apart from who says it.

    python train_flow.py --preset tiny                        # spectra of numbers
    python train_flow.py                                      # synthetic voices, phones
    python train_flow.py --preset digits --data.path rows.csv # words of a corpus

One after another, a VAE, a flow, a flow with classes for each factor and a factorial
one. The run folder ends with the weights of each, a report that compares them, figures,
a card and a SavedModel. A run that was stopped goes on when the same command is given
again.
"""

import dataclasses

import configs
from timbre.training import script

MAY_CHANGE = (  # its rows are remembered
    *("runs", "stop_after", "pairs"),
    *("data.path", "data.cache", "data.corpus"),
)
MADE_OF = (  # `flows.models.registry.build`
    *("backbone", "dims", "residual", "variance", "vae"),
    *("label_dropout", "ce_weight", "cross_penalty", "jitter", "seed"),
)
SETTINGS = (  # `flows.train.fit`
    *("steps", "batch", "seed", "log_every", "validate_every", "save_every"),
    *("patience", "stop_after", "jit_compile", "optimiser"),
)


def main(arguments=None):
    """Trains all models that the config names; returns the folder of the run."""
    config, fresh = script.parse(
        configs.SPEECH_FLOWS, default="default", about=__doc__, arguments=arguments
    )
    plan = dataclasses.asdict(config)
    run = script.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=MAY_CHANGE
    )

    from flows import data, report, train
    from flows.signatures import signatures
    from timbre.serving.publish import publish
    from timbre.training import distribution
    from timbre.training.interrupts import Diverged
    from timbre.training.run import RunError

    with script.preparing(run):
        strategy, models, parts = _prepare(plan)
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    with script.explained(ValueError, OSError, RunError, Diverged):
        parts.remember(run)
        results = {
            kind: train.fit(model, parts, run=run, kind=kind, **settings)
            for kind, model in models.items()
        }
        if not distribution.is_chief(strategy):
            return run.folder  # one process writes the rest
        report.finish(
            run, models, parts, results, pairs=plan["pairs"], seed=plan["seed"]
        )
        kind = "fdnf" if "fdnf" in models else list(models)[-1]
        about = train.about(run, kind, parts)
        front_end = None
        if "sample_rate" in parts.about:  # of sound, so that it takes waveforms
            front_end = data.front_end(parts.about)
        served = signatures(models[kind], front_end)
        publish(run.path("export"), served, about=about)
    return run.folder


def _prepare(plan):
    """The devices, the untrained models on them by kind, and the data, divided."""
    from flows import data, train
    from flows.models import registry as kinds
    from timbre.training import distribution, interrupts

    interrupts.make_deterministic(plan["seed"])
    strategy = distribution.open_strategy(plan["strategy"], policy=plan["policy"])
    told = {"segment": plan["segment"], "split_seed": plan["seed"]}
    parts = data.prepare(**plan["data"], **told)
    train.check(plan["batch"], parts.train, strategy)
    told = {name: plan[name] for name in MADE_OF}
    told |= {"shape": parts.train.x.shape[1:], "vocabulary": parts.vocabulary}
    names = kinds.names(plan["models"], parts.vocabulary)
    with strategy.scope():
        made = {kind: kinds.build(kind, **told) for kind in names}
    return strategy, made, parts


if __name__ == "__main__":
    main()
