"""What a served model of segments does: codes, changes, draws and densities, in graphs.

Inputs a server can not trust are checked inside: numbers are finite, labels are codes
of classes, counts have limits. Labels stand in columns, one for each factor of the
vocabulary in its order, and -1 says of each what `signatures` says.
"""

import math

import tensorflow as tf

from timbre.serving.checks import (
    check_between,
    check_finite,
    check_labels,
    check_same_rows,
)

MOST = 100_000  # segments of one request


def signatures(model, front_end=None):
    """The functions to export, for `timbre.serving.publish.publish`.

    Args:
        model: A trained `flows.models.latent_model.LatentModel` of F factors.
        front_end: The `timbre.audio.mel.LogMel` of its features, where they are made of sound.
            Defaults to `None`.

    Returns:
        Dict, each with its inputs and outputs by name; `x` is float32
        `[batch, *shape]` in the units of the features:

        - `encode`: `x`; gives `latent`, float32 `[batch, D]`, and for each factor the
          model can tell `posterior_<factor>`, `[batch, classes]`.
        - `manipulate`: `x`, `to` int32 `[batch, F]` with -1 for a factor that stays,
          and `alpha` float32 `[]`, how much of the way; gives `x`. Factors are changed
          one after another, where they are what the model can tell.
        - `sample`: `count` int32 `[]`, `labels` int32 `[F]` with -1 for classes drawn
          by the priors, or such as the model does not learn, `seed` int32 `[2]` and
          `temperature` float32 `[]`; gives `x`, `[count, *shape]`.
        - `log_prob`: `x` and `labels` int32 `[batch, F]` with -1 where unknown; gives
          `log_prob`, nats, `[batch]`. Of a VAE it is a bound, by one draw of noise.
        - `features`, with a front end: `waveform` float32 `[batch, samples]` at its
          rate; gives `x`, `[batch, frames, bands]`, of which segments are cut.
    """
    segments = tf.TensorSpec([None, *model.shape], tf.float32, name="x")
    middle = model.scaler.inverse(tf.zeros([2, math.prod(model.shape)])).numpy()
    num = len(model.vocabulary)
    served = {
        "encode": _encode(model, segments, middle),
        "manipulate": _manipulate(model, segments, middle, num),
        "sample": _sample(model, num),
        "log_prob": _log_prob(model, segments, middle, num),
    }
    return served | ({} if front_end is None else {"features": _features(front_end)})


def _encode(model, segments, middle):
    def encode(x):
        with tf.control_dependencies([check_finite(x, "x")]):
            z = model.encode(tf.identity(x))
        return (z, *(tf.exp(told) for told in model.classifier.log_posterior(z)))

    outputs = ("latent", *(f"posterior_{factor}" for factor in model.factors))
    return encode, [segments], outputs, {"x": middle}


def _manipulate(model, segments, middle, num):
    def manipulate(x, to, alpha):
        checks = [
            check_finite(x, "x"),
            check_finite(alpha, "alpha"),
            check_same_rows(x, to, ("x", "to")),
            check_labels(to, _num_classes(model, model.factors), "to"),
        ]
        with tf.control_dependencies(checks):
            z, columns = model.encode(tf.identity(x)), tf.unstack(to, axis=1)
        for factor, column in zip(model.vocabulary, columns, strict=True):
            if factor in model.factors:
                z = model.shift_latents(z, factor, column, alpha=alpha)
        return model.decode(z)

    asked = [
        segments,
        tf.TensorSpec([None, num], tf.int32, name="to"),
        tf.TensorSpec([], tf.float32, name="alpha"),
    ]
    to = [[0 if factor in model.factors else -1 for factor in model.vocabulary]] * 2
    return manipulate, asked, "x", {"x": middle, "to": to, "alpha": 1.0}


def _sample(model, num):
    def sample(count, labels, seed, temperature):
        checks = [
            *check_between(count, 1, MOST, "count"),
            check_labels(labels, _num_classes(model, model.own), "labels"),
            check_finite(temperature, "temperature"),
        ]
        with tf.control_dependencies(checks):
            count, labels = tf.identity(count), tf.identity(labels)
        first, second = tf.unstack(tf.random.split(seed, 2))
        return model.generate(
            tf.random.stateless_normal([count, model.dim], first),
            tf.random.stateless_uniform([count, num], second),
            tf.tile(labels[None], [count, 1]),
            temperature,
        )

    asked = [
        tf.TensorSpec([], tf.int32, name="count"),
        tf.TensorSpec([num], tf.int32, name="labels"),
        tf.TensorSpec([2], tf.int32, name="seed"),
        tf.TensorSpec([], tf.float32, name="temperature"),
    ]
    told = {"count": 3, "labels": [-1] * num, "seed": [1, 2], "temperature": 0.5}
    return sample, asked, "x", told


def _log_prob(model, segments, middle, num):
    def log_prob(x, labels):
        checks = [
            check_finite(x, "x"),
            check_same_rows(x, labels, ("x", "labels")),
            check_labels(labels, _num_classes(model, model.vocabulary), "labels"),
        ]
        with tf.control_dependencies(checks):
            return model.log_prob(tf.identity(x), tf.identity(labels))

    asked = [segments, tf.TensorSpec([None, num], tf.int32, name="labels")]
    told = {"x": middle, "labels": [[-1] * num, [0] * num]}
    return log_prob, asked, "log_prob", told


def _features(front_end):
    def features(waveform):
        with tf.control_dependencies([check_finite(waveform, "waveform")]):
            return front_end(tf.identity(waveform))

    asked = [tf.TensorSpec([None, None], tf.float32, name="waveform")]
    return features, asked, "x", {"waveform": tf.zeros([2, 1600]).numpy()}


def _num_classes(model, factors):
    """Number of classes of each factor of the vocabulary; 0 for those not named."""
    return {k: len(v) if k in factors else 0 for k, v in model.vocabulary.items()}
