"""What is trained: an encoder inside the model whose loss says what it should learn.

A learner is an ordinary `keras.Model`: `compile` and `fit` train it in a notebook and
`timbre.training.loop` trains it in a run. Its encoder is what remains; everything else, the
classes of the softmax for one, is dropped afterwards.
"""

import keras
from keras import layers, ops

from voiceemb.losses import mining
from voiceemb.losses.margin_softmax import (
    LARGEST_MARGIN,
    MARGINS,
    CosineClasses,
    with_margin,
)
from voiceemb.losses.triplet import (
    CosineTripletLoss,
    scaled,
    stack,
    triplet_loss,
    weighted_mean,
)

HEADS = ("softmax", *MARGINS)


class Learner(keras.Model):
    """A model around an encoder; `SETTINGS` names the arguments after it.

    Args:
        encoder: A `SpeakerEncoder`.
        **kwargs: Arguments of `keras.Model`.
    """

    SETTINGS = ()

    def __init__(self, encoder, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.encoder = encoder

    def rise(self, first, last):
        """How much of the way from step `first` to step `last` is done, 0 to 1.

        The optimiser counts the steps, so a run that was stopped goes on with the
        same values.
        """
        step = ops.cast(self.optimizer.iterations, "float32")
        return ops.clip((step - first) / (last - first), 0.0, 1.0)

    def penalty(self):
        """The L2 penalties of the layers, counted once over all replicas."""
        if not self.losses:
            return 0.0
        return scaled(ops.sum(ops.stack(self.losses)))

    def get_config(self):
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            **{name: getattr(self, name) for name in (*self.SETTINGS, "name")},
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})


