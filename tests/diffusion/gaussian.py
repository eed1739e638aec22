"""Normal data whose denoiser, flow and every sampler's result are known exactly.

The data are `N(mean, U diag(std**2) U')` with a full covariance: `U = 1 - 2 w w'` is a
reflection. Then `E[x_0 | x_t] = mean + U g U' (x_t - signal * mean)`, with
`g = signal * std**2 / (signal**2 * std**2 + noise**2)`: along the columns of `U`
everything happens number by number. There the references below follow the papers in
NumPy, by other formulas than the package's: each takes coordinates of `x_t` along these
columns to those of the sample, and says what variance new noise has added.
"""

import numpy as np
import tensorflow as tf


class Gaussian:
    """Data of one event shape; `denoise` is exact."""

    def __init__(self, schedule, event=(6,), spread=(0.4, 1.5)):
        rng = np.random.default_rng(0)
        size = int(np.prod(event))
        self.schedule, self.event = schedule, event
        self.mean = rng.normal(size=size)
        self.std = rng.uniform(*spread, size)
        self.axis = rng.normal(size=size) / np.sqrt(size)
        self.axis /= np.linalg.norm(self.axis)

    def turn(self, x):
        """`U x` for rows of `x`, which is also `U' x`; NumPy or TensorFlow."""
        return x - 2 * (x @ self.axis[:, None]) * self.axis

    def denoise(self, x, t):
        signal, noise = (tf.constant(v) for v in self.levels)
        signal, noise = tf.gather(signal, t), tf.gather(noise, t)
        flat = tf.reshape(tf.cast(x, tf.float64), (-1, len(self.mean)))
        gain = signal * self.std**2 / (signal**2 * self.std**2 + noise**2)
        clean = self.mean + self.turn(gain * self.turn(flat - signal * self.mean))
        return tf.cast(tf.reshape(clean, tf.shape(x)), x.dtype)

    @property
    def levels(self):
        return self.schedule.signal, self.schedule.noise

    def deviation(self, t):
        """Of `x_t` along the columns of `U`, where the data's is `std`."""
        return np.sqrt(
            (self.schedule.signal[t] * self.std) ** 2 + self.schedule.noise[t] ** 2
        )

    def sample(self, count, t, seed=1):
        """Samples of `x_t`, float64 `[count, *event]`."""
        z = np.random.default_rng(seed).normal(size=(count, len(self.mean)))
        return self.place(z * self.deviation(t), t)

    def place(self, coordinates, t):
        """Samples of `x_t` from their coordinates along the columns of `U`."""
        x = self.turn(coordinates) + self.schedule.signal[t] * self.mean
        return x.reshape(-1, *self.event)

    def coordinates(self, x, t):
        """What `place` places."""
        flat = np.reshape(x, (-1, len(self.mean)))
        return self.turn(flat - self.schedule.signal[t] * self.mean)

    def flow(self, x, t, s):
        """Where the probability flow takes `x_t`: deviations scale, nothing else."""
        scale = self.deviation(s) / self.deviation(t)
        return self.place(self.coordinates(x, t) * scale, s)

    def clean(self, y, t):
        """The exact estimate in coordinates."""
        return self.schedule.signal[t] * (self.std / self.deviation(t)) ** 2 * y


def ddpm(data, y, times, variance):
    """Bayes: the product of `q(x_s | x_0)` and `q(x_t | x_s)`, both normal."""
    var, (signal, noise) = 0.0, data.levels
    for t, s in zip(times[:-1], times[1:], strict=True):
        ratio = signal[t] / signal[s]
        beta = 1 - ratio**2
        gain = data.clean(1.0, t)
        if s == 0:
            y, var = gain * y, gain**2 * var
            continue
        precision = 1 / noise[s] ** 2 + ratio**2 / beta
        slope = (signal[s] * gain / noise[s] ** 2 + ratio / beta) / precision
        y, var = slope * y, slope**2 * var
        var = var + (1 / precision if variance == "posterior" else beta)
    return y, var


