import keras
import numpy as np
import pytest

from tests.references import unit
from voiceemb.losses import mining
from voiceemb.losses.triplet import CosineTripletLoss, stack
from voiceemb.networks import speaker_encoder
from voiceemb.training.trainers import (
    ContrastiveTrainer,
    SpeakerClassifier,
    TripletTrainer,
)


def small(**arguments):
    return speaker_encoder.build(
        stages=(4,), num_blocks=1, embedding_dim=8, **arguments
    )


def energies(rng, *shape):
    return rng.uniform(0.1, 9.0, (*shape, 16, 64)).astype("float32")


def repeat(model, x, labels, steps):
    """Trains on the same batch again and again; epochs of one step cost far more."""
    rows = np.tile(np.arange(len(x)), steps)
    model.fit(x[rows], labels[rows], batch_size=len(x), shuffle=False, verbose=0)


def trainer(strategy, **arguments):
    model = TripletTrainer(small(weight_decay=0.0), strategy, **arguments)
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    return model


def groups(rng, speakers=4, utterances=3, dim=8):
    embedding = unit(rng, speakers * utterances, dim)
    labels = np.repeat(np.arange(speakers), utterances)
    shape = (speakers, utterances)
    return embedding.reshape(*shape, dim), labels.reshape(shape)


def test_random_triplets_have_the_loss_of_their_stack(rng):
    embedding, labels = groups(rng)
    expected = CosineTripletLoss(0.1)(np.zeros(12), stack(embedding))
    loss = trainer("random").compute_loss(y=labels, y_pred=embedding)
    assert np.isclose(loss, expected)


def test_batch_hard_is_the_mean_over_anchors(rng):
    embedding, labels = groups(rng)
    rows, names = embedding.reshape(-1, 8), labels.ravel()
    cosine = rows @ rows.T
    expected = []
    for a, name in enumerate(names):
        others = np.arange(12) != a
        same = cosine[a][(names == name) & others].min()
        expected.append(max(0, cosine[a][names != name].max() - same + 0.1))
    loss = trainer("batch_hard").compute_loss(y=labels, y_pred=embedding)
    assert np.isclose(loss, np.mean(expected))


def test_batch_all_is_the_mean_over_active_triplets(rng):
    embedding, labels = groups(rng)
    rows = embedding.reshape(-1, 8)
    positive, negative = mining.relations(labels.ravel())
    same, other, weight = (
        np.asarray(x)
        for x in mining.batch_all(rows @ rows.T, positive, negative, chance=None)
    )
    losses = np.maximum(other - same + 0.1, 0) * weight
    loss = trainer("batch_all").compute_loss(y=labels, y_pred=embedding)
    assert np.isclose(loss, losses[losses > 0].mean())


@pytest.mark.parametrize("strategy", mining.STRATEGIES)
def test_one_point_for_all_voices_scores_the_margin_under_every_strategy(strategy):
    everyone = np.tile(np.eye(8, dtype="float32")[0], (4, 3, 1))
    labels = np.repeat(np.arange(4), 3).reshape(4, 3)
    loss = trainer(strategy, margin=0.15).compute_loss(y=labels, y_pred=everyone)
    assert np.isclose(loss, 0.15)


def test_hardness_rises_evenly_to_the_full_strategy(rng):
    embedding, labels = groups(rng)
    model = trainer("batch_hard", warm_up=10)
    model.optimizer.build(model.trainable_variables)
    hardness = []
    for step in (0, 5, 10, 20):
        model.optimizer.iterations.assign(step)
        hardness.append(float(model.ramp(0, 10)))
    assert hardness == [0, 0.5, 1, 1]
    hard = trainer("batch_hard").compute_loss(y=labels, y_pred=embedding)
    warm = model.compute_loss(y=labels, y_pred=embedding)
    assert np.isclose(warm, hard)
    model.optimizer.iterations.assign(0)
    easy = model.compute_loss(y=labels, y_pred=embedding)
    assert easy <= warm


def test_halfway_through_the_warm_up_both_losses_count_half(rng):
    embedding, labels = groups(rng)
    losses = {}
    for step in (0, 5, 10):
        model = trainer("batch_hard", warm_up=10)  # the same seed, the same chance
        model.optimizer.build(model.trainable_variables)
        model.optimizer.iterations.assign(step)
        losses[step] = float(model.compute_loss(y=labels, y_pred=embedding))
    assert losses[0] < losses[10]
    assert np.isclose(losses[5], (losses[0] + losses[10]) / 2)


