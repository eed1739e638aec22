import numpy as np
import pytest

from tests.contracts import check_layer
from voiceemb.networks.ecapa import ECAPATDNN, SERes2Block, TimeConvolution

EPSILON = 1e-3  # of Keras' batch normalisation


def published_count(c, bands=80, pooled=1536, scale=8, squeeze=128, attention=128):
    """Trainable parameters by hand: kernel, bias, and two of each normalisation."""
    group = c // scale
    first = 5 * bands * c + 3 * c
    pointwise = c * c + 3 * c
    groups = (scale - 1) * (3 * group**2 + 3 * group)
    gate = c * squeeze + squeeze + squeeze * c + c
    aggregate = 3 * c * pooled + pooled
    pooling = 3 * pooled * attention + attention + attention * pooled + pooled
    affine = 2 * 2 * pooled + 2 * pooled * 192 + 192
    blocks = 3 * (2 * pointwise + groups + gate)
    return first + blocks + aggregate + pooling + affine


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "channels, parameters, paper, wespeaker",
    [(512, 6_190_720, "6.2", 6.190), (1024, 14_657_088, "14.7", 14.657)],
)
def test_published_sizes_have_their_published_parameters(
    channels, parameters, paper, wespeaker
):
    network = ECAPATDNN(channels=channels)
    assert network(np.ones((1, 20, 80), "float32")).shape == (1, 192)
    assert trainable(network) == parameters == published_count(channels)
    assert f"{parameters / 1e6:.1f}" == paper
    assert int(parameters / 1e3) / 1e3 == wespeaker


def test_a_narrow_network_pools_three_times_its_channels():
    network = ECAPATDNN(channels=16, squeeze=8, attention=4)
    network(np.ones((1, 20, 80), "float32"))
    expected = published_count(16, pooled=48, squeeze=8, attention=4)
    assert trainable(network) == expected
    assert ECAPATDNN(channels=16, aggregation=20).aggregate.filters == 20


def convolve(x, layer):
    """Convolution over time of `[time, channels]`, ReLU and normalisation, in NumPy."""
    kernel, bias, gamma, beta, mean, variance = layer.get_weights()
    taps, time = len(kernel), len(x)
    reach = layer.dilation * (taps // 2)
    padded = np.pad(x, ((reach, reach), (0, 0)))
    y = bias + sum(padded[i * layer.dilation :][:time] @ kernel[i] for i in range(taps))
    return gamma * (y.clip(0) - mean) / np.sqrt(variance + EPSILON) + beta


def block_in_numpy(x, block):
    parts = np.split(convolve(x, block.enter), block.scale, axis=-1)
    for i, layer in enumerate(block.groups, start=1):
        before = parts[i - 1] if i > 1 else 0.0
        parts[i] = convolve(parts[i] + before, layer)
    y = convolve(np.concatenate(parts, axis=-1), block.leave)
    w1, b1, w2, b2 = block.narrow.get_weights() + block.gate.get_weights()
    gate = 1 / (1 + np.exp(-((y.mean(axis=0) @ w1 + b1).clip(0) @ w2 + b2)))
    return x + gate * y


def test_a_block_does_what_its_figure_draws(rng):
    block = SERes2Block(8, dilation=3, scale=4, squeeze=5)
    x = rng.normal(size=(1, 20, 8)).astype("float32")
    check_layer(block, x)
    weights = [w + rng.uniform(0, 0.5, w.shape) for w in block.get_weights()]
    block.set_weights(weights)
    np.testing.assert_allclose(block(x)[0], block_in_numpy(x[0], block), atol=1e-4)


def test_a_block_hears_the_sum_of_all_before_it(rng):
    network = ECAPATDNN(channels=8, squeeze=4, attention=4, embedding_dim=6)
    x = rng.normal(size=(1, 30, 10)).astype("float32")
    expected = network(x)
    start = network.first(x)
    one = network.blocks[0](start)
    two = network.blocks[1](start + one)
    three = network.blocks[2](start + one + two)
    joined = network.aggregate(np.concatenate([one, two, three], axis=-1))
    actual = network.affine(network.normalisation(network.pooling(joined)))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_dilations_are_those_of_the_paper():
    network = ECAPATDNN(channels=8)
    assert [block.dilation for block in network.blocks] == [2, 3, 4]
    groups = [layer for block in network.blocks for layer in block.groups]
    assert {(layer.kernel, layer.filters) for layer in groups} == {(3, 1)}


def test_a_convolution_over_time_keeps_its_contract(rng):
    layer = TimeConvolution(3, 3, dilation=2, weight_decay=1e-3)
    check_layer(layer, rng.normal(size=(2, 9, 4)).astype("float32"))


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"channels": 100}, "`channels` must be a multiple of `scale`"),
        ({"channels": 8, "scale": 1}, "`scale` at least 2"),
        ({"channels": 0}, "`channels` must be at least 1"),
        ({"attention": 0}, "`attention` must be at least 1"),
        ({"squeeze": 0}, "`squeeze` must be at least 1"),
        ({"aggregation": 0}, "`aggregation` must be at least 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        ECAPATDNN(**arguments)
