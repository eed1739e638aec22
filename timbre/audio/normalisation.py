"""Feature normalisation: removes level and channel from filterbank energies."""

import keras
import numpy as np
from keras import ops

from timbre.training.networks import check_choice

TINY = float(np.finfo(np.float32).tiny)
NORMS = ("frame", "utterance", "mean", "sliding", "none")


@keras.saving.register_keras_serializable(package="audio")
class FeatureNormalisation(keras.layers.Layer):
    """Normalises energies by mean and deviation, `(v - mean(v)) / std(v)`.

    What `v` runs over is the norm: `"frame"`, the bands of one frame, which forgets
    loudness but amplifies silence; `"utterance"`, the frames of one band; `"sliding"`,
    those of its frames in a window around the present one; `"mean"`, as `"utterance"`
    without the division; `"none"`, nothing. `std` is never below what float32 can tell
    from rounding, so constant features become zeros and not noise.

    Args:
        log: Whether to take the natural logarithm first. Defaults to `False`.
        norm: One of the above. Defaults to `"frame"`.
        window: Frames of the sliding window, cut short at both ends of the sound.
            Defaults to `300`, 3 s.
        epsilon: Float > 0, the smallest `std`. Defaults to `1e-12`.

    Call arguments:
        energies: Float `[batch, frames, bands]`.
        mask: Boolean `[batch, frames]`, true where there is sound. Other frames are
            left out of means and become zeros. `None` is true everywhere.

    Returns:
        Features, float32 `[batch, frames, bands]`.
    """

    def __init__(
        self,
        log=False,
        norm="frame",
        window=300,
        epsilon=1e-12,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        check_choice("norm", norm, NORMS)
        if window < 1:
            raise ValueError(f"`window` must be at least 1. Received: window={window}")
        if epsilon <= 0:
            raise ValueError(f"`epsilon` must be above 0. Received: epsilon={epsilon}")
        self.log = log
        self.norm = norm
        self.window = window
        self.epsilon = epsilon
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, energies, mask=None):
        x = ops.log(ops.maximum(energies, TINY)) if self.log else energies
        weight = ops.ones_like(x[..., :1]) if mask is None else _weight(mask, x.dtype)
        x = getattr(self, f"_{self.norm}")(x, weight)
        return x if mask is None else ops.where(weight > 0, x, 0.0)

    def _none(self, x, weight):
        return x

    def _frame(self, x, weight):
        mean = ops.mean(x, axis=-1, keepdims=True)
        x = x - mean
        variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
        return x / self._deviation(variance, mean)

    def _mean(self, x, weight):
        return x - _time_mean(x, weight)

    def _utterance(self, x, weight):
        mean = _time_mean(x, weight)
        x = x - mean
        return x / self._deviation(_time_mean(ops.square(x), weight), mean)

    def _sliding(self, x, weight):
        if self.log:  # one shift for all: a small mean keeps the squares precise
            x = x - _time_mean(x, weight)
        count = self._pool(weight)
        mean = self._pool(x * weight) / ops.maximum(count, TINY)
        square = self._pool(ops.square(x) * weight) / ops.maximum(count, TINY)
        variance = ops.maximum(square - ops.square(mean), 0.0)
        return (x - mean) / self._deviation(variance, ops.sqrt(square), share=1e-3)

    def _pool(self, x):
        return ops.average_pool(
            x, self.window, strides=1, padding="same", data_format="channels_last"
        )

    def _deviation(self, variance, size, share=1e-5):
        """`sqrt(variance)`, at least `epsilon` and a share of the size averaged."""
        floor = ops.maximum(share * ops.abs(size), self.epsilon)
        return ops.maximum(ops.sqrt(variance), floor)

    def compute_output_shape(self, energies_shape):
        return energies_shape

    def get_config(self):
        names = ("log", "norm", "window", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _weight(mask, dtype):
    return ops.cast(mask, dtype)[..., None]  # (batch, frames, 1)


def _time_mean(x, weight):
    count = ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1.0)
    return ops.sum(x * weight, axis=1, keepdims=True) / count
