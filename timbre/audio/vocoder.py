"""Vocoder: waveforms from log-mel spectrograms, by Griffin-Lim.

`mel_to_power` finds non-negative powers of the bins whose mel bands are the ones given.
`griffin_lim` finds phases: it alternates between spectra with the given magnitudes and
consistent spectra, those of some waveform,

`consistent = stft(inverse(magnitude * phase(guess)))`
`guess = consistent + momentum * (consistent - consistent_before)`

Words and timbre are kept; what the bands did not resolve, above all pitch, is lost.

References:
    Signal Estimation from Modified Short-Time Fourier Transform (Griffin and Lim,
    1984), https://doi.org/10.1109/TASSP.1984.1164317, section III: `momentum=0`.
    A fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard, 2013),
    https://doi.org/10.1109/WASPAA.2013.6701851, algorithm 2.
    Algorithms for Non-negative Matrix Factorization (Lee and Seung, 2000), theorem 2,
    https://papers.nips.cc/paper/1861-algorithms-for-non-negative-matrix-factorization,
    of which `mel_to_power` needs one half: the matrix is known.
"""

import math

import tensorflow as tf

from timbre.audio.stft import inverse, stft


def mel_to_power(mel_energies, matrix, *, iterations=100):
    """Find powers of bins whose mel bands have given energies, `[batch, frames, bins]`.

    Begins with every band spread evenly over its triangle and applies the
    multiplicative updates that decrease the Kullback-Leibler divergence,
    `power *= (mel_energies / (power @ matrix)) @ matrix.T / sum_b matrix[:, b]`, so
    faint bands are fitted as closely as loud ones. Bins outside of all bands are zero.

    Args:
        mel_energies: Float `[batch, frames, bands]`, energies >= 0, no logarithms.
        matrix: Float `[bins, bands]`, as of `timbre.audio.mel.mel_matrix`.
        iterations: Number of updates. Defaults to `100`.

    Raises:
        ValueError: The energies have other bands than the matrix.
        tf.errors.InvalidArgumentError: Energies are negative or not finite.
    """
    mel_energies = tf.convert_to_tensor(mel_energies, tf.float32)
    matrix = tf.convert_to_tensor(matrix, tf.float32)
    _check(mel_energies, matrix.shape[1], "`mel_energies`")
    iterations = tf.convert_to_tensor(iterations, tf.int32)
    power = _spread(mel_energies, matrix, iterations)
    return tf.ensure_shape(power, [*mel_energies.shape[:2], matrix.shape[0]])


@tf.function(reduce_retracing=True)
def _spread(energies, matrix, iterations):
    total = tf.reduce_sum(matrix, axis=1)  # (bins,)
    widths = tf.reduce_sum(matrix, axis=0)  # (bands,)

    def back(bands):
        return tf.math.divide_no_nan(tf.matmul(bands, matrix, transpose_b=True), total)

    def update(i, power):
        return i + 1, power * back(tf.math.divide_no_nan(energies, power @ matrix))

    start = back(energies / widths)
    return tf.while_loop(lambda i, _: i < iterations, update, (0, start))[1]


