"""The denoiser: its loss, its labels, its estimates, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion import schedules
from diffusion.denoising import (
    PREDICTIONS,
    WEIGHTINGS,
    Denoiser,
    loss_weight,
    target,
    to_clean,
)
from diffusion.networks.classifier import NoiseConditionalClassifier
from diffusion.networks.registry import build
from timbre.training import loop
from timbre.training.run import Run

SCHEDULE = {"name": "cosine", "steps": 20}
EVENTS = [(8,), (5, 3), (4, 2, 2)]


@keras.saving.register_keras_serializable(package="tests")
class Constant(keras.Model):
    """Answers with one vector for each time, whatever the sample; of any rank."""

    def __init__(self, event, steps, classes=(), **kwargs):
        super().__init__(**kwargs)
        self.event, self.steps, self.classes = tuple(event), steps, tuple(classes)
        self.values = self.add_weight(shape=(steps + 1, *event), initializer="zeros")
        self.built = True

    def call(self, inputs):
        _, t, _ = inputs
        return keras.ops.take(self.values, t, axis=0)

    def get_config(self):
        return {"event": self.event, "steps": self.steps, "classes": self.classes}


def denoiser(classes=(), network="resmlp", **options):
    sizes = {"width": 16, "num_blocks": 1, "hidden": (64,)}
    steps = SCHEDULE["steps"]
    network = build(network, dim=8, steps=steps, classes=classes, **sizes)
    return Denoiser(network, **{"schedule": SCHEDULE, **options})


def test_noise_cannot_be_predicted_where_there_is_nothing_else():
    schedule = {**SCHEDULE, "zero_terminal_snr": True}
    with pytest.raises(ValueError, match="zero terminal SNR"):
        denoiser(schedule=schedule, prediction="noise")
    for kind in ("clean", "velocity"):
        model = denoiser(schedule=schedule, prediction=kind)
        assert np.isfinite(model.denoise(np.ones((2, 8), "float32"), 20)).all()


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_loss_is_its_formula(weighting, kind, event, rng):
    model = Denoiser(Constant(event, 20), SCHEDULE, kind, weighting)
    model.network.values.assign(rng.normal(size=(21, *event)))
    x_0, z = rng.normal(size=(2, 6, *event)).astype("float32")
    t = np.array([1, 2, 5, 10, 19, 20], "int32")
    schedule = schedules.build(**SCHEDULE)
    shape = (6, *[1] * len(event))
    signal, noise = schedule.signal[t].reshape(shape), schedule.noise[t].reshape(shape)
    error = model.network.values.numpy()[t] - target(kind, x_0, z, signal, noise)
    error = np.mean(error.reshape(6, -1) ** 2, axis=-1)
    weight = loss_weight(weighting, kind, (signal / noise).reshape(6) ** 2)
    found = model.losses_at(x_0, t, z, np.zeros((6, 0), "int32"))
    np.testing.assert_allclose(found, weight * error, rtol=2e-4)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_the_best_constant_is_the_mean_of_what_is_predicted(kind, rng):
    """For data of mean 2 and deviation .5 its loss is the variance of the target."""
    model = Denoiser(Constant((8,), 20), SCHEDULE, kind)
    schedule = schedules.build(**SCHEDULE)
    signal, noise = schedule.signal, schedule.noise
    mean = {"noise": 0 * noise, "clean": 2 + 0 * noise, "velocity": -2 * noise}[kind]
    model.network.values.assign(np.tile(mean[:, None], 8))
    x_0, z = rng.normal(size=(2, 40_000, 8)).astype("float32")
    t = np.full(40_000, 13, "int32")
    losses = model.losses_at(2 + 0.5 * x_0, t, z, np.zeros((40_000, 0), "int32"))
    spread = signal[13] ** 2 + 0.25 * noise[13] ** 2
    expected = {"noise": 1, "clean": 0.25, "velocity": spread}[kind]
    assert np.isclose(np.mean(losses), expected, rtol=0.02)


@pytest.mark.parametrize("classes", [(), (2, 3)])
def test_a_call_returns_the_losses_of_fresh_times_and_noise(classes, rng):
    model = denoiser(classes, label_dropout=0.0)
    x_0 = rng.normal(size=(5, 8)).astype("float32")
    labels = np.zeros((5, len(classes)), "int32")
    first, second = (np.asarray(model({"x_0": x_0, "labels": labels})) for _ in "12")
    assert first.shape == (5,) and (first != second).all()
    again = np.asarray(denoiser(classes, label_dropout=0.0)(x_0))
    np.testing.assert_allclose(again, first)  # the same seed; a new network says 0
    assert np.isclose(model.compute_loss(y_pred=first), first.mean())
    weight = np.arange(5.0)
    weighted = model.compute_loss(y_pred=first, sample_weight=weight)
    assert np.isclose(weighted, np.mean(weight * first))


def test_labels_are_dropped_together_by_the_share_asked():
    labels = np.ones((20_000, 1), "int32")
    lost = np.asarray(denoiser((2,), label_dropout=0.1).drop_labels(labels)) == -1
    assert np.isclose(lost.mean(), 0.1, atol=0.01)


def test_each_of_several_labels_is_also_dropped_alone():
    labels = np.ones((40_000, 2), "int32")
    p = 0.2
    lost = np.asarray(denoiser((2, 2), label_dropout=p).drop_labels(labels)) == -1
    np.testing.assert_allclose(lost.mean(axis=0), 1 - (1 - p) ** 2, atol=0.01)
    together = p + (1 - p) * p**2
    assert np.isclose(lost.all(axis=1).mean(), together, atol=0.01)


def test_labels_are_dropped_in_training_only(rng, monkeypatch):
    model, seen = denoiser((2,), label_dropout=1.0), []
    x_0, labels = np.ones((4, 8), "float32"), np.ones((4, 1), "int32")
    plain = model.losses_at
    monkeypatch.setattr(
        *(model, "losses_at"),
        lambda x, t, z, labels, **k: seen.append(labels) or plain(x, t, z, labels, **k),
    )
    for training in (True, False):
        model({"x_0": x_0, "labels": labels}, training=training)
    assert (np.asarray(seen[0]) == -1).all() and (np.asarray(seen[1]) == 1).all()


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_clean_is_what_the_network_says_at_one_time_or_many(kind, rng):
    model = Denoiser(Constant((8,), 20), SCHEDULE, kind)
    model.network.values.assign(rng.normal(size=(21, 8)))
    x_t = rng.normal(size=(3, 8)).astype("float32")
    schedule = schedules.build(**SCHEDULE)
    values = model.network.values.numpy()
    for t in (7, np.array([1, 9, 18], "int32"), tf.constant(7)):
        signal, noise = (
            np.reshape(level[np.asarray(t)], (-1, 1))
            for level in (schedule.signal, schedule.noise)
        )
        output = np.broadcast_to(values[np.asarray(t)], (3, 8))
        expected = to_clean(kind, output, x_t, signal, noise)
        np.testing.assert_allclose(
            model.denoise(x_t, t), expected, rtol=1e-3, atol=1e-4
        )


def test_labels_left_out_are_unknown_ones(rng):
    model = denoiser((2, 3))
    model.network.leave.kernel.assign(rng.normal(size=(16, 8)))
    x = rng.normal(size=(4, 8)).astype("float32")
    free = model.denoise(x, 5)
    np.testing.assert_array_equal(free, model.denoise(x, 5, np.full((4, 2), -1)))
    assert np.abs(free - model.denoise(x, 5, np.zeros((4, 2)))).max() > 1e-3


def test_a_gradient_reaches_every_weight(rng):
    model = denoiser((2, 3))
    model.network.leave.kernel.assign(rng.normal(size=(16, 8)))
    x_0 = rng.normal(size=(64, 8)).astype("float32")
    labels = rng.integers(-1, 2, (64, 2)).astype("int32")
    with tf.GradientTape() as tape:
        y = model({"x_0": x_0, "labels": labels}, training=True)
        loss = model.compute_loss(y_pred=y)
    weights = model.trainable_weights
    for weight, gradient in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.path


@pytest.mark.parametrize("name", ["linear", "resmlp", "unet1d"])
def test_a_denoiser_is_rebuilt_from_its_config_and_weights(name, rng, tmp_path):
    network = build(
        name,
        dim=8,
        steps=20,
        classes=(2,),
        width=16,
        num_blocks=1,
        channels=(8,),
    )
    model = Denoiser(network, SCHEDULE, "clean", "p2", 0.3, seed=4, name="d")
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.1, size=weight.shape))
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)
    )
    assert copy.get_config() == model.get_config()
    model.save_weights(tmp_path / "d.weights.h5")
    copy.load_weights(tmp_path / "d.weights.h5")
    x, labels = rng.normal(size=(3, 8)).astype("float32"), np.array([[0], [1], [-1]])
    np.testing.assert_array_equal(
        model.denoise(x, 5, labels), copy.denoise(x, 5, labels)
    )
    np.testing.assert_array_equal(model(x), copy(x))  # the same seed


@pytest.mark.slow
def test_a_whole_denoiser_goes_through_one_file(rng, tmp_path):
    model, x = denoiser((2,)), rng.normal(size=(3, 8)).astype("float32")
    model.network.leave.kernel.assign(rng.normal(size=(16, 8)))
    model.save(tmp_path / "d.keras")
    copy = keras.saving.load_model(tmp_path / "d.keras")
    np.testing.assert_array_equal(model.denoise(x, 5), copy.denoise(x, 5))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_fit_alone_learns_a_point(kind):
    """All the data is one point: given that, every error is the network's own."""
    model = denoiser(network="linear", prediction=kind)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    x_0 = np.tile(np.linspace(-1, 1, 8, dtype="float32"), (3845, 1))
    before = np.mean(model(x_0))
    model.fit(x_0, batch_size=24, epochs=1, verbose=0)  # the last batch holds 5
    assert np.mean(model(x_0)) < 0.1 * before


