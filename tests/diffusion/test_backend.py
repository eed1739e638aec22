"""Under JAX the networks and the scaling compute what they do under TensorFlow."""

import json

import keras
import numpy as np
import pytest

from diffusion.denoising import Denoiser
from diffusion.networks.registry import build
from diffusion.speakers.scaling import Scaler
from tests.backends import on_jax
from tests.diffusion.small_networks import SMALL, STEPS, inputs, randomise_zeros

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What TensorFlow and a program under JAX compute, each by name.

    The program rebuilds denoisers from their weights, and trains one.
    """
    folder, rng = tmp_path_factory.mktemp("backends"), np.random.default_rng(0)
    data = inputs(rng, classes=(2, 3))
    points = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    points = (points * np.logspace(-2, 2, 6) + 5 * np.arange(6)).astype("float32")
    np.savez(folder / "inputs.npz", *data)
    np.save(folder / "points.npy", points)
    expected = {}
    for name, options in SMALL.items():
        shape = {"dim": 12, "steps": STEPS, "classes": (2, 3), **options}
        network = randomise_zeros(build(name, **shape), rng)
        network.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(json.dumps({"network": name, **shape}))
        denoiser = Denoiser(network, {"name": "cosine", "steps": STEPS})
        expected[name] = np.asarray(denoiser.denoise(*data))
    scaler = Scaler("whiten", (2, 4), unit=True).fit(points)
    expected["scaled"] = scaled = scaler.scale(points)
    expected["unscaled"] = scaler.unscale(scaled)
    on_jax("diffusion/backend.py", folder)
    with np.load(folder / "outputs.npz") as outputs:
        return expected, dict(outputs)


def test_every_network_computes_alike_on_jax_and_trains_there(computed):
    expected, found = computed
    for name in SMALL:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_jax_scales_as_tensorflow_does(computed):
    expected, found = (
        {name: keras.ops.convert_to_numpy(y) for name, y in values.items()}
        for values in computed
    )
    np.testing.assert_allclose(found["scaled"], expected["scaled"], atol=1e-3)
    np.testing.assert_allclose(found["unscaled"], expected["unscaled"], atol=1e-5)
