"""What is trained: an encoder inside the model whose loss says what it should learn.

A learner is an ordinary `keras.Model`: `compile` and `fit` train it in a notebook and
`training.loop` trains it in a run. Its encoder is what remains; everything else, the
classes of the softmax for one, is dropped afterwards.
"""

import keras
from keras import layers, ops

from voiceemb import triplets
from voiceemb.losses import CosineTripletLoss, stack, triplet_loss


@keras.saving.register_keras_serializable(package="voiceemb")
class SpeakerClassifier(keras.Model):
    """Names the training speakers: a first lesson, before distances matter.

    The classes are read off the affine output, before it gets unit length: on the
    sphere the logits would be bounded and the lesson poor.

    Args:
        encoder: A `SpeakerEncoder`.
        num_speakers: Number of classes.
        dropout: Share of the affine output that is dropped. Defaults to `0.5`.
        seed: Seed of the dropout. Defaults to `0`.

    Call arguments:
        features: Filterbank energies, `[batch, frames, bands]`.
    """

    def __init__(self, encoder, num_speakers, dropout=0.5, seed=0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if num_speakers < 2:
            raise ValueError(
                f"`num_speakers` must be at least 2. Received: {num_speakers}"
            )
        self.encoder = encoder
        self.num_speakers = num_speakers
        self.dropout = dropout
        self.seed = seed
        self.drop = layers.Dropout(dropout, seed=seed)
        self.classes = layers.Dense(num_speakers, dtype="float32", name="classes")

    def call(self, features, training=None):
        x = self.encoder.before_sphere(features, training=training)
        return self.classes(self.drop(x, training=training))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Cross entropy of the speakers `y`, int `[batch]`, plus weight decay."""
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return entropy(y, y_pred) + _penalty(self)

    def measure(self, x, y, y_pred):
        """`accuracy`: the share of rows whose speaker has the greatest logit."""
        right = ops.argmax(y_pred, axis=-1) == ops.cast(y, "int32")
        return {"accuracy": ops.mean(ops.cast(right, "float32"))}

    def get_config(self):
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_speakers": self.num_speakers,
            "dropout": self.dropout,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})


@keras.saving.register_keras_serializable(package="voiceemb")
class TripletLearner(keras.Model):
    """Learns distances from triplets, drawn before the batch or found inside it.

    With `strategy="random"` a batch is a list of triplets `[batch, 3, ...]` and the
    loss is `CosineTripletLoss` of their stack. With any other strategy a batch holds
    `[speakers, utterances, ...]` and each row becomes an anchor (`voiceemb.triplets`);
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
        super().__init__(autocast=False, **kwargs)
        if strategy not in triplets.STRATEGIES:
            raise ValueError(
                f"`strategy` must be one of {sorted(triplets.STRATEGIES)}. "
                f"Received: {strategy!r}"
            )
        if reduction not in ("sum_over_batch_size", "sum"):
            raise ValueError(
                "`reduction` must be 'sum_over_batch_size' or 'sum'. "
                f"Received: {reduction!r}"
            )
        self.encoder = encoder
        self.strategy = strategy
        self.margin = margin
        self.reduction = reduction
        self.warm_up = warm_up
        self.seed = seed
        self.triplet_loss = CosineTripletLoss(margin, reduction)
        self.random_state = keras.random.SeedGenerator(seed)

    def call(self, features, training=None):
        batch, group = ops.shape(features)[:2]
        rows = ops.reshape(features, (-1, *ops.shape(features)[2:]))
        embedding = self.encoder(rows, training=training)
        return ops.reshape(embedding, (batch, group, self.encoder.embedding_dim))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The triplet loss of embeddings `y_pred` of speakers `y`, and weight decay.

        Args:
            x: Unused.
            y: Speakers, int `[batch, group]`.
            y_pred: Unit embeddings, `[batch, group, dim]`.
            sample_weight: Unused.
            training: Unused.
        """
        if self.strategy == "random":
            rows = stack(y_pred)
            return self.triplet_loss(ops.zeros_like(rows), rows) + _penalty(self)
        cosine, positive, negative = self._table(y, y_pred)
        chance = keras.random.uniform((2, *ops.shape(cosine)), seed=self.random_state)
        losses = [
            self._reduce(*choose(cosine, positive, negative, chance=chance))
            for choose in (triplets.random, triplets.STRATEGIES[self.strategy])
        ]
        hardness = self._hardness()
        mined = (1 - hardness) * losses[0] + hardness * losses[1]
        return _scaled(mined, self.reduction) + _penalty(self)

    def measure(self, x, y, y_pred):
        """What a collapse shows first.

        Returns:
            `same` and `other`: mean cosine of pairs of one and of two speakers;
            `active`: share of the batch's triplets that violate the margin;
            `spread`: `sqrt(1 - |mean embedding|**2)`, 0 if all voices are one point
            and 1 if they cancel out.
        """
        cosine, positive, negative = self._table(y, y_pred)
        same, other, weight = triplets.batch_all(
            cosine, positive, negative, chance=None
        )
        violated = ops.cast(other - same + self.margin > 0, "float32")
        centre = ops.mean(y_pred, axis=(0, 1))
        return {
            "same": _weighted_mean(cosine, ops.cast(positive, "float32")),
            "other": _weighted_mean(cosine, ops.cast(negative, "float32")),
            "active": _weighted_mean(violated, weight),
            "spread": ops.sqrt(ops.relu(1 - ops.sum(centre * centre))),
        }

    def _table(self, y, y_pred):
        rows = ops.reshape(y_pred, (-1, self.encoder.embedding_dim))
        return (rows @ ops.transpose(rows), *triplets.relations(ops.reshape(y, (-1,))))

    def _reduce(self, same, other, weight):
        losses = triplet_loss(same, other, margin=self.margin)
        if self.strategy == "batch_all" and losses.ndim == 3:
            weight = weight * ops.cast(losses > 0, weight.dtype)
        if self.reduction == "sum":
            return ops.sum(losses * weight)
        return _weighted_mean(losses, weight)

    def _hardness(self):
        if not self.warm_up:
            return 1.0
        step = ops.cast(self.optimizer.iterations, "float32")
        return ops.minimum(step / self.warm_up, 1.0)

    def get_config(self):
        names = ("strategy", "margin", "reduction", "warm_up", "seed", "name")
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})


def _weighted_mean(values, weight):
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), 1.0)


class ScaledOverReplicas(keras.losses.Loss):
    """Passes on a loss that is computed already, reduced over replicas as Keras does.

    A replica's mean is divided by the number of replicas, so that replicas add up.

    Call arguments:
        y_true: Unused.
        y_pred: The loss, `[1]`: Keras does not scale a scalar.
    """

    def call(self, y_true, y_pred):
        return y_pred


def _scaled(loss, reduction="sum_over_batch_size"):
    loss = ops.reshape(loss, (1,))
    return ScaledOverReplicas(reduction=reduction)(loss, loss)


def _penalty(model):
    """The L2 penalties of a model's layers, counted once over all replicas."""
    if not model.losses:
        return 0.0
    return _scaled(ops.sum(ops.stack(model.losses)))