@keras.saving.register_keras_serializable(package="voiceemb")
class SpeakerClassifier(Learner):
    """Names the training speakers: a first lesson, before distances matter.

    The plain softmax reads the classes off the affine output, before it gets unit
    length: on the sphere its logits would be bounded and the lesson poor. The margin
    heads read them off the sphere, scale them, and hold the true class to a margin
    (`voiceemb.losses.margin_softmax`). What a call returns has no margin, since it knows no labels.

    Args:
        encoder: A `SpeakerEncoder`.
        num_speakers: Number of classes.
        dropout: Share of the affine output that is dropped, by head `"softmax"` only.
            Defaults to `0.5`.
        seed: Seed of the dropout. Defaults to `0`.
        head: `"softmax"`, `"am"` (additive margin) or `"aam"` (additive angular
            margin). Defaults to `"softmax"`.
        scale: Of the cosines. Defaults to `30`.
        margin: A cosine for `"am"`, radians for `"aam"`. Defaults to `0.2`.
        margin_rise: Two steps, between which the margin rises evenly from nothing to
            all. Defaults to `(0, 0)`: all of it from the first step on.
        sub_centres: Centres of each class. Defaults to `1`.

    Call arguments:
        features: Filterbank energies, `[batch, frames, bands]`.
    """

    SETTINGS = (
        *("num_speakers", "dropout", "seed", "head"),
        *("scale", "margin", "margin_rise", "sub_centres"),
    )

    def __init__(
        self,
        encoder,
        num_speakers,
        dropout=0.5,
        seed=0,
        head="softmax",
        scale=30.0,
        margin=0.2,
        margin_rise=(0, 0),
        sub_centres=1,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if num_speakers < 2:
            raise ValueError(
                f"`num_speakers` must be at least 2. Received: {num_speakers}"
            )
        if head not in HEADS:
            raise ValueError(f"`head` must be one of {HEADS}. Received: {head!r}")
        if not 0 <= margin < LARGEST_MARGIN:
            raise ValueError(
                f"`margin` must be at least 0 and below pi / 2. Received: {margin}"
            )
        first, last = margin_rise
        if not (0 <= first < last or first == last == 0):
            raise ValueError(
                "`margin_rise` must be two steps, the first before the last, or "
                f"(0, 0). Received: {margin_rise}"
            )
        self.num_speakers = num_speakers
        self.dropout = dropout
        self.seed = seed
        self.head = head
        self.scale = scale
        self.margin = margin
        self.margin_rise = (first, last)
        self.sub_centres = sub_centres
        if head == "softmax":
            self.drop = layers.Dropout(dropout, seed=seed)
            self.classes = layers.Dense(num_speakers, dtype="float32", name="classes")
        else:
            self.drop = layers.Identity()
            self.classes = CosineClasses(
                num_speakers, sub_centres, scale, name="classes"
            )

    def call(self, features, training=None):
        x = self.encoder.before_sphere(features, training=training)
        return self.classes(self.drop(x, training=training))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Cross entropy of the speakers `y`, int `[batch]`, plus weight decay."""
        if self.head != "softmax":
            margin = {"margin": self.present_margin(), "scale": self.scale}
            y_pred = with_margin(y_pred, y, head=self.head, **margin)
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return entropy(y, y_pred) + self.penalty()

    def present_margin(self):
        """The margin at the step the optimiser is at."""
        if not self.margin_rise[1]:
            return self.margin
        return self.margin * self.rise(*self.margin_rise)

    def measure(self, x, y, y_pred):
        """`accuracy`: the share of rows whose speaker has the greatest logit."""
        right = ops.argmax(y_pred, axis=-1) == ops.cast(y, "int32")
        return {"accuracy": ops.mean(ops.cast(right, "float32"))}


class DistanceLearner(Learner):
    """Learns distances between the embeddings of a batch `[batch, group, ...]`.

    Call arguments:
        features: Energies, `[batch, group, frames, bands]`.
    """

    margin = 0.0

    def call(self, features, training=None):
        batch, group = ops.shape(features)[:2]
        rows = ops.reshape(features, (-1, *ops.shape(features)[2:]))
        embedding = self.encoder(rows, training=training)
        return ops.reshape(embedding, (batch, group, self.encoder.embedding_dim))

    def measure(self, x, y, y_pred):
        """What a collapse shows first.

        Returns:
            `same` and `other`: mean cosine of pairs of one and of two speakers;
            `active`: share of the batch's triplets that violate the margin, or whose
            order is wrong where there is none;
            `spread`: `sqrt(1 - |mean embedding|**2)`, 0 if all voices are one point
            and 1 if they cancel out.
        """
        cosine, positive, negative = self._table(y, y_pred)
        same, other, weight = mining.batch_all(cosine, positive, negative, chance=None)
        violated = ops.cast(other - same + self.margin > 0, "float32")
        centre = ops.mean(y_pred, axis=(0, 1))
        return {
            "same": weighted_mean(cosine, ops.cast(positive, "float32")),
            "other": weighted_mean(cosine, ops.cast(negative, "float32")),
            "active": weighted_mean(violated, weight),
            "spread": ops.sqrt(ops.relu(1 - ops.sum(centre * centre))),
        }

    def _table(self, y, y_pred):
        rows = ops.reshape(y_pred, (-1, self.encoder.embedding_dim))
        return (rows @ ops.transpose(rows), *mining.relations(ops.reshape(y, (-1,))))


@keras.saving.register_keras_serializable(package="voiceemb")
class TripletLearner(DistanceLearner):
    """Learns distances from triplets, drawn before the batch or found inside it.

    With `strategy="random"` a batch is a list of triplets `[batch, 3, ...]` and the
    loss is `CosineTripletLoss` of their stack. With any other strategy a batch holds
    `[speakers, utterances, ...]` and each row becomes an anchor (`voiceemb.losses.mining`);
    over the first `warm_up` steps the loss moves evenly from random triplets to those
    of the strategy, since the hardest triplets of a young encoder are noise.

    Args:
        encoder: A `SpeakerEncoder`.
        strategy: `"random"`, `"semi_hard"`, `"hard"`, `"batch_hard"`, `"batch_all"`.
            Defaults to `"random"`.
        margin: Gap wanted between the cosines. Defaults to `0.1`.
        reduction: `"sum_over_batch_size"` (mean) or `"sum"`. Defaults to the mean;
            `batch_all` takes the mean over the triplets that are active.
        warm_up: Steps until a strategy counts in full. Defaults to `0`.
        seed: Seed of random positives and negatives. Defaults to `0`.

    Call arguments:
        features: Energies, `[batch, group, frames, bands]`.
    """

    SETTINGS = ("strategy", "margin", "reduction", "warm_up", "seed")

    def __init__(
        self,
        encoder,
        strategy="random",
        margin=0.1,
        reduction="sum_over_batch_size",
        warm_up=0,
        seed=0,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if strategy not in mining.STRATEGIES:
            raise ValueError(
                f"`strategy` must be one of {sorted(mining.STRATEGIES)}. "
                f"Received: {strategy!r}"
            )
        if reduction not in ("sum_over_batch_size", "sum"):
            raise ValueError(
                "`reduction` must be 'sum_over_batch_size' or 'sum'. "
                f"Received: {reduction!r}"
            )
        self.strategy = strategy
        self.margin = margin
        self.reduction = reduction
        self.warm_up = warm_up
        self.seed = seed
        self.triplet_loss = CosineTripletLoss(margin, reduction)
        self.random_state = keras.random.SeedGenerator(seed)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The triplet loss of embeddings `y_pred` of speakers `y`, and weight decay.

        Args:
            x, sample_weight, training: Unused.
            y: Speakers, int `[batch, group]`.
            y_pred: Unit embeddings, `[batch, group, dim]`.
        """
        if self.strategy == "random":
            rows = stack(y_pred)
            return self.triplet_loss(ops.zeros_like(rows), rows) + self.penalty()
        cosine, positive, negative = self._table(y, y_pred)
        chance = keras.random.uniform((2, *ops.shape(cosine)), seed=self.random_state)
        losses = [
            self._reduce(*choose(cosine, positive, negative, chance=chance))
            for choose in (mining.random, mining.STRATEGIES[self.strategy])
        ]
        hardness = self._hardness()
        mined = (1 - hardness) * losses[0] + hardness * losses[1]
        return scaled(mined, self.reduction) + self.penalty()

    def _reduce(self, same, other, weight):
        losses = triplet_loss(same, other, margin=self.margin)
        if self.strategy == "batch_all" and losses.ndim == 3:
            weight = weight * ops.cast(losses > 0, weight.dtype)
        if self.reduction == "sum":
            return ops.sum(losses * weight)
        return weighted_mean(losses, weight)

    def _hardness(self):
        return self.rise(0, self.warm_up) if self.warm_up else 1.0
