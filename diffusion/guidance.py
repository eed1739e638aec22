"""Guidance: denoise functions that turn samples towards a class, or away from one.

A guide makes one denoise function, `denoise(x, t) -> x_0`, of another, so guides may be
stacked; `x` is `[batch, ...]` and `t` an int32 scalar. They change the clean estimate,
the papers the noise, which is the same: `z = (x - signal * x_0) / noise` is affine in
`x_0`, with one slope for all estimates.
"""

import numpy as np
import tensorflow as tf


def classifier_free(conditional, unconditional, weight):
    """Extrapolates along the change that the labels make to the estimate.

    `x_0 = (1 + weight) * conditional(x, t) - weight * unconditional(x, t)`

    which is the published `(1 + weight) * z_conditional - weight * z_unconditional`.

    Args:
        conditional: The denoise function given the labels.
        unconditional: The one without labels.
        weight: 0 for `conditional` as it is, -1 for `unconditional`; the higher, the
            more typical of the labels and the less varied. A number or a scalar tensor.

    Reference:
        Classifier-free diffusion guidance (Ho and Salimans, 2022), equation 6,
        https://arxiv.org/abs/2207.12598
    """

    def guided(x, t):
        return (1 + weight) * conditional(x, t) - weight * unconditional(x, t)

    return guided


def classifier(denoise, log_prob, weight, schedule):
    """Follows the gradient of a noise-conditional classifier.

    `z = denoised z - weight * noise[t] * gradient of log p(y | x_t, t)`, which is
    `x_0 = denoise(x, t) + weight * noise[t]**2 / signal[t] * gradient`

    With the exact classifier and weight 1 it is the exact estimate given the class, and
    its gradient fades with the signal. A learned one does not, and is divided by ever
    less: bound the estimate (`clip` of `samplers.sample`). At `signal[t] = 0`, where
    `x_t` says nothing about the class, the estimate is left as it is.

    Args:
        denoise: A denoise function.
        log_prob: Maps `(x, t)` to `log p(y | x_t, t)` of the wanted class, `[batch]`.
        weight: The guidance scale. A number or a scalar tensor.
        schedule: The `diffusion.schedules.Schedule` of both.

    Reference:
        Diffusion models beat GANs on image synthesis (Dhariwal and Nichol, 2021),
        algorithm 2, https://arxiv.org/abs/2105.05233
    """
    signal, noise = schedule.signal, schedule.noise
    rate = np.divide(noise**2, signal, out=np.zeros_like(noise), where=signal > 0)

    def guided(x, t):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = log_prob(x, t)
        gradient = tape.gradient(value, x)
        return denoise(x, t) + weight * tf.gather(tf.cast(rate, x.dtype), t) * gradient

    return guided


def away(denoise, source, weight, *, limit=0.0):
    """Moves estimates whose cosine to a direction is above a limit away from it.

    The estimate is `x_0 = along * s + across`, with `s` the unit vector of `source` and
    `across` at right angles to it. Where `cos(x_0, s) > limit`, `along` is changed to

    `along + weight * (limit / sqrt(1 - limit**2) * |across| - along)`

    so with weight 1 the cosine becomes exactly `limit`, and so is that of samples,
    which end as an estimate. To keep a limit in another space than that of `x_0`, map
    the estimate there and back: `scale(away(unscaled, ...))`, where `unscaled(x, t)` is
    the estimate in that space.

    Args:
        denoise: A denoise function.
        source: Directions to avoid, `[batch, dim]`, or `[dim]` for all.
        weight: Share of the way to the limit; 0 changes nothing. A number or a scalar
            tensor.
        limit: Cosine allowed, above -1 and below 1. A number, or a float64 scalar
            tensor. Defaults to `0`, right angles.
    """
    if not tf.is_tensor(limit) and not -1 < limit < 1:
        raise ValueError(f"`limit` must lie between -1 and 1. Received: limit={limit}")
    limit = tf.convert_to_tensor(limit, tf.float64)
    slope = limit / tf.sqrt(1 - limit * limit)

    def guided(x, t):
        x_0 = denoise(x, t)
        unit = tf.math.l2_normalize(tf.cast(source, x_0.dtype), axis=-1)
        along = tf.reduce_sum(x_0 * unit, axis=-1, keepdims=True)
        across = tf.norm(x_0 - along * unit, axis=-1, keepdims=True)
        excess = tf.cast(slope, x_0.dtype) * across - along  # below 0: above the limit
        return x_0 + weight * tf.minimum(excess, 0) * unit

    return guided
