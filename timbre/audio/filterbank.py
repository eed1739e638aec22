"""Mel filterbank energies as a layer, equal to those of `python_speech_features`.

`energies[t, b] = sum_k |rfft(frame_t)[k]|**2 / fft_size * matrix[k, b]`

Frame `t` starts at `t * hop` of the pre-emphasised waveform
`x[n] - preemphasis * x[n - 1]` (whose first sample is `x[0]`), has no window, and the
last one is filled with zeros: `L` samples make `1 + ceil((L - length) / hop)` frames.
A band without any energy holds float64's epsilon.
"""

import inspect
import math

import keras
import numpy as np
import python_speech_features
from keras import ops

EPSILON = float(np.finfo(float).eps)  # what python_speech_features puts for zero


class FrontEnd(keras.layers.Layer):
    """Base of layers from waveforms to frames of `num_bands` numbers.

    A subclass has `num_frames(num_samples)`, and each argument as an attribute.
    """

    def compute_output_shape(self, input_shape):
        batch, samples = input_shape
        frames = None if samples is None else self.num_frames(samples)
        return (batch, frames, self.num_bands)

    def get_config(self):
        names = inspect.signature(type(self).__init__).parameters
        names = [n for n in names if n not in ("self", "dtype", "kwargs")]
        return {**super().get_config(), **{n: getattr(self, n) for n in names}}


@keras.saving.register_keras_serializable(package="audio")
class Filterbank(FrontEnd):
    """Waveforms to mel energies, in float32 whatever the global dtype policy.

    Args:
        sample_rate: Hz. Defaults to `16000`.
        window_s: Length of a frame, in seconds. Defaults to `0.025`.
        hop_s: From one frame to the next, in seconds. Defaults to `0.01`.
        num_bands: Number of mel bands. Defaults to `64`.
        fft_size: Points of the Fourier transform, at least the frame's length.
            Defaults to `512`.
        preemphasis: Share of the sample before that is taken away. Defaults to `0.97`.
        low_hz, high_hz: Edges of the lowest and of the highest band. Default to `0.0`
            and `None`, which is half the rate.

    Call arguments:
        waveform: Float `[batch, samples]`, any number of samples.

    Returns:
        Energies, float32 `[batch, num_frames(samples), num_bands]`.

    Example:
        >>> Filterbank()(np.zeros((1, 25760), "float32")).shape
        TensorShape([1, 160, 64])
    """

    def __init__(
        self,
        sample_rate=16000,
        window_s=0.025,
        hop_s=0.01,
        num_bands=64,
        fft_size=512,
        preemphasis=0.97,
        low_hz=0.0,
        high_hz=None,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.sample_rate = sample_rate
        self.window_s = window_s
        self.hop_s = hop_s
        self.num_bands = num_bands
        self.fft_size = fft_size
        self.preemphasis = preemphasis
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.input_spec = keras.layers.InputSpec(ndim=2)
        self.length, self.hop = _check_frames(sample_rate, window_s, hop_s, fft_size)
        self._matrix = _mel_matrix(sample_rate, num_bands, fft_size, low_hz, high_hz)

    def num_frames(self, num_samples):
        """Frames of a number of samples, an int, an array or a tensor; 1.6 s is 159."""
        if isinstance(num_samples, int | np.integer):
            return 1 + -(-max(int(num_samples) - self.length, 0) // self.hop)
        beyond = ops.maximum(num_samples - self.length, 0)
        return 1 + (beyond + self.hop - 1) // self.hop

    def num_samples(self, num_frames):
        """The smallest number of samples that makes `num_frames` frames, an int."""
        if num_frames < 1:
            raise ValueError(f"`num_frames` must be at least 1. Received: {num_frames}")
        return 1 if num_frames == 1 else self.length + (num_frames - 2) * self.hop + 1

    def call(self, waveform):
        previous = ops.pad(waveform, [[0, 0], [1, 0]])[:, :-1]
        # x - a * previous; float32 holds 1 - a with far less error than a near 1
        change = waveform - previous + (1 - self.preemphasis) * previous
        frames = self._frames(change)
        real, imaginary = ops.rfft(frames, fft_length=self.fft_size)
        power = ops.square(real) + ops.square(imaginary)
        energies = ops.matmul(power, ops.convert_to_tensor(self._matrix))
        return ops.where(energies == 0, EPSILON, energies)

    def _frames(self, x):
        """Join neighbouring blocks of one hop to frames, and zeros up to the FFT."""
        blocks = -(-self.length // self.hop)  # hops that a frame touches
        batch, samples = ops.shape(x)  # pyright: ignore
        count = self.num_frames(samples)
        x = ops.pad(x, [[0, 0], [0, (count + blocks - 1) * self.hop - samples]])
        x = ops.reshape(x, (batch, -1, self.hop))  # (batch, count + blocks - 1, hop)
        parts = [x[:, i : i + count] for i in range(blocks)]
        parts[-1] = parts[-1][..., : self.length - (blocks - 1) * self.hop]
        parts.append(ops.zeros((batch, count, self.fft_size - self.length), x.dtype))
        return ops.concatenate(parts, axis=-1)  # (batch, count, fft_size)


def _check_frames(sample_rate, window_s, hop_s, fft_size):
    """Samples of a frame and of a hop, rounded half up."""
    length = math.floor(sample_rate * window_s + 0.5)
    hop = math.floor(sample_rate * hop_s + 0.5)
    if length < 1 or hop < 1:
        raise ValueError(
            "A frame and a hop hold at least one sample. Received: "
            f"sample_rate={sample_rate}, window_s={window_s}, hop_s={hop_s}"
        )
    if length > fft_size:
        raise ValueError(
            f"A frame of {length} samples does not fit the FFT: resample first, or "
            f"take a larger `fft_size`. Received: fft_size={fft_size}"
        )
    return length, hop


def check_bands(num_bands, low_hz, high_hz, sample_rate):
    """Return `high_hz`, for `None` half the rate, or refuse bands by a `ValueError`."""
    high_hz = sample_rate / 2 if high_hz is None else high_hz
    if num_bands < 1 or not 0 <= low_hz < high_hz <= sample_rate / 2:
        raise ValueError(
            "Bands need num_bands >= 1 and 0 <= low_hz < high_hz <= sample_rate / 2. "
            f"Received: num_bands={num_bands}, low_hz={low_hz}, high_hz={high_hz}, "
            f"sample_rate={sample_rate}"
        )
    return high_hz


def _mel_matrix(sample_rate, num_bands, fft_size, low_hz, high_hz):
    """Triangles of `python_speech_features` over the FFT's size, `[bins, bands]`."""
    high_hz = check_bands(num_bands, low_hz, high_hz, sample_rate)
    matrix = python_speech_features.get_filterbanks(
        num_bands, fft_size, sample_rate, low_hz, high_hz
    )
    empty = int((matrix.sum(axis=1) == 0).sum())
    if empty:
        raise ValueError(
            f"{empty} bands are too narrow to hold a point of the FFT: take fewer or "
            f"more points. Received: num_bands={num_bands}, fft_size={fft_size}"
        )
    return np.ascontiguousarray(matrix.T / fft_size, dtype=np.float32)
