"""The loss of models that compute their own losses."""

import keras


@keras.saving.register_keras_serializable(package="training")
class MeanOverReplicas(keras.losses.Loss):
    """The mean of losses that a model has computed; the first argument is unused.

    Each replica returns its share, so that replicas sum to the mean of the whole batch.

    Call arguments:
        y_true: Unused.
        y_pred: The losses, `[batch]`.
    """

    def call(self, y_true, y_pred):
        return y_pred


def scale_over_replicas(loss, reduction="sum_over_batch_size"):
    """A replica's share of a scalar loss, so that replicas add up as in Keras."""
    loss = keras.ops.reshape(loss, (1,))  # Keras does not scale a scalar
    return MeanOverReplicas(reduction=reduction)(loss, loss)
