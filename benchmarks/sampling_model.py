"""The model that `sampling.py` samples from, ways to sample, and reference voices."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from diffusion import samplers
from diffusion.spacing import sampling_times
from diffusion.speakers import data, evaluate, generator, model
from diffusion.speakers.config import SpeakerDiffusionConfig
from timbre.corpora.synthetic import embeddings
from timbre.metrics.arrays import fit_scale
from timbre.metrics.frechet import default_shrinkage, frechet_distance
from timbre.metrics.neighbours import prdc
from timbre.training import optimisers
from timbre.training.config import OptimiserConfig
from timbre.training.config import load as load_config

NUM_TRAIN, NUM_HELD_OUT = 5000, 1000  # made-up speakers; held out in each half
OPTIMISER = OptimiserConfig(
    final_rate=0.0, warm_up=100, clip_norm=1.0, ema=0.999, ema_warm_up=True
)


@dataclass(frozen=True)
class Reference:
    """Compares embeddings with unseen real ones, all scaled as the training rows ask.

    Args:
        train: What the model learned from, `[rows, dim]`.
        real: Unseen real voices, `[n, dim]`.
        other: Those of other speakers; what they score is the floor.
    """

    train: np.ndarray
    real: np.ndarray
    other: np.ndarray

    def __call__(self, rows):
        """Fréchet distance and coverage of the first `len(self)` rows."""
        mean, deviation = fit_scale(self.train)
        both = [(part[: len(self)] - mean) / deviation for part in (self.real, rows)]
        distance = frechet_distance(*both, shrinkage=default_shrinkage(*both))
        return distance, prdc(*both)["coverage"]

    def mean(self, sets):
        """Mean distance over several sets, its standard error, and mean coverage."""
        distances, coverages = np.transpose([*map(self, sets)])
        deviation = distances.std(ddof=1) if len(distances) > 1 else np.nan
        error = deviation / np.sqrt(len(distances))
        return distances.mean(), error, coverages.mean()

    def __len__(self):
        return min(len(self.real), len(self.other))


def load(run):
    """The model of a finished run, and a reference of its held-out voices."""
    made = generator.SpeakerGenerator.load(run).model
    parts = data.prepare(load_config(SpeakerDiffusionConfig, run))
    halves = (half.embeddings for half in evaluate.split_in_halves(parts.held_out))
    real, other = (half[:NUM_HELD_OUT] for half in halves)
    return made, Reference(parts.train.embeddings, real, other)


def train(steps, *, dim, width):
    """A `resmlp` trained on synthetic speakers, and the reference of these."""
    keras.utils.set_random_seed(0)
    learn, *held = (
        embeddings.sample_speakers(count, seed, dim).embeddings
        for seed, count in enumerate((NUM_TRAIN, NUM_HELD_OUT, NUM_HELD_OUT))
    )
    made = model.create(dim=dim, network={"width": width}, unit=True)
    made.scaler.fit(learn)
    made.compile(optimizer=optimisers.build(OPTIMISER, steps=steps))
    rows = tf.data.Dataset.from_tensor_slices(learn).shuffle(NUM_TRAIN, seed=0).repeat()
    made.fit(rows.batch(128).take(steps), shuffle=False, verbose=0)
    return made, Reference(learn, *held)


def ancestral(model, steps):
    """DDPM's step as one writes it down, and the arguments of each step."""
    times = sampling_times(model.schedule, steps).numpy()
    t, s = times[:-1], times[1:]
    signal, noise = model.schedule.signal, model.schedule.noise
    ratio, share = signal[t] / signal[s], (noise[s] / noise[t]) ** 2
    std = np.sqrt(share * (noise[t] ** 2 - (ratio * noise[s]) ** 2))
    columns = ratio * share, signal[s] - ratio * share * signal[t], std

    def step(x, seed, i, t, keep, rest, std):
        clean = model.denoiser.denoise(x, t)
        key = tf.random.experimental.stateless_fold_in(seed, i, alg="philox")
        z = tf.random.stateless_normal(tf.shape(x), key, alg="philox")
        return keep * x + rest * clean + std * z

    lists = (column.tolist() for column in (np.arange(steps), t, *columns))
    return step, list(zip(*lists, strict=True))


def graph(model, name, steps, **options):
    """Our sampler: one graph, whatever the number of steps."""
    drawing = {
        "schedule": model.schedule,
        "times": sampling_times(model.schedule, steps),
        "sampler": samplers.build(name),
    }

    def sample(x, seed):
        return samplers.sample(model.denoiser.denoise, x, seed=seed, **drawing)

    return tf.function(sample, input_signature=inputs(model), **options)


def inputs(model):
    """The signature of a start and a seed."""
    return tf.TensorSpec([None, model.dim]), tf.TensorSpec([2], tf.int32)


def samplers_of(model, loops, few):
    """Samplers, functions of a start, float32 `[n, dim]`, and a seed, int `[2]`.

    Keys are name, sampler and steps: `loops` of DDPM in four ways, then each of `few`
    pairs of another sampler and its steps. They give scaled embeddings `[n, dim]`.
    """
    steps = min(loops, model.schedule.steps)
    step, numbers = ancestral(model, steps)
    scalars = [tf.TensorSpec([], kind) for kind in 2 * ["int32"] + 3 * ["float32"]]
    compiled = tf.function(step, input_signature=[*inputs(model), *scalars])

    def loop(step):
        def sample(x, seed):
            for row in numbers:
                x = step(x, seed, *row)
            return x

        return sample

    return {
        ("eager loop", "ddpm", steps): loop(step),
        ("loop of a tf.function", "ddpm", steps): loop(compiled),
        ("tf.while_loop", "ddpm", steps): graph(model, "ddpm", steps),
        ("tf.while_loop, XLA", "ddpm", steps): graph(
            model, "ddpm", steps, jit_compile=True
        ),
        **{
            ("tf.while_loop", name, min(n, steps)): graph(model, name, min(n, steps))
            for name, n in few
        },
    }
