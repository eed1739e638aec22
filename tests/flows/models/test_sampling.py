"""Sampling: what is drawn, by seed, by class and without noise."""

import numpy as np
import pytest

from tests.flows import small


@pytest.fixture(scope="module")
def models():
    return small.models()


@pytest.mark.parametrize("kind", small.KINDS)
def test_few_samples_are_the_first_of_many(models, kind):
    model = models[kind]
    many, few = model.sample(count=20, seed=5), model.sample(count=3, seed=5)
    assert many.shape == (20, *small.SHAPE)
    np.testing.assert_allclose(many[:3], few, atol=1e-5)
    assert np.abs(model.sample(count=3, seed=6) - few).max() > 0.1


def test_samples_of_classes_are_of_these_classes(models):
    model = models["fdnf"]
    x = model.sample({"phone": "i", "speaker": "M02"}, count=3, temperature=0.0)
    centre = model.centres("phone")[1] + model.centres("speaker")[1]
    np.testing.assert_allclose(model.encode(x), np.tile(centre, (3, 1)), atol=1e-4)
    indices = np.array([[1, 1]] * 3)
    np.testing.assert_array_equal(model.sample(indices, temperature=0.0), x)
    assert model.sample({"phone": "i"}).shape == (1, *small.SHAPE)
    one = models["dnf-phone"]  # heeds only what it has learned
    np.testing.assert_array_equal(
        one.sample(indices, temperature=0.0),
        one.sample({"phone": "i"}, count=3, temperature=0.0),
    )


def test_another_seed_draws_other_classes(models):
    """Without noise, what is left to chance is the class."""
    draws = [models["fdnf"].sample(count=50, seed=s, temperature=0.0) for s in (1, 2)]
    different = np.abs(draws[0] - draws[1]).max(axis=(1, 2)) > 1e-3
    assert 0.5 < different.mean() < 1.0  # 1 - sum of squares, of six classes or so


@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_models_without_classes_draw_none(models, kind):
    with pytest.raises(ValueError, match="among"):
        models[kind].sample({"phone": "a"})
