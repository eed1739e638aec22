"""Guidance: against exact results for Gaussian classes, and its limits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion import guidance, schedules
from diffusion.networks.classifier import NoiseConditionalClassifier
from tests.contracts import check_gradients

STEPS = 20
SCHEDULE = schedules.cosine(STEPS)
SIGNAL, NOISE = (tf.constant(v, tf.float32) for v in (SCHEDULE.signal, SCHEDULE.noise))
CENTRES = tf.constant([[2.0, 0.0], [-1.0, 1.0], [0.0, -2.0]])  # 2-D, equal shares
SPREAD = 0.6  # deviation of each class


def variance(t):
    """Of `x_t` in a class."""
    return (SIGNAL[t] * SPREAD) ** 2 + NOISE[t] ** 2


def class_means(x, t):
    """`E[x_0 | x_t, y]` of every class, `[batch, classes, 2]`."""
    off = x[:, None] - SIGNAL[t] * CENTRES
    return CENTRES + SIGNAL[t] * SPREAD**2 / variance(t) * off


def log_shares(x, t):
    """`log p(y | x_t, t)`, `[batch, classes]`."""
    off = x[:, None] - SIGNAL[t] * CENTRES
    return tf.nn.log_softmax(-tf.reduce_sum(off**2, -1) / (2 * variance(t)))


def given(label):
    return lambda x, t: class_means(x, t)[:, label]


def free(x, t):
    return tf.reduce_sum(tf.exp(log_shares(x, t))[..., None] * class_means(x, t), 1)


@pytest.fixture
def x(rng):
    return tf.constant(rng.normal(scale=1.5, size=(7, 2)), tf.float32)


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("t", [1, 5, 12, 18])
def test_the_exact_classifier_turns_the_free_estimate_into_the_given_one(label, t, x):
    """Bayes: score(x_t | y) = score(x_t) + gradient of log p(y | x_t)."""
    guided = guidance.classifier(
        free, lambda x, t: log_shares(x, t)[:, label], 1.0, SCHEDULE
    )
    found = guided(x, tf.constant(t))
    np.testing.assert_allclose(found, given(label)(x, t), atol=2e-4)


@pytest.mark.parametrize("t", [1, 8, 19])
def test_classifier_guidance_is_its_published_rule_in_noise(t, x):
    def log_prob(x, t):
        return log_shares(x, t)[:, 1]

    guided = guidance.classifier(free, log_prob, 2.5, SCHEDULE)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = log_prob(x, t)
    z = (x - SIGNAL[t] * free(x, t)) / NOISE[t]
    z = z - 2.5 * NOISE[t] * tape.gradient(value, x)
    found = (x - SIGNAL[t] * guided(x, tf.constant(t))) / NOISE[t]
    np.testing.assert_allclose(found, z, atol=1e-3)


def test_without_signal_a_classifier_changes_nothing(x):
    schedule = SCHEDULE.rescale_zero_terminal_snr()
    guided = guidance.classifier(
        lambda x, t: x, lambda x, t: tf.reduce_sum(x**3, -1), 2.0, schedule
    )
    np.testing.assert_array_equal(guided(x, tf.constant(STEPS)), x)
    assert np.abs(guided(x, tf.constant(STEPS - 1)) - x).max() > 0.1


def test_classifier_guidance_works_inside_a_loop_in_a_graph(x):
    guided = guidance.classifier(
        free, lambda x, t: log_shares(x, t)[:, 0], 1.0, SCHEDULE
    )

    @tf.function
    def down(x):
        t = tf.constant(STEPS)
        return tf.while_loop(
            lambda t, x: t > 0, lambda t, x: (t - 1, guided(x, t)), (t, x)
        )[1]

    np.testing.assert_allclose(down(x), tf.tile(CENTRES[:1], (7, 1)), atol=2.0)


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.7, 4.0])
@pytest.mark.parametrize("t", [1, 8, 19])
def test_classifier_free_guidance_is_its_published_rule_in_noise(weight, t, x):
    guided = guidance.classifier_free(given(2), free, weight)(x, t)

    def noise_of(x_0):
        return (x - SIGNAL[t] * x_0) / NOISE[t]

    rule = (1 + weight) * noise_of(given(2)(x, t)) - weight * noise_of(free(x, t))
    np.testing.assert_allclose(noise_of(guided), rule, atol=1e-3)
    if weight in (-1, 0):
        plain = free if weight else given(2)
        np.testing.assert_allclose(guided, plain(x, t), atol=1e-6)


def test_both_guides_agree_where_both_are_exact(x):
    """(1 + w) given - w free = free + (1 + w) (given - free): a classifier of 1 + w."""
    t = tf.constant(9)
    one = guidance.classifier_free(given(0), free, 1.5)(x, t)
    two = guidance.classifier(free, lambda x, t: log_shares(x, t)[:, 0], 2.5, SCHEDULE)(
        x, t
    )
    np.testing.assert_allclose(one, two, atol=1e-3)


def cosine(a, b):
    a, b = np.asarray(a), np.asarray(b)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sum(a * b, axis=-1) / lengths


@pytest.mark.parametrize("limit", [-0.5, 0.0, 0.3, 0.9])
@pytest.mark.parametrize("shared", [True, False])
def test_what_is_too_near_comes_to_the_limit_and_nothing_else_moves(limit, shared, rng):
    x = tf.constant(rng.normal(size=(200, 3)), tf.float32)
    source = 5 * rng.normal(size=(3,) if shared else (200, 3))
    found = guidance.away(lambda x, t: x, source, 1.0, limit=limit)(x, 3)
    before, after = cosine(x, source), cosine(found, source)
    near = before > limit
    assert 0 < near.mean() < 1
    np.testing.assert_allclose(after[near], limit, atol=1e-5)
    np.testing.assert_array_equal(found[~near], x[~near])
    unit = source / np.linalg.norm(source, axis=-1, keepdims=True)
    moved = np.asarray(found - x)
    across = moved - np.sum(moved * unit, axis=-1, keepdims=True) * unit
    np.testing.assert_allclose(across, 0, atol=1e-5)


def test_the_weight_is_the_share_of_the_way(rng):
    x = tf.constant(rng.normal(size=(50, 4)), tf.float32)
    source = rng.normal(size=4)
    moved = [
        guidance.away(lambda x, t: x, source, weight, limit=0.2)(x, 3) - x
        for weight in (0.0, 0.25, 1.0)
    ]
    np.testing.assert_array_equal(moved[0], 0)
    np.testing.assert_allclose(moved[1], 0.25 * moved[2], atol=1e-6)


def test_an_estimate_that_is_the_source_keeps_no_part_of_it():
    found = guidance.away(lambda x, t: x, [3.0, 4.0], 1.0)(tf.constant([[6.0, 8.0]]), 1)
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_guides_may_be_stacked(x):
    source = np.array([1.0, 0.0])
    both = guidance.away(
        guidance.classifier_free(given(0), free, 1.0), source, 1.0, limit=0.1
    )
    assert (cosine(both(x, 4), source) <= 0.1 + 1e-5).all()


@pytest.mark.parametrize("limit", [-1.0, 1.0, 3.0])
def test_a_limit_is_a_cosine(limit):
    with pytest.raises(ValueError, match="`limit` must lie between -1 and 1"):
        guidance.away(free, [1.0, 0.0], 1.0, limit=limit)


def noisy_classifier(**options):
    schedule = {"name": "cosine", "steps": STEPS}
    return NoiseConditionalClassifier(2, 3, schedule, width=32, num_blocks=1, **options)


def test_a_noisy_classifier_is_rebuilt_and_every_weight_learns(rng, tmp_path):
    model = noisy_classifier(dropout=0.1, seed=3)
    x_0 = rng.normal(size=(9, 2)).astype("float32")
    check_gradients(model, x_0)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)
    )
    assert copy.get_config() == model.get_config()
    model.save_weights(tmp_path / "c.weights.h5")
    copy.load_weights(tmp_path / "c.weights.h5")
    np.testing.assert_array_equal(model.logits(x_0, 4), copy.logits(x_0, 4))
    shares = [np.exp(model.log_prob(x_0, 4, label)) for label in range(3)]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1, rtol=1e-5)


def test_unknown_classes_have_no_loss():
    model, logits = noisy_classifier(), np.array([[1.0, 2.0, 0.0], [5.0, 0.0, 0.0]])
    alone = model.compute_loss(y=np.array([1]), y_pred=logits[:1])
    both = model.compute_loss(y=np.array([1, -1]), y_pred=logits)
    assert np.isclose(alone, both)


@pytest.mark.slow
def test_a_learned_classifier_comes_near_the_exact_one(rng):
    model = noisy_classifier()
    rate = keras.optimizers.schedules.CosineDecay(0.01, 300)
    model.compile(optimizer=keras.optimizers.Adam(rate))
    labels = rng.integers(0, 3, 6000)
    x_0 = CENTRES.numpy()[labels] + SPREAD * rng.normal(size=(6000, 2))
    model.fit(x_0.astype("float32"), labels, batch_size=200, epochs=10, verbose=0)
    for t in (2, 10, 17):
        shown = SCHEDULE.signal[t] * x_0[:500]
        shown = shown + SCHEDULE.noise[t] * rng.normal(size=(500, 2))
        shown = tf.constant(shown, tf.float32)
        found = tf.nn.softmax(model.logits(shown, t))
        error = np.abs(found - tf.exp(log_shares(shown, t))).mean()
        assert error < 0.06, (t, error)
