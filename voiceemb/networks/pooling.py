"""Pooling over time: frames of any number become one vector of their statistics.

`mean = sum_t w[t] * x[t]` and `std = sqrt(sum_t w[t] * (x[t] - mean)**2 + 1e-10)` with
weights that sum to one over the valid frames and are zero on padding, in float32
whatever the dtype policy. The constant bounds the gradient of `std` by one.

Reference:
    X-vectors: Robust DNN Embeddings for Speaker Recognition (Snyder et al., 2018),
    https://www.danielpovey.com/files/2018_icassp_xvectors.pdf
"""

import keras
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments
from voiceemb.networks.layers import mask_frames

VARIANCE_FLOOR = 1e-10


def statistics(x, weight):
    """Weighted mean and standard deviation over time, one behind the other.

    Args:
        x: Float32 `[batch, time, dim]`.
        weight: `[batch, time, dim]` or `[batch, time, 1]`, which sums to one over time.

    Returns:
        `[batch, 2 * dim]`: means, then standard deviations.
    """
    mean = ops.sum(weight * x, axis=1, keepdims=True)
    variance = ops.sum(weight * ops.square(x - mean), axis=1)
    deviation = ops.sqrt(variance + VARIANCE_FLOOR)
    return ops.concatenate([ops.squeeze(mean, axis=1), deviation], axis=-1)


def even_weight(x, mask=None):
    """The same weight `[batch, time, 1]` for every valid frame, with sum one."""
    valid = ops.ones_like(x[..., :1]) if mask is None else ops.expand_dims(mask, -1)
    valid = ops.cast(valid, "float32")
    return valid / ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1.0)


def attention_weight(scores, mask=None):
    """Softmax over time of float32 `[batch, time, dim]`, zero on padding.

    A row without any valid frame has the same weight everywhere.
    """
    if mask is not None:
        scores = ops.where(ops.expand_dims(mask, -1), scores, -1e9)
    highest = ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
    weight = ops.exp(scores - highest)
    return weight / ops.sum(weight, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="voiceemb")
class StatisticsPooling(layers.Layer):
    """Mean and standard deviation over time.

    Call arguments:
        x: `[batch, time, dim]`.
        mask: `None`, or bool `[batch, time]`, true where a frame counts.

    Returns:
        Float32 `[batch, 2 * dim]`: means, then standard deviations (not corrected for
        the number of frames). A row without any valid frame has mean zero.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        x = ops.cast(mask_frames(x, mask), "float32")
        return statistics(x, even_weight(x, mask))

    def compute_mask(self, inputs, mask=None):
        return None


@keras.saving.register_keras_serializable(package="voiceemb")
class AttentiveStatisticsPooling(ConfiguredByArguments, layers.Layer):
    """Mean and standard deviation over the frames that matter, for each channel apart.

    `w[t, c] = softmax_t(v[c] @ tanh(W @ h[t] + b) + k[c])`, where `h[t]` is `x[t]` and,
    with context, the mean and standard deviation of all frames behind it.

    Args:
        bottleneck: Rows of `W`. Defaults to `128`.
        context: Whether attention also sees the statistics of all frames. Defaults to
            `True`.

    Call arguments:
        x, mask: As those of `StatisticsPooling`, as is what it returns.

    Reference:
        - Attentive Statistics Pooling for Deep Speaker Embedding (Okabe et al., 2018),
          https://arxiv.org/abs/1803.10963
        - ECAPA-TDNN (Desplanques et al., 2020), eq. 1 to 4,
          https://arxiv.org/abs/2005.07143
    """

    def __init__(self, bottleneck=128, context=True, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.bottleneck = bottleneck
        self.context = context
        self.check_min(bottleneck=1)
        policy = self.dtype_policy
        self.frames = layers.Dense(bottleneck, dtype=policy, name="frames")
        self.whole = layers.Dense(
            bottleneck, use_bias=False, dtype=policy, name="whole"
        )

    def build(self, shape):
        batch, _, dim = shape
        self.frames.build(shape)
        if self.context:
            self.whole.build((batch, 2 * dim))
        self.scores = layers.Dense(dim, dtype=self.dtype_policy, name="scores")
        self.scores.build((*shape[:-1], self.bottleneck))

    def call(self, x, mask=None):
        x = mask_frames(x, mask)
        exact = ops.cast(x, "float32")
        hidden = self.frames(x)
        if self.context:
            whole = statistics(exact, even_weight(exact, mask))
            hidden = hidden + ops.expand_dims(self.whole(whole), axis=1)
        scores = ops.cast(self.scores(ops.tanh(hidden)), "float32")
        return statistics(exact, attention_weight(scores, mask))

    def compute_mask(self, inputs, mask=None):
        return None
