"""Run folders of a diffusion over voices, as a training leaves them, but tiny."""

import dataclasses

import numpy as np

from diffusion.speakers import config, data, model
from diffusion.speakers.generator import SpeakerGenerator, model_arguments
from timbre.corpora.synthetic import embeddings
from timbre.training.run import Run

DIM = 8
PLAN = config.SpeakerDiffusion(
    points=config.Points(speakers=60, utterances=6),
    network=config.Network(width=16, num_blocks=1),
    schedule=config.Schedule(steps=50),
    sampling=config.Sampling(steps=4),
    labels=("mode",),
)


def made_up(num_speakers=60, each=6, seed=0, within=0.05):
    """A set of utterances of `DIM` dimensions."""
    return embeddings.sample_utterances(num_speakers, each, seed, DIM, within)


def make(folder, **changes):
    """Leaves a finished run at `folder` that has learned nothing, and returns it."""
    plan = dataclasses.asdict(dataclasses.replace(PLAN, **changes))
    given = folder.parent / "learned.npz"
    made_up().save(given)
    plan["set"] = str(given)
    names = ("set", "points", "level", "held", "labels", "blocks", "sphere", "seed")
    parts = data.prepare(**{name: plan[name] for name in names})
    made = model.build(**model_arguments(plan, parts.facts))
    made.scaler.fit(parts.train.embeddings)
    rng = np.random.default_rng(0)
    for weight in made.denoiser.trainable_variables:  # so that labels count
        weight.assign(0.3 * rng.normal(size=weight.shape))
    run = Run.open(folder, plan)
    parts.remember(run)
    run.save_weights(made)
    return folder


def tiny(folder, **changes):
    """The voices of such a run."""
    return SpeakerGenerator.load(make(folder, **changes))
