"""Serving signatures of a speaker generator: the whole sampler inside the graph.

Inputs are checked there too: counts and steps have limits, numbers are finite.
"""

import tensorflow as tf

from diffusion.spacing import sampling_times
from diffusion.speakers import sampling
from diffusion.speakers.generator import MAX_COSINE
from timbre.serving.checks import check_between, check_finite, check_labels

MAX_COUNT = 100_000  # embeddings of one request


def signatures(generator, *, limit=MAX_COSINE):
    """The functions to export, for `timbre.serving.publish.publish`, by name.

    Args:
        generator: A `diffusion.speakers.generator.SpeakerGenerator`; its sampler and
            spacing are those of the export, its steps those of `anonymise`.
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
    model, spacing = generator.model, generator.sampling["spacing"]
    times, sampler, clip = generator.build_sampler()
    last, num_labels = model.schedule.steps, len(model.vocabulary)

    def generate(count, seed, steps, labels=None, weight=None):
        checks = check_between(count, 1, MAX_COUNT, "count")
        checks += check_between(steps, 1, last, "steps")
        if labels is not None:
            num_classes = {name: len(v) for name, v in model.vocabulary.items()}
            checks.append(check_labels(labels, num_classes, "labels"))
            checks.append(check_finite(weight, "weight"))
        with tf.control_dependencies(checks):
            count, steps = tf.identity(count), tf.identity(steps)
        if labels is not None:
            labels = tf.tile(labels[None], [count, 1])
        return sampling.generate(
            model,
            count,
            seed,
            times=sampling_times(model.schedule, steps, spacing),
            sampler=sampler,
            labels=labels,
            weight=weight,
            clip=clip,
        )

    def anonymise(embedding, seed):
        with tf.control_dependencies([check_finite(embedding, "embedding")]):
            embedding = tf.identity(embedding)
        return sampling.anonymise(
            model, embedding, seed, times=times, sampler=sampler, limit=limit, clip=clip
        )

    def denoise(x, t):
        checks = [check_finite(x, "x"), *check_between(t, 1, last, "t")]
        with tf.control_dependencies(checks):
            return model.denoiser.denoise(tf.identity(x), t)

    count = tf.TensorSpec([], tf.int32, name="count")
    seed = tf.TensorSpec([2], tf.int32, name="seed")
    steps = tf.TensorSpec([], tf.int32, name="steps")
    request = [count, seed, steps]
    example = {"count": 3, "seed": [1, 2], "steps": min(4, last)}
    if num_labels:
        request.append(tf.TensorSpec([num_labels], tf.int32, name="labels"))
        request.append(tf.TensorSpec([], tf.float32, name="weight"))
        example |= {"labels": [0] * num_labels, "weight": 1.0}
    embedding = tf.TensorSpec([None, model.dim], tf.float32, name="embedding")
    x = tf.TensorSpec([None, model.dim], tf.float32, name="x")
    t = tf.TensorSpec([], tf.int32, name="t")
    some = generator.generate(2, seed=3, steps=2)
    return {
        "generate": (generate, request, "embedding", example),
        "anonymise": (
            anonymise,
            [embedding, seed],
            ("embedding", "cosine"),
            {"embedding": some, "seed": [1, 2]},
        ),
        "denoise": (denoise, [x, t], "x_0", {"x": some, "t": 1}),
    }
