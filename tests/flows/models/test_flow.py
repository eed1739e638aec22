"""Flows: densities by a change of variables, and what training makes them pay for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from flows.bijectors import backbones
from flows.bijectors.normalisation import Scaler
from flows.models import flow, latent_model, registry
from flows.models.base_distribution import FactorialNormal
from flows.models.flow import Flow
from tests.contracts import check_gradients
from tests.flows import small


def loss(model, x, labels=None, training=False):
    inputs = x if labels is None else {"x": x, "labels": labels}
    return np.asarray(model(inputs, training=training))


@pytest.mark.parametrize("kind", ["nf", "dnf-phone", "fdnf"])
def test_log_prob_is_the_base_and_the_stretch(kind):
    """`log p(z | labels) + log |det dz / dx|`, by the Jacobian of `encode`."""
    model, (x, labels) = small.model(kind), small.rows(4)
    flat = tf.constant(x.reshape(4, 6))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(flat)
        z = model.encode(tf.reshape(flat, x.shape))
    jacobian = tape.batch_jacobian(z, flat, experimental_use_pfor=False)
    stretch = np.linalg.slogdet(np.asarray(jacobian, "float64"))[1]
    columns = {"nf": [], "dnf-phone": [0], "fdnf": [0, 1]}[kind]
    expected = np.asarray(model.base.log_prob(z, labels[:, columns]))
    expected = expected + stretch
    np.testing.assert_allclose(model.log_prob(x, labels), expected, atol=1e-3)
    np.testing.assert_allclose(loss(model, x, labels), -expected, atol=1e-3)


def test_the_density_of_segments_integrates_to_one():
    """In feature units, over a grid of segments of two numbers, labels known or not."""
    told = {"shape": (2,), "backbone": {"steps": 2, "hidden": 8}}
    model = registry.build("fdnf", vocabulary=small.VOCABULARY, **told)
    x, labels = small.rows(80)
    model.adapt(3 * x[:, :, 0] - 5, labels)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    line = np.linspace(-60, 100, 400, dtype="float32")
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    cell = (line[1] - line[0]) ** 2
    for given in ([0, 1], [-1, 0], [-1, -1]):
        density = np.exp(model.log_prob(grid, np.tile(given, (len(grid), 1))))
        np.testing.assert_allclose(density.sum() * cell, 1, atol=2e-3)


def test_no_labels_and_missing_labels_are_one():
    model, (x, labels) = small.model(), small.rows(5)
    nothing = np.full_like(labels, -1)
    np.testing.assert_array_equal(model.log_prob(x), model.log_prob(x, nothing))
    np.testing.assert_array_equal(loss(model, x), loss(model, x, nothing))
    np.testing.assert_allclose(loss(model, x), -model.log_prob(x), rtol=1e-6)


def test_a_missing_label_gives_the_mixture():
    model, (x, labels) = small.model(), small.rows(5)
    priors = np.exp(model.base._log_priors[0])
    total = 0
    for phone, prior in enumerate(priors):
        known = np.stack([np.full(5, phone), labels[:, 1]], axis=1)
        total = total + prior * np.exp(model.log_prob(x, known))
    half = np.stack([np.full(5, -1), labels[:, 1]], axis=1)
    np.testing.assert_allclose(np.exp(model.log_prob(x, half)), total, rtol=1e-4)


def test_a_dnf_without_distances_is_a_plain_flow():
    """All means one, and all weights of the bijectors too: DNF says what NF says."""
    nf, dnf = small.model("nf"), small.model("dnf-phone")
    dnf.bijector.set_weights(nf.bijector.get_weights())
    dnf.base._means[0].assign(np.zeros((3, 6)))
    x, labels = small.rows(5)
    np.testing.assert_allclose(dnf.log_prob(x, labels), nf.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(dnf.log_prob(x), nf.log_prob(x), rtol=1e-5)


def test_a_dnf_heeds_its_own_column_only():
    model, (x, labels) = small.model("dnf-speaker"), small.rows(5)
    other = np.stack([(labels[:, 0] + 1) % 3, labels[:, 1]], axis=1)
    np.testing.assert_array_equal(loss(model, x, labels), loss(model, x, other))
    changed = np.stack([labels[:, 0], 1 - labels[:, 1]], axis=1)
    assert (loss(model, x, labels) != loss(model, x, changed)).all()


def test_adapting_sets_scales_and_classes():
    """Scaled numbers are standard, and means are those of the class's latents."""
    model, (x, labels) = small.untrained("fdnf"), small.rows(60)
    assert not model.adapted
    model.adapt(x, labels)
    assert model.adapted
    scaled = np.asarray(model.scaler.forward(x))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-4)
    parts = model.split_latents(np.asarray(model.encode(x)))
    for f, (factor, names) in enumerate(small.VOCABULARY.items()):
        for k in range(len(names)):
            mean = parts[factor][labels[:, f] == k].mean(axis=0)
            np.testing.assert_allclose(model.base.means(f)[k], mean, atol=1e-5)