def griffin_lim(
    magnitude,
    *,
    num_samples,
    window=512,
    hop=160,
    iterations=60,
    momentum=0.99,
    seed=(0, 0),
):
    """Find sounds whose short-time magnitudes are near the given ones.

    Args:
        magnitude: Float `[batch, 1 + num_samples // hop, window // 2 + 1]`, >= 0, as
            `abs(stft(waveform))` of `timbre.audio.stft`.
        num_samples: Samples of the waveforms.
        window, hop: As given to `stft`. Default to `512` and `160`.
        iterations: Number of iterations. Defaults to `60`.
        momentum: Float in [0, 1]; with 0 the distance from the magnitudes never
            increases, and convergence is slower. Defaults to `0.99`.
        seed: Two ints, of the first phases. Defaults to `(0, 0)`.

    Returns:
        Waveforms, float32 `[batch, num_samples]`.

    Raises:
        ValueError: Bins are not the window's, or `hop` or `momentum` is out of range.
        tf.errors.InvalidArgumentError: Magnitudes are negative or not finite, or their
            frames are not those of `num_samples`.
    """
    magnitude = tf.convert_to_tensor(magnitude, tf.float32)
    _check(magnitude, window // 2 + 1, "`magnitude`")
    if not 0 <= momentum <= 1:
        raise ValueError(f"`momentum` must be in [0, 1]. Received: {momentum}")
    frames = 1 + num_samples // hop
    message = "`magnitude` must have 1 + num_samples // hop frames."
    tf.debugging.assert_equal(tf.shape(magnitude)[1], frames, message)
    return _search(
        magnitude,
        tf.convert_to_tensor(num_samples, tf.int32),
        tf.convert_to_tensor(iterations, tf.int32),
        tf.convert_to_tensor(seed, tf.int32),
        tf.complex(tf.cast(momentum, tf.float32), 0.0),
        window=window,
        hop=hop,
    )


@tf.function(reduce_retracing=True)
def _search(magnitude, num_samples, iterations, seed, momentum, *, window, hop):
    frames = {"window": window, "hop": hop}
    turns = tf.random.stateless_uniform(tf.shape(magnitude), seed, maxval=2 * math.pi)
    guess = tf.complex(tf.cos(turns), tf.sin(turns))

    def sound(guess):
        spectrum = _with_magnitude(guess, magnitude)
        return inverse(spectrum, num_samples=num_samples, **frames)

    def iterate(i, guess, before):
        found = tf.ensure_shape(stft(sound(guess), **frames), magnitude.shape)
        return i + 1, found + momentum * (found - before), found

    start = (0, guess, tf.zeros_like(guess))
    end = tf.while_loop(lambda i, *_: i < iterations, iterate, start)
    return sound(end[1])


def _with_magnitude(guess, magnitude):
    """The nearest spectrum that has the magnitudes; any phase will do for a zero."""
    size = tf.abs(guess)
    guess = tf.where(size > 0, guess, 1)
    return guess * tf.cast(magnitude / tf.where(size > 0, size, 1.0), guess.dtype)


def waveform_from_log_mel(log_mel, front_end, *, iterations=60, seed=(0, 0)):
    """Find waveforms whose log energies by a front end are near the given ones.

    Where its hop is more than a third of its window, logarithms are interpolated.

    Args:
        log_mel: Float `[batch, frames, num_bands]`, as the front end makes them.
        front_end: A `timbre.audio.mel.LogMel`, mel or linear.
        iterations, seed: As for `griffin_lim`.

    Returns:
        Waveforms, float32 `[batch, (frames - 1) * hop]`, not limited to [-1, 1].

    Raises:
        ValueError: Other bands than the front end's, or one frame only.
        tf.errors.InvalidArgumentError: A number is not finite, or too large.
    """
    log_mel = tf.convert_to_tensor(log_mel, tf.float32)
    if log_mel.shape.rank == 3 and log_mel.shape[1] == 1:
        raise ValueError(f"A sound needs two frames. Received: {log_mel.shape}")
    log_mel = _finer(log_mel, front_end.parts)
    power = mel_to_power(tf.exp(log_mel), front_end.matrix)
    hop = front_end.hop // front_end.parts
    return griffin_lim(
        tf.sqrt(power),
        num_samples=(tf.shape(power)[1] - 1) * hop,
        window=front_end.window,
        hop=hop,
        iterations=iterations,
        seed=seed,
    )


def _finer(x, parts):
    """`parts - 1` frames on the straight line between each two."""
    if parts == 1:
        return x
    share = tf.range(parts, dtype=x.dtype)[:, None] / parts  # (parts, 1)
    now, after = x[:, :-1, None], x[:, 1:, None]  # (batch, frames - 1, 1, bands)
    steps = now + share * (after - now)
    steps = tf.reshape(steps, [tf.shape(x)[0], -1, x.shape[2]])
    return tf.concat([steps, x[:, -1:]], axis=1)


def _check(x, last, name):
    if x.shape.rank != 3 or x.shape[-1] != last:
        raise ValueError(
            f"{name} must be [batch, frames, {last}]. Received: {tuple(x.shape)}"
        )
    fine = tf.reduce_all(tf.math.is_finite(x) & (x >= 0))
    tf.debugging.Assert(fine, [f"{name} must be finite and not negative."])
