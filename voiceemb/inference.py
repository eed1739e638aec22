"""Sliding-window inference: utterances of any length through a network of one length.

An utterance longer than a window is cut into windows of equal length, spread evenly
from its first sample to its last; its embedding is the mean of theirs, brought back to
unit length. A shorter one is embedded as it is. `embed_function` does so in one graph,
here and in a served model; `windowed_mean` for many utterances in full batches.
"""

import numpy as np

MIN_S = 0.1  # shortest utterance that can be embedded, in seconds
MAX_S = 4 * 3600.0  # longest, in seconds
BATCH_WINDOWS = 32  # windows that go through the network together


def crop_samples(filterbank, num_frames):
    """Samples that fill `num_frames` frames of a filterbank without padding."""
    return (num_frames - 1) * filterbank.hop + filterbank.length


def window_starts(num_samples, window):
    """First samples of the windows that cover an utterance of `num_samples` evenly.

    Returns:
        Int array of `ceil(num_samples / window)` starts; the first is 0 and the last
        window ends with the utterance.
    """
    num = -(-num_samples // window)
    room = max(num_samples - window, 0)
    return np.arange(num) * room // max(num - 1, 1)


def embed_function(encoder, *, window):
    """Makes the graph from waveforms to embeddings.

    Args:
        encoder: A built `SpeakerEncoder`.
        window: Length of a window in samples.

    Returns:
        A function of `waveform` float32 `[batch, samples]` giving embeddings float32
        `[batch, dim]`; it refuses NaN, less than 0.1 s and more than 4 h of sound.
    """
    import tensorflow as tf

    rate = encoder.filterbank.sample_rate
    shortest = tf.constant(int(MIN_S * rate), tf.int64)
    longest = tf.constant(int(MAX_S * rate), tf.int64)

    def embed(waveform):
        batch, total = tf.unstack(tf.shape(waveform, out_type=tf.int64))
        checks = [
            tf.debugging.assert_greater_equal(
                total, shortest, "`waveform` is shorter than 0.1 s"
            ),
            tf.debugging.assert_less_equal(
                total, longest, "`waveform` is longer than 4 h"
            ),
            tf.debugging.assert_all_finite(waveform, "`waveform` must be finite"),
        ]
        with tf.control_dependencies(checks):
            length = tf.minimum(total, window)
        num = (total + window - 1) // window
        batch_windows = tf.maximum(BATCH_WINDOWS // tf.maximum(batch, 1), 1)
        starts = tf.range(num) * (total - length) // tf.maximum(num - 1, 1)

        def add(done, summed):
            first = starts[done : done + batch_windows]
            index = first[:, None] + tf.range(length)
            windows = tf.reshape(tf.gather(waveform, index, axis=1), [-1, length])
            embeddings = encoder(encoder.features(windows), training=False)
            embeddings = tf.reshape(embeddings, [batch, -1, encoder.embedding_dim])
            return done + batch_windows, summed + tf.reduce_sum(embeddings, axis=1)

        zeros = tf.zeros([batch, encoder.embedding_dim])
        start = (tf.constant(0, tf.int64), zeros)
        _, summed = tf.while_loop(lambda done, _: done < num, add, start)
        return tf.math.l2_normalize(summed, axis=-1)

    return embed


def windowed_mean(embed, windows, length, *, batch):
    """The mean embeddings of utterances from their windows, in full batches.

    Args:
        embed: Function of windows `[batch, length, ...]` giving embeddings float32
            `[batch, dim]`.
        windows: Iterable of `(utterance, window)`; utterances are numbered 0, 1, ...
            and each has at least one. A window shorter than `length` is embedded at
            once and alone.
        length: Of all other windows.
        batch: Windows that are embedded together.

    Returns:
        Unit vectors, float32 `[utterances, dim]`; `[0, 0]` without windows.
    """
    sums, waiting = {}, []

    def add(rows):
        embeddings = embed(np.stack([window for _, window in rows]))
        for (utterance, _), embedding in zip(rows, embeddings, strict=True):
            sums[utterance] = sums.get(utterance, 0) + embedding

    for utterance, window in windows:
        if len(window) < length:
            add([(utterance, window)])
            continue
        waiting.append((utterance, window))
        if len(waiting) == batch:
            add(waiting)
            waiting.clear()
    if waiting:
        add(waiting)
    if not sums:
        return np.zeros((0, 0), np.float32)
    return unit(np.stack([sums[i] for i in range(len(sums))]))


def unit(x):
    """Scales the last axis to length 1; zero stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