def test_a_class_without_rows_starts_from_all(rng):
    model, (x, labels) = small.untrained("fdnf"), small.rows(60)
    model.adapt(x, np.where(labels == [2, 9], -1, labels))
    mean = np.asarray(model.split_latents(model.encode(x))["phone"]).mean(axis=0)
    np.testing.assert_allclose(model.base.means(0)[2], mean, atol=1e-5)


def test_many_rows_are_taken_in_blocks():
    """Only some give scales and start the bijector, but all of them the classes."""
    model, (x, labels) = small.untrained("fdnf"), small.rows(12_000)
    model.adapt(x, labels)
    order = np.random.default_rng(model.seed).permutation(len(x))
    few = x[order[: latent_model.MAX_ADAPT_ROWS]].reshape(-1, 6)
    np.testing.assert_allclose(model.scaler.mean, few.mean(axis=0), rtol=1e-4)
    z = np.asarray(model.split_latents(model.encode(x))["speaker"])
    for k in range(2):
        mean = z[labels[:, 1] == k].mean(axis=0)
        np.testing.assert_allclose(model.base.means(1)[k], mean, atol=1e-4)


def test_parts_begin_where_their_classes_differ():
    """Louder and louder phones differ in one direction, the first of their part."""
    model, (x, labels) = small.untrained("fdnf"), small.rows(600)
    model.adapt(x, labels)
    z = np.asarray(model.encode(x))
    means = np.stack([z[labels[:, 0] == k].mean(axis=0) for k in range(3)])
    assert means[:, 0].std() > 1
    assert means[:, 2].std() < 0.25  # the speaker's, taken first: chance of the draw
    np.testing.assert_allclose(means[:, 3:].std(axis=0), 0, atol=1e-4)


def test_cross_entropy_counts_known_labels():
    plain, sharp = small.model(), small.model(ce_weight=2.0)
    x, labels = small.rows(5)
    told = [np.asarray(values) for values in plain.log_posterior(x).values()]
    each = [values[np.arange(5), labels[:, f]] for f, values in enumerate(told)]
    more = loss(sharp, x, labels) - loss(plain, x, labels)
    np.testing.assert_allclose(more, -2 * sum(each), atol=1e-3)
    half = np.stack([labels[:, 0], np.full(5, -1)], axis=1)
    more = loss(sharp, x, half) - loss(plain, x, half)
    np.testing.assert_allclose(more, -2 * each[0], atol=1e-3)
    np.testing.assert_allclose(loss(sharp, x), loss(plain, x), rtol=1e-6)


