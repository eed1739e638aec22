import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.references import unit
from voiceemb.losses.contrastive import CONTRASTIVE_LOSSES
from voiceemb.networks import speaker_encoder
from voiceemb.training.trainers import ContrastiveTrainer

SPEAKERS, UTTERANCES = 5, 4
LABELS = np.repeat(np.arange(SPEAKERS), UTTERANCES).reshape(SPEAKERS, UTTERANCES)


def batch(rng, dim=8):
    points = unit(rng, SPEAKERS * UTTERANCES, dim)
    return points.reshape(SPEAKERS, UTTERANCES, dim)


def loss_of(contrast, embedding, labels=LABELS, scale=7.0):
    return float(CONTRASTIVE_LOSSES[contrast](embedding, labels, scale=scale))


def cos(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def entropy(logits, true):
    return np.log(np.exp(logits).sum()) - logits[true]


def ge2e(x, labels, w, b):
    """Equations 5 and 6 of the paper, utterance by utterance."""
    losses = []
    for j in range(len(x)):
        for i in range(x.shape[1]):
            rest = np.delete(x[j], i, axis=0).mean(axis=0)
            logits = [
                w * cos(x[j, i], rest if k == j else x[k].mean(axis=0)) + b
                for k in range(len(x))
            ]
            losses.append(entropy(logits, j))
    return np.mean(losses)


def prototypical(x, labels, w, b):
    prototypes = [few[:-1].mean(axis=0) for few in x]
    logits = [[w * cos(few[-1], p) + b for p in prototypes] for few in x]
    return np.mean([entropy(row, j) for j, row in enumerate(logits)])


def supcon(x, labels, w, b):
    """Equation 2 of the paper, pair by pair; its temperature is `1 / w`."""
    rows, names, losses = x.reshape(-1, x.shape[-1]), np.ravel(labels), []
    for i, name in enumerate(names):
        others = [a for a in range(len(rows)) if a != i]
        below = sum(np.exp(rows[i] @ rows[a] * w) for a in others)
        same = [p for p in others if names[p] == name]
        if same:
            each = [np.log(np.exp(rows[i] @ rows[p] * w) / below) for p in same]
            losses.append(-np.mean(each))
    return np.mean(losses)


@pytest.mark.parametrize("reference", [ge2e, prototypical, supcon])
@pytest.mark.parametrize("bias", [0.0, -5.0])
def test_a_contrast_is_that_of_the_paper_whatever_the_bias(reference, bias, rng):
    embedding = batch(rng)
    expected = reference(embedding.astype(float), LABELS, 7.0, bias)
    assert np.isclose(loss_of(reference.__name__, embedding), expected, rtol=1e-5)


def test_two_utterances_are_enough(rng):
    embedding, labels = batch(rng)[:, :2], LABELS[:, :2]
    for reference in (ge2e, prototypical, supcon):
        expected = reference(embedding.astype(float), labels, 7.0, 0.0)
        found = loss_of(reference.__name__, embedding, labels)
        assert np.isclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_one_point_for_all_voices_chooses_at_random(contrast, scale, rng):
    everyone = np.broadcast_to(unit(rng, 1, 8), (SPEAKERS, UTTERANCES, 8))
    choices = SPEAKERS * UTTERANCES - 1 if contrast == "supcon" else SPEAKERS
    found = loss_of(contrast, everyone, scale=scale)
    assert np.isclose(found, np.log(choices), atol=1e-4)


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_speakers_at_right_angles_score_by_closed_form(contrast):
    """The right cosines are 1 and the others 0; three of supcon's are right."""
    apart = np.repeat(np.eye(8, dtype="float32")[:SPEAKERS, None], UTTERANCES, axis=1)
    right, wrong = (3, 16) if contrast == "supcon" else (1, SPEAKERS - 1)
    expected = np.log(right * np.exp(7.0) + wrong) - 7.0
    assert np.isclose(loss_of(contrast, apart), expected, rtol=1e-4)


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_the_order_of_speakers_and_of_utterances_does_not_matter(contrast, rng):
    embedding = batch(rng)
    expected = loss_of(contrast, embedding)
    speakers, utterances = rng.permutation(SPEAKERS), [2, 0, 1, 3]
    if contrast != "prototypical":  # whose last utterance is the one that asks
        utterances = [3, 1, 0, 2]
    mixed = embedding[speakers][:, utterances]
    assert np.isclose(loss_of(contrast, mixed, LABELS[speakers]), expected, rtol=1e-5)
    renamed = loss_of(contrast, embedding, 90 - 7 * LABELS)
    assert np.isclose(renamed, expected, rtol=1e-6)


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_turning_the_sphere_does_not_matter(contrast, rng):
    embedding = batch(rng)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype("float32")
    expected = loss_of(contrast, embedding)
    assert np.isclose(loss_of(contrast, embedding @ turn), expected, rtol=1e-5)


def test_supcon_reads_speakers_from_labels_and_leaves_out_who_speaks_once(rng):
    embedding = batch(rng)
    labels = rng.integers(0, 6, LABELS.shape)
    labels[0, 0], labels[3, 1] = 98, 99
    expected = supcon(embedding.astype(float), labels, 7.0, 0.0)
    assert np.isclose(loss_of("supcon", embedding, labels), expected, rtol=1e-5)
    alone = np.arange(SPEAKERS * UTTERANCES).reshape(LABELS.shape)
    assert loss_of("supcon", embedding, alone) == 0


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_the_gradient_is_finite_where_vectors_coincide_cancel_or_vanish(contrast):
    same = np.ones((SPEAKERS, UTTERANCES, 4), "float32") / 2
    opposite = same * np.array([1, -1, 1, -1], "float32")[None, :, None]
    for points in (same, opposite, 0 * same):
        x = tf.Variable(points)
        with tf.GradientTape() as tape:
            loss = CONTRASTIVE_LOSSES[contrast](x, LABELS, scale=30.0)
        assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, x)).all()


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_one_point_has_no_gradient_along_the_sphere(contrast, rng):
    """A collapse is a saddle: nothing pulls a voice from it but noise."""
    point = unit(rng, 1, 8)
    x = tf.Variable(np.tile(point, (SPEAKERS, UTTERANCES, 1)))
    with tf.GradientTape() as tape:
        loss = CONTRASTIVE_LOSSES[contrast](x, LABELS, scale=10.0)
    gradient = np.asarray(tape.gradient(loss, x))
    along = gradient - (gradient @ point[0])[..., None] * point[0]
    assert np.abs(along).max() < 1e-5


