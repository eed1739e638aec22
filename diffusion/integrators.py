"""Integrators of the reverse process: from noise to samples, by SDE or by its flow.

`integrate` takes `steps` equal steps from `T` down to `t_end`; an integrator makes one
of them, from time `t` to `s < t`, out of `score(x, t)`, the gradient of the log density
of `x_t`. At `t_end` a last denoising (`LinearSDE.denoise`) removes the noise left.

Stochastic: `EulerMaruyama`, `ReverseDiffusion`, `PredictorCorrector`. Deterministic,
the probability flow ODE: `EulerFlow`, of first order, and `HeunFlow`, of second.

Reference:
    Score-Based Generative Modeling through Stochastic Differential Equations (Song et
    al., 2021), https://arxiv.org/abs/2011.13456
"""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from diffusion.linear_sde import normal
from timbre.training.networks import check_choice

CORRECTORS = (None, "annealed_langevin", "langevin")


class Integrator:
    """One step of the reverse process; `calls` of the score in it."""

    calls: ClassVar[int] = 1

    def step(self, score, x, t, s, *, sde, seed, mean):
        """Samples at time `s < t`, given `x` at `t`; `seed` is of this step alone."""
        raise NotImplementedError


@dataclass(frozen=True)
class EulerMaruyama(Integrator):
    """The reverse SDE with drift and diffusion constant over a step of `h = t - s`.

    `x_s = x - h * (drift - diffusion**2 * score) + diffusion * sqrt(h) * z`

    It is what SGMSE calls its reverse diffusion predictor.

    Args:
        midpoint: Whether score, drift and diffusion are those of time `(t + s) / 2`,
            still at `x`, as in Grad-TTS. Defaults to `False`.
    """

    midpoint: bool = False

    def step(self, score, x, t, s, *, sde, seed, mean):
        at, h = (t + s) / 2 if self.midpoint else t, t - s
        drift = sde.reverse_drift(x, at, score(x, at), mean)
        z = normal(tf.shape(x), seed, dtype=x.dtype)
        return x - h * drift + sde.diffusion(at) * tf.sqrt(h) * z


@dataclass(frozen=True)
class ReverseDiffusion(Integrator):
    """The exact forward process over a step, reversed (Song et al., appendix E).

    With `x_t = x_s + f(x_s) + G * z` by `transition` from `s` to `t`,

    `x_s = x - f(x) + G**2 * score + G * z`.

    Under `VPSDE` that is `(2 - sqrt(1 - beta)) * x + beta * score + sqrt(beta) * z`
    with the discrete `beta` of the step, under `VESDE` `G**2` is the step in variance.
    """

    def step(self, score, x, t, s, *, sde, seed, mean):
        moved, std = sde.transition(x, s, t, mean)
        z = normal(tf.shape(x), seed, dtype=x.dtype)
        return x - (moved - x) + std**2 * score(x, t) + std * z


@dataclass(frozen=True)
class EulerFlow(Integrator):
    """The probability flow by Euler's rule: `x_s = x - h * flow_drift`.

    Args:
        midpoint: As of `EulerMaruyama`. Defaults to `False`.
    """

    midpoint: bool = False

    def step(self, score, x, t, s, *, sde, seed, mean):
        at = (t + s) / 2 if self.midpoint else t
        return x - (t - s) * sde.flow_drift(x, at, score(x, at), mean)


@dataclass(frozen=True)
class HeunFlow(Integrator):
    """The probability flow by Heun's rule: the mean of the drifts at both ends.

    `x_s = x - h * (flow_drift(x, t) + flow_drift(guess, s)) / 2`, with Euler's guess.
    """

    calls: ClassVar[int] = 2

    def step(self, score, x, t, s, *, sde, seed, mean):
        here = sde.flow_drift(x, t, score(x, t), mean)
        guess = x - (t - s) * here
        there = sde.flow_drift(guess, s, score(guess, s), mean)
        return x - (t - s) * (here + there) / 2


@dataclass(frozen=True)
class PredictorCorrector(Integrator):
    """Langevin steps at time `t`, then a predictor's step to `s`.

    A Langevin step, `x + size * score + sqrt(2 * size) * z`, moves `x` towards the
    distribution at `t`, which corrects the predictor's errors and the prior's bias:

    `annealed_langevin`: `2 * (snr * std(t))**2`,
    `langevin`: `2 * (snr * |z| / |score|)**2`, lengths averaged over the batch, as
    published; a sample then depends on those beside it.

    On Gaussian data of variance `v` finite steps converge to the variance
    `v / (1 - snr**2 * std(t)**2 / v)`, up to 3 % too wide for an `snr` of .16 and up to
    33 % for .5, less and less towards time 0.

    Args:
        predictor: Another key of `INTEGRATORS`. Defaults to `"reverse_diffusion"`.
        corrector: `"annealed_langevin"`, `"langevin"` or `None`. Defaults to the first.
        snr: Size of a Langevin step, above 0; SGMSE has 0.5. Defaults to `0.16`.
        corrector_steps: Langevin steps at each time, at least 1. Defaults to `1`.

    Reference:
        Song et al. (2021), algorithms 2 to 5; `annealed_langevin`: Richter et al.
        (2023), https://arxiv.org/abs/2208.05830
    """

    predictor: str = "reverse_diffusion"
    corrector: str | None = "annealed_langevin"
    snr: float = 0.16
    corrector_steps: int = 1

    def __post_init__(self):
        predictors = sorted(set(INTEGRATORS) - {"predictor_corrector"})
        check_choice("predictor", self.predictor, predictors)
        check_choice("corrector", self.corrector, CORRECTORS)
        if not self.snr > 0:
            raise ValueError(f"`snr` must be above 0. Received: {self.snr}")
        if self.corrector_steps < 1:
            raise ValueError(
                "`corrector_steps` must be at least 1; for none, `corrector=None`. "
                f"Received: {self.corrector_steps}"
            )

    @property
    def calls(self):
        """Calls of the score in one step."""
        corrections = self.corrector_steps if self.corrector else 0
        return build(self.predictor).calls + corrections

    def step(self, score, x, t, s, *, sde, seed, mean):
        for i in range(self.corrector_steps if self.corrector else 0):
            x = self.correct(score, x, t, sde=sde, seed=_fold(seed, i + 1))
        predictor, seed = build(self.predictor), _fold(seed, 0)
        return predictor.step(score, x, t, s, sde=sde, seed=seed, mean=mean)

    def correct(self, score, x, t, *, sde, seed):
        """One Langevin step at time `t`, shaped as `x`."""
        z = normal(tf.shape(x), seed, dtype=x.dtype)
        slope = score(x, t)
        if self.corrector == "annealed_langevin":
            size = 2 * (self.snr * sde.std(t)) ** 2
        else:
            size = 2 * (self.snr * _length(z) / _length(slope)) ** 2
        return x + size * slope + tf.sqrt(2 * size) * z


