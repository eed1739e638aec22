"""The VAE: its bound by hand, against an exact density, and what is refused."""

import keras
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from flows.bijectors.normalisation import Scaler
from flows.models.vae import VAE, Perceptron
from tests.contracts import check_gradients, check_layer
from tests.flows import small


def linear(weights, bias, name="linear"):
    """A perceptron without hidden layers, that is what it is told to be."""
    layer = Perceptron((), weights.shape[1])
    layer.build((None, weights.shape[0]))
    layer.set_weights([weights, bias])
    return layer


def test_the_bound_is_exact_for_the_true_posterior():
    """Of a linear-Gaussian model: the bound's mean is `log N(x; 0, W'W + s**2)`.

    `z ~ N(0, 1)`, `x = z W + s e`, whose posterior has covariance
    `C = (1 + W W' / s**2)**-1` and mean `x W' C / s**2`; here `C` is diagonal.
    """
    rng = np.random.default_rng(0)
    w = np.zeros((2, 4))
    w[0, :2], w[1, 2:] = rng.normal(size=2), rng.normal(size=2)  # orthogonal rows
    s = 0.7
    c = 1 / (1 + np.square(w).sum(axis=1) / s**2)
    encode = np.concatenate([w.T * c / s**2, np.zeros((4, 2))], axis=1)
    model = VAE(
        linear(encode, np.concatenate([np.zeros(2), np.log(c)])),
        linear(w, np.zeros(4)),
        Scaler((4,)),
        {},
        latent=2,
        deviation=s,
    )
    x = rng.normal(size=(3, 4)).astype("float32")
    truth = multivariate_normal(np.zeros(4), w.T @ w + s**2 * np.eye(4)).logpdf(x)
    many = np.repeat(x, 20_000, axis=0)
    means = np.reshape(model.elbo(many), (3, -1)).mean(axis=1)
    np.testing.assert_allclose(means, truth, atol=0.02)


@pytest.mark.parametrize("beta, deviation", [(1.0, None), (4.0, None), (0.5, 0.3)])
def test_the_loss_is_what_is_missed_and_the_divergence(beta, deviation):
    """By NumPy, with an encoder so sure that its noise is nothing."""
    told = {"latent": 4, "hidden": 16, "beta": beta, "deviation": deviation}
    model, (x, _) = small.model("vae", vae=told), small.rows(5)
    last = model.encoder._layers_in_turn[-1]
    kernel, bias = last.get_weights()
    kernel[:, 4:], bias[4:] = 0, -40  # clipped to -10
    last.set_weights([kernel, bias])
    z = np.asarray(model.encode(x))
    scaled, back = (np.asarray(model.scaler.forward(v)) for v in (x, model.decode(z)))
    width = deviation or np.exp(float(model._log_deviation))
    missed = 0.5 * np.square((scaled - back) / width).sum(axis=1)
    missed += 6 * np.log(width) + 3 * np.log(2 * np.pi)
    divergence = 0.5 * (np.square(z) + np.exp(-10.0) + 10 - 1).sum(axis=1)
    found = model({"x": x})
    np.testing.assert_allclose(found, missed + beta * divergence, rtol=0.02)
    np.testing.assert_allclose(model.elbo(x), -missed - divergence, rtol=0.02)


def test_a_bound_in_features_counts_their_scale():
    model, (x, labels) = small.model("vae"), small.rows(5)
    scale = np.log(np.asarray(model.scaler.scale)).sum()
    expected = model.elbo(x, seed=3) - scale
    np.testing.assert_allclose(model.log_prob(x, labels, seed=3), expected, rtol=1e-4)
    np.testing.assert_array_equal(model.elbo(x, seed=3), model.elbo(x, seed=3))
    assert np.abs(model.elbo(x, seed=3) - model.elbo(x, seed=4)).min() > 0


def test_noise_is_drawn_afresh_in_training_alone():
    model, (x, _) = small.model("vae"), small.rows(5)
    before = model(x)
    first, second = (model(x, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(model(x), before)


def test_codes_are_the_means_and_labels_are_not_looked_at():
    model, (x, labels) = small.model("vae"), small.rows(5)
    mean = np.asarray(model.encoder(model.scaler.forward(x)))[:, :4]
    np.testing.assert_array_equal(model.encode(x), mean)
    assert model.decode(mean).shape == x.shape
    first, second = small.model("vae", seed=1), small.model("vae", seed=1)
    np.testing.assert_array_equal(first({"x": x, "labels": labels}), second(x))


def test_every_weight_learns():
    model, (x, labels) = small.model("vae"), small.rows(20)
    check_gradients(model, {"x": x, "labels": labels})
    assert any(weight.name == "log_deviation" for weight in model.trainable_weights)
    fixed = small.model("vae", vae={"latent": 4, "hidden": 8, "deviation": 0.5})
    assert all(weight.name != "log_deviation" for weight in fixed.trainable_weights)


def test_a_perceptron_is_a_layer(rng):
    layer = Perceptron((8, 8), 3, seed=5)
    check_layer(layer, rng.normal(size=(4, 6)))
    same = Perceptron((8, 8), 3, seed=5)
    x = rng.normal(size=(4, 6))
    np.testing.assert_array_equal(layer(x), same(x))
    assert np.abs(layer(x) - Perceptron((8, 8), 3, seed=6)(x)).max() > 0.01


def test_a_vae_is_rebuilt_from_its_config(tmp_path):
    model = small.model("vae", vae={"latent": 4, "hidden": 8, "beta": 2.0})
    config = keras.saving.serialize_keras_object(model)
    copy = keras.saving.deserialize_keras_object(config)
    model.save_weights(tmp_path / "a.weights.h5")
    copy.load_weights(tmp_path / "a.weights.h5")
    x, _ = small.rows(5)
    np.testing.assert_array_equal(copy.elbo(x), model.elbo(x))
    np.testing.assert_array_equal(
        copy.manipulate(x, "phone", "a"), model.manipulate(x, "phone", "a")
    )
    assert copy.beta == 2.0 and copy.adapted


@pytest.mark.parametrize(
    "wrong, rule",
    [
        ({"beta": -1.0}, "`beta` must be at least 0"),
        ({"deviation": 0.0}, "`deviation` above 0"),
        ({"encoder": Perceptron((4,), 7)}, "`encoder` must give 8 numbers for 6"),
        ({"decoder": Perceptron((4,), 7)}, "`decoder` must give 6 numbers for 4"),
    ],
)
def test_what_is_no_vae_is_refused(wrong, rule):
    parts = {"encoder": Perceptron((4,), 8), "decoder": Perceptron((4,), 6)}
    parts |= {"scaler": Scaler((2, 3)), "vocabulary": {}, "latent": 4}
    with pytest.raises(ValueError, match=rule):
        VAE(**{**parts, **wrong})
