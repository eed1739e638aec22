"""Coders: what they tell of segments, learn, keep and refuse."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from flows.models import registry
from tests.flows import small


@pytest.fixture(scope="module")
def models():
    return small.models()


@pytest.mark.parametrize("kind", small.KINDS)
def test_posteriors_sum_to_one(models, kind):
    model, (x, _) = models[kind], small.rows(7)
    told = model.posterior(x)
    assert tuple(told) == model.factors
    for factor, values in told.items():
        assert values.shape == (7, len(small.VOCABULARY[factor]))
        np.testing.assert_allclose(np.sum(values, axis=1), 1, rtol=1e-5)
        log = model.log_posterior(x)[factor]
        np.testing.assert_allclose(np.exp(log), values, atol=1e-6)


def test_models_tell_what_they_know(models):
    assert models["dnf-phone"].factors == ("phone",)
    for kind in ("vae", "nf", "fdnf"):
        assert models[kind].factors == ("phone", "speaker")
    with pytest.raises(ValueError, match="Received: 'speaker'"):
        models["dnf-phone"].centres("speaker")


def test_parts_are_named(models):
    z = np.zeros((2, 6), "float32")
    assert {k: v.shape[1] for k, v in models["fdnf"].split_latents(z).items()} == {
        "phone": 2,
        "speaker": 1,
        "rest": 3,
    }
    rest = registry.build("fdnf", shape=(6,), vocabulary=small.VOCABULARY, residual=1)
    parts = {k: v.shape[1] for k, v in rest.split_latents(z).items()}
    assert parts == {"phone": 3, "speaker": 2, "rest": 1}
    for kind in ("vae", "nf", "dnf-phone"):
        assert list(models[kind].split_latents(z)) == ["code"]


def test_codes_of_names(models):
    assert models["nf"].class_indices({"speaker": "M02"}).tolist() == [-1, 1]
    assert models["nf"].class_indices({"speaker": "F01", "phone": "s"}).tolist() == [
        2,
        0,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nf", "fdnf"])
def test_a_graph_computes_what_python_does(models, kind):
    """Names and checks are for Python; tensors pass into a `tf.function`."""
    model, (x, labels) = models[kind], small.rows(4)
    shape = [None, *small.SHAPE]

    @tf.function(
        input_signature=[
            tf.TensorSpec(shape),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([]),
        ]
    )
    def graph(x, to, source, alpha):
        moved = model.manipulate(x, "phone", to, source=source, alpha=alpha)
        return moved, model.encode(x), model.posterior(x)

    to, source = (labels[:, 0] + 1) % 3, np.array([-1, 0, 1, 2], "int32")
    moved, z, posterior = graph(x, to, source, 0.5)
    expected = model.manipulate(x, "phone", to, source=source, alpha=0.5)
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    np.testing.assert_allclose(z, model.encode(x), atol=1e-5)
    for factor, values in model.posterior(x).items():
        np.testing.assert_allclose(posterior[factor], values, atol=1e-5)


def spoilt(x, value):
    x = x.copy()
    x[0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    "ask, rule",
    [
        (lambda m, x: m.manipulate(x, "mood", "a"), "among .*Received: 'mood'"),
        (lambda m, x: m.manipulate(x, "phone", "z"), "a, i, s. Received: 'z'"),
        (lambda m, x: m.manipulate(x, "phone", ["a", "z"] * 2), "Received: 'z'"),
        (lambda m, x: m.manipulate(x, "phone", 3), "0 to 2. Received: 3"),
        (lambda m, x: m.manipulate(x, "phone", -1), "0 to 2. Received: -1"),
        (lambda m, x: m.manipulate(x, "phone", 0, source=-2), "-1 to 2"),
        (lambda m, x: m.manipulate(x, "phone", [0, 1]), "4 rows. Received: 2"),
        (lambda m, x: m.manipulate(x, "phone", np.zeros((2, 6))), "4 rows"),
        (lambda m, x: m.manipulate(x, "phone", np.zeros(5)), r"must be \[6\]"),
        (lambda m, x: m.manipulate(x, "phone", 1.0), r"must be \[6\]"),
        (lambda m, x: m.manipulate(x, "phone", np.full(6, np.nan)), "finite"),
        (lambda m, x: m.manipulate(x, "phone", 0, alpha=np.inf), "finite"),
        (lambda m, x: m.manipulate(x, "phone", 0, alpha=[1, 2]), "4 rows"),
        (lambda m, x: m.manipulate(spoilt(x, np.nan), "phone", 0), "finite"),
        (lambda m, x: m.manipulate(x[:, :1], "phone", 0), r"\[n, 2, 3\]"),
        (lambda m, x: m.manipulate(x[0], "phone", 0), r"\[n, 2, 3\]"),
        (lambda m, x: m.swap(x, x, "mood"), "Received: 'mood'"),
        (lambda m, x: m.swap(x, x[:2], "phone"), "4 and 2"),
        (lambda m, x: m.enrol(x[:0], "phone"), "at least 1"),
        (lambda m, x: m.enrol(x, "mood"), "Received: 'mood'"),
        (lambda m, x: m.encode(x[:, :, :2]), r"\[n, 2, 3\]"),
        (lambda m, x: m.encode(spoilt(x, np.nan)), "finite"),
        (lambda m, x: m.posterior(spoilt(x, np.inf)), "finite"),
        (lambda m, x: m.log_prob(spoilt(x, np.nan)), "finite"),
        (lambda m, x: m.enrol(spoilt(x, np.nan), "phone"), "finite"),
        (lambda m, x: m.class_indices({"mood": "sad"}), "Received: 'mood'"),
        (lambda m, x: m.class_indices({"phone": "z"}), "Received: 'z'"),
        (lambda m, x: m.sample({"phone": "z"}), "Received: 'z'"),
        (lambda m, x: m.sample({"mood": "sad"}), "Received: 'mood'"),
        (lambda m, x: m.sample(count=0), "at least 1"),
        (lambda m, x: m.sample(np.array([[0, 2]])), "column 1. Received: 2"),
        (lambda m, x: m.sample(np.array([[0, 1]]), count=2), r"\[2, 2\]"),
        (lambda m, x: m.adapt(spoilt(x, np.inf)), "finite"),
        (lambda m, x: m.adapt(x[:1]), "at least 2"),
        (lambda m, x: m.adapt(x, [[0, 0], [1, 1], [3, 0], [0, 0]]), "Received: 3"),
        (lambda m, x: m.adapt(x, [[0, 0]] * 3), r"integers \[4, 2\]"),
        (lambda m, x: m.adapt(x), "needs labelled rows"),
    ],
)
def test_what_can_not_be_done_is_refused(models, ask, rule):
    with pytest.raises(ValueError, match=rule):
        ask(models["fdnf"], small.rows(4)[0])


@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_models_without_classes_know_them_only_once_class_means_are_set(kind):
    x, labels = small.rows(8)
    told = {"shape": small.SHAPE, "vocabulary": small.VOCABULARY}
    model = registry.build(kind, **told, vae={"hidden": 8}, backbone={"hidden": 8})
    model.adapt(x, labels)
    for ask in (model.posterior, lambda x: model.manipulate(x, "phone", 0)):
        with pytest.raises(RuntimeError, match="fit_class_means"):
            ask(x)
    model.fit_class_means(x, labels)
    assert model.manipulate(x, "phone", 0).shape == x.shape


@pytest.mark.parametrize(
    "vocabulary, rule",
    [
        ({"phone": ("a",)}, "two classes or more"),
        ({"phone": ("a", "a")}, "different names"),
        ({"rest": ("a", "b")}, "reserved"),
    ],
)
@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_what_is_no_vocabulary_is_refused(kind, vocabulary, rule):
    with pytest.raises(ValueError, match=rule):
        registry.build(kind, shape=(6,), vocabulary=vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "fdnf"])
def test_a_notebook_needs_compile_and_fit(kind, tmp_path):
    """A model is adapted, learns, is summarised, and is saved with all of it."""
    model = registry.build(
        kind,
        shape=small.SHAPE,
        vocabulary=small.VOCABULARY,
        backbone={"steps": 1, "hidden": 16},
        vae={"latent": 4, "hidden": 16},
        **{"label_dropout": 0.1, "ce_weight": 0.1, "cross_penalty": 0.1},
        jitter=0.01,
    )
    x, labels = small.rows(400)
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    assert not model.adapted
    data = {"x": x, "labels": labels}
    fit = {"epochs": 6, "batch_size": 50, "verbose": 0}
    history = model.fit(data, validation_data=(data,), **fit).history
    assert model.adapted
    assert history["val_loss"][-1] < history["val_loss"][0] - 0.1
    told = np.argmax(model.posterior(x)["phone"], axis=1)
    assert kind == "vae" or (told == labels[:, 0]).mean() > 0.9
    scale = np.asarray(model.scaler.scale)
    model.fit({"x": 2 * x, "labels": labels}, **fit | {"epochs": 1})  # adapted once
    np.testing.assert_array_equal(model.scaler.scale, scale)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert json.dumps(copy.get_config()) == json.dumps(model.get_config())
    assert copy.adapted
    for ask in (
        lambda m: m.encode(x),
        lambda m: m.manipulate(x, "phone", "a"),
        lambda m: m.log_prob(x, labels),
        lambda m: m.sample(count=4),
    ):
        np.testing.assert_allclose(ask(copy), ask(model), atol=1e-5)


def test_only_arrays_adapt_a_model_by_themselves():
    model = registry.build("nf", shape=(2,), vocabulary={}, backbone={"steps": 1})
    model.compile(optimizer="sgd")
    data = tf.data.Dataset.from_tensors(np.zeros((4, 2), "float32"))
    with pytest.raises(ValueError, match="adapt"):
        model.fit(data)
    with pytest.raises(ValueError, match="Received: list"):
        model.fit([[0.0, 1.0]])


@pytest.mark.parametrize("kind", ["vae", "fdnf"])
def test_what_is_not_finite_is_not_learned_from(kind):
    """Nor told: a NaN would be in all weights at once, and in all that is said."""
    model, (x, labels) = small.model(kind), small.rows(8)
    model.compile(optimizer="sgd")
    x[5, 1, 2] = np.nan
    before = model.get_weights()
    with pytest.raises(ValueError, match="Segments must be finite"):
        model.fit({"x": x, "labels": labels}, verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for ask in (model.encode, model.posterior, model.log_prob):
        with pytest.raises(ValueError, match="Segments must be finite"):
            ask(x)


@pytest.mark.slow
def test_bare_segments_teach_a_flow_without_factors():
    model = registry.build("nf", shape=(2,), vocabulary={}, backbone={"steps": 1})
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    data = tf.data.Dataset.from_tensor_slices(x).batch(16)  # adapted by now
    assert np.isfinite(model.fit(data, shuffle=False, verbose=0).history["loss"]).all()
    assert model.posterior(x) == {}
