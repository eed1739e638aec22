import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.contracts import check_layer
from voiceemb.networks.resnet import BasicBlock, Convolution, ResNet


def published_count(widths, depths, bands=80, dim=256):
    """Trainable parameters by hand: kernels, and two for each normalised channel."""
    total, before = 9 * widths[0] + 2 * widths[0], widths[0]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for n in range(depth):
            total += 9 * (before + width) * width + 4 * width
            if stage and not n:
                total += before * width + 2 * width  # the shortcut
                bands = -(-bands // 2)
            before = width
    return total + 2 * bands * width * dim + dim


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.slow
def test_the_default_has_the_published_parameters():
    network = ResNet()
    assert network(np.ones((1, 20, 80), "float32")).shape == (1, 256)
    count = published_count((32, 64, 128, 256), (3, 4, 6, 3))
    assert trainable(network) == 6_634_336 == count
    assert f"{count / 1e6:.2f}" == "6.63"  # as WeSpeaker states it


@pytest.mark.parametrize(
    "widths, depths", [((4,), (1,)), ((4, 8), (1, 2)), ((4, 4, 6), (1, 1, 1))]
)
def test_any_width_and_depth_can_be_had(widths, depths):
    network = ResNet(widths=widths, depths=depths, embedding_dim=5)
    assert network(np.ones((2, 20, 10), "float32")).shape == (2, 5)
    assert trainable(network) == published_count(widths, depths, bands=10, dim=5)


@pytest.mark.slow
def test_a_thin_network_has_about_a_million():
    network = ResNet((16, 32, 64, 128), (2, 2, 2, 2))
    network(np.ones((1, 20, 80), "float32"))
    assert trainable(network) == 1_355_504


@pytest.mark.parametrize("time, frequency", [(8, 6), (9, 7), (1, 1)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_stride_takes_every_second_result(kernel, time, frequency, rng):
    """Whatever the length: TensorFlow's own padding would shift even ones."""
    x = rng.normal(size=(2, time, frequency, 3)).astype("float32")
    one, two = Convolution(4, kernel), Convolution(4, kernel, stride=2)
    one(x), two(x)
    two.set_weights(one.get_weights())
    np.testing.assert_allclose(two(x), one(x)[:, ::2, ::2], atol=1e-5)
    plain = layers.Conv2D(4, kernel, padding="same", use_bias=False)
    plain.build(x.shape)
    plain.set_weights([one.convolution.kernel])
    np.testing.assert_allclose(one.convolution(x), plain(x), atol=1e-5)


@pytest.mark.parametrize("stride, filters", [(1, 3), (2, 3), (1, 4), (2, 4)])
def test_a_block_keeps_the_contract_of_a_layer(stride, filters, rng):
    block = BasicBlock(filters, stride, weight_decay=1e-3)
    x = rng.normal(size=(2, 7, 6, 3)).astype("float32")
    check_layer(block, x)
    assert block(x).shape == (2, -(-7 // stride), 6 // stride, filters)
    assert (block.shortcut is None) == (stride == 1 and filters == 3)


def test_a_block_whose_kernels_are_zero_is_a_relu(rng):
    block, x = BasicBlock(3), rng.normal(size=(2, 7, 6, 3)).astype("float32")
    block(x)
    for layer in (block.first, block.second):
        layer.convolution.kernel.assign(np.zeros(layer.convolution.kernel.shape))
    np.testing.assert_allclose(block(x), x.clip(0), atol=1e-6)


def test_a_block_is_its_formula(rng):
    block, x = BasicBlock(4, 2), rng.normal(size=(2, 7, 6, 3)).astype("float32")
    expected = block(x)
    inner = np.maximum(block.first(x), 0)
    actual = np.maximum(block.shortcut(x) + block.second(inner), 0)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_gradient_is_the_eager_one(rng):
    """Narrow strided kernels of one point once crashed the process here."""
    network = ResNet((4, 8), (1, 1), embedding_dim=5)
    x = rng.normal(size=(16, 160, 80)).astype("float32")
    network(x)
    weights = [weight.value for weight in network.trainable_weights]

    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(network(x, training=True)))
        return tape.gradient(loss, weights)

    compiled = tf.function(gradient)
    for a, b in zip(compiled(), gradient(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3 * (1 + np.abs(b).max()))


def test_the_first_stride_halves_what_all_stages_see():
    network = ResNet((4, 8), (1, 1), first_stride=2)
    x = network.first(np.ones((1, 21, 10, 1), "float32"))
    assert x.shape == (1, 11, 5, 4)
    for block in network.blocks:
        x = block(x)
    assert x.shape == (1, 6, 3, 8)


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"widths": (), "depths": ()}, "one number for each stage"),
        ({"widths": (4, 8), "depths": (1,)}, "one number for each stage"),
        ({"widths": (0,), "depths": (1,)}, "`widths` must be at least 1"),
        ({"widths": (4,), "depths": (0,)}, "`depths` must be at least 1"),
        ({"first_stride": 0}, "`first_stride` must be at least 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        ResNet(**arguments)
