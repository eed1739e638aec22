"""Corruptions of waveforms: noise, speed, level, bandwidth, microphone, codecs.

All functions take float32 waveforms `[batch, samples]`, keep their shape and run in any
graph. Parameters of single rows come as `[batch]`; the same `seed`, two integers, gives
the same bits. Nothing clips: `limit_peak` scales whole rows instead.
"""

import functools
import math
from typing import Any

import tensorflow as tf

MU = 255.0  # of the mu-law, ITU-T G.711
MEL_BREAK_HZ = 700.0  # below it the mel scale is nearly linear
SKIRT_HZ = 100.0  # width of a band's edges

sample_uniform = functools.partial(tf.random.stateless_uniform, alg="philox")


def split_seed(seed, num):
    """Split a seed, integers `[2]`, into several."""
    return tf.unstack(tf.random.split(seed, num, alg="philox"))


def add_noise(waveform, noise, *, snr_db):
    """Add noise at an exact signal-to-noise ratio.

    `snr_db = 10 * log10(mean(waveform**2) / mean(added**2))`, a number or `[batch]`,
    over the whole row. A row of silence, and one that gets silence for noise, stays as
    it is. The level of `noise`, shaped as `waveform`, does not matter.
    """
    ratio = tf.pow(10.0, -tf.convert_to_tensor(snr_db, tf.float32) / 10)
    power = tf.math.divide_no_nan(_power(waveform), _power(noise)) * ratio
    return waveform + tf.sqrt(power)[:, None] * noise


def coloured_noise(slope, *, samples, seed):
    """Sample noise whose power is one and falls with frequency as `1 / f**slope`.

    Args:
        slope: `0` is white, `1` pink, `2` brown; float `[batch]`.
        samples: Number of samples.
        seed: Integers `[2]`.
    """
    slope = tf.convert_to_tensor(slope, tf.float32)
    shape = tf.stack([tf.shape(slope)[0], samples])
    white = tf.random.stateless_normal(shape, seed, alg="philox")
    spectrum = tf.signal.rfft(white)
    bins = tf.range(tf.shape(spectrum)[1], dtype=tf.float32)
    gain = tf.pow(tf.maximum(bins, 1.0), -slope[:, None] / 2)
    noise = tf.signal.irfft(spectrum * tf.cast(gain, tf.complex64), [samples])
    return tf.math.divide_no_nan(noise, tf.sqrt(_power(noise))[:, None])


