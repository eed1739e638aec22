import numpy as np
import pytest
import tensorflow as tf

from tests.references import unit
from voiceemb.losses.triplet import CosineTripletLoss, stack


def loss_of(rows, **arguments):
    return float(CosineTripletLoss(**arguments)(np.zeros(len(rows)), rows))


def test_one_point_for_all_voices_scores_the_margin(rng):
    everyone = np.tile(unit(rng, 1, 8), (12, 1))
    assert np.isclose(loss_of(everyone, margin=0.1), 0.1)
    assert np.isclose(loss_of(everyone, margin=0.2, reduction="sum"), 4 * 0.2)


def test_the_loss_by_hand():
    """cos(a, p) = 0.6 and cos(a, n) = 0.8, so 0.8 - 0.6 + 0.1 = 0.3."""
    rows = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.8, 0, 0.6]], "float32")
    assert np.isclose(loss_of(rows, margin=0.1), 0.3)
    assert loss_of(rows[[0, 2, 1]], margin=0.1) == 0  # 0.6 - 0.8 + 0.1 < 0


def test_the_order_of_triplets_does_not_matter(rng):
    triplets = unit(rng, 7 * 3, 16).reshape(7, 3, 16)
    mixed = triplets[rng.permutation(7)]
    assert np.isclose(loss_of(stack(triplets)), loss_of(stack(mixed)), atol=1e-7)


def test_a_stack_has_anchors_then_positives_then_negatives():
    triplets = np.arange(2 * 3).reshape(2, 3, 1)
    np.testing.assert_array_equal(np.ravel(stack(triplets)), [0, 3, 1, 4, 2, 5])


def test_the_gradient_is_finite_where_all_vectors_coincide():
    x = tf.Variable(np.zeros((6, 4), "float32"))
    with tf.GradientTape() as tape:
        loss = CosineTripletLoss()(np.zeros(6), tf.math.l2_normalize(x, axis=-1))
    assert np.isfinite(tape.gradient(loss, x)).all()
    x = tf.Variable(np.ones((6, 4), "float32"))
    with tf.GradientTape() as tape:
        loss = CosineTripletLoss()(np.zeros(6), tf.math.l2_normalize(x, axis=-1))
    assert np.isfinite(tape.gradient(loss, x)).all()


def test_halves_of_a_batch_have_the_mean_of_its_loss(rng):
    """Split by triplets, not by rows of the stack: so replicas agree with one."""
    triplets = unit(rng, 8 * 3, 16).reshape(8, 3, 16)
    halves = [loss_of(stack(half)) for half in np.split(triplets, 2)]
    assert np.isclose(np.mean(halves), loss_of(stack(triplets)))


def test_a_wrong_margin_or_batch_is_named(rng):
    with pytest.raises(ValueError, match="`margin` must be greater than 0"):
        CosineTripletLoss(margin=0.0)
    with pytest.raises(ValueError, match="three equal blocks"):
        loss_of(unit(rng, 4, 8))


def test_the_config_rebuilds_the_loss():
    loss = CosineTripletLoss(0.3, "sum")
    copy = CosineTripletLoss.from_config(loss.get_config())
    assert copy.margin == 0.3 and copy.reduction == "sum"