def ddim(data, y, times, eta):
    """Song et al., equations 12 and 16, with alpha for alpha_bar as they write."""
    var, alpha = 0.0, data.schedule.alpha_bar
    for t, s in zip(times[:-1], times[1:], strict=True):
        clean = data.clean(1.0, t)
        z = (1 - np.sqrt(alpha[t]) * clean) / np.sqrt(1 - alpha[t])
        std = eta * np.sqrt((1 - alpha[s]) / (1 - alpha[t]))
        std *= np.sqrt(1 - alpha[t] / alpha[s])
        slope = np.sqrt(alpha[s]) * clean + np.sqrt(1 - alpha[s] - std**2) * z
        y, var = slope * y, slope**2 * var + std**2
    return y, var


def euler(data, y, times):
    """`d(x / signal) / d sigma = z`, in small words."""
    signal, noise = data.levels
    for t, s in zip(times[:-1], times[1:], strict=True):
        z = (y - signal[t] * data.clean(y, t)) / noise[t]
        rise = noise[s] / signal[s] - noise[t] / signal[t]
        y = signal[s] * (y / signal[t] + rise * z)
    return y, 0.0


def heun(data, y, times, average):
    """Trapezoid of `d(x / noise) = x_0 d(1 / sigma)` or `d(x / signal) = z d sigma`."""
    signal, noise = data.levels
    for t, s in zip(times[:-1], times[1:], strict=True):
        end, _ = ddim(data, y, (t, s), 0.0)
        if s > 0 and average == "clean":
            slopes = data.clean(y, t) + data.clean(end, s)
            rise = signal[s] / noise[s] - signal[t] / noise[t]
            end = noise[s] * (y / noise[t] + rise * slopes / 2)
        elif s > 0 and signal[t] > 0:
            slopes = (y - signal[t] * data.clean(y, t)) / noise[t]
            slopes = slopes + (end - signal[s] * data.clean(end, s)) / noise[s]
            rise = noise[s] / signal[s] - noise[t] / signal[t]
            end = signal[s] * (y / signal[t] + rise * slopes / 2)
        y = end
    return y, 0.0


def multistep(data, y, times, corrected):
    """Zhao et al.: UniP-2 and UniC-2, whose weights solve a linear system, with B_2.

    Without the corrector, Lu et al., algorithm 2. Where `lambda` is not finite the
    order is lowered, as in the first step and the last.
    """
    signal, noise = data.levels
    with np.errstate(divide="ignore"):
        lam = np.log(signal) - np.log(noise)
    history, y_last = [], y  # clean estimates and times, the latest first
    for t, s in zip(times[:-1], times[1:], strict=True):
        clean = data.clean(y, t)
        if corrected and history:
            y = unic(y_last, clean, t, history, lam, signal, noise)
        history, y_last = [(clean, t), *history][:2], y
        h, guess = lam[s] - lam[t], clean
        if len(history) == 2 and np.isfinite([h, lam[history[1][1]]]).all():
            r = (lam[t] - lam[history[1][1]]) / h
            guess = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * history[1][0]
        y = noise[s] / noise[t] * y - signal[s] * np.expm1(-h) * guess
    return y, 0.0


def unic(y_last, clean, t, history, lam, signal, noise):
    """UniC: the last step, to t, again, `clean` at its end known."""
    m_0, last = history[0]
    h = lam[t] - lam[last]
    change, weights = [clean - m_0], [0.5]
    if len(history) == 2 and np.isfinite(lam[history[1][1]]):
        r = (lam[history[1][1]] - lam[last]) / h
        phi_1 = np.expm1(-h) / -h
        phi_2 = (phi_1 - 1) / -h
        phi_3 = (phi_2 - 1 / 2) / -h
        right = np.array([phi_2, 2 * phi_3]) * -h / np.expm1(-h)
        weights = np.linalg.solve([[1, 1], [r, 1]], right)
        change = [(history[1][0] - m_0) / r, clean - m_0]
    total = sum(w * d for w, d in zip(weights, change, strict=True))
    return noise[t] / noise[last] * y_last - signal[t] * np.expm1(-h) * (m_0 + total)
