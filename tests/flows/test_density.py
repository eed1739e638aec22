"""Density is right: a flow learns a mixture whose density is known.

`E[log p(x) - log q(x)]` over fresh `x` of the mixture `p` is the divergence of the flow
`q`, at least 0; both logs are taken of the same points, so 20,000 tell it to a
thousandth of a nat.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from flows.bijectors import backbones
from tests.flows.jacobians import shaken
from timbre.metrics.two_sample_tests import mmd

MEANS = np.array([[-2.0, -1.0], [1.5, -1.5], [0.0, 0.5], [1.5, 2.5]])
COVARIANCES = np.array(
    [
        [[1.0, 0.6], [0.6, 0.5]],
        [[0.5, -0.4], [-0.4, 0.8]],
        [[0.3, 0.0], [0.0, 0.3]],
        [[1.2, 0.5], [0.5, 0.4]],
    ]
)
SHARES = np.array([0.3, 0.3, 0.2, 0.2])
LOG_2_PI = np.log(2 * np.pi)


def draw(count, seed):
    """`count` points of the mixture, `[count, 2]`."""
    rng = np.random.default_rng(seed)
    member = rng.choice(len(SHARES), count, p=SHARES)
    roots = np.linalg.cholesky(COVARIANCES)
    noise = rng.normal(size=(count, 2))
    return MEANS[member] + np.einsum("nij,nj->ni", roots[member], noise)


def log_density(x):
    """Of the mixture, `[count]`."""
    members = zip(MEANS, COVARIANCES, strict=True)
    each = [multivariate_normal(m, c).logpdf(x) for m, c in members]
    return logsumexp(each, axis=0, b=SHARES[:, None])


def log_prob(chain, x):
    """Of the flow in front of a standard normal, `[batch]`."""
    z, log_det = chain.forward_and_log_det(x)
    return log_det - 0.5 * tf.reduce_sum(z**2 + LOG_2_PI, axis=1)


def learn(chain, steps, rate, batch=512, seed=0):
    """Trains on fresh points, the rate falling to 0 as a cosine does."""
    chain.adapt(draw(5000, seed=[seed, 0]))
    x = tf.constant(draw(steps * batch, seed=[seed, 1]), tf.float32)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.Adam(decay, clipnorm=5.0)
    optimizer.build(chain.trainable_variables)
    weights = chain.trainable_variables

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(chain, x))
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    for i in range(steps):
        step(x[i * batch : (i + 1) * batch])
    return chain


@pytest.mark.parametrize("name", ["realnvp", "spline", "maf"])
def test_density_sums_to_one(name):
    """Over squares of a hundredth of a unit's area, whatever the weights are."""
    chain = backbones.build(name, dim=2, steps=2, hidden=8, mixing="linear")
    shaken(chain)
    axis = np.arange(-15, 15, 0.1)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    total = np.exp(log_prob(chain, grid.astype("float32")).numpy()).sum() * 0.1**2
    assert abs(total - 1) < 0.01


# spline comes within .010 nats and realnvp, which can not part what is one piece,
# within .032; 4 seconds of processor time each, of tracing above all.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name, told, learned",
    [
        ("spline", {"steps": 2, "mixing": "linear"}, {"steps": 200, "rate": 1e-2}),
        ("realnvp", {"steps": 4, "mixing": "reverse"}, {"steps": 400, "rate": 1e-2}),
    ],
)
def test_a_mixture_is_learned_to_a_twentieth_of_a_nat(name, told, learned):
    chain = backbones.build(name, dim=2, hidden=32, **told)
    learn(chain, **learned)
    x = draw(20_000, seed=1)
    gap = np.mean(log_density(x) - log_prob(chain, x.astype("float32")).numpy())
    assert -0.005 < gap < 0.05
    rng, real = np.random.default_rng(2), draw(1000, seed=3)
    drawn = chain.inverse(rng.normal(size=real.shape)).numpy()
    assert mmd(real, drawn)["p"] > 0.01
    normal = rng.multivariate_normal(real.mean(axis=0), np.cov(real.T), len(real))
    assert mmd(real, normal)["p"] < 0.01  # the test can tell what has the same moments