def rows(x_0, labels):
    def batches(step):
        data = tf.data.Dataset.from_tensor_slices({"x_0": x_0, "labels": labels})
        return data.repeat().batch(6).map(lambda x: (x,)).skip(step)

    return batches


@pytest.mark.slow
def test_the_loop_trains_it_and_resumes_to_the_bit(rng, tmp_path):
    x_0 = rng.normal(size=(24, 8)).astype("float32")
    batches = rows(x_0, rng.integers(0, 2, (24, 1)).astype("int32"))

    def train(name, *ends):
        for end in ends:
            keras.utils.set_random_seed(0)
            model = denoiser((2,), network="linear")
            model.compile(optimizer=keras.optimizers.Adam(0.01))
            run = Run.open(tmp_path / name, {})
            loop.fit(model, batches, run=run, phase="p", steps=end)
        return model.get_weights()

    for one, two in zip(train("whole", 20), train("halves", 10, 20), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: denoiser(prediction="score"), "`prediction` must be one of"),
        (lambda: denoiser(weighting="snr"), "`weighting` must be one of"),
        (lambda: denoiser(label_dropout=1.5), "`label_dropout` must be between"),
        (lambda: denoiser(schedule={"steps": 9}), "as many steps as the network"),
        (
            lambda: NoiseConditionalClassifier(8, 1, SCHEDULE),
            "`num_classes` must be at least 2",
        ),
    ],
)
def test_a_wrong_argument_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


@pytest.mark.parametrize("name", ["linear", "resmlp", "unet1d"])
def test_one_time_for_all_is_the_same_time_for_each(name, rng):
    network = build(name, dim=16, steps=20, classes=(3,), width=8)
    for weight in network.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) / 4)
    denoiser = Denoiser(network, schedule={"name": "cosine", "steps": 20})
    x = rng.normal(size=(5, 16)).astype("float32")
    together, apart = denoiser.denoise(x, 7), denoiser.denoise(x, np.full(5, 7))
    np.testing.assert_allclose(together, apart, atol=1e-5)
