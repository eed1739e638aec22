from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training import loop
from timbre.training.config import OptimiserConfig
from timbre.training.run import Run
from voiceemb import train
from voiceemb.config import (
    LargeMarginConfig,
    MetricConfig,
    SoftmaxConfig,
    SpeakerEncoderConfig,
    TripletConfig,
)
from voiceemb.training import batch_sampler
from voiceemb.training.trainers import SpeakerClassifier

BANDS = 4
AAM = {"head": "aam", "scale": 16.0, "sub_centres": 2}


class SmallestEncoder(keras.Model):
    """The smallest encoder: one matrix over the mean of a crop."""

    def __init__(self):
        super().__init__()
        self.filterbank = SimpleNamespace(num_bands=BANDS)
        self.affine = keras.layers.Dense(3)
        self.embedding_dim = 3
        self(np.ones((1, 6, BANDS), "float32"))

    def affine_output(self, features, training=None):
        return self.affine(keras.ops.mean(features, axis=1))

    def call(self, features, training=None):
        return keras.ops.normalize(self.affine_output(features), axis=-1)


class FiveSpeakers:
    """Data of five speakers; in the phase `ends` it ends before its fourth step."""

    def __init__(self, ends=None, validated=True):
        rng = np.random.default_rng(0)
        self.speaker = np.repeat(np.arange(5), 4)
        self.sound = rng.normal(size=(20, 11, BANDS)).astype("float32")
        self.sound += 0.5 * self.speaker[:, None, None]
        self.num_classes = 5
        lengths = np.full(20, 11)
        self.sampler = batch_sampler.BatchSampler(self.speaker, lengths, crop=11)
        self.ends, self.validated, self.crops = ends, validated, []

    def batches(self, draw, steps, *, crop_frames=None):
        frames = crop_frames or 6
        end = 3 if len(self.crops) == self.ends else steps
        self.crops.append(frames)

        def after(step):
            rows = np.array([draw(s)[0] for s in range(step, end)])
            parts = self.sound[rows][..., :frames, :], self.speaker[rows]
            return tf.data.Dataset.from_tensor_slices(parts)

        return after

    def validate(self, encoder):
        if not self.validated:
            return None
        return lambda: {"eer": float(np.sum(encoder.get_weights()[0]))}


def train_stages(run, voices, encoder=None, ema=None):
    """Trains all stages but the triplets', six steps each."""
    keras.utils.set_random_seed(0)
    encoder, optimiser = (
        encoder or SmallestEncoder(),
        OptimiserConfig(final_rate=0.0, ema=ema),
    )
    config = SpeakerEncoderConfig(
        log_every=2,
        save_every=2,
        softmax=SoftmaxConfig(
            **AAM,
            steps=6,
            batch=4,
            dropout=0.0,
            margin=0.3,
            margin_rise=(1, 5),
            optimiser=optimiser,
        ),
        triplet=TripletConfig(steps=0),
        metric=MetricConfig(
            steps=6, contrast="ge2e", speakers=3, utterances=3, optimiser=optimiser
        ),
        large_margin=LargeMarginConfig(
            steps=6, batch=4, margin=0.5, crop_frames=10, optimiser=optimiser
        ),
    )
    strategy = tf.distribute.get_strategy()
    results = train.fit(config, encoder, voices, run=run, strategy=strategy)
    return encoder, list(results.values())


@pytest.fixture
def new_run(tmp_path):
    return lambda name: Run.open(tmp_path / name, {})


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """A training with averages that nothing stopped, and its weights on the way.

    `before` has those of each stage's trainer when it begins, `kept` those of the
    encoder as the stage leaves it.
    """
    found = SimpleNamespace(voices=FiveSpeakers(), before={}, kept={})
    found.run = Run.open(tmp_path_factory.mktemp("train") / "whole", {})

    def fit(trainer, after, *, phase, **settings):
        found.before[phase] = trainer.get_weights()
        return real(trainer, after, phase=phase, **settings)

    def select_weights(trainer, result, *, phase, **settings):
        select(trainer, result, phase=phase, **settings)
        found.kept[phase] = trainer.encoder.get_weights()

    real, select = loop.fit, loop.select_weights
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fit", fit)
        patch.setattr(loop, "select_weights", select_weights)
        found.encoder, found.results = train_stages(found.run, found.voices, ema=0.5)
    return found


