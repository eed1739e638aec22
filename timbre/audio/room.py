"""Synthetic room impulse responses from reverberation time and direct-to-reverb ratio.

`response[n] = direct[n] + r * exp(-ln(1000) * n / (rt60 * sample_rate)) * g[n]`

`direct` is one at `n = 0`, so nothing is delayed; `g` holds a few early reflections and
Gaussian noise; the envelope falls by 60 dB in `rt60` seconds; `r` sets the ratio of the
direct sound's energy to the rest. The energy of a response is one.
"""

import math

import tensorflow as tf

from timbre.audio.corruptions import sample_uniform, split_seed

EARLY_S = 0.05  # time of the early reflections
NUM_REFLECTIONS = 8
REFLECTION = 8.0  # amplitude of one, relative to the noise


def impulse_response(rt60_s, *, direct_db, seed, duration_s=0.6, sample_rate=16000):
    """Sample a response for every row, `[batch, round(duration_s * sample_rate)]`.

    Args:
        rt60_s: Seconds until the sound has fallen by 60 dB, float `[batch]`.
        direct_db: Energy of the direct sound over the rest, in dB, float `[batch]`.
        seed: Integers `[2]`.
        duration_s: Length of the responses, a Python number. Defaults to `0.6`.
        sample_rate: Hz. Defaults to `16000`.
    """
    samples = max(round(duration_s * sample_rate), 2)
    rt60_s = tf.convert_to_tensor(rt60_s, tf.float32)
    tail_seed, time_seed, sign_seed = split_seed(seed, 3)
    times = tf.range(1, samples, dtype=tf.float32) / sample_rate
    envelope = tf.exp(-math.log(1000.0) * times / rt60_s[:, None])
    shape = tf.shape(envelope)
    tail = tf.random.stateless_normal(shape, tail_seed, alg="philox")
    late = envelope * (tail + _reflections(shape, time_seed, sign_seed, sample_rate))
    wanted = tf.pow(10.0, -tf.convert_to_tensor(direct_db, tf.float32) / 10)
    energy = tf.reduce_sum(tf.square(late), axis=1)
    late *= tf.sqrt(tf.math.divide_no_nan(wanted, energy))[:, None]
    whole = tf.concat([tf.ones_like(late[:, :1]), late], axis=1)
    return whole / tf.norm(whole, axis=1, keepdims=True)


def _reflections(shape, time_seed, sign_seed, sample_rate):
    """A few spikes of random sign within the first 50 ms."""
    counts = [shape[0], NUM_REFLECTIONS]
    last = tf.minimum(round(EARLY_S * sample_rate), shape[1])
    first = tf.minimum(round(0.002 * sample_rate), last - 1)
    when = sample_uniform(counts, time_seed, first, last, dtype=tf.int32)
    sign = tf.sign(sample_uniform(counts, sign_seed, -1, 1))
    spikes = tf.one_hot(when, shape[1]) * REFLECTION * sign[:, :, None]
    return tf.reduce_sum(spikes, axis=1)  # (batch, samples - 1)


def reverberate(waveform, impulses):
    """Convolve each waveform with its impulse response, cut to the same length.

    Args:
        waveform: Float32 `[batch, samples]`.
        impulses: Float32 `[batch, any]`, see `impulse_response`; a response of one at
            time 0 and nothing after changes nothing.
    """
    samples = tf.shape(waveform)[1]
    size = _fast_size(samples + tf.shape(impulses)[1])
    product = _spectrum(waveform, size) * _spectrum(impulses, size)
    return tf.signal.irfft(product, [size])[:, :samples]


def _spectrum(x, size):
    """Fourier transform of rows, perhaps none, padded to `size`."""
    return tf.signal.rfft(tf.pad(x, [[0, 0], [0, size - tf.shape(x)[1]]]))


def _fast_size(samples):
    """The next power of two."""
    bits = tf.math.ceil(tf.math.log(tf.cast(samples, tf.float64)) / math.log(2.0))
    return tf.bitwise.left_shift(1, tf.cast(bits, tf.int32))
