"""Multistep samplers: the clean estimate extrapolated from those of earlier steps.

A step along the flow, from t to s, weighs the clean estimate by `exp(lambda)`, where
`lambda = log(signal / noise)`. With the estimates of earlier times it need not be held
constant: a line or a parabola in `lambda` goes through them, at no further call of the
network. Where `lambda` is infinite, at both ends, the order is lowered.

Reference:
    DPM-Solver++ (Lu et al., 2022), https://arxiv.org/abs/2211.01095
"""

from dataclasses import dataclass

import tensorflow as tf

from diffusion.sampler_steps import Sampler, flow_step, scale


def extrapolate(clean, t, s, clean_last, last):
    """The clean estimate midway from t to s, on the line through those at `last` and t.

    `clean + h / (2 * h_last) * (clean - clean_last)`, with `h` and `h_last` the rises
    of `lambda` from t to s and from `last` to t. Where one of them is not finite, and
    where there was no step before (`last` is t), it is `clean`.
    """
    ratio = (s.log_ratio - t.log_ratio) / (t.log_ratio - last.log_ratio)
    ratio = tf.where(tf.math.is_finite(ratio), ratio, 0)
    return clean + scale(ratio / 2, clean - clean_last)


def corrector_weights(before, u, t):
    """Weights of the two changes of the clean estimate about the step from u to t.

    Let `v` rise from 0 at u to 1 at t, as `lambda` does, by `h`; `before` lies at
    `v = -r`. Under the weights `exp(h * v)` of the flow `v` has the mean
    `b_1 = 1 / (1 - exp(-h)) - 1 / h` and `v**2` has
    `b_2 = 1 / (1 - exp(-h)) - 2 * b_1 / h`, so that of the parabola through the three
    estimates the mean is

    `clean_u + past * (clean_u - clean_before) + new * (clean_t - clean_u)`,
    `past = (b_1 - b_2) / (r * (1 + r))`, `new = b_1 - r * past`.

    Without a time before u, or with an infinite one, it is `(clean_u + clean_t) / 2`.
    `past` and `new` are float64 scalars.
    """
    h = t.log_ratio - u.log_ratio
    r = (u.log_ratio - before.log_ratio) / h
    b_1 = -1 / tf.math.expm1(-h) - 1 / h
    b_2 = b_1 + 1 / h - 2 * b_1 / h
    past = (b_1 - b_2) / (r * (1 + r))
    whole = tf.logical_and(tf.math.is_finite(r), r > 0)
    half = tf.constant(0.5, tf.float64)
    return tf.where(whole, past, 0), tf.where(whole, b_1 - r * past, half)


@dataclass(frozen=True)
class DPMSolverSampler(Sampler):
    """DPM-Solver++(2M): linear extrapolation of the last two clean estimates.

    With `x_0` of `extrapolate`, and `h` the rise of `lambda` in the step:

    `x_s = noise[s] / noise[t] * x_t - signal[s] * (exp(-h) - 1) * x_0`.

    The first step and the last, to 0, are Euler's. Of order 2, with one call a step.

    Reference:
        DPM-Solver++ (Lu et al., 2022), algorithm 2, https://arxiv.org/abs/2211.01095
    """

    def start(self, x, t):
        return tf.zeros_like(x), t

    def step(self, denoise, x, t, s, *, seed, state):
        clean = denoise(x, t)
        return flow_step(x, extrapolate(clean, t, s, *state), t, s), (clean, t)


@dataclass(frozen=True)
class UniPCSampler(Sampler):
    """DPM-Solver++(2M) as predictor, and a corrector of each step by its end.

    With the estimate at `x_t`, which the next step needs anyway, the last step, from
    time u to t, is taken again with the `x_0` of `corrector_weights`. Of order 3, with
    one call a step: the predictor of order 2 with `B(h) = exp(h) - 1` is
    DPM-Solver++(2M). The last step is not corrected.

    Reference:
        UniPC (Zhao et al., 2023), order 2 with B_2 in data prediction,
        https://arxiv.org/abs/2302.04867
    """

    def start(self, x, t):
        return x, tf.zeros_like(x), t, tf.zeros_like(x), t

    def step(self, denoise, x, t, s, *, seed, state):
        x_u, clean_u, u, clean_before, before = state
        clean = denoise(x, t)
        past, new = corrector_weights(before, u, t)
        corrected = clean_u + scale(past, clean_u - clean_before)
        corrected += scale(new, clean - clean_u)
        x = flow_step(x_u, corrected, u, t)
        x_s = flow_step(x, extrapolate(clean, t, s, clean_u, u), t, s)
        return x_s, (x, clean, t, clean_u, u)
