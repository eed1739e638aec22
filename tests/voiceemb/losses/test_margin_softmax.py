import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import check_layer
from voiceemb.losses.margin_softmax import (
    MARGINS,
    CosineClasses,
    additive_angular,
    with_margin,
)
from voiceemb.networks import speaker_encoder
from voiceemb.training.trainers import SpeakerClassifier

ANGLES = np.linspace(0, np.pi, 2001)
COSINES = np.cos(ANGLES).astype("float32")


def classes_of(rng, dim=6, **arguments):
    layer = CosineClasses(4, **arguments)
    layer.build((None, dim))
    layer.centres.assign(rng.normal(size=layer.centres.shape))
    return layer


def loss_of(logits, labels, **arguments):
    held = with_margin(logits, labels, **arguments)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(entropy(labels, held))


def by_hand(x, centres, labels, *, head, margin, scale, sub_centres):
    """The loss as a loop over rows, classes and centres, angle by angle."""
    losses = []
    for row, label in zip(x, labels, strict=True):
        logits = []
        for c in range(centres.shape[1] // sub_centres):
            some = centres[:, c * sub_centres : (c + 1) * sub_centres].T
            cosine = max(
                row @ one / np.linalg.norm(row) / np.linalg.norm(one) for one in some
            )
            if c == label and head == "am":
                cosine -= margin
            if c == label and head == "aam":
                angle = np.arccos(np.clip(cosine, -1, 1)) + margin
                line = cosine - 1 + np.cos(margin)
                cosine = np.cos(angle) if angle < np.pi else line
            logits.append(scale * cosine)
        losses.append(np.log(np.exp(logits).sum()) - logits[label])
    return np.mean(losses)


@pytest.mark.parametrize("head", MARGINS)
@pytest.mark.parametrize("sub_centres", [1, 3])
def test_the_loss_is_that_of_a_loop_over_angles(head, sub_centres, rng):
    x = rng.normal(size=(12, 6)).astype("float32")
    labels = rng.integers(0, 4, 12)
    layer = classes_of(rng, sub_centres=sub_centres, scale=8.0)
    x[0] = -layer.centres[:, sub_centres * labels[0]]  # beyond pi - margin
    arguments = {"head": head, "margin": 0.3, "scale": 8.0}
    centres = layer.centres.numpy().astype(float)
    expected = by_hand(
        x.astype(float), centres, labels, sub_centres=sub_centres, **arguments
    )
    assert np.isclose(loss_of(layer(x), labels, **arguments), expected, rtol=1e-5)


@pytest.mark.parametrize("margin", [0.1, 0.2, 0.5, 1.5])
def test_the_angular_margin_adds_to_the_angle_and_never_rewards_a_larger_one(margin):
    held = np.asarray(additive_angular(COSINES, margin))
    inside = ANGLES < np.pi - margin
    np.testing.assert_allclose(
        held[inside], np.cos(ANGLES[inside] + margin), atol=5e-4
    )  # the angle of a rounded cosine near 1 is known to 3e-4
    assert (np.diff(held) < 1e-6).all()
    assert (np.abs(np.diff(held)) < 4e-3).all()  # without a jump


@pytest.mark.parametrize("head", MARGINS)
def test_no_margin_changes_nothing_and_any_margin_lowers_the_logit(head):
    np.testing.assert_array_equal(MARGINS[head](COSINES, 0.0), COSINES)
    assert (np.asarray(MARGINS[head](COSINES, 0.2)) < COSINES).all()


@pytest.mark.parametrize("head", MARGINS)
def test_only_the_true_class_is_held_to_the_margin(head, rng):
    logits = rng.uniform(-5, 5, (6, 4)).astype("float32")
    labels = np.array([0, 1, 2, 3, 0, 1])
    held = np.asarray(with_margin(logits, labels, head=head, margin=0.2, scale=5.0))
    true = np.eye(4, dtype=bool)[labels]
    np.testing.assert_array_equal(held[~true], logits[~true])
    assert (held[true] < logits[true]).all()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_one_direction_for_all_voices_and_classes_scores_by_closed_form(scale):
    """All cosines are 1, so that of the true class is 1 - m, or cos(m), of four."""
    logits = np.full((8, 4), scale, "float32")
    for head, held in (("am", 1 - 0.2), ("aam", np.cos(0.2))):
        expected = np.log(3 * np.exp(scale) + np.exp(scale * held)) - scale * held
        loss = loss_of(logits, np.zeros(8, int), head=head, margin=0.2, scale=scale)
        assert np.isclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("head", MARGINS)
def test_the_gradient_is_finite_on_a_class_opposite_to_it_and_at_zero(head, rng):
    layer = classes_of(rng, sub_centres=2)
    points = np.asarray(layer.centres).T[:1]
    x = tf.Variable(np.concatenate([points, -points, 0 * points, 1e-20 * points]))
    with tf.GradientTape() as tape:
        held = with_margin(
            layer(x), np.zeros(4, int), head=head, margin=0.2, scale=30.0
        )
        loss = tf.reduce_mean(-tf.nn.log_softmax(held)[:, 0])
    for gradient in tape.gradient(loss, [x, layer.centres.value]):
        assert np.isfinite(gradient).all()
    cosine = tf.constant([1.0, -1.0, 1.0 + 1e-6, -1.0 - 1e-6])
    with tf.GradientTape() as tape:
        tape.watch(cosine)
        held = MARGINS[head](cosine, 0.2)
    assert np.isfinite(held).all() and np.isfinite(tape.gradient(held, cosine)).all()


def test_logits_know_directions_only_and_lie_within_the_scale(rng):
    layer, x = classes_of(rng, scale=7.0), rng.normal(size=(9, 6)).astype("float32")
    logits = np.asarray(layer(x))
    np.testing.assert_allclose(layer(100 * x), logits, atol=1e-5)
    layer.centres.assign(0.01 * layer.centres)
    np.testing.assert_allclose(layer(x), logits, atol=1e-5)
    assert (np.abs(logits) <= 7.0001).all()
    own = np.asarray(layer(np.asarray(layer.centres).T))
    np.testing.assert_allclose(np.diag(own), 7.0, rtol=1e-5)


def test_classes_permute_and_the_order_and_number_of_equal_centres_do_not_count(rng):
    one, three = classes_of(rng), classes_of(rng, sub_centres=3)
    x = rng.normal(size=(9, 6)).astype("float32")
    logits, order = np.asarray(three(x)), [2, 0, 3, 1]
    centres = np.asarray(three.centres).reshape(6, 4, 3)
    three.centres.assign(centres[:, order][:, :, [1, 2, 0]].reshape(6, 12))
    np.testing.assert_allclose(three(x), logits[:, order], atol=1e-5)
    three.centres.assign(np.repeat(np.asarray(one.centres), 3, axis=1))
    np.testing.assert_allclose(three(x), one(x), atol=1e-5)


def test_classes_keep_the_contract_of_layers(rng):
    x = rng.normal(size=(3, 6)).astype("float32")
    check_layer(CosineClasses(4, 2, 12.0), x)


def test_classes_compute_in_single_precision_under_every_policy(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = CosineClasses(4)
        logits = layer(rng.normal(size=(3, 6)).astype("float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert layer.centres.dtype == "float32" and logits.dtype == tf.float32


def small():
    return speaker_encoder.build(
        stages=(4,), num_blocks=1, embedding_dim=8, weight_decay=0.0
    )


def classifier(**arguments):
    model = SpeakerClassifier(small(), 3, **{"head": "aam", **arguments})
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model(np.ones((1, 16, 64), "float32"))
    model.optimizer.build(model.trainable_variables)
    return model


def test_the_margin_rises_evenly_between_its_steps():
    model, margins = classifier(margin=0.4, margin_rise=(10, 20)), []
    for step in (0, 10, 15, 20, 99):
        model.optimizer.iterations.assign(step)
        margins.append(float(model.present_margin()))
    np.testing.assert_allclose(margins, [0, 0, 0.2, 0.4, 0.4], rtol=1e-6)
    assert classifier(margin=0.4).present_margin() == 0.4


@pytest.mark.parametrize("head", MARGINS)
def test_a_margin_is_in_the_loss_and_in_nothing_else(head, rng):
    x = rng.uniform(0.1, 9, (6, 16, 64)).astype("float32")
    labels, found = np.arange(6) % 3, []
    for margin in (0.0, 0.2):
        keras.utils.set_random_seed(0)
        model = classifier(head=head, margin=margin)
        logits = model(x)
        loss = float(model.compute_loss(y=labels, y_pred=logits))
        found.append((loss, model.measure(x, labels, logits), np.asarray(logits)))
    (plain, right, free), (held, same, under) = found
    np.testing.assert_array_equal(free, under)
    assert right == same and held > plain + 1
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert np.isclose(plain, entropy(labels, free), rtol=1e-5)


def test_dropout_belongs_to_the_plain_softmax(rng):
    x = rng.uniform(0.1, 9, (2, 16, 64)).astype("float32")
    model = classifier(dropout=0.9)
    model.encoder.trainable = False  # batch statistics stay out of it
    np.testing.assert_allclose(model(x, training=True), model(x), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("head", MARGINS)
def test_fit_alone_teaches_names_by_a_margin_and_every_weight_learns(head, rng):
    model = SpeakerClassifier(
        small(), 2, head=head, margin_rise=(2, 10), sub_centres=2, scale=10.0
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    labels = np.tile([0, 1], 8)
    x = rng.uniform(0.1, 9, (16, 16, 64)).astype("float32")
    x[labels == 1, :, :32] *= 5
    model(x)
    before = [w.numpy().copy() for w in model.trainable_variables]
    rows = np.tile(np.arange(16), 30)  # an epoch of many steps costs less than many
    model.fit(x[rows], labels[rows], batch_size=16, shuffle=False, verbose=0)
    for was, now in zip(before, model.trainable_variables, strict=True):
        assert (was != now.numpy()).any(), f"{now.path} has not moved"
    assert float(model.measure(None, labels, model(x))["accuracy"]) == 1


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"head": "arc"}, "`head` must be one of"),
        ({"sub_centres": 0}, "`sub_centres` must be at least 1"),
        ({"scale": 0.0}, "`scale` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        SpeakerClassifier(small(), 3, **{"head": "am", **arguments})
