"""Scaling: embeddings of any extractor as a denoiser likes them, and back.

`scaled = (x - mean) @ directions / deviation`

Standardising leaves the directions alone; whitening takes those of the principal
components, the widest first. Either way each scaled coordinate has mean 0 and variance
1 over the points it was fitted on, and the way back is exact.

A direction in which the points do not move has no variance to divide by, be it a
constant column or, with fewer points than dimensions, one that nobody has explored.
Its variance is then taken to be `floor` times the mean variance: the points scale to 0
there and come back as they were, and what a sampler adds of its own stays small.
"""

import itertools
import warnings

import keras
import numpy as np
from keras import ops

KINDS = ("standardise", "whiten", "none")


@keras.saving.register_keras_serializable(package="diffusion")
class Scaler(keras.layers.Layer):
    """Scales points, and unscales samples; what it knows is saved with the model.

    Args:
        kind: `"standardise"`, `"whiten"` or `"none"`. Defaults to `"standardise"`.
        blocks: Dimensions of the parts of a concatenation, such as `(192, 512)`; each
            is scaled by itself. Defaults to one part.
        unit: Whether unscaled samples are brought to length 1, each part by itself.
            Defaults to `False`.
        floor: Least variance, as a share of the mean variance of the part. Defaults to
            `1e-4`.

    Call arguments:
        x: Points `[..., dim]`; gives what `scale` gives.

    Example:
        ```python
        scaler = Scaler("whiten").fit(points)
        scaled = scaler.scale(points)
        points = scaler.unscale(scaled)
        ```
    """

    def __init__(self, kind="standardise", blocks=(), unit=False, floor=1e-4, **kwargs):
        # Half precision would round what must come back as it was.
        super().__init__(**{"dtype": "float32", **kwargs})
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}. Received: {kind!r}")
        if any(block < 1 for block in blocks):
            raise ValueError(f"`blocks` must be at least 1. Received: {blocks}")
        if not 0 < floor <= 1:
            raise ValueError(f"`floor` must be in (0, 1]. Received: {floor}")
        self.kind = kind
        self.blocks = tuple(blocks)
        self.unit = unit
        self.floor = floor

    def build(self, shape):
        dim = shape[-1]
        _slices(dim, self.blocks)
        fixed = {"trainable": False}
        self.mean = self.add_weight(
            name="mean", shape=(dim,), initializer="zeros", **fixed
        )
        self.deviation = self.add_weight(
            name="deviation", shape=(dim,), initializer="ones", **fixed
        )
        if self.kind == "whiten":
            self.directions = self.add_weight(
                name="directions", shape=(dim, dim), initializer="identity", **fixed
            )

    def fit(self, points):
        """Learns mean, directions and deviations, in float64.

        Args:
            points: Finite, `[n, dim]`, with `n` at least 2.

        Returns:
            The scaler itself.

        Raises:
            ValueError: If `points` is no such thing, or `dim` is not that of `blocks`.

        Warns:
            UserWarning: If it is to whiten, and there are directions that too few
                points leave unexplored.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
            raise ValueError(
                "A scaler is fitted to finite points [n, dim], two or more. "
                f"Received: shape {points.shape}, "
                f"{int((~np.isfinite(points)).sum())} numbers not finite"
            )
        dim = points.shape[1]
        if not self.built:
            self.build((None, dim))
        if dim != self.mean.shape[0]:
            raise ValueError(
                f"`points` must be [n, {self.mean.shape[0]}]. "
                f"Received: shape {points.shape}"
            )
        if self.kind == "none":
            return self
        deviation, directions = np.ones(dim), np.zeros((dim, dim))
        mean = points.mean(axis=0)
        for part in _slices(dim, self.blocks):
            spread = points[:, part] - mean[part]
            if self.kind == "whiten":
                variance, directions[part, part] = _principal(spread)
            else:
                variance = np.square(spread).mean(axis=0)
            deviation[part] = _floored(variance, self.floor)
        self.mean.assign(mean)
        self.deviation.assign(deviation)
        if self.kind == "whiten":
            self.directions.assign(directions)
        return self

    def scale(self, x):
        """Points `[..., dim]`, scaled."""
        x = self._checked(x) - self.mean
        if self.kind == "whiten":
            x = ops.matmul(x, self.directions)
        return x / self.deviation

    def invert(self, x):
        """The inverse of `scale`, and no more: what is blurred stays short."""
        x = self._checked(x) * self.deviation
        if self.kind == "whiten":
            x = ops.matmul(x, ops.transpose(self.directions))
        return x + self.mean

    def unscale(self, x):
        """Scaled samples `[..., dim]` as the extractor makes them."""
        x = self.invert(x)
        if not self.unit:
            return x
        parts = [x[..., part] for part in _slices(x.shape[-1], self.blocks)]
        return ops.concatenate([_unit(part) for part in parts], axis=-1)

    def call(self, x):
        return self.scale(x)

    def column_statistics(self):
        """Mean and deviation of each dimension before scaling, NumPy `[dim]` each."""
        deviation = ops.convert_to_numpy(self.deviation)
        if self.kind == "whiten":
            directions = ops.convert_to_numpy(self.directions)
            deviation = np.linalg.norm(directions * deviation, axis=1)
        return ops.convert_to_numpy(self.mean), deviation

    def _checked(self, x):
        if not self.built:
            raise ValueError("A scaler must be fitted or built before it scales")
        x = ops.cast(x, self.compute_dtype)
        if x.shape[-1] != self.mean.shape[0]:
            raise ValueError(
                f"Points must be [..., {self.mean.shape[0]}]. Received: shape {x.shape}"
            )
        return x

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "blocks": list(self.blocks),
            "unit": self.unit,
            "floor": self.floor,
        }


def has_unit_norm(points, blocks=()):
    """Whether all points have length 1, or each of their parts has.

    Args:
        points: `[n, dim]`.
        blocks: As for `Scaler`. Defaults to one part.
    """
    points = np.asarray(points, np.float64)
    lengths = [
        np.linalg.norm(points[:, part], axis=1)
        for part in _slices(points.shape[1], blocks)
    ]
    return bool(np.abs(np.stack(lengths) - 1).max() < 1e-3)


def _slices(dim, blocks):
    """Where the parts lie."""
    if blocks and sum(blocks) != dim:
        raise ValueError(f"`blocks` must add up to {dim}. Received: {tuple(blocks)}")
    ends = [0, *itertools.accumulate(blocks or (dim,))]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def _principal(spread):
    """Variances and directions `[dim]`, `[dim, dim]` of centred points `[n, dim]`."""
    num, dim = spread.shape
    if num <= dim:
        warnings.warn(
            f"{num} points explore at most {num - 1} of {dim} directions; the others "
            "are whitened by the least variance, `floor` times the mean. Standardise, "
            "or bring more points",
            UserWarning,
            stacklevel=3,
        )
    variance, directions = np.linalg.eigh(spread.T @ spread / num)
    variance, directions = variance[::-1], directions[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)  # its sign is free: say that it is +
    return variance, directions * np.sign(directions[largest, np.arange(dim)])


def _floored(variance, floor):
    """Deviations, of which none is much smaller than the others; 1 if all are 0."""
    mean = variance.mean()
    return np.sqrt(np.maximum(variance, floor * mean)) if mean > 0 else 1.0


def _unit(x):
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x / ops.sqrt(ops.maximum(square, 1e-24))
