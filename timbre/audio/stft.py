"""The short-time Fourier transform and its exact inverse.

`spectrum[t, k] = sum_n w[n] * x[t * hop + n - half] * exp(-2j * pi * k * n / window)`

With `half = window // 2`, frame `t` is centred on sample `t * hop`, and there are zeros
outside of the sound: `L` samples make `1 + L // hop` frames. The inverse divides the
overlapped frames by the overlapped `w**2`, so `inverse(stft(x)) == x` to the last
sample.
"""

import tensorflow as tf


def stft(waveform, *, window=510, hop=128):
    """Compute complex spectra of waveforms.

    Args:
        waveform: Float32 `[batch, samples]`.
        window: Length of the periodic Hann window and the FFT. Defaults to `510`, which
            makes 256 bins.
        hop: Samples from one frame to the next, at most a third of the window, or the
            last would lie where it is nearly zero. Defaults to `128`.

    Returns:
        Spectra, complex64 `[batch, 1 + samples // hop, window // 2 + 1]`.
    """
    _check(window, hop)
    around = window // 2
    used = tf.shape(waveform)[1] // hop * hop + window
    waveform = tf.pad(waveform, [[0, 0], [around, window - around]])[:, :used]
    return tf.signal.stft(  # its default is a periodic Hann window
        waveform, frame_length=window, frame_step=hop, fft_length=window
    )


def inverse(spectrum, *, num_samples, window=510, hop=128):
    """Compute the waveforms, `[batch, num_samples]`, of the nearest spectra.

    Args:
        spectrum: Complex64 `[batch, frames, window // 2 + 1]`.
        num_samples: Samples of the waveform, fewer than `frames * hop`.
        window, hop: As for `stft`.
    """
    _check(window, hop)
    tf.debugging.assert_less(
        num_samples, tf.shape(spectrum)[1] * hop, "`num_samples` is below frames * hop."
    )
    shape = tf.signal.hann_window(window)
    frames = tf.signal.irfft(spectrum, [window]) * shape
    sound = tf.signal.overlap_and_add(frames, hop)
    squares = tf.ones_like(frames[:1, :, :1]) * tf.square(shape)
    weight = tf.signal.overlap_and_add(squares, hop)  # (1, as many as sound)
    part = slice(window // 2, window // 2 + num_samples)
    return sound[:, part] / weight[:, part]


def _check(window, hop):
    if not 1 <= hop <= window // 3:
        raise ValueError(
            "`hop` is at least 1 and at most a third of `window`. "
            f"Received: window={window}, hop={hop}"
        )
