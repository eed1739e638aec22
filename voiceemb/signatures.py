"""Signatures of the SavedModel of a speaker encoder: `embed` and `embed_features`."""

import numpy as np

from voiceemb.inference import embed_function

MAX_FRAMES = 6000  # of features in one call


def signatures(encoder, *, window):
    """Signatures of a served encoder, for `timbre.serving.publish.publish`.

    `embed` takes `waveform` float32 `[batch, samples]` and `embed_features` filterbank
    energies, `features` float32 `[batch, frames, bands]`; both give `embedding` float32
    `[batch, dim]`. The arguments are those of `embed_function`.
    """
    import tensorflow as tf

    from timbre.serving.checks import check_between, check_finite

    bands = encoder.filterbank.num_bands
    waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
    features = tf.TensorSpec([None, None, bands], tf.float32, name="features")

    def embed_features(features):
        frames = tf.shape(features)[1]
        checks = check_between(frames, 1, MAX_FRAMES, "frames")
        with tf.control_dependencies([*checks, check_finite(features, "features")]):
            return encoder(tf.identity(features), training=False)

    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.1, 0.1, (2, 3 * window // 2)).astype(np.float32)
    energies = rng.uniform(0.1, 9.0, (2, 40, bands)).astype(np.float32)
    example = {"features": energies}
    embed = embed_function(encoder, window=window)
    return {
        "embed": (embed, [waveform], "embedding", {"waveform": sound}),
        "embed_features": (embed_features, [features], "embedding", example),
    }
