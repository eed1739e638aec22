"""Coders: what can be done to a factor, by name, by code and by centre."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from flows import models
from tests.flows import small

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ("nf", "dnf-phone", "fdnf")


@pytest.fixture(scope="module")
def coders():
    """One small model of each kind."""
    return {kind: small.coder(kind) for kind in small.KINDS}


@pytest.mark.parametrize("kind", small.KINDS)
def test_posteriors_sum_to_one(coders, kind):
    model, (x, _) = coders[kind], small.rows(7)
    told = model.posterior(x)
    assert tuple(told) == model.factors
    for factor, values in told.items():
        assert values.shape == (7, len(small.VOCABULARY[factor]))
        np.testing.assert_allclose(np.sum(values, axis=1), 1, rtol=1e-5)
        log = model.log_posteriors(x)[factor]
        np.testing.assert_allclose(np.exp(log), values, atol=1e-6)


def test_models_tell_what_they_know(coders):
    assert coders["dnf-phone"].factors == ("phone",)
    for kind in ("vae", "nf", "fdnf"):
        assert coders[kind].factors == ("phone", "speaker")
    with pytest.raises(ValueError, match="Received: 'speaker'"):
        coders["dnf-phone"].centres("speaker")


def test_parts_are_named(coders):
    z = np.zeros((2, 6), "float32")
    assert {k: v.shape[1] for k, v in coders["fdnf"].parts(z).items()} == {
        "phone": 3,
        "speaker": 3,
    }
    rest = models.build("fdnf", shape=(6,), vocabulary=small.VOCABULARY, residual=1)
    parts = {k: v.shape[1] for k, v in rest.parts(z).items()}
    assert parts == {"phone": 3, "speaker": 2, "rest": 1}
    for kind in ("vae", "nf", "dnf-phone"):
        assert list(coders[kind].parts(z)) == ["code"]


@pytest.mark.parametrize("kind", FLOWS)
def test_nothing_changes_by_no_step_and_on_the_spot(coders, kind):
    model, (x, labels) = coders[kind], small.rows(7)
    phone = labels[:, 0]
    for given in ({"alpha": 0.0}, {"source": phone}, {"alpha": np.zeros(7)}):
        same = model.manipulate(x, "phone", phone, **given)
        np.testing.assert_allclose(same, x, atol=1e-4)
    moved = model.manipulate(x, "phone", (phone + 1) % 3, source=phone)
    assert np.abs(moved - x).max() > 0.1


@pytest.mark.parametrize("kind", small.KINDS)
def test_manipulation_is_its_formula(coders, kind):
    """Codes move by the difference of centres, an unknown source is the mean of all."""
    model, (x, labels) = coders[kind], small.rows(7)
    z, centres = np.asarray(model.encode(x)), np.asarray(model.centres("phone"))
    to, source = (labels[:, 0] + 1) % 3, labels[:, 0]
    moved = model.manipulate(x, "phone", to, source=source, alpha=0.7)
    by_hand = model.decode(z + 0.7 * (centres[to] - centres[source]))
    np.testing.assert_allclose(moved, by_hand, atol=1e-5)
    mean = np.asarray(model.posterior(x)["phone"]) @ centres
    by_hand = model.decode(z + centres[to] - mean)
    np.testing.assert_allclose(model.manipulate(x, "phone", to), by_hand, atol=1e-4)
    half = np.where(np.arange(7) % 2, source, -1)  # some of them known
    mixed = model.manipulate(x, "phone", to, source=half)
    expected = np.where((half < 0)[:, None], mean, centres[half])
    by_hand = model.decode(z + centres[to] - expected)
    np.testing.assert_allclose(mixed, by_hand, atol=1e-4)


@pytest.mark.parametrize("kind", small.KINDS)
def test_names_codes_and_centres_are_one(coders, kind):
    model, (x, _) = coders[kind], small.rows(5)
    named = model.manipulate(x, "phone", "s", source="a")
    centres = model.centres("phone")
    for to, source in (
        (2, 0),
        (np.full(5, 2), np.zeros(5, int)),
        (["s"] * 5, ["a"] * 5),
        (centres[2], centres[0]),
        (np.tile(centres[2], (5, 1)), centres[0]),
        (tf.constant([2] * 5), "a"),
    ):
        same = model.manipulate(x, "phone", to, source=source)
        np.testing.assert_allclose(same, named, atol=1e-5)


def test_the_other_parts_of_a_code_stay_to_the_bit(coders):
    model, (x, _) = coders["fdnf"], small.rows(7)
    z = model.encode(x)
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        moved = model.moved(z, factor, 1, alpha=1.7)
        before, after = model.parts(z), model.parts(moved)
        np.testing.assert_array_equal(before[other], after[other])
        assert np.abs(before[factor] - after[factor]).min() > 0
        anywhere = np.full(6, 9, "float32")  # a centre that is not 0 elsewhere
        after = model.parts(model.moved(z, factor, anywhere))
        np.testing.assert_array_equal(before[other], after[other])


def test_swapping_twice_brings_back_what_was(coders):
    model, (x, _) = coders["fdnf"], small.rows(10)
    x1, x2 = x[:5], x[5:]
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        y1, y2 = model.swap(x1, x2, factor)
        z1, z2, w1, w2 = (model.parts(model.encode(x)) for x in (x1, x2, y1, y2))
        np.testing.assert_allclose(w1[factor], z2[factor], atol=1e-4)
        np.testing.assert_allclose(w1[other], z1[other], atol=1e-4)
        np.testing.assert_allclose(w2[factor], z1[factor], atol=1e-4)
        back = model.swap(y1, y2, factor)
        np.testing.assert_allclose(back, (x1, x2), atol=1e-4)


@pytest.mark.parametrize("kind", ["vae", "nf", "dnf-phone"])
def test_undivided_codes_swap_their_centres(coders, kind):
    model, (x, _) = coders[kind], small.rows(10)
    z = np.asarray(model.encode(x))
    mean = np.asarray(model.posterior(x)["phone"]) @ np.asarray(model.centres("phone"))
    y1, y2 = model.swap(x[:5], x[5:], "phone")
    change = mean[5:] - mean[:5]
    np.testing.assert_allclose(y1, model.decode(z[:5] + change), atol=1e-4)
    np.testing.assert_allclose(y2, model.decode(z[5:] - change), atol=1e-4)


@pytest.mark.parametrize("kind", small.KINDS)
def test_a_class_never_met_is_the_average_of_its_codes(coders, kind):
    model, (x, _) = coders[kind], small.rows(9)
    centre = model.enrol(x, "phone")
    parts, means = model.parts(model.encode(x)), model.parts(centre[None])
    name = "phone" if "phone" in parts else "code"
    np.testing.assert_allclose(means[name][0], np.mean(parts[name], axis=0), atol=1e-5)
    if kind == "fdnf":
        np.testing.assert_array_equal(means["speaker"], np.zeros((1, 3)))
    assert model.manipulate(x, "phone", centre).shape == x.shape


def test_who_becomes_what_they_are_enrolled_as(coders):
    """A class of one segment, moved to from itself: its part is that segment's."""
    model, (x, _) = coders["fdnf"], small.rows(2)
    centre, source = (model.enrol(x[i : i + 1], "phone") for i in (1, 0))
    moved = model.manipulate(x[:1], "phone", centre, source=source)
    np.testing.assert_allclose(moved, model.swap(x[:1], x[1:], "phone")[0], atol=1e-4)


