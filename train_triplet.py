"""Trains a speaker encoder: softmax, triplets, and what else is given steps.

    python train_triplet.py                              # tiny, on synthetic voices
    python train_triplet.py --corpus my_recordings       # folders named after speakers
    python train_triplet.py --preset paper --corpus LibriSpeech --strategy mirrored

The run folder ends with weights, figures, a card and a SavedModel. A run that was
stopped goes on when the same command is given again.
"""

import dataclasses

import configs
from training import options

MAY_CHANGE = ("corpus", "runs", "cache", "stop_after")  # what was heard is remembered
SETTINGS = (
    *("seed", "log_every", "validate_every", "save_every"),
    *("patience", "stop_after", "jit_compile"),
)
DATA = (
    *("cache", "crop_frames", "crop_lengths", "balance", "augmentation"),
    *("closed_share", "apart", "seed"),
)


def main(arguments=None):
    """Trains as the command line says; returns the folder of the run."""
    config, fresh = options.parse(
        configs.SPEAKER_ENCODERS, default="tiny", about=__doc__, arguments=arguments
    )
    plan = dataclasses.asdict(config)
    run = options.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=MAY_CHANGE
    )

    from corpora.synthetic.espeak import SynthesisError
    from serving.publish import publish
    from training import devices
    from training.run import RunError
    from training.safety import Diverged
    from voiceemb import phases, report
    from voiceemb.monitor import Collapsed
    from voiceemb.parts import remember
    from voiceemb.windows import signatures

    with options.preparing(run, SynthesisError):
        strategy, encoder, parts, voices = _prepare(config, plan)
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    with options.explained(ValueError, OSError, RunError, Diverged, Collapsed):
        remember(parts, run, sounds=voices.sha256)
        results = {
            phase.__name__: phase(
                encoder, voices, run=run, **plan[phase.__name__], **settings
            )
            for phase in phases.PHASES
            if plan[phase.__name__]["steps"]
        }
        if not devices.is_chief(strategy):
            return run.folder  # one process writes the rest
        run.save_weights(encoder)
        devices.open_strategy("default", policy="float32")  # for who serves it
        trained = report.finish(run, parts, results)
        served = signatures(trained.model, window=trained.window)
        publish(run.path("export"), served, about=trained.about)
    return run.folder


def _prepare(config, plan):
    """The devices, the untrained encoder on them, and the data, divided and cached."""
    from corpora.mixing import gather
    from training import devices, safety
    from voiceemb import data, encoders

    safety.make_deterministic(config.seed)
    strategy = devices.open_strategy(config.strategy, policy=config.policy)
    alone = not config.corpus
    corpus = gather(
        config.corpus,
        cache=config.cache,
        synthetic=plan["synthetic"] if alone or config.add_synthetic else None,
        num_styles=config.styles,
        seed=config.seed,
    )
    with strategy.scope():
        encoder = encoders.build(**plan["encoder"])
    parts, voices = data.prepare(
        corpus,
        encoder,
        validation=config.validation_speakers,
        test=config.test_speakers,
        exclude=config.exclude_speakers,
        kin=config.kin or None,
        **{name: plan[name] for name in DATA},
    )
    return strategy, encoder, parts, voices


if __name__ == "__main__":
    main()
