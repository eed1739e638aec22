"""Trains a speaker encoder: softmax first, then the cosine triplet loss.

    python train_triplet.py                              # tiny, on synthetic voices
    python train_triplet.py --corpus my_recordings       # folders named after speakers
    python train_triplet.py --preset paper --corpus LibriSpeech --strategy mirrored

The run folder ends with weights, figures, a card and a SavedModel. A run that was
stopped goes on when the same command is given again.
"""

import dataclasses

import configs
from training import options

SETTINGS = (
    *("seed", "log_every", "validate_every", "save_every"),
    *("patience", "jit_compile"),
)


def main(arguments=None):
    """Trains as the command line says; returns the folder of the run."""
    config, fresh = options.parse(
        configs.SPEAKER_ENCODERS, default="tiny", about=__doc__, arguments=arguments
    )
    plan = dataclasses.asdict(config)
    run = options.open_run(
        config.runs, config.name, plan, fresh=fresh, may_change=("runs", "cache")
    )

    from audio.augment import Augmenter
    from corpora import folders
    from corpora.synthetic.render import render
    from serving.publish import publish
    from training import devices, safety
    from voiceemb import data, encoders, phases, report
    from voiceemb.encoder import signatures

    safety.make_deterministic(config.seed)
    strategy = devices.open_strategy(config.strategy, policy=config.policy)
    if config.corpus:
        corpus = folders.open_corpus(config.corpus)
    else:
        corpus = render(**plan["synthetic"])
    parts = data.divide(
        corpus,
        validation=config.validation_speakers,
        test=config.test_speakers,
        closed_share=config.closed_share,
        exclude=config.exclude_speakers,
        seed=config.seed,
    )
    run.write_json("speakers.json", parts.speakers())
    with strategy.scope():
        encoder = encoders.build(**plan["encoder"])
    augmentation = plan["augmentation"]
    voices = data.Data(
        parts,
        encoder,
        cache=config.cache,
        crop_frames=config.crop_frames,
        augment=Augmenter(**augmentation) if augmentation.pop("enabled") else None,
        seed=config.seed,
    )
    settings = {name: plan[name] for name in SETTINGS} | {"devices": strategy}
    results = {
        phase.__name__: phase(
            encoder, voices, run=run, **plan[phase.__name__], **settings
        )
        for phase in (phases.softmax, phases.triplet)
        if plan[phase.__name__]["steps"]
    }
    run.save_weights(encoder)
    devices.open_strategy("default", policy="float32")  # for who serves it
    trained = report.finish(run, parts, results)
    served = signatures(trained.model, window=trained.window)
    publish(run.path("export"), served, about=trained.about)
    return run.folder


if __name__ == "__main__":
    main()
