"""SavedModel signatures of a latent-variable model of segments.

Inputs are checked in the graph: numbers are finite, labels are class indices, counts
have limits. Labels have a column for each factor of the vocabulary, in its order.
"""

import math

import tensorflow as tf

from timbre.serving.checks import (
    check_between,
    check_finite,
    check_labels,
    check_same_rows,
)

MAX_COUNT = 100_000  # segments of one request


def signatures(model, front_end=None):
    """The functions to export, for `timbre.serving.publish.publish`.

    Args:
        model: A trained `flows.models.latent_model.LatentModel` of F factors.
        front_end: The `timbre.audio.mel.LogMel` of features of sound. Defaults to
            `None`.

    Returns:
        Dict, each with its inputs and outputs by name; `x` is float32
        `[batch, *shape]` in the units of the features:

        - `encode`: `x`; gives `latent`, float32 `[batch, D]`, and for each factor the
          model can classify `posterior_<factor>`, `[batch, classes]`.
        - `manipulate`: `x`, `to` int32 `[batch, F]` with -1 for a factor that stays,
          and `alpha` float32 `[]`, how far to shift; gives `x`. Factors that the model
          can classify are changed one after another.
        - `sample`: `count` int32 `[]`, `labels` int32 `[F]` with -1 for classes sampled
          by the priors, `seed` int32 `[2]` and `temperature` float32 `[]`; gives `x`,
          `[count, *shape]`.
        - `log_prob`: `x` and `labels` int32 `[batch, F]` with -1 where unknown; gives
          `log_prob`, nats, `[batch]`. Of a VAE it is a bound, by one noise sample.
        - `features`, with a front end: `waveform` float32 `[batch, samples]` at its
          rate; gives `x`, `[batch, frames, bands]`, from which segments are extracted.
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
        return (z, *(tf.exp(log_p) for log_p in model.classifier.log_posterior(z)))

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

    inputs = [
        segments,
        tf.TensorSpec([None, num], tf.int32, name="to"),
        tf.TensorSpec([], tf.float32, name="alpha"),
    ]
    to = [[0 if factor in model.factors else -1 for factor in model.vocabulary]] * 2
    return manipulate, inputs, "x", {"x": middle, "to": to, "alpha": 1.0}


def _sample(model, num):
    def sample(count, labels, seed, temperature):
        checks = [
            *check_between(count, 1, MAX_COUNT, "count"),
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

    inputs = [
        tf.TensorSpec([], tf.int32, name="count"),
        tf.TensorSpec([num], tf.int32, name="labels"),
        tf.TensorSpec([2], tf.int32, name="seed"),
        tf.TensorSpec([], tf.float32, name="temperature"),
    ]
    example = {"count": 3, "labels": [-1] * num, "seed": [1, 2], "temperature": 0.5}
    return sample, inputs, "x", example


def _log_prob(model, segments, middle, num):
    def log_prob(x, labels):
        checks = [
            check_finite(x, "x"),
            check_same_rows(x, labels, ("x", "labels")),
            check_labels(labels, _num_classes(model, model.vocabulary), "labels"),
        ]
        with tf.control_dependencies(checks):
            return model.log_prob(tf.identity(x), tf.identity(labels))

    inputs = [segments, tf.TensorSpec([None, num], tf.int32, name="labels")]
    example = {"x": middle, "labels": [[-1] * num, [0] * num]}
    return log_prob, inputs, "log_prob", example


def _features(front_end):
    def features(waveform):
        with tf.control_dependencies([check_finite(waveform, "waveform")]):
            return front_end(tf.identity(waveform))

    inputs = [tf.TensorSpec([None, None], tf.float32, name="waveform")]
    return features, inputs, "x", {"waveform": tf.zeros([2, 1600]).numpy()}


def _num_classes(model, factors):
    """Number of classes of each factor of the vocabulary; 0 for those not named."""
    return {k: len(v) if k in factors else 0 for k, v in model.vocabulary.items()}
