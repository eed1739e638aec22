"""Small denoising networks of each kind, and what goes into them."""

import numpy as np

STEPS = 20
SMALL = {
    "linear": {"hidden": (12, 16, 12, 10)},
    "resmlp": {"width": 16, "num_blocks": 2},
    "unet1d": {"channels": (8, 16), "groups": 4},
}


def inputs(rng, batch=6, dim=12, classes=()):
    x = rng.normal(size=(batch, dim)).astype("float32")
    t = rng.integers(1, STEPS + 1, batch).astype("int32")
    labels = np.zeros((batch, len(classes)), "int32")
    for i, count in enumerate(classes):
        labels[:, i] = rng.integers(-1, count, batch)
    return x, t, labels


def randomise_zeros(network, rng):
    """The network with no weight at zero, as training would leave it."""
    for weight in network.trainable_weights:
        change = rng.normal(scale=0.1, size=weight.shape)
        weight.assign(weight + change.astype("float32"))
    return network
