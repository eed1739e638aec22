"""Alignment: the channels of each part become the directions its classes differ in.

Of normals of one covariance, `K` classes are told apart in `K - 1` directions, whatever
the dimension. A flow that began anywhere would have to turn them into few channels by
small steps; it begins there, and learns what a rotation can not do.

Reference:
    The Utilization of Multiple Measurements in Problems of Biological Classification
    (Rao, 1948), https://www.jstor.org/stable/2983775
"""

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import Bijector, add_constant, event_sum
from flows.gaussian import class_means

ROUNDING = 1e-6  # of the scatter of a factor's classes: as little is none


@keras.saving.register_keras_serializable(package="flows")
class Alignment(Bijector):
    """A rotation, set once by rows and their classes; never trained.

    `z = Q x` with `Q` orthogonal, so `log_det = 0` and the transpose undoes it. The
    identity until `adapt`.

    Args:
        dims: Channels of each factor's part, which come first; those left are nobody's.

    Call arguments:
        x: `[batch, channels]`.
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def build(self, input_shape):
        self.rotation = add_constant(self, "rotation", np.eye(input_shape[-1]))

    def adapt(self, x, context=None, labels=None):
        """Turns the parts to where classes differ, by rows `[n, channels]`.

        Args:
            x: See above.
            context: Passed over.
            labels: Int NumPy `[n, factors]`, -1 where missing. Defaults to none: then
                nothing is turned.

        Returns:
            `z`, as `forward` gives it from then on.
        """
        x, _ = self._taken(x, None)
        if labels is not None:
            rows = ops.convert_to_numpy(x).astype(np.float64)
            self.rotation.assign(directions(rows, labels, self.dims))
        return self.forward(x)

    def _forward(self, x, context):
        return ops.matmul(x, ops.transpose(self.rotation)), _nothing(x)

    def _inverse(self, z, context):
        return ops.matmul(z, self.rotation), _nothing(z)

    def get_config(self):
        return {**super().get_config(), "dims": list(self.dims)}


def directions(x, labels, dims) -> np.ndarray:
    """An orthogonal matrix whose first rows are where classes differ, part by part.

    Of each factor the leading directions of the scatter of its class averages, in what
    the factors of fewer classes have left: where speakers tell gender, gender keeps its
    direction, and speakers have the others. Then, in parts that have more channels than
    there are such directions and in the rest, whatever is perpendicular to all of them.

    Args:
        x: `[n, dim]`.
        labels: Int `[n, factors]`, -1 where missing.
        dims: Of the factors' parts, `dim` in all or fewer.

    Returns:
        Float64 `[dim, dim]`.
    """
    found, taken = {}, np.zeros((0, x.shape[1]))
    for f in np.argsort(labels.max(axis=0), kind="stable"):
        found[f] = _leading(x, labels[:, f], taken)[: dims[f]]
        taken = np.concatenate([taken, found[f]])
    others = np.linalg.qr(taken.T, mode="complete")[0].T[len(taken) :]
    parts = []
    for f, size in enumerate(dims):
        own, lacking = found[f], size - len(found[f])
        parts += own, others[:lacking]
        others = others[lacking:]
    return np.concatenate([*parts, others])


def _leading(x, labels, taken):
    """Directions in which class averages scatter most, perpendicular to `taken`."""
    averages, rows = class_means(x, labels, labels.max() + 1)
    shares = rows / max(rows.sum(), 1)
    spread = np.sqrt(shares)[:, None] * (averages - shares @ averages)
    least = ROUNDING * np.linalg.norm(spread)
    spread = spread - spread @ taken.T @ taken
    _, sizes, axes = np.linalg.svd(spread, full_matrices=False)
    return axes[sizes > least]


def _nothing(x):
    """The log-determinant of a rotation, `[batch]`."""
    return event_sum(ops.zeros_like(x))