def test_measures_show_a_collapse_and_a_perfect_encoder():
    model = trainer("random")
    labels = np.repeat(np.arange(4), 2).reshape(4, 2)
    point = model.measure(
        None, labels, np.tile(np.eye(8, dtype="float32")[0], (4, 2, 1))
    )
    point = {name: round(float(value), 6) for name, value in point.items()}
    assert point == {"same": 1, "other": 1, "active": 1, "spread": 0}
    apart = np.repeat(np.eye(8, dtype="float32")[:4, None], 2, axis=1)
    perfect = {k: float(v) for k, v in model.measure(None, labels, apart).items()}
    assert perfect["same"] == 1 and perfect["other"] == 0 and perfect["active"] == 0
    assert np.isclose(perfect["spread"], np.sqrt(1 - 4 * 0.25**2))


def test_weight_decay_adds_its_penalty_once(rng):
    embedding, labels = groups(rng)
    plain = TripletTrainer(small(weight_decay=0.0))
    decayed = TripletTrainer(small(weight_decay=0.5))
    kernels = [
        v.numpy()
        for v in decayed.trainable_variables
        if "conv2d" in v.path and "kernel" in v.path
    ]
    penalty = 0.5 * sum((kernel**2).sum() for kernel in kernels)
    assert len(kernels) == 4  # the stage's own and three of its block
    difference = decayed.compute_loss(y=labels, y_pred=embedding) - plain.compute_loss(
        y=labels, y_pred=embedding
    )
    assert np.isclose(difference, penalty, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "semi_hard", "batch_all"])
def test_fit_alone_teaches_triplets(strategy, rng):
    """Two voices that differ in their lower bands must part within a few steps."""
    model = TripletTrainer(small(), strategy)
    model.compile(optimizer=keras.optimizers.Adam(0.003))
    x, labels = energies(rng, 8, 3), np.tile([[0, 0, 1], [1, 1, 0]], (4, 1))
    x[labels == 1, :, :32] *= 5
    before = model.compute_loss(y=labels, y_pred=model(x))
    repeat(model, x, labels, steps=40)
    assert model.compute_loss(y=labels, y_pred=model(x)) < 0.5 * before


@pytest.mark.slow
def test_fit_alone_teaches_names_and_every_weight_learns(rng):
    model = SpeakerClassifier(small(), num_speakers=2, dropout=0.0)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    labels = np.tile([0, 1], 8)
    x = energies(rng, 16)
    x[labels == 1, :, :32] *= 5
    model(x)
    before = [w.numpy().copy() for w in model.trainable_variables]
    repeat(model, x, labels, steps=15)
    for was, now in zip(before, model.trainable_variables, strict=True):
        assert (was != now.numpy()).any(), f"{now.path} has not moved"
    assert float(model.measure(None, labels, model(x))["accuracy"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("strategy", mining.STRATEGIES)
def test_a_last_batch_of_another_size_trains_too(strategy, rng):
    model = trainer(strategy, warm_up=3)
    labels = np.repeat(np.arange(5), 3).reshape(5, 3)
    model.fit(energies(rng, 5, 3), labels, batch_size=3, epochs=1, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_sees_quiet_sound_as_single_does(policy, rng):
    """Energies of quiet sound are far below what float16 holds: 1e-9 and less."""
    quiet = rng.uniform(1e-12, 1e-9, (2, 3, 32, 64)).astype("float32")
    keras.utils.set_random_seed(0)
    expected = TripletTrainer(small())(quiet)
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        model = TripletTrainer(small())
        found = model(quiet)
        model.compile(optimizer=keras.optimizers.SGD())
    finally:
        keras.config.set_dtype_policy("float32")
    assert (np.sum(found * expected, axis=-1) > 0.99).all()
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


def test_learners_are_rebuilt_from_their_config(rng):
    for model in (
        SpeakerClassifier(small(), 3, 0.1, seed=4),
        TripletTrainer(small(), "batch_hard", 0.3, "sum", 7, 2),
    ):
        copy = type(model).from_config(model.get_config())
        assert copy.get_config() == model.get_config()


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: TripletTrainer(small(), "hardest"), "`strategy` must be one of"),
        (lambda: TripletTrainer(small(), reduction="max"), "`reduction` must be"),
        (lambda: SpeakerClassifier(small(), 1), "`num_speakers` must be at least 2"),
        (lambda: SpeakerClassifier(small(), 3, margin=-0.1), "`margin` of"),
        (lambda: SpeakerClassifier(small(), 3, margin=1.6), "`margin` of"),
        (lambda: SpeakerClassifier(small(), 3, margin_rise=(5, 5)), "`margin_rise`"),
        (lambda: ContrastiveTrainer(small(), temperature=0.0), "`temperature` must"),
    ],
)
def test_a_wrong_argument_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
