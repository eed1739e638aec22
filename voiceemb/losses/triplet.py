"""Cosine triplet loss, and what all losses of embeddings share.

`loss = max(0, cos(anchor, negative) - cos(anchor, positive) + margin)`

Embeddings have unit length, so a cosine is a dot product. An encoder that maps every
voice to one point scores exactly `margin`: the value at which a run has collapsed.
"""

import keras
from keras import ops


def triplet_loss(same, other, *, margin):
    """The loss of each triplet from its two cosines, which broadcast together.

    Args:
        same: Cosine of anchor and positive.
        other: Cosine of anchor and negative.
        margin: Minimum gap between the two.
    """
    return ops.relu(other - same + margin)


def stack(triplets):
    """Stacks triplets `[batch, 3, ...]` as `CosineTripletLoss` takes them.

    They travel unstacked, so that replicas get whole ones.
    """
    return ops.concatenate([triplets[:, 0], triplets[:, 1], triplets[:, 2]], axis=0)


@keras.saving.register_keras_serializable(package="voiceemb")
class CosineTripletLoss(keras.losses.Loss):
    """Raises cosines within a speaker above those with other speakers by a margin.

    `loss = max(0, cos(anchor, negative) - cos(anchor, positive) + margin)`

    A batch stacks three equal blocks on axis 0: anchors, positives, negatives; row `i`
    of each makes triplet `i`.

    Args:
        margin: Float > 0, the minimum gap between the cosines. Defaults to `0.1`.
        reduction: `"sum_over_batch_size"` for the mean over triplets (the paper) or
            `"sum"`. Defaults to the mean.

    Call arguments:
        y_true: Unused.
        y_pred: Unit embeddings, `[3 * triplets, dim]`.

    Reference:
        Deep Speaker (Li et al., 2017), equation 5, https://arxiv.org/abs/1705.02304
    """

    def __init__(
        self,
        margin=0.1,
        reduction="sum_over_batch_size",
        name="cosine_triplet",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if margin <= 0:
            raise ValueError(
                "`margin` must be greater than 0, or one point for all voices would "
                f"be a perfect solution. Received: margin={margin}"
            )
        self.margin = margin

    def call(self, y_true, y_pred):
        rows = y_pred.shape[0]
        if rows is not None and rows % 3:
            raise ValueError(
                "`y_pred` must stack three equal blocks (anchors, positives, "
                f"negatives). Received: {rows} rows"
            )
        anchor, positive, negative = ops.split(y_pred, 3, axis=0)
        same = ops.sum(anchor * positive, axis=-1)
        other = ops.sum(anchor * negative, axis=-1)
        return triplet_loss(same, other, margin=self.margin)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


def direction(x, axis=-1):
    """Vectors at unit length; zero stays zero, and its gradient finite."""
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, 1e-12))


def weighted_mean(values, weight):
    """The mean of values by their weights, each 0 or 1; 0 if all weights are 0."""
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), 1.0)
