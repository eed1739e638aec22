"""Rotation to linear discriminant (LDA) directions, which initialises factor parts.

`K` normal classes of one covariance are discriminated in `K - 1` directions, whatever
the dimension. The channels of a factor's part are initialised as the directions in
which its classes differ; the flow then learns what a rotation can not do.

Reference:
    The Utilization of Multiple Measurements in Problems of Biological Classification
    (Rao, 1948), https://www.jstor.org/stable/2983775
"""

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import Bijector, add_constant, event_sum
from flows.gaussian import class_means

ROUNDING = 1e-6  # of the between-class scatter: less counts as none


@keras.saving.register_keras_serializable(package="flows")
class Alignment(Bijector):
    """A rotation to the LDA directions of labelled rows; not trained.

    `z = Q x` with `Q` orthogonal, so `log_det = 0` and the transpose undoes it. The
    identity until `adapt`.

    Args:
        dims: Channels of each factor's part; the residual comes last.

    Call arguments:
        x: `[batch, channels]`.
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def build(self, input_shape):
        self.rotation = add_constant(self, "rotation", np.eye(input_shape[-1]))

    def adapt(self, x, context=None, labels=None):
        """Sets the rotation by rows and their classes; without labels it stays."""
        x, _ = self._as_tensors(x, None)
        if labels is not None:
            rows = ops.convert_to_numpy(x).astype(np.float64)
            self.rotation.assign(discriminant_directions(rows, labels, self.dims))
        return self.forward(x)

    def _forward(self, x, context):
        z = ops.matmul(x, ops.transpose(self.rotation))
        return z, event_sum(ops.zeros_like(x))

    def _inverse(self, z, context):
        return ops.matmul(z, self.rotation), event_sum(ops.zeros_like(z))


def discriminant_directions(x, labels, dims) -> np.ndarray:
    """An orthogonal matrix whose first rows are the directions in which classes differ.

    Of each factor the leading directions of the between-class scatter, perpendicular to
    those of the factors with fewer classes: gender keeps its direction, and speakers
    have the others. The orthogonal complement fills the rest and the residual.

    Args:
        x: `[n, dim]`.
        labels: Int `[n, factors]`, -1 where missing.
        dims: Of the factors' parts, `dim` in all or fewer.

    Returns:
        Float64 `[dim, dim]`.
    """
    found, used = {}, np.zeros((0, x.shape[1]))
    for f in np.argsort(labels.max(axis=0), kind="stable"):
        found[f] = _leading(x, labels[:, f], used)[: dims[f]]
        used = np.concatenate([used, found[f]])
    complement = np.linalg.qr(used.T, mode="complete")[0].T[len(used) :]
    parts = []
    for f, size in enumerate(dims):
        missing = size - len(found[f])
        parts += found[f], complement[:missing]
        complement = complement[missing:]
    return np.concatenate([*parts, complement])


def _leading(x, labels, used):
    """Directions of the largest between-class scatter, perpendicular to `used`."""
    means, rows = class_means(x, labels, labels.max() + 1)
    shares = rows / max(rows.sum(), 1)
    spread = np.sqrt(shares)[:, None] * (means - shares @ means)
    least = ROUNDING * np.linalg.norm(spread)
    spread = spread - spread @ used.T @ used
    _, sizes, axes = np.linalg.svd(spread, full_matrices=False)
    return axes[sizes > least]
