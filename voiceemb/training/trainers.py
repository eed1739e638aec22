"""Trainers: models that wrap a speaker encoder and add the loss that trains it.

A trainer is an ordinary `keras.Model`: `compile` and `fit` train it in a notebook and
`timbre.training.loop` trains it in a run. Its encoder is what is kept.
"""

import math

import keras
from keras import layers, ops

from timbre.training.losses import scale_over_replicas
from timbre.training.networks import ConfiguredByArguments, check_choice
from voiceemb.config import check_margin
from voiceemb.losses import mining
from voiceemb.losses.contrastive import CONTRASTIVE_LOSSES
from voiceemb.losses.margin_softmax import MARGINS, CosineClasses, with_margin
from voiceemb.losses.triplet import (
    CosineTripletLoss,
    stack,
    triplet_loss,
    weighted_mean,
)

HEADS = ("softmax", *MARGINS)


class Trainer(ConfiguredByArguments, keras.Model):
    """A model around a `SpeakerEncoder`."""

    def __init__(self, encoder, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.encoder = encoder

    def ramp(self, first, last):
        """Rises from 0 at step `first` of the optimiser to 1 at step `last`."""
        step = ops.cast(self.optimizer.iterations, "float32")
        return ops.clip((step - first) / (last - first), 0.0, 1.0)

    def penalty(self):
        """The L2 penalties of the layers, counted once over all replicas."""
        if not self.losses:
            return 0.0
        return scale_over_replicas(ops.sum(ops.stack(self.losses)))

    def get_config(self):
        return keras.saving.serialize_keras_object(super().get_config())

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))


@keras.saving.register_keras_serializable(package="voiceemb")
class SpeakerClassifier(Trainer):
    """Classifies the training speakers by softmax or margin softmax.

    The plain softmax reads the classes off the affine output, before it is brought to
    unit length: on the sphere its logits would be bounded and training slow. The margin
    heads read them off the sphere (`losses.margin_softmax`). A call has no labels, so
    its logits are without a margin.

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
        margin_rise: Two steps, between which the margin rises linearly from 0 to
            `margin`. Defaults to `(0, 0)`: all of it from the first step on.
        sub_centres: Centres of each class. Defaults to `1`.

    Call arguments:
        features: Filterbank energies, `[batch, frames, bands]`.
    """

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
        check_choice("head", head, HEADS)
        self.num_speakers = num_speakers
        self.dropout = dropout
        self.seed = seed
        self.head = head
        self.scale = scale
        self.margin = margin
        self.margin_rise = tuple(margin_rise)
        self.sub_centres = sub_centres
        self.check_min(num_speakers=2)
        check_margin(self)
        if head == "softmax":
            self.drop = layers.Dropout(dropout, seed=seed)
            self.classes = layers.Dense(num_speakers, dtype="float32", name="classes")
        else:
            self.drop = layers.Identity()
            self.classes = CosineClasses(
                num_speakers, sub_centres, scale, name="classes"
            )

    def call(self, features, training=None):
        x = self.encoder.affine_output(features, training=training)
        return self.classes(self.drop(x, training=training))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Cross entropy of the speakers `y`, int `[batch]`, plus weight decay."""
        if self.head != "softmax":
            margin = self.present_margin()
            y_pred = with_margin(
                y_pred, y, head=self.head, margin=margin, scale=self.scale
            )
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return entropy(y, y_pred) + self.penalty()

    def present_margin(self):
        """The margin at the present step of the optimiser."""
        if not self.margin_rise[1]:
            return self.margin
        return self.margin * self.ramp(*self.margin_rise)

    def measure(self, x, y, y_pred):
        """`accuracy`: the share of rows whose speaker has the greatest logit."""
        right = ops.argmax(y_pred, axis=-1) == ops.cast(y, "int32")
        return {"accuracy": ops.mean(ops.cast(right, "float32"))}


class EmbeddingTrainer(Trainer):
    """Trains the cosines between the embeddings of a batch `[batch, group, ...]`.

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
        """Statistics of a batch that show a collapse first.

        Returns:
            `same` and `other`, the mean cosine of pairs of one and of two speakers;
            `active`, the share of the batch's triplets that violate the margin, or
            whose order is wrong where there is none; and the `spread`,
            `sqrt(1 - |mean embedding|**2)`, which is 0 if all embeddings are equal.
        """
        cosine, positive, negative = self._cosines(y, y_pred)
        same, other, weight = mining.batch_all(cosine, positive, negative, chance=None)
        violated = ops.cast(other - same + self.margin > 0, "float32")
        centre = ops.mean(y_pred, axis=(0, 1))
        return {
            "same": weighted_mean(cosine, ops.cast(positive, "float32")),
            "other": weighted_mean(cosine, ops.cast(negative, "float32")),
            "active": weighted_mean(violated, weight),
            "spread": ops.sqrt(ops.relu(1 - ops.sum(centre * centre))),
        }

    def _cosines(self, y, y_pred):
        """Cosines of all pairs of rows, and which of them share a speaker or do not."""
        rows = ops.reshape(y_pred, (-1, self.encoder.embedding_dim))
        return (rows @ ops.transpose(rows), *mining.relations(ops.reshape(y, (-1,))))


