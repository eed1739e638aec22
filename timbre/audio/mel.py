"""Log-mel and log-linear spectrograms, invertible by `timbre.audio.vocoder`.

`log_mel[t, b] = log(max(sum_k |spectrum[t, k]|**2 * matrix[k, b], floor))`

with the `spectrum` of `timbre.audio.stft`: frame `t` is centred on sample `t * hop`,
and `L` samples make `1 + L // hop` frames. Logarithms are natural: 1 is 4.34 dB.
Energies are those of the Fourier sum without a factor: a sine of amplitude `a` has
`(a * window / 4)**2` in its own bin.

The scale is `mel = 2595 * log10(1 + hz / 700)`, that of HTK. Band `b` is a triangle in
Hz over three of the points that cut the scale into equal parts. Its corners are not
moved to bins, so from the first peak to the last all triangles add up to one.
"""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from timbre.audio.filterbank import FrontEnd, check_bands
from timbre.audio.stft import stft
from timbre.training.networks import check_choice

SPECTRA = ("mel", "linear")
MAX_PARTS = 8  # of a hop; all frames but one in so many are dropped


def hz_to_mel(hz: ArrayLike) -> np.ndarray:
    """Convert hertz to mel, `2595 * log10(1 + hz / 700)`, float or array."""
    return 2595 * np.log10(1 + np.asarray(hz, np.float64) / 700)


def mel_to_hz(mel: ArrayLike) -> np.ndarray:
    """Convert mel to hertz, the inverse of `hz_to_mel`."""
    return 700 * (10 ** (np.asarray(mel, np.float64) / 2595) - 1)


def mel_matrix(
    *,
    sample_rate: int,
    window: int,
    num_bands: int,
    low_hz: float = 0.0,
    high_hz: float | None = None,
) -> np.ndarray:
    """Compute the weights of bins in mel bands, `[window // 2 + 1, num_bands]`.

    Args:
        sample_rate: Hz.
        window: Points of the Fourier transform.
        num_bands: Number of mel bands.
        low_hz, high_hz: Corners of the lowest and of the highest band. Default to `0.0`
            and `None`, which is half the rate.

    Raises:
        ValueError: The corners are out of range, or a band holds no bin.
    """
    high_hz = check_bands(num_bands, low_hz, high_hz, sample_rate)
    low, high = hz_to_mel([low_hz, high_hz])
    corners = mel_to_hz(np.linspace(low, high, num_bands + 2))
    lower, centre, upper = corners[:-2], corners[1:-1], corners[2:]
    hz = np.arange(window // 2 + 1)[:, None] * (sample_rate / window)
    sides = (hz - lower) / (centre - lower), (upper - hz) / (upper - centre)
    matrix = np.maximum(np.minimum(*sides), 0.0)
    empty = int((matrix.max(axis=0) < 1e-9).sum())  # a corner may be rounded
    if empty:
        raise ValueError(
            f"{empty} bands are too narrow to hold a bin: take fewer bands or a longer "
            f"window. Received: num_bands={num_bands}, window={window}"
        )
    return matrix


@keras.saving.register_keras_serializable(package="audio")
class LogMel(FrontEnd):
    """Waveforms to log energies, in float32 whatever the global dtype policy.

    Args:
        sample_rate: Hz. Defaults to `16000`.
        window: Samples of the Hann window and points of the Fourier transform.
            Defaults to `512`, 32 ms.
        hop: Samples from one frame to the next, fewer than `window`. Above a third of
            it, the limit of `timbre.audio.stft`, `parts` times as many frames are
            computed and most are dropped. Defaults to `160`, 10 ms.
        num_bands: Number of mel bands, or of bins. Defaults to `40`.
        low_hz, high_hz: Corners of the lowest and of the highest mel band. Default to
            `0.0` and `None`, which is half the rate.
        floor: Float > 0, the least energy, which silence has. Defaults to `1e-5`, that
            of white noise 73 dB below full scale in a bin of 512 samples.
        spectrum: `"mel"`, or `"linear"` for the first `num_bands` bins as they are,
            `sample_rate / window` Hz apart. Defaults to `"mel"`.

    Attributes:
        matrix: Weights of bins in bands, float32 `[window // 2 + 1, num_bands]`.
        parts: Number of equal parts of a hop, each at most a third of a window.

    Call arguments:
        waveform: Float `[batch, samples]`, any number of samples.

    Returns:
        Natural logarithms, float32 `[batch, 1 + samples // hop, num_bands]`.

    Raises:
        ValueError: No such bands, see `mel_matrix`; more bins than the window has; a
            hop that leaves samples out, or cannot be cut into parts.

    Example:
        >>> LogMel()(np.zeros((1, 16000), "float32")).shape
        TensorShape([1, 101, 40])
    """

    def __init__(
        self,
        sample_rate=16000,
        window=512,
        hop=160,
        num_bands=40,
        low_hz=0.0,
        high_hz=None,
        floor=1e-5,
        spectrum="mel",
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        if not (window >= 3 and 1 <= hop < window):
            raise ValueError(
                "`window` is at least 3 and `hop` at least 1 and below it. "
                f"Received: window={window}, hop={hop}"
            )
        self.parts = _parts(window, hop)
        if not floor > 0:
            raise ValueError(f"`floor` must be above 0. Received: floor={floor}")
        check_choice("spectrum", spectrum, SPECTRA)
        self.sample_rate = sample_rate
        self.window = window
        self.hop = hop
        self.num_bands = num_bands
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.floor = floor
        self.spectrum = spectrum
        self.input_spec = keras.layers.InputSpec(ndim=2)
        self.matrix = self._weights()

    def num_frames(self, num_samples):
        """Frames made of a number of samples, an int, an array or a tensor."""
        return 1 + num_samples // self.hop

    def call(self, waveform):
        fine = stft(waveform, window=self.window, hop=self.hop // self.parts)
        spectrum = fine[:, :: self.parts]
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        return tf.math.log(tf.maximum(power @ self.matrix, self.floor))

    def _weights(self):
        if self.spectrum == "linear":
            bins = self.window // 2 + 1
            if not 1 <= self.num_bands <= bins or self.low_hz or self.high_hz:
                raise ValueError(
                    f"A linear spectrum begins at 0 Hz and has 1 to {bins} bins in a "
                    f"window of {self.window}. Received: num_bands={self.num_bands}, "
                    f"low_hz={self.low_hz}, high_hz={self.high_hz}"
                )
            return np.eye(bins, self.num_bands, dtype=np.float32)
        weights = mel_matrix(
            sample_rate=self.sample_rate,
            window=self.window,
            num_bands=self.num_bands,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
        )
        return weights.astype(np.float32)


def _parts(window, hop):
    """The fewest equal parts of a hop that are at most a third of the window each."""
    for parts in range(1, MAX_PARTS + 1):
        if hop % parts == 0 and hop // parts <= window // 3:
            return parts
    raise ValueError(
        "`hop` must be at most a third of `window`, or so much when cut into equal "
        f"parts, at most {MAX_PARTS}. Received: window={window}, hop={hop}"
    )
