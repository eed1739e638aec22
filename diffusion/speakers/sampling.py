"""New voices out of noise, voices into noise, and another voice for each.

All are graphs: functions of tensors around `diffusion.samplers.sample`, the same in
Python and in a SavedModel. Embeddings go in and come out as their extractor makes them.
"""

import tensorflow as tf

from diffusion import guidance, samplers

MAX_TRIES = 8  # voices drawn for one source before the farthest is taken


def denoise_function(model, labels=None, weight=0.0):
    """The model as samplers call it, steered by labels.

    Args:
        model: A `SpeakerDiffusion`.
        labels: int32 `[batch, num_labels]`, -1 where unknown. Defaults to no labels.
        weight: How much more than learned the labels count (classifier-free guidance);
            a float, or a scalar tensor. Defaults to `0`.
    """

    def free(x, t):
        return model.denoiser.denoise(x, t)

    if labels is None or not model.vocabulary:
        return free

    def given(x, t):
        return model.denoiser.denoise(x, t, labels)

    if isinstance(weight, (int, float)) and weight == 0:
        return given
    return guidance.classifier_free(given, free, weight)


def generate(model, count, seed, *, times, sampler, labels=None, weight=0.0, clip=None):
    """Draws voices.

    Args:
        model: A `SpeakerDiffusion`.
        count: How many, an int or a scalar tensor.
        seed: int32 `[2]`; the first rows do not depend on `count`.
        times: int32, from noise to clean, as `diffusion.samplers.times` gives them.
        sampler: A sampler of `diffusion.samplers`.
        labels, weight: See `denoise_function`.
        clip: Bound on clean estimates, scaled. Defaults to none.

    Returns:
        Embeddings float32 `[count, dim]`.
    """
    start = tf.random.stateless_normal([count, model.dim], seed)
    denoise = denoise_function(model, labels, weight)
    return decode(model, start, seed, denoise, times=times, sampler=sampler, clip=clip)


def decode(model, start, seed, denoise, *, times, sampler, clip=None):
    """Voices out of given noise `[batch, dim]`; see `generate`."""
    points = samplers.sample(
        denoise,
        start,
        schedule=model.schedule,
        times=times,
        sampler=sampler,
        seed=tf.random.experimental.stateless_fold_in(seed, 1),
        clip=clip,
    )
    return model.scaler.unscale(points)


def encode(model, embedding, *, times, labels=None):
    """The noise that deterministic sampling turns into these voices (DDIM inversion).

    Args:
        model: A `SpeakerDiffusion`.
        embedding: `[batch, dim]`.
        times: As for `generate`; gone through backwards.
        labels: See `denoise_function`.

    Returns:
        Noise `[batch, dim]`.
    """
    points = model.scaler.scale(embedding)
    denoise = denoise_function(model, labels)
    return samplers.invert(denoise, points, schedule=model.schedule, times=times)


def slerp(a, b, share):
    """On the great circle from `a` to `b`, both `[..., dim]`, `share` of the way.

    Lengths go evenly from one to the other; noise stays as long as noise is.

    Args:
        share: In [0, 1], broadcast against `[..., 1]`.
    """
    norm_a, norm_b = (tf.norm(x, axis=-1, keepdims=True) for x in (a, b))
    unit_a, unit_b = a / norm_a, b / norm_b
    cosine = tf.reduce_sum(unit_a * unit_b, axis=-1, keepdims=True)
    angle = tf.acos(tf.clip_by_value(cosine, -1 + 1e-6, 1 - 1e-6))
    mixed = tf.sin((1 - share) * angle) * unit_a + tf.sin(share * angle) * unit_b
    return mixed / tf.sin(angle) * ((1 - share) * norm_a + share * norm_b)


def check_limit(limit):
    """Refuses a cosine that no voice, or every voice, is below."""
    if not -1 < limit < 1:
        raise ValueError(f"`limit` is a cosine between -1 and 1. Received: {limit}")


def anonymise(model, embedding, seed, *, times, sampler, limit, weight=1.0, clip=None):
    """Another voice for each: generated, and not too near to the one it replaces.

    Voices are drawn, steered away from their source, until the cosine is below the
    limit; after `MAX_TRIES` draws the farthest is taken.

    Args:
        model: A `SpeakerDiffusion`.
        embedding: Voices to replace, `[batch, dim]`.
        seed: int32 `[2]`.
        times, sampler, clip: See `generate`.
        limit: Cosine that a new voice must stay below.
        weight: Of the steering, see `diffusion.guidance.away`. Defaults to `1`.

    Returns:
        The new voices `[batch, dim]` and their cosines to the old ones `[batch]`.
    """
    source = tf.math.l2_normalize(embedding, axis=-1)
    count, scaler = tf.shape(embedding)[0], model.scaler
    denoise = denoise_function(model)
    away = guidance.away(
        lambda x, t: scaler.invert(denoise(x, t)), source, weight, limit=limit
    )

    def steered(x, t):  # cosines are those of the extractor's space
        return scaler.scale(away(x, t))

    def draw(number):
        key = tf.random.experimental.stateless_fold_in(seed, number)
        start = tf.random.stateless_normal([count, model.dim], key)
        voices = decode(
            model, start, key, steered, times=times, sampler=sampler, clip=clip
        )
        return voices, tf.reduce_sum(tf.math.l2_normalize(voices, -1) * source, -1)

    def again(number, voices, cosines):
        others, nearness = draw(number)
        better = (cosines >= limit) & (nearness < cosines)
        voices = tf.where(better[:, None], others, voices)
        return number + 1, voices, tf.where(better, nearness, cosines)

    def needed(number, voices, cosines):
        return (number < MAX_TRIES) & tf.reduce_any(cosines >= limit)

    _, voices, cosines = tf.while_loop(needed, again, (tf.constant(1), *draw(0)))
    return voices, cosines