@pytest.mark.slow
def test_stages_that_stop_and_go_on_end_as_those_left_alone_to_the_bit(
    new_run, left_alone
):
    """The margin, halfway up when the data ends, and the scale go on too.

    So does the average of the weights; `test_resume.py` has a run without one.
    """
    broken = new_run("broken")
    for phase in range(3):
        with pytest.raises(ValueError, match="before step 4 of 6"):
            train_stages(broken, FiveSpeakers(ends=phase), ema=0.5)
    found, results = train_stages(broken, FiveSpeakers(), ema=0.5)
    expected = left_alone.encoder.get_weights()
    for was, now in zip(expected, found.get_weights(), strict=True):
        np.testing.assert_array_equal(now, was)
    assert results == left_alone.results and [r.step for r in results] == [6, 6, 6]
    text = {
        (run.folder / "history.csv").read_text() for run in (broken, left_alone.run)
    }
    assert len(text) == 1


def check_phase_left(run, encoder):
    """The best weights of the last phase are the encoder's, not the last step's."""
    trainer = SpeakerClassifier(SmallestEncoder(), 5, **AAM)
    trainer(np.ones((1, 6, BANDS), "float32"))
    run.load_weights(trainer, "checkpoints/large_margin/best.weights.h5")
    for left, has in zip(
        trainer.encoder.get_weights(), encoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(left, has)
    last = tf.train.load_checkpoint(str(run.folder / "checkpoints" / "large_margin"))
    unaveraged = last.get_tensor("model/0/.ATTRIBUTES/VARIABLE_VALUE")
    kernel = encoder.get_weights()[0]
    assert unaveraged.shape == kernel.shape and (unaveraged != kernel).any()


@pytest.mark.slow
def test_a_phase_leaves_the_averages_its_encoder_ends_with(left_alone):
    assert all(result.best_weights for result in left_alone.results)
    check_phase_left(left_alone.run, left_alone.encoder)


@pytest.mark.slow
def test_without_validation_a_phase_leaves_its_last_averages(new_run):
    run = new_run("run")
    encoder, results = train_stages(run, FiveSpeakers(validated=False), ema=0.5)
    assert not any(result.best_weights for result in results)
    check_phase_left(run, encoder)


@pytest.mark.slow
def test_the_large_margin_goes_on_with_the_classes_of_the_softmax(left_alone):
    """And with the encoder as the phase before has left it, on crops of its own."""
    trained = SpeakerClassifier(SmallestEncoder(), 5, **AAM)
    trained(np.ones((1, 6, BANDS), "float32"))
    left_alone.run.load_weights(trained, "checkpoints/softmax/best.weights.h5")
    *encoder, centres = left_alone.before["large_margin"]
    np.testing.assert_array_equal(centres, trained.get_weights()[-1])
    for start, left in zip(encoder, left_alone.kept["metric"], strict=True):
        np.testing.assert_array_equal(start, left)
    assert left_alone.voices.crops == [6, 6, 10]


def replicas(count):
    return SimpleNamespace(num_replicas_in_sync=count)


def draw_of(speakers):
    return SimpleNamespace(speakers=list(range(speakers)))


@pytest.mark.parametrize(
    "asked, there, count, expected", [(16, 99, 1, 16), (16, 99, 3, 15), (16, 5, 2, 4)]
)
def test_replicas_share_the_speakers_of_a_batch_evenly(asked, there, count, expected):
    found = train._speakers_per_batch(asked, draw_of(there), replicas(count))
    assert found == expected


def test_a_replica_with_one_speaker_would_learn_nothing():
    with pytest.raises(ValueError, match="at least two speakers.* 3 speakers"):
        train._speakers_per_batch(16, draw_of(3), replicas(2))