INTEGRATORS = {
    "euler_maruyama": EulerMaruyama,
    "reverse_diffusion": ReverseDiffusion,
    "predictor_corrector": PredictorCorrector,
    "euler_flow": EulerFlow,
    "heun_flow": HeunFlow,
}


def build(name="predictor_corrector", **arguments):
    """The integrator of a name in `INTEGRATORS`, with the arguments of its class."""
    check_choice("name", name, sorted(INTEGRATORS))
    return INTEGRATORS[name](**arguments)


def num_calls(integrator, steps, *, denoise_last=True):
    """Calls of the score by `integrate` with these arguments."""
    return integrator.calls * steps + bool(denoise_last)


def integrate(
    score,
    x,
    *,
    sde,
    integrator,
    steps,
    seed=(0, 0),
    mean=None,
    t_end=1e-3,
    denoise_last=True,
):
    """Take samples from time `T` to clean ones, in one `tf.while_loop`.

    A `tf.function` around it traces the score once. To start nearer to the data, from a
    coarse estimate, use an SDE with a smaller `T`.

    Args:
        score: Maps `(x, t)`, `t` a scalar of the dtype of `x`, to the score, shaped as
            `x`; its conditions are its own.
        x: Samples at time `T`, as from `sde.prior`, `[batch, ...]` of any rank.
        sde: A member of `diffusion.sde`.
        integrator: A member of `INTEGRATORS`.
        steps: Number of steps, at least 1; an int or an int32 scalar tensor.
        seed: Stateless seed, int `[2]`; same seed, same bits. Defaults to `(0, 0)`.
        mean: The condition of an `sde` that is `conditional`.
        t_end: Where the steps end, at least 0 and below `T`. Many scores grow without
            bound towards 0, where only `HeunFlow` evaluates them. Defaults to `1e-3`;
            SGMSE has 0.03, Grad-TTS 0.
        denoise_last: Return the clean sample expected at `t_end`, at the cost of one
            more call; at `t_end = 0` it is `x` itself. Defaults to `True`.

    Returns:
        Samples, shaped as `x`.
    """
    if not 0 <= t_end < sde.T:
        raise ValueError(
            f"`t_end` must be at least 0 and below T={sde.T}. Received: {t_end}"
        )
    if not tf.is_tensor(steps) and steps < 1:
        raise ValueError(f"`steps` must be at least 1. Received: {steps}")
    x = tf.convert_to_tensor(x)
    evaluate = _trace_score(score, x)
    last = tf.convert_to_tensor(steps, tf.int32)

    def time(i):
        done = tf.cast(i, x.dtype) / tf.cast(last, x.dtype)
        return sde.T * (1 - done) + t_end * done

    def body(i, x):
        key = _fold(seed, i)
        new = integrator.step(
            evaluate, x, time(i), time(i + 1), sde=sde, seed=key, mean=mean
        )
        return i + 1, tf.ensure_shape(new, x.shape)

    with tf.control_dependencies([tf.debugging.assert_positive(last)]):
        start = tf.constant(0)
    _, x = tf.while_loop(lambda i, x: i < last, body, (start, x))
    if denoise_last and t_end > 0:
        end = time(last)
        x = tf.ensure_shape(sde.denoise(x, end, evaluate(x, end), mean), x.shape)
    return x


def _trace_score(score, x):
    """The score with the shape and dtype of `x`, traced once in a graph."""

    def evaluate(x, t):
        return tf.cast(tf.ensure_shape(score(x, t), x.shape), x.dtype)

    if tf.executing_eagerly():
        return evaluate
    return tf.function(evaluate).get_concrete_function(
        tf.TensorSpec(x.shape, x.dtype), tf.TensorSpec([], x.dtype)
    )


def _fold(seed, i):
    return tf.random.experimental.stateless_fold_in(seed, i)


def _length(x):
    """Euclidean length of a sample, averaged over the batch."""
    rows = tf.reshape(x, [tf.shape(x)[0], -1])
    return tf.reduce_mean(tf.norm(rows, axis=-1))
