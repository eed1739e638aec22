"""Run folders of a diffusion over voices, as a training leaves them, but tiny."""

import dataclasses

import numpy as np

from diffusion.speakers import config, data, model
from diffusion.speakers.generator import SpeakerGenerator
from timbre.corpora.synthetic import embeddings
from timbre.training.run import Run

DIM = 8
PLAN = config.SpeakerDiffusionConfig(
    synthetic=config.SyntheticEmbeddingsConfig(speakers=60, utterances=6),
    network=config.DenoiserConfig(width=16, num_blocks=1),
    schedule=config.ScheduleConfig(steps=50),
    sampling=config.SamplingConfig(steps=4),
    labels=("mode",),
)


def make_set(num_speakers=60, each=6, seed=0, within=0.05):
    """A set of utterances of `DIM` dimensions."""
    return embeddings.sample_utterances(num_speakers, each, seed, DIM, within)


def make_run(folder, **changes):
    """Leaves a finished run at `folder` that has learned nothing, and returns it."""
    given = folder.parent / "learned.npz"
    plan = dataclasses.replace(PLAN, set=str(given), **changes)
    make_set().save(given)
    parts = data.prepare(plan)
    made = model.build(plan, parts)
    made.scaler.fit(parts.train.embeddings)
    rng = np.random.default_rng(0)
    for weight in made.denoiser.trainable_variables:  # so that labels count
        weight.assign(0.3 * rng.normal(size=weight.shape))
    run = Run.open(folder, dataclasses.asdict(plan))
    run.lock_data(data.FACTS, parts.facts)
    run.save_weights(made)
    return folder


def load_tiny(folder, **changes):
    """The voices of such a run."""
    return SpeakerGenerator.load(make_run(folder, **changes))
