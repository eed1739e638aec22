"""Sampling of speaker embeddings as graphs: functions of tensors, eager or exported.

Embeddings come and go as their extractor makes them; scaling is done inside.
"""

import functools

import tensorflow as tf

from diffusion import guidance, samplers

MAX_TRIES = 8  # samples for one embedding, of which the farthest is taken


def denoise_function(model, labels=None, weight=None):
    """The model as samplers call it, guided by labels.

    Args:
        model: A `SpeakerDiffusion`.
        labels: Class indices int32 `[batch, num_labels]`, -1 where unknown. Defaults to
            no labels.
        weight: Of classifier-free guidance, a float or a scalar tensor. Defaults to
            none, which takes one call of the network instead of two.
    """
    unconditional = model.denoiser.denoise
    if labels is None or not model.vocabulary:
        return unconditional
    conditional = functools.partial(unconditional, labels=labels)
    if weight is None:
        return conditional
    return guidance.classifier_free(conditional, unconditional, weight)


def generate(
    model, count, seed, *, times, sampler, labels=None, weight=None, clip=None
):
    """Samples new embeddings float32 `[count, dim]`.

    Args:
        model: A `SpeakerDiffusion`.
        count: How many, an int or a scalar tensor.
        seed: int32 `[2]`; the first rows do not depend on `count`.
        times: int32, from noise to clean, of `diffusion.spacing.sampling_times`.
        sampler: A sampler of `diffusion.samplers`.
        labels, weight: See `denoise_function`.
        clip: Bound on clean estimates, scaled. Defaults to none.
    """
    noise = tf.random.stateless_normal([count, model.dim], seed)
    denoise = denoise_function(model, labels, weight)
    return _sample(model, noise, seed, denoise, times, sampler, clip)


def decode(model, noise, seed, *, times, sampler, labels=None, weight=None, clip=None):
    """Embeddings out of given noise `[batch, dim]`; arguments as in `generate`."""
    denoise = denoise_function(model, labels, weight)
    return _sample(model, noise, seed, denoise, times, sampler, clip)


def encode(model, embedding, *, times, labels=None):
    """The noise that deterministic sampling turns into embeddings (DDIM inversion).

    Both are `[batch, dim]`; arguments as in `generate`.
    """
    x_0 = model.scaler.scale(embedding)
    denoise = denoise_function(model, labels)
    return samplers.invert(denoise, x_0, schedule=model.schedule, times=times)


def slerp(a, b, share):
    """Spherical interpolation from `a` to `b`, both `[..., dim]`, lengths linearly.

    `share`, in [0, 1], broadcasts with `[..., 1]`.
    """
    norm_a = tf.norm(a, axis=-1, keepdims=True)
    norm_b = tf.norm(b, axis=-1, keepdims=True)
    unit_a, unit_b = a / norm_a, b / norm_b
    cosine = tf.reduce_sum(unit_a * unit_b, axis=-1, keepdims=True)
    angle = tf.acos(tf.clip_by_value(cosine, -1 + 1e-6, 1 - 1e-6))
    mixed = tf.sin((1 - share) * angle) * unit_a + tf.sin(share * angle) * unit_b
    return mixed / tf.sin(angle) * ((1 - share) * norm_a + share * norm_b)


def check_limit(limit):
    """Refuses a cosine that no embedding, or every embedding, is below."""
    if not -1 < limit < 1:
        raise ValueError(f"`limit` is a cosine between -1 and 1. Received: {limit}")


def anonymise(model, embedding, seed, *, times, sampler, limit, weight=1.0, clip=None):
    """A new embedding for each, sampled under guidance away from the one it replaces.

    Sampling is repeated until all cosines are below the limit, at most 8 times in all;
    an embedding that never is keeps its farthest sample.

    Args:
        model: A `SpeakerDiffusion`.
        embedding: Embeddings to replace, `[batch, dim]`.
        seed: int32 `[2]`.
        times, sampler, clip: See `generate`.
        limit: Cosine that a new embedding must stay below, a float or a float64 scalar.
        weight: Of the guidance, see `diffusion.guidance.away`. Defaults to `1`.

    Returns:
        New embeddings `[batch, dim]` and their cosines to the old ones `[batch]`.
    """
    source = tf.math.l2_normalize(embedding, axis=-1)
    count, scaler = tf.shape(embedding)[0], model.scaler
    denoise = denoise_function(model)
    bound = tf.cast(limit, source.dtype)
    away = guidance.away(
        lambda x, t: scaler.invert(denoise(x, t)), source, weight, limit=limit
    )

    def guided(x, t):  # cosines are those of the extractor's space
        return scaler.scale(away(x, t))

    def sample(number):
        key = tf.random.experimental.stateless_fold_in(seed, number)
        noise = tf.random.stateless_normal([count, model.dim], key)
        new = _sample(model, noise, key, guided, times, sampler, clip)
        return new, tf.reduce_sum(tf.math.l2_normalize(new, -1) * source, -1)

    def retry(number, best, cosines):
        new, new_cosines = sample(number)
        better = (cosines >= bound) & (new_cosines < cosines)
        best = tf.where(better[:, None], new, best)
        return number + 1, best, tf.where(better, new_cosines, cosines)

    def needed(number, best, cosines):
        return (number < MAX_TRIES) & tf.reduce_any(cosines >= bound)

    _, best, cosines = tf.while_loop(needed, retry, (tf.constant(1), *sample(0)))
    return best, cosines


def _sample(model, noise, seed, denoise, times, sampler, clip):
    """From noise `[batch, dim]` to embeddings, unscaled."""
    x_0 = samplers.sample(
        denoise,
        noise,
        schedule=model.schedule,
        times=times,
        sampler=sampler,
        seed=tf.random.experimental.stateless_fold_in(seed, 1),
        clip=clip,
    )
    return model.scaler.unscale(x_0)
