"""What a served model of voices does: the whole sampler, in the graph.

Inputs a server can not trust are checked inside: counts and steps have limits, numbers
are finite.
"""

import tensorflow as tf

from diffusion.spacing import sampling_times
from diffusion.speakers import sampling
from diffusion.speakers.generator import MAX_COSINE
from timbre.serving.checks import check_between, check_finite, check_labels

MOST = 100_000  # voices of one request
SEED = tf.TensorSpec([2], tf.int32, name="seed")


def signatures(voices, *, limit=MAX_COSINE):
    """The functions to export, for `timbre.serving.publish.publish`.

    Args:
        voices: A `diffusion.speakers.generator.SpeakerGenerator`; its sampler and spacing are
            those of the export, its steps those of `anonymise`.
        limit: Cosine that `anonymise` keeps below. Defaults to `0.7`.

    Returns:
        Dict, each with its inputs and outputs by name:

        - `generate`: `count` int32 `[]`, `seed` int32 `[2]`, `steps` int32 `[]`, and
          where the model knows labels `labels` int32 `[num_labels]` (-1 for unknown)
          and `weight` float32 `[]`; gives `embedding` float32 `[count, dim]`.
        - `anonymise`: `embedding` float32 `[batch, dim]`, `seed` int32 `[2]`; gives
          `embedding` and its `cosine` to the old one, `[batch]`.
        - `denoise`: `x` float32 `[batch, dim]`, scaled, and `t` int32 `[]` in 1, ...,
          T; gives the clean estimate `x_0`, scaled.
    """
    model, spacing = voices.model, voices.sampling["spacing"]
    times, sampler, clip = voices.sampler()
    drawing = {"sampler": sampler, "clip": clip}
    rows = tf.TensorSpec([None, model.dim], tf.float32, name="embedding")

    def generate(count, seed, steps, labels=None, weight=0.0):
        checks = check_between(count, 1, MOST, "count")
        checks += check_between(steps, 1, model.schedule.steps, "steps")
        if labels is not None:
            num_classes = {name: len(v) for name, v in model.vocabulary.items()}
            checks.append(check_labels(labels, num_classes, "labels"))
            checks.append(check_finite(weight, "weight"))
        with tf.control_dependencies(checks):
            count, steps = tf.identity(count), tf.identity(steps)
        if labels is not None:
            labels = tf.tile(labels[None], [count, 1])
        inner = sampling_times(model.schedule, steps, spacing)
        return sampling.generate(
            model, count, seed, times=inner, labels=labels, weight=weight, **drawing
        )

    def anonymise(embedding, seed):
        with tf.control_dependencies([check_finite(embedding, "embedding")]):
            embedding = tf.identity(embedding)
        return sampling.anonymise(
            model, embedding, seed, times=times, limit=limit, **drawing
        )

    def denoise(x, t):
        checks = [check_finite(x, "x")]
        checks += check_between(t, 1, model.schedule.steps, "t")
        with tf.control_dependencies(checks):
            return model.denoiser.denoise(tf.identity(x), t)

    asked, sample = _request(model)
    some = voices.generate(2, seed=3, steps=2)
    noisy = tf.TensorSpec([None, model.dim], tf.float32, name="x")
    return {
        "generate": (generate, asked, "embedding", sample),
        "anonymise": (
            anonymise,
            [rows, SEED],
            ("embedding", "cosine"),
            {"embedding": some, "seed": [1, 2]},
        ),
        "denoise": (
            denoise,
            [noisy, tf.TensorSpec([], tf.int32, name="t")],
            "x_0",
            {"x": some, "t": 1},
        ),
    }


def _request(model):
    """What `generate` is asked with: the specs of its inputs, and a sample of them."""
    asked = [
        tf.TensorSpec([], tf.int32, name="count"),
        SEED,
        tf.TensorSpec([], tf.int32, name="steps"),
    ]
    sample = {"count": 3, "seed": [1, 2], "steps": min(4, model.schedule.steps)}
    if model.vocabulary:
        num = len(model.vocabulary)
        asked += [
            tf.TensorSpec([num], tf.int32, name="labels"),
            tf.TensorSpec([], tf.float32, name="weight"),
        ]
        sample |= {"labels": [0] * num, "weight": 1.0}
    return asked, sample
