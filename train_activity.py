"""Trains the detector of speech: a small network, scenes of speech in made-up noise.

    python train_activity.py                             # on synthetic voices
    python train_activity.py --corpus my_recordings      # folders named after speakers

The run folder ends with weights, `activity.json`, a history and a card, and
`voiceemb.vad.network.NetworkDetector` takes it. A run that was stopped goes on when the
same command is given again.
"""

import dataclasses

import configs
from timbre.training import script

MAY_CHANGE = ("corpus", "runs", "cache", "stop_after")  # what was heard is remembered
SETTINGS = (
    *("steps", "batch", "optimiser", "log_every", "validate_every", "save_every"),
    *("patience", "stop_after", "jit_compile"),
)
DATA = (
    *("exclude_speakers", "validation_speakers", "validation_scenes"),
    *("scenes", "seed"),
)


def main(arguments=None):
    """Trains as the command line says; returns the folder of the run."""
    config, fresh = script.parse(
        configs.ACTIVITY, default="default", about=__doc__, arguments=arguments
    )
    plan = dataclasses.asdict(config)
    run = script.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=MAY_CHANGE
    )

    from timbre.corpora.synthetic.espeak import SynthesisError
    from timbre.training import distribution
    from timbre.training.interrupts import Diverged
    from timbre.training.run import RunError
    from voiceemb.vad import train

    with script.preparing(run, SynthesisError):
        strategy, network, lessons, exam, facts = _prepare(config, plan)
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    with script.explained(ValueError, OSError, RunError, Diverged):
        run.remember("speakers.json", facts)
        result = train.fit(network, lessons, exam, run=run, **settings)
        if distribution.is_chief(strategy):  # one process writes the rest
            train.finish(run, network, exam, facts, result)
    return run.folder


def _prepare(config, plan):
    """The devices, the untrained network on them, and the scenes."""
    from timbre.corpora.gather import gather
    from timbre.training import distribution, interrupts
    from voiceemb.vad import train
    from voiceemb.vad.network import ActivityNetwork

    interrupts.make_deterministic(config.seed)
    strategy = distribution.open_strategy(config.strategy, policy=config.policy)
    alone = not config.corpus
    corpus = gather(
        config.corpus,
        cache=config.cache,
        synthetic=plan["synthetic"] if alone or config.add_synthetic else None,
        num_styles=config.styles,
        seed=config.seed,
    )
    with strategy.scope():
        network = ActivityNetwork(**plan["network"])
    told = {name: plan[name] for name in DATA}
    return strategy, network, *train.prepare(corpus, **told)


if __name__ == "__main__":
    main()
