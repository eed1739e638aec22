import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import check_layer
from voiceemb.networks.pooling import AttentiveStatisticsPooling, StatisticsPooling

POOLINGS = {
    "statistics": StatisticsPooling,
    "attentive": lambda **k: AttentiveStatisticsPooling(4, **k),
    "without context": lambda **k: AttentiveStatisticsPooling(4, context=False, **k),
}


def frames(rng, batch=2, time=7, dim=5):
    return rng.normal(2, 3, (batch, time, dim)).astype("float32")


def moments(x, weight):
    """Mean and deviation over time of `[time, dim]`, in float64."""
    mean = (weight * x).sum(axis=0)
    return np.concatenate([mean, np.sqrt((weight * (x - mean) ** 2).sum(axis=0))])


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_keeps_the_contract_of_a_layer(name, rng):
    check_layer(POOLINGS[name](), frames(rng))


def test_statistics_are_those_of_numpy(rng):
    x = frames(rng)
    expected = np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=-1)
    np.testing.assert_allclose(StatisticsPooling()(x), expected, atol=1e-5)


@pytest.mark.parametrize("context", [True, False])
def test_attention_follows_the_paper(context, rng):
    """Against the equations, whose `W` sees frame, mean and deviation side by side."""
    layer, x = AttentiveStatisticsPooling(4, context=context), frames(rng)
    layer(x)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    kernel, b, *whole, v, k = (w.astype(float) for w in layer.get_weights())
    expected = []
    for row in x.astype(float):
        h = row
        if context:
            stats = np.concatenate([row.mean(axis=0), row.std(axis=0)])
            h = np.concatenate([row, np.tile(stats, (len(row), 1))], axis=-1)
        score = np.exp(np.tanh(h @ np.concatenate([kernel, *whole]) + b) @ v + k)
        expected.append(moments(row, score / score.sum(axis=0)))
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_even_attention_is_statistics_pooling(rng):
    layer, x = AttentiveStatisticsPooling(4), frames(rng)
    layer(x)
    layer.scores.kernel.assign(np.zeros(layer.scores.kernel.shape))
    np.testing.assert_allclose(layer(x), StatisticsPooling()(x), atol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_has_no_say_whatever_it_holds(name, rng):
    layer, x = POOLINGS[name](), frames(rng, time=6)
    lengths = np.array([6, 2])
    mask = np.arange(9) < lengths[:, None]
    alone = [layer(x[i : i + 1, :n])[0] for i, n in enumerate(lengths)]
    for rubbish in (0.0, 1e4, np.nan):
        padded = np.full((2, 9, 5), rubbish, "float32")
        padded[:, :6] = x
        padded[1, 2:] = rubbish
        np.testing.assert_allclose(layer(padded, mask=mask), alone, atol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_row_without_any_frame_has_mean_zero(name, rng):
    pooled = POOLINGS[name]()(frames(rng), mask=np.zeros((2, 7), bool))
    np.testing.assert_array_equal(pooled[:, :5], 0)
    np.testing.assert_allclose(pooled[:, 5:], 0, atol=1.1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3])
def test_the_gradient_is_bounded_where_frames_are_equal(name, dtype, spread, rng):
    layer = POOLINGS[name](dtype=dtype)
    x = 3 + spread * rng.normal(size=(1, 8, 5))  # the mean of 8 is exact
    x = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        deviation = layer(x)[:, 5:]
        # As large as a scaled loss makes it.
        loss = 2.0**15 * tf.reduce_sum(deviation)
    gradients = tape.gradient(loss, [x, *(w.value for w in layer.weights)])
    assert all(np.isfinite(g).all() for g in gradients)
    assert np.abs(gradients[0]).max() <= 2.0**15 * 1.01
    assert deviation.numpy().max() <= 1.01e-5 + 4 * spread + (dtype != "float32") * 1e-2


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_does_not_overflow(dtype, rng):
    x = 1000 + 100 * rng.normal(size=(1, 4000, 2)).astype("float32")
    pooled = StatisticsPooling(dtype=dtype)(x)
    assert pooled.dtype == tf.float32
    expected = np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=-1)
    np.testing.assert_allclose(pooled, expected, rtol=2e-3)


def test_a_bottleneck_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`bottleneck` must be at least 1"):
        AttentiveStatisticsPooling(0)


def test_pooling_uses_up_a_mask_that_keras_carries(rng):
    masked = keras.layers.Masking()(frames(rng))
    pooled = StatisticsPooling()(masked)
    assert getattr(pooled, "_keras_mask", None) is None
