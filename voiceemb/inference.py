"""Windows: how an utterance of any length goes through a network of one.

An utterance longer than a window is cut into windows of equal length, spread evenly
from its first sample to its last; its embedding is the mean of theirs, brought back to
unit length. A shorter one is embedded as it is. It is one graph, so that a served model
and `voiceemb.Encoder` give the same answer.
"""

import numpy as np

LEAST_S = 0.1  # shortest utterance that can be embedded, in seconds
MOST_S = 4 * 3600.0  # longest, in seconds
AT_ONCE = 32  # windows that go through the network together
MOST_FRAMES = 6000  # of features that a server embeds in one piece


def crop_samples(filterbank, num_frames):
    """Samples that fill `num_frames` frames of a filterbank without padding."""
    return (num_frames - 1) * filterbank.hop + filterbank.length


def window_starts(num_samples, window):
    """First samples of the windows that cover an utterance evenly.

    Args:
        num_samples: Length of the utterance.
        window: Length of a window; both int.

    Returns:
        Int array of `ceil(num_samples / window)` starts; the first is 0 and the last
        window ends with the utterance.
    """
    num = -(-num_samples // window)
    room = max(num_samples - window, 0)
    return np.arange(num) * room // max(num - 1, 1)


def embed_function(encoder, *, window):
    """The graph from waveforms to embeddings, for use here and for export.

    Args:
        encoder: A built `SpeakerEncoder`.
        window: Length of a window in samples.

    Returns:
        A function of `waveform` float32 `[batch, samples]` giving embeddings float32
        `[batch, dim]`; it refuses NaN, less than 0.1 s and more than 4 h of sound.
    """
    import tensorflow as tf

    sample_rate = encoder.filterbank.sample_rate
    least, most = int(LEAST_S * sample_rate), int(MOST_S * sample_rate)

    def embed(waveform):
        batch, total = tf.unstack(tf.shape(waveform, out_type=tf.int64))
        checks = [
            tf.debugging.assert_greater_equal(
                total, tf.constant(least, tf.int64), "`waveform` is shorter than 0.1 s"
            ),
            tf.debugging.assert_less_equal(
                total, tf.constant(most, tf.int64), "`waveform` is longer than 4 h"
            ),
            tf.debugging.assert_all_finite(waveform, "`waveform` must be finite"),
        ]
        with tf.control_dependencies(checks):
            length = tf.minimum(total, window)
        num = (total + window - 1) // window
        at_once = tf.maximum(AT_ONCE // tf.maximum(batch, 1), 1)
        starts = tf.range(num) * (total - length) // tf.maximum(num - 1, 1)

        def add(done, mean):
            some = starts[done : done + at_once]
            index = some[:, None] + tf.range(length)
            rows = tf.reshape(tf.gather(waveform, index, axis=1), [-1, length])
            points = encoder(encoder.features(rows), training=False)
            points = tf.reshape(points, [batch, -1, encoder.embedding_dim])
            return done + at_once, mean + tf.reduce_sum(points, axis=1)

        zeros = tf.zeros([batch, encoder.embedding_dim])
        start = (tf.constant(0, tf.int64), zeros)
        _, mean = tf.while_loop(lambda done, _: done < num, add, start)
        return tf.math.l2_normalize(mean, axis=-1)

    return embed


def signatures(encoder, *, window):
    """What a served encoder does, for `timbre.serving.publish.publish`.

    Args:
        encoder: A built `SpeakerEncoder`.
        window: Length of a window in samples.

    Returns:
        `embed`, from `waveform` float32 `[batch, samples]`, and `embed_features`, from
        filterbank energies `features` float32 `[batch, frames, bands]`; both give
        `embedding` float32 `[batch, dim]`. Each with its input and output names.
    """
    import tensorflow as tf

    bands = encoder.filterbank.num_bands
    waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
    features = tf.TensorSpec([None, None, bands], tf.float32, name="features")

    def embed_features(features):
        frames = tf.shape(features)[1]
        checks = [
            tf.debugging.assert_positive(frames, "`features` have no frame"),
            tf.debugging.assert_less_equal(
                frames, MOST_FRAMES, f"`features` have over {MOST_FRAMES} frames"
            ),
            tf.debugging.assert_all_finite(features, "`features` must be finite"),
        ]
        with tf.control_dependencies(checks):
            return encoder(tf.identity(features), training=False)

    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.1, 0.1, (2, 3 * window // 2)).astype(np.float32)
    energies = rng.uniform(0.1, 9.0, (2, 40, bands)).astype(np.float32)
    embed = embed_function(encoder, window=window)
    return {
        "embed": (embed, [waveform], "embedding", {"waveform": sound}),
        "embed_features": (
            embed_features,
            [features],
            "embedding",
            {"features": energies},
        ),
    }