@pytest.mark.parametrize("kind", small.KINDS)
def test_few_samples_are_the_first_of_many(coders, kind):
    model = coders[kind]
    many, few = model.sample(count=20, seed=5), model.sample(count=3, seed=5)
    assert many.shape == (20, *small.SHAPE)
    np.testing.assert_allclose(many[:3], few, atol=1e-5)
    assert np.abs(model.sample(count=3, seed=6) - few).max() > 0.1


def test_samples_of_classes_are_of_these_classes(coders):
    model = coders["fdnf"]
    x = model.sample({"phone": "i", "speaker": "M02"}, count=3, temperature=0.0)
    centre = model.centres("phone")[1] + model.centres("speaker")[1]
    np.testing.assert_allclose(model.encode(x), np.tile(centre, (3, 1)), atol=1e-4)
    codes = np.array([[1, 1]] * 3)
    np.testing.assert_array_equal(model.sample(codes, temperature=0.0), x)
    assert model.sample({"phone": "i"}).shape == (1, *small.SHAPE)
    one = coders["dnf-phone"]  # heeds only what it has learned
    np.testing.assert_array_equal(
        one.sample(codes, temperature=0.0),
        one.sample({"phone": "i"}, count=3, temperature=0.0),
    )


def test_another_seed_draws_other_classes(coders):
    """Without noise, what is left to chance is the class."""
    draws = [coders["fdnf"].sample(count=50, seed=s, temperature=0.0) for s in (1, 2)]
    different = np.abs(draws[0] - draws[1]).max(axis=(1, 2)) > 1e-3
    assert 0.5 < different.mean() < 1.0  # 1 - sum of squares, of six classes or so


