"""Walks of integrators on Gaussian data, whose score and flow are known exactly."""

import numpy as np
import pytest
import tensorflow as tf

from diffusion.integrators import (
    EulerFlow,
    EulerMaruyama,
    HeunFlow,
    PredictorCorrector,
    ReverseDiffusion,
    integrate,
)
from diffusion.sde import OUVESDE, VESDE, VPSDE, MeanRevertingVPSDE

MEMBERS = [  # a new integrator is tested by a line here
    EulerMaruyama(),
    EulerMaruyama(midpoint=True),
    ReverseDiffusion(),
    PredictorCorrector(),
    PredictorCorrector(predictor="euler_maruyama", corrector="langevin", snr=0.1),
    PredictorCorrector(corrector=None),
    EulerFlow(),
    EulerFlow(midpoint=True),
    HeunFlow(),
]
SDES = [
    VPSDE(),
    MeanRevertingVPSDE(),
    VESDE(sigma_min=0.05, sigma_max=5.0),
    OUVESDE(components=2),
]
every_integrator = pytest.mark.parametrize("integrator", MEMBERS, ids=repr)
every_sde = pytest.mark.parametrize("sde", SDES, ids=repr)


class Gaussian:
    """Data `N(mean, turn @ diag(power) @ turn.T)`, correlated along the last axis."""

    def __init__(self, sde, event, dtype="float32"):
        rng = np.random.default_rng(1)
        self.sde, self.dtype, dim = sde, dtype, event[-1]
        turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        self.turn = tf.constant(turn, dtype)
        self.power = tf.constant(np.linspace(0.3, 2.0, dim), dtype)
        self.mean = tf.constant(rng.normal(size=(1, *event)), dtype)
        mean = tf.constant(rng.normal(size=(1, *event)), dtype)
        self.condition = mean if sde.conditional else None

    def at(self, t):
        """Mean of `x_t`, and its variance in each of the directions `turn`."""
        centre, std = self.sde.marginal(self.mean, t, self.condition)
        keep = tf.exp(-tf.cast(self.sde.integrated_rate(0.0, t), self.dtype))
        return centre, keep**2 * self.power + std**2

    def straight(self, x, centre, power):
        """Samples as they would be were they standard normal."""
        return tf.einsum("...i,ij->...j", x - centre, self.turn) / tf.sqrt(power)

    def score(self, x, t):
        centre, power = self.at(t)
        z = self.straight(x, centre, power) / tf.sqrt(power)
        return -tf.einsum("...j,ij->...i", z, self.turn)

    def sample(self, t, count, seed=(5, 6)):
        """Exact samples of `x_t`."""
        shape = [count, *self.mean.shape[1:]]
        return self.flow(tf.random.stateless_normal(shape, seed, dtype=self.dtype), t)

    def flow(self, z, t):
        """The probability flow: each `z` keeps its place in a changing Gaussian."""
        centre, power = self.at(t)
        return centre + tf.einsum("...j,ij->...i", z * tf.sqrt(power), self.turn)


def compile_integration(data, integrator, **options):
    """`integrate` with the exact score: a graph of start, number of steps and seed."""

    @tf.function
    def graph(x, steps, seed):
        options.update(sde=data.sde, integrator=integrator, mean=data.condition)
        return integrate(data.score, x, steps=steps, seed=seed, **options)

    def run(x, steps, seed=(0, 0)):
        return graph(x, tf.constant(steps), tf.constant(seed))

    return run


def run_integration(data, x, integrator, steps, **options):
    """What one `compile_integration` finds."""
    return compile_integration(data, integrator, **options)(x, steps)