@keras.saving.register_keras_serializable(package="voiceemb")
class TripletTrainer(EmbeddingTrainer):
    """Triplet loss, on triplets sampled before the batch or mined inside it.

    With `strategy="random"` a batch is a list of triplets `[batch, 3, ...]` and the
    loss is `CosineTripletLoss` of their stack. With any other strategy a batch holds
    `[speakers, utterances, ...]` and each row becomes an anchor (`losses.mining`);
    over the first `warm_up` steps the loss moves linearly from random triplets to the
    mined ones, since the hardest triplets of an untrained encoder are noise.

    Args:
        encoder: A `SpeakerEncoder`.
        strategy: `"random"`, `"semi_hard"`, `"hard"`, `"batch_hard"`, `"batch_all"`.
            Defaults to `"random"`.
        margin: Minimum gap between the cosines. Defaults to `0.1`.
        reduction: `"sum_over_batch_size"` (mean) or `"sum"`. Defaults to the mean;
            `batch_all` takes the mean over the triplets that are active.
        warm_up: Steps until only mined triplets count. Defaults to `0`.
        seed: Seed of random positives and negatives. Defaults to `0`.
    """

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
        check_choice("strategy", strategy, sorted(mining.STRATEGIES))
        check_choice("reduction", reduction, ("sum_over_batch_size", "sum"))
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
        """Triplet loss of embeddings `[batch, group, dim]`, plus weight decay."""
        if self.strategy == "random":
            rows = stack(y_pred)
            return self.triplet_loss(ops.zeros_like(rows), rows) + self.penalty()
        cosine, positive, negative = self._cosines(y, y_pred)
        chance = keras.random.uniform((2, *ops.shape(cosine)), seed=self.random_state)
        losses = [
            self._reduce(*mine(cosine, positive, negative, chance=chance))
            for mine in (mining.random, mining.STRATEGIES[self.strategy])
        ]
        hardness = self.ramp(0, self.warm_up) if self.warm_up else 1.0
        mined = (1 - hardness) * losses[0] + hardness * losses[1]
        return scale_over_replicas(mined, self.reduction) + self.penalty()

    def _reduce(self, same, other, weight):
        losses = triplet_loss(same, other, margin=self.margin)
        if self.strategy == "batch_all" and losses.ndim == 3:
            weight = weight * ops.cast(losses > 0, weight.dtype)
        if self.reduction == "sum":
            return ops.sum(losses * weight)
        return weighted_mean(losses, weight)


@keras.saving.register_keras_serializable(package="voiceemb")
class ContrastiveTrainer(EmbeddingTrainer):
    """Contrastive loss over a batch `[speakers, utterances, ...]`.

    With more speakers it is harder. Each replica takes the loss of its own speakers,
    and the losses are averaged.

    Args:
        encoder: A `SpeakerEncoder`.
        contrast: `"ge2e"`, `"prototypical"` or `"supcon"`. Defaults to `"ge2e"`.
        temperature: Float > 0, one over the scale of the cosines. `"ge2e"` and
            `"prototypical"` begin with it and learn their own. Defaults to `0.1`.
    """

    def __init__(self, encoder, contrast="ge2e", temperature=0.1, **kwargs):
        super().__init__(encoder, **kwargs)
        check_choice("contrast", contrast, sorted(CONTRASTIVE_LOSSES))
        self.contrast = contrast
        self.temperature = temperature
        self.check_min(temperature=1e-6)
        if contrast != "supcon":
            self.log_scale = self.add_weight(
                name="log_scale",  # its exponential is positive whatever is learnt
                shape=(),
                initializer=keras.initializers.Constant(-math.log(temperature)),
                dtype="float32",
            )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Contrastive loss of embeddings `[batch, group, dim]`, plus weight decay."""
        loss = CONTRASTIVE_LOSSES[self.contrast](y_pred, y, scale=self.scale())
        return scale_over_replicas(loss) + self.penalty()

    def scale(self):
        """The factor of the cosines."""
        if self.contrast == "supcon":
            return 1 / self.temperature
        return ops.exp(self.log_scale)
