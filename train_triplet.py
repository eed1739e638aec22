"""Trains a speaker encoder: softmax, triplets, and what else is given steps.

    python train_triplet.py                              # tiny, on synthetic voices
    python train_triplet.py --corpus my_recordings       # folders named after speakers
    python train_triplet.py --preset paper --corpus LibriSpeech --strategy mirrored

The run folder ends with weights, figures, a card and a SavedModel. A run that was
stopped goes on when the same command is given again.
"""

import dataclasses

import configs
from timbre.training import script

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
    config, fresh = script.parse(
        configs.SPEAKER_ENCODERS, default="tiny", about=__doc__, arguments=arguments
    )
    plan = dataclasses.asdict(config)
    run = script.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=MAY_CHANGE
    )

    from timbre.corpora.synthetic.espeak import SynthesisError
    from timbre.serving.publish import publish
    from timbre.training import distribution
    from timbre.training.interrupts import Diverged
    from timbre.training.run import RunError
    from voiceemb import report, train
    from voiceemb.inference import signatures
    from voiceemb.training.collapse import Collapsed
    from voiceemb.training.splits import remember

    with script.preparing(run, SynthesisError):
        strategy, encoder, parts, voices = _prepare(config, plan)
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    with script.explained(ValueError, OSError, RunError, Diverged, Collapsed):
        remember(parts, run, sounds=voices.sha256)
        results = {
            phase.__name__: phase(
                encoder, voices, run=run, **plan[phase.__name__], **settings
            )
            for phase in train.PHASES
            if plan[phase.__name__]["steps"]
        }
        if not distribution.is_chief(strategy):
            return run.folder  # one process writes the rest
        run.save_weights(encoder)
        distribution.open_strategy("default", policy="float32")  # for who serves it
        trained = report.finish(run, parts, results)
        served = signatures(trained.model, window=trained.window)
        publish(run.path("export"), served, about=trained.about)
    return run.folder


def _prepare(config, plan):
    """The devices, the untrained encoder on them, and the data, divided and cached."""
    from timbre.corpora.gather import gather
    from timbre.training import distribution, interrupts
    from voiceemb import data
    from voiceemb.networks import speaker_encoder

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
        encoder = speaker_encoder.build(**plan["encoder"])
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