def small(**arguments):
    return speaker_encoder.build(
        stages=(4,), num_blocks=1, embedding_dim=8, **arguments
    )


@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_a_learner_adds_its_contrast_and_the_weight_decay(contrast, rng):
    embedding = batch(rng)
    plain = ContrastiveTrainer(small(weight_decay=0.0), contrast, temperature=0.2)
    found = plain.compute_loss(y=LABELS, y_pred=embedding)
    assert np.isclose(found, loss_of(contrast, embedding, scale=5.0), rtol=1e-5)
    decayed = ContrastiveTrainer(small(weight_decay=0.5), contrast, temperature=0.2)
    total = decayed.compute_loss(y=LABELS, y_pred=embedding)
    assert np.isclose(total, found + sum(decayed.losses), rtol=1e-5)


def test_supcon_keeps_its_temperature_and_the_others_learn_a_positive_one():
    assert ContrastiveTrainer(small(), "supcon", 0.05).scale() == 20
    for contrast in ("ge2e", "prototypical"):
        trainer = ContrastiveTrainer(small(), contrast, 0.05)
        assert np.isclose(trainer.scale(), 20)
        assert trainer.log_scale in trainer.trainable_variables
        trainer.log_scale.assign(-9.0)
        assert trainer.scale() > 0


@pytest.mark.slow
@pytest.mark.parametrize("contrast", CONTRASTIVE_LOSSES)
def test_fit_alone_teaches_distances_and_every_weight_learns(contrast, rng):
    """Two voices that differ in their lower bands must part within a few steps."""
    model = ContrastiveTrainer(small(), contrast)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    labels = np.tile([[0] * 3, [1] * 3], (4, 1))
    x = rng.uniform(0.1, 9, (8, 3, 16, 64)).astype("float32")
    x[labels == 1, :, :32] *= 5
    model(x)
    before = [w.numpy().copy() for w in model.trainable_variables]
    first = model.compute_loss(y=labels[:2], y_pred=model(x[:2]))
    rows = np.tile(np.arange(8), 15)  # an epoch of many steps costs less than many
    model.fit(x[rows], labels[rows], batch_size=2, shuffle=False, verbose=0)
    for was, now in zip(before, model.trainable_variables, strict=True):
        assert (was != now.numpy()).any(), f"{now.path} has not moved"
    last = model.compute_loss(y=labels[:2], y_pred=model(x[:2]))
    measures = model.measure(None, labels, model(x))
    assert last < 0.7 * first and float(measures["active"]) < 0.1


def test_a_learner_is_rebuilt_from_its_config_with_its_weights(rng):
    model = ContrastiveTrainer(small(), "ge2e", 0.3)
    copy = ContrastiveTrainer.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    x = rng.uniform(0.1, 9, (2, 2, 16, 64)).astype("float32")
    model(x), copy(x)
    model.log_scale.assign(2.0)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.scale() == model.scale()


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="`contrast` must be one of"):
        ContrastiveTrainer(small(), "triplet")