def test_scatter_is_the_share_between_classes(rng):
    """Against the analysis of variance, written plainly."""
    z, labels = rng.normal(size=(40, 3)) + 2, rng.integers(-1, 4, 40)
    part, given = z[labels >= 0], labels[labels >= 0]
    mean, between = part.mean(axis=0), 0
    for k in np.unique(given):
        members = part[given == k]
        between += len(members) * np.square(members.mean(axis=0) - mean).sum()
    expected = between / np.square(part - mean).sum()
    found = flow.scatter(tf.constant(z, tf.float32), labels, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_scatter_is_one_for_points_and_zero_without_labels():
    z, labels = np.eye(3, dtype="float32")[[0, 1, 2, 0]], np.array([0, 1, 2, 0])
    np.testing.assert_allclose(flow.scatter(z, labels, 3), 1, rtol=1e-6)
    np.testing.assert_allclose(flow.scatter(z[[0, 1, 0, 1]], labels // 3, 3), 0)
    assert float(flow.scatter(z, np.full(4, -1), 3)) == 0


def test_the_cross_penalty_is_the_scatter_in_the_other_parts():
    plain, apart = (small.model(residual=2, cross_penalty=w) for w in (0.0, 3.0))
    x, labels = small.rows(30)
    parts = plain.split_latents(np.asarray(plain.encode(x)))
    expected = sum(
        float(flow.scatter(part, labels[:, f], len(names)))
        for f, (factor, names) in enumerate(small.VOCABULARY.items())
        for place, part in parts.items()
        if place != factor
    )
    more = loss(apart, x, labels) - loss(plain, x, labels)
    np.testing.assert_allclose(more, 3 * expected, atol=1e-3)
    np.testing.assert_allclose(loss(apart, x), loss(plain, x), rtol=1e-6)


def test_training_alone_hides_labels_and_adds_noise():
    x, labels = small.rows(200)
    model = small.model(label_dropout=0.4)
    known, none = loss(model, x, labels), loss(model, x)
    np.testing.assert_array_equal(loss(model, x, labels), known)
    first, second = (loss(model, x, labels, training=True) for _ in range(2))
    assert (first != second).any()
    kept, lost = (np.isclose(first, other, atol=1e-5) for other in (known, none))
    assert abs(kept.mean() - 0.36) < 0.12 and abs(lost.mean() - 0.16) < 0.12
    every = small.model(label_dropout=1.0)
    np.testing.assert_allclose(loss(every, x, labels, training=True), none, rtol=1e-5)
    noisy = small.model(jitter=0.1)
    known = loss(noisy, x, labels)
    np.testing.assert_array_equal(loss(noisy, x, labels), known)
    assert (loss(noisy, x, labels, training=True) != known).all()


def test_the_loss_is_the_mean_and_reaches_every_weight():
    told = {"ce_weight": 0.1, "cross_penalty": 0.1, "variance": "class", "residual": 2}
    model, (x, labels) = small.model(**told), small.rows(20)
    inputs = {"x": x, "labels": labels}
    check_gradients(model, inputs)
    rows = model(inputs)
    np.testing.assert_allclose(
        model.compute_loss(y_pred=rows), np.mean(rows), rtol=1e-6
    )
    weight = np.arange(20.0)
    weighted = model.compute_loss(y_pred=rows, sample_weight=weight)
    np.testing.assert_allclose(weighted, np.mean(weight * rows), rtol=1e-5)


def test_half_of_the_labels_give_gradients_that_are_finite():
    model, (x, labels) = small.model(ce_weight=1.0, cross_penalty=1.0), small.rows(20)
    labels[::2, 0] = -1
    labels[:, 1] = -1
    check_gradients(model, {"x": x, "labels": labels})


@pytest.mark.parametrize("kind", ["nf", "dnf-phone", "fdnf"])
def test_a_flow_is_rebuilt_from_its_config(kind, tmp_path):
    model = small.model(kind, label_dropout=0.2, jitter=0.1)
    config = keras.saving.serialize_keras_object(model)
    copy = keras.saving.deserialize_keras_object(config)
    model.save_weights(tmp_path / "a.weights.h5")
    copy.load_weights(tmp_path / "a.weights.h5")
    x, labels = small.rows(5)
    np.testing.assert_array_equal(copy.log_prob(x, labels), model.log_prob(x, labels))
    assert copy.adapted and copy.own == model.own and copy.label_dropout == 0.2


def parts_of_a_flow():
    return {
        "bijector": backbones.build(dim=6, steps=1, hidden=4),
        "base": FactorialNormal((3, 2), (3, 3)),
        "scaler": Scaler((2, 3)),
        "vocabulary": small.VOCABULARY,
    }


@pytest.mark.parametrize(
    "wrong, rule",
    [
        ({"base": FactorialNormal((3, 2), (3, 2))}, "numbers, 6. Received: 5"),
        ({"base": FactorialNormal((3,), (6,))}, "name their factors by `own`"),
        ({"own": ("phone",)}, r"\(3,\). Received: \(3, 2\)"),
        ({"own": ("phone", "mood")}, "must be among"),
        ({"own": ("phone", "phone")}, "each once"),
        ({"label_dropout": 1.5}, "at most 1"),
        ({"label_dropout": -0.1}, "at least 0"),
        ({"ce_weight": -1.0}, "at least 0"),
        ({"cross_penalty": -1.0}, "at least 0"),
        ({"jitter": -0.1}, "at least 0"),
    ],
)
def test_what_is_no_flow_is_refused(wrong, rule):
    with pytest.raises(ValueError, match=rule):
        Flow(**{**parts_of_a_flow(), **wrong})


def test_labels_of_no_class_have_no_density():
    model, (x, labels) = small.model(), small.rows(5)
    for wrong in (labels + 3, labels - 9, labels[:, :1], labels[:3]):
        with pytest.raises(ValueError, match="Labels must be"):
            model.log_prob(x, wrong)


def test_numbers_that_hardly_ever_change_start_no_larger_than_the_others(rng):
    """A band that is silent but once: noise, not the silence, gives it its size."""
    x = rng.normal(size=(300, 6)).astype("float32")
    x[:, 3:] = 0
    x[0, 3:] = 5.0
    told = {"shape": (6,), "vocabulary": {"word": ("a", "b")}, "jitter": 0.1}
    model = registry.build("dnf-word", backbone={"steps": 4, "hidden": 8}, **told)
    model.adapt(x, np.arange(300)[:, None] % 2)
    rare = np.zeros((1, 6), "float32")
    rare[0, 3:] = 5.0
    assert np.abs(model.encode(rare)).max() < 60  # 5 deviations of noise would be 50
    assert np.isfinite(model.log_prob(rare)).all()