def test_codes_of_names(coders):
    assert coders["nf"].codes({"speaker": "M02"}).tolist() == [-1, 1]
    assert coders["nf"].codes({"speaker": "F01", "phone": "s"}).tolist() == [2, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nf", "fdnf"])
def test_a_graph_answers_as_python_does(coders, kind):
    """Names and checks are for Python; tensors pass into a `tf.function`."""
    model, (x, labels) = coders[kind], small.rows(4)
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
        (lambda m, x: m.codes({"mood": "sad"}), "Received: 'mood'"),
        (lambda m, x: m.codes({"phone": "z"}), "Received: 'z'"),
        (lambda m, x: m.sample({"phone": "z"}), "Received: 'z'"),
        (lambda m, x: m.sample({"mood": "sad"}), "Received: 'mood'"),
        (lambda m, x: m.sample(count=0), "at least 1"),
        (lambda m, x: m.sample(np.array([[0, 2]])), "column 1. Received: 2"),
        (lambda m, x: m.sample(np.array([[0, 1]]), count=2), r"\[2, 2\]"),
        (lambda m, x: m.adapt(spoilt(x, np.inf)), "finite"),
        (lambda m, x: m.adapt(x[:1]), "at least 2"),
        (lambda m, x: m.adapt(x, [[0, 0], [1, 1], [3, 0], [0, 0]]), "Received: 3"),
        (lambda m, x: m.adapt(x, [[0, 0]] * 3), r"integers \[4, 2\]"),
        (lambda m, x: m.adapt(x), "needs rows that are labelled"),
    ],
)
def test_what_can_not_be_done_is_refused(coders, ask, rule):
    with pytest.raises(ValueError, match=rule):
        ask(coders["fdnf"], small.rows(4)[0])


@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_models_without_classes_draw_none(coders, kind):
    with pytest.raises(ValueError, match="among"):
        coders[kind].sample({"phone": "a"})


@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_models_without_classes_know_them_only_once_summarised(kind):
    x, labels = small.rows(8)
    told = {"shape": small.SHAPE, "vocabulary": small.VOCABULARY}
    model = models.build(kind, **told, vae={"hidden": 8}, backbone={"hidden": 8})
    model.adapt(x, labels)
    for ask in (model.posterior, lambda x: model.manipulate(x, "phone", 0)):
        with pytest.raises(RuntimeError, match="summarise"):
            ask(x)
    model.summarise(x, labels)
    assert model.manipulate(x, "phone", 0).shape == x.shape


@pytest.mark.parametrize(
    "vocabulary, rule",
    [
        ({"phone": ("a",)}, "two classes or more"),
        ({"phone": ("a", "a")}, "different names"),
        ({"rest": ("a", "b")}, "named as other parts"),
    ],
)
@pytest.mark.parametrize("kind", ["nf", "vae"])
def test_what_is_no_vocabulary_is_refused(kind, vocabulary, rule):
    with pytest.raises(ValueError, match=rule):
        models.build(kind, shape=(6,), vocabulary=vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "fdnf"])
def test_a_notebook_needs_compile_and_fit(kind, tmp_path):
    """A model is adapted, learns, is summarised, and is saved with all of it."""
    model = models.build(
        kind,
        shape=small.SHAPE,
        vocabulary=small.VOCABULARY,
        backbone={"steps": 2, "hidden": 16},
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
    model.fit({"x": 2 * x, "labels": labels}, epochs=1, verbose=0)  # adapted once
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
    model = models.build("nf", shape=(2,), vocabulary={}, backbone={"steps": 1})
    model.compile(optimizer="sgd")
    data = tf.data.Dataset.from_tensors(np.zeros((4, 2), "float32"))
    with pytest.raises(ValueError, match="adapt"):
        model.fit(data)
    with pytest.raises(ValueError, match="Received: list"):
        model.fit([[0.0, 1.0]])


@pytest.mark.parametrize("kind", ["vae", "fdnf"])
def test_what_is_not_finite_is_not_learned_from(kind):
    """Nor told: a NaN would be in all weights at once, and in all that is said."""
    model, (x, labels) = small.coder(kind), small.rows(8)
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
    model = models.build("nf", shape=(2,), vocabulary={}, backbone={"steps": 2})
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    data = tf.data.Dataset.from_tensor_slices(x).batch(16)  # adapted by now
    assert np.isfinite(model.fit(data, shuffle=False, verbose=0).history["loss"]).all()
    assert model.posterior(x) == {}


@pytest.mark.slow
def test_jax_answers_as_tensorflow_does(coders, tmp_path):
    """Codes, densities and manipulated segments of one set of weights."""
    x, labels = small.rows(6)
    for kind in ("vae", "fdnf"):
        coders[kind].save_weights(tmp_path / f"{kind}.weights.h5")
    expected = {
        "vae.z": coders["vae"].encode(x),
        "fdnf.moved": coders["fdnf"].manipulate(x, "phone", "i", alpha=0.5),
        "fdnf.log_prob": coders["fdnf"].log_prob(x, labels),
    }
    program = ROOT / "tests" / "flows" / "coder_backend.py"
    done = subprocess.run(
        [sys.executable, str(program), tmp_path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "jax"
    with np.load(tmp_path / "answers.npz") as answers:
        for name, value in expected.items():
            np.testing.assert_allclose(answers[name], value, atol=1e-4, err_msg=name)