def change_speed(waveform, ratio):
    """Play each row faster (`ratio > 1`) or slower, cut or filled up with zeros.

    As with a tape, pitch and formants move too: the result is another voice to a
    speaker encoder unless the ratio, float `[batch]`, stays near one. The change is
    exact for sound below both Nyquist frequencies; a ratio of one changes no bit.
    """
    samples = tf.shape(waveform)[1]
    size = samples + 256  # silence between the end and, in the circle, the start
    spectra = tf.signal.rfft(tf.pad(waveform, [[0, 0], [0, 256]]))

    def play(spectrum_and_ratio):
        spectrum, ratio = spectrum_and_ratio
        played = tf.cast(tf.round(tf.cast(size, tf.float32) / ratio), tf.int32)
        row = tf.signal.irfft(_resize(spectrum, played // 2 + 1), [played])
        return _resize(row, samples) * tf.cast(played / size, tf.float32)

    ratio = tf.convert_to_tensor(ratio, tf.float32)
    rows = tf.map_fn(play, (spectra, ratio), fn_output_signature=tf.float32)
    rows = tf.reshape(rows, tf.shape(waveform))
    return tf.where(ratio[:, None] == 1, waveform, rows)


def apply_gain(waveform, gain_db):
    """Change the level of each row by `gain_db`, a number or `[batch]`."""
    factor = tf.pow(10.0, tf.convert_to_tensor(gain_db, tf.float32) / 20)
    return waveform * tf.reshape(factor, [-1, 1])


def limit_peak(waveform, peak: Any = 1.0):
    """Scale rows whose peak is above `peak`, a number or `[batch]`, down to it."""
    loudest = tf.reduce_max(tf.abs(waveform), axis=1)
    peak = tf.convert_to_tensor(peak, tf.float32)
    fitting = tf.math.divide_no_nan(waveform, loudest[:, None])
    fitting *= tf.reshape(peak, [-1, 1])
    return tf.where((loudest > peak)[:, None], fitting, waveform)


def bandpass(waveform, *, low_hz, high_hz, sample_rate=16000):
    """Filter a band of frequencies, without delay.

    The edges fall from full to nothing within 100 Hz outside of the band, from `low_hz`
    to `high_hz`, numbers or `[batch]`; a `low_hz` of `0` keeps all.
    """
    low = tf.reshape(tf.convert_to_tensor(low_hz, tf.float32), [-1, 1])
    high = tf.reshape(tf.convert_to_tensor(high_hz, tf.float32), [-1, 1])

    def gain(hz):
        outside = tf.maximum(tf.maximum(low - hz, hz - high), 0.0) / SKIRT_HZ
        return 0.5 + 0.5 * tf.cos(math.pi * tf.minimum(outside, 1.0))

    return _filter(waveform, gain, sample_rate)


def equalise(waveform, gain_db, *, sample_rate=16000):
    """Filter by a smooth frequency response, as of a microphone, without delay.

    Args:
        waveform: Float32 `[batch, samples]`.
        gain_db: Gains at points evenly spaced on the mel scale from 0 Hz to half the
            sample rate, float `[batch, points]` of at least two; linear in dB over
            mel between them.
        sample_rate: Hz. Defaults to `16000`.
    """
    gain_db = tf.convert_to_tensor(gain_db, tf.float32)
    highest = math.log1p(sample_rate / 2 / MEL_BREAK_HZ)
    last = tf.shape(gain_db)[1] - 1

    def gain(hz):
        place = tf.math.log1p(hz / MEL_BREAK_HZ) / highest * tf.cast(last, tf.float32)
        left = tf.clip_by_value(tf.cast(place, tf.int32), 0, last - 1)
        share = place - tf.cast(left, tf.float32)
        low = tf.gather(gain_db, left, axis=1)
        high = tf.gather(gain_db, left + 1, axis=1)
        return tf.pow(10.0, (low + (high - low) * share) / 20)

    return _filter(waveform, gain, sample_rate)


def mu_law(waveform, levels=256):
    """Quantise by the mu-law of telephones.

    `code = sign(x) * log(1 + 255 * |x|) / log(256)` is rounded to one of `levels`
    codes, 8 bits. Rows above full scale are coded relative to their own peak.
    """
    scale = tf.maximum(tf.reduce_max(tf.abs(waveform), axis=1, keepdims=True), 1.0)
    x = waveform / scale
    code = tf.sign(x) * tf.math.log1p(MU * tf.abs(x)) / math.log1p(MU)
    code = tf.round(code * (levels // 2 - 1)) / (levels // 2 - 1)
    return scale * tf.sign(code) * tf.math.expm1(tf.abs(code) * math.log1p(MU)) / MU


def quantise(waveform, bits):
    """Quantise linearly, in steps of `2**(1 - bits)`.

    `bits` is a number or `[batch]`. Codes go beyond full scale, so nothing clips.
    """
    bits = tf.reshape(tf.cast(bits, tf.float32), [-1, 1])
    step = tf.pow(2.0, 1 - bits)
    return tf.round(waveform / step) * step


def _filter(waveform, gain, sample_rate):
    """Multiply spectra by `gain(hz)`; 50 ms of silence let the filter ring out."""
    samples, ringing = tf.shape(waveform)[1], sample_rate // 20
    size = samples + ringing
    spectrum = tf.signal.rfft(tf.pad(waveform, [[0, 0], [0, ringing]]))
    hz = tf.range(tf.shape(spectrum)[1], dtype=tf.float32)
    hz *= tf.cast(sample_rate / size, tf.float32)
    spectrum *= tf.cast(gain(hz), tf.complex64)
    return tf.signal.irfft(spectrum, [size])[:, :samples]


def _power(waveform):
    return tf.reduce_mean(tf.square(waveform), axis=1)


def _resize(x, size):
    """The first `size` elements of a vector, with zeros where it has fewer."""
    return tf.pad(x[:size], [[0, tf.maximum(size - tf.shape(x)[0], 0)]])
