"""Bijectors and models give the same numbers under JAX, in one process for all."""

import json

import keras
import numpy as np
import pytest

from flows.bijectors.base import Reverse
from tests.backends import on_jax
from tests.contracts import stir
from tests.flows import couplings, small

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What TensorFlow computes and what JAX does, arrays by name."""
    folder = tmp_path_factory.mktemp("jax")
    expected = bijectors(folder) | models(folder)
    on_jax("flows/backend.py", folder)
    with np.load(folder / "answers.npz") as found:
        found = dict(found)
    assert {*found} == {*expected}
    return expected, found


def bijectors(folder):
    """Writes bijectors for the program, and gives their results."""
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    np.savez(folder / "inputs.npz", x=x)
    expected = {}
    made = {"chain": couplings.step(6, dtype="float32"), "reverse": Reverse()}
    for name, bijector in made.items():  # a chain has the others in it
        stir(bijector, x)
        config = keras.saving.serialize_keras_object(bijector)
        weights = [weight.tolist() for weight in bijector.get_weights()]
        told = {"config": config, "weights": weights}
        (folder / f"{name}.json").write_text(json.dumps(told))
        values = (*bijector(x), *bijector.inverse_and_log_det(x))
        expected |= {f"{name}.{index}": value for index, value in enumerate(values)}
    return expected


def models(folder):
    """Writes weights of models, and gives what they tell of segments."""
    x, labels = small.rows(6)
    made = {kind: small.model(kind) for kind in ("vae", "fdnf")}
    for kind, model in made.items():
        model.save_weights(folder / f"{kind}.weights.h5")
    return {
        "vae.z": made["vae"].encode(x),
        "fdnf.moved": made["fdnf"].manipulate(x, "phone", "i", alpha=0.5),
        "fdnf.log_prob": made["fdnf"].log_prob(x, labels),
    }


@pytest.mark.parametrize("name", ["chain", "reverse"])
def test_jax_gives_the_same_numbers(answers, name):
    """Both ways, and of the log-determinants."""
    expected, found = answers
    for key in (f"{name}.{index}" for index in range(4)):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vae.z", "fdnf.moved", "fdnf.log_prob"])
def test_jax_computes_what_tensorflow_does(answers, name):
    """Latents, densities and manipulated segments of one set of weights."""
    expected, found = answers
    np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
