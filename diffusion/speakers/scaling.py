"""Scaling of embeddings: standardisation or PCA whitening, and its inverse.

`scaled = (x - mean) @ directions / deviation`

Standardising has no `directions`; whitening takes the principal components, the largest
first. Each scaled coordinate has mean 0 and variance 1 over the embeddings it was
fitted on, and the inverse is exact. A direction without variance (a constant column, or
with fewer embeddings than dimensions one outside their span) gets `floor` times the
mean variance: embeddings scale to 0 there, and what a sampler adds stays small.
"""

import functools
import itertools
import warnings

import keras
import numpy as np
from keras import ops

from timbre.training.networks import ConfiguredByArguments, check_choice

KINDS = ("standardise", "whiten", "none")


@keras.saving.register_keras_serializable(package="diffusion")
class Scaler(ConfiguredByArguments, keras.layers.Layer):
    """Scales embeddings and unscales samples; its statistics are weights of the model.

    Args:
        kind: `"standardise"`, `"whiten"` or `"none"`. Defaults to `"standardise"`.
        blocks: Dimensions of the parts of a concatenation, such as `(192, 512)`; each
            is scaled by itself. Defaults to one part.
        unit: Whether unscaled samples are normalised to length 1, each part by itself.
            Defaults to `False`.
        floor: Minimum variance, as a share of the mean variance of the part. Defaults
            to `1e-4`.

    Call arguments:
        x: Embeddings `[..., dim]`; the result is that of `scale`.

    Example:
        ```python
        scaler = Scaler("whiten").fit(embeddings)
        scaled = scaler.scale(embeddings)
        embeddings = scaler.unscale(scaled)
        ```
    """

    def __init__(self, kind="standardise", blocks=(), unit=False, floor=1e-4, **kwargs):
        kwargs.setdefault("dtype", "float32")  # half precision would not be inverted
        super().__init__(**kwargs)
        check_choice("kind", kind, KINDS)
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
        frozen = functools.partial(self.add_weight, trainable=False)
        self.mean = frozen((dim,), "zeros", name="mean")
        self.deviation = frozen((dim,), "ones", name="deviation")
        if self.kind == "whiten":
            self.directions = frozen((dim, dim), "identity", name="directions")

    def fit(self, embeddings):
        """Estimates mean, directions and deviations, in float64; returns the scaler.

        Args:
            embeddings: Finite, `[n, dim]`, with `n` at least 2.

        Raises:
            ValueError: If `embeddings` is not that, or `dim` is not that of `blocks`.

        Warns:
            UserWarning: If it whitens embeddings that do not span all directions.
        """
        rows = np.asarray(embeddings, np.float64)
        if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all():
            raise ValueError(
                "A scaler is fitted to finite embeddings [n, dim], two or more. "
                f"Received: shape {rows.shape}, "
                f"{int((~np.isfinite(rows)).sum())} numbers not finite"
            )
        dim = rows.shape[1]
        if not self.built:
            self.build((None, dim))
        if dim != self.mean.shape[0]:
            raise ValueError(
                f"`embeddings` must be [n, {self.mean.shape[0]}]. "
                f"Received: shape {rows.shape}"
            )
        if self.kind == "none":
            return self
        deviation, directions = np.ones(dim), np.zeros((dim, dim))
        mean = rows.mean(axis=0)
        for part in _slices(dim, self.blocks):
            centred = rows[:, part] - mean[part]
            if self.kind == "whiten":
                variance, directions[part, part] = _principal_components(centred)
            else:
                variance = np.square(centred).mean(axis=0)
            deviation[part] = _floor_deviation(variance, self.floor)
        self.mean.assign(mean)
        self.deviation.assign(deviation)
        if self.kind == "whiten":
            self.directions.assign(directions)
        return self

    def scale(self, x):
        """Embeddings `[..., dim]`, scaled."""
        x = self._cast(x) - self.mean
        if self.kind == "whiten":
            x = ops.matmul(x, self.directions)
        return x / self.deviation

    def invert(self, x):
        """The inverse of `scale`, without normalisation to length 1."""
        x = self._cast(x) * self.deviation
        if self.kind == "whiten":
            x = ops.matmul(x, ops.transpose(self.directions))
        return x + self.mean

    def unscale(self, x):
        """Scaled samples `[..., dim]` as embeddings of the extractor."""
        x = self.invert(x)
        if not self.unit:
            return x
        parts = [x[..., part] for part in _slices(x.shape[-1], self.blocks)]
        return ops.concatenate([_normalise(part) for part in parts], axis=-1)

    def call(self, x):
        return self.scale(x)

    def column_statistics(self):
        """Mean and deviation of each dimension before scaling, NumPy `[dim]` each."""
        deviation = ops.convert_to_numpy(self.deviation)
        if self.kind == "whiten":
            directions = ops.convert_to_numpy(self.directions)
            deviation = np.linalg.norm(directions * deviation, axis=1)
        return ops.convert_to_numpy(self.mean), deviation

    def _cast(self, x):
        if not self.built:
            raise ValueError("A scaler must be fitted or built before it scales")
        x = ops.cast(x, self.compute_dtype)
        if x.shape[-1] != self.mean.shape[0]:
            raise ValueError(
                f"Embeddings must be [..., {self.mean.shape[0]}]. "
                f"Received: shape {x.shape}"
            )
        return x

    def compute_output_shape(self, shape):
        return shape


def has_unit_norm(embeddings, blocks=()):
    """Whether embeddings `[n, dim]`, or each part of them, all have length 1."""
    rows = np.asarray(embeddings, np.float64)
    lengths = [
        np.linalg.norm(rows[:, part], axis=1) for part in _slices(rows.shape[1], blocks)
    ]
    return bool(np.abs(np.stack(lengths) - 1).max() < 1e-3)


def _slices(dim, blocks):
    if blocks and sum(blocks) != dim:
        raise ValueError(f"`blocks` must add up to {dim}. Received: {tuple(blocks)}")
    ends = [0, *itertools.accumulate(blocks or (dim,))]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def _principal_components(centred):
    """Variances and directions `[dim]`, `[dim, dim]` of centred rows `[n, dim]`."""
    num, dim = centred.shape
    if num <= dim:
        warnings.warn(
            f"{num} embeddings span at most {num - 1} of {dim} directions; the others "
            "are whitened by the minimum variance, `floor` times the mean. "
            "Standardise, or use more embeddings",
            UserWarning,
            stacklevel=3,
        )
    variance, directions = np.linalg.eigh(centred.T @ centred / num)
    variance, directions = variance[::-1], directions[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)  # its sign is arbitrary: make it +
    return variance, directions * np.sign(directions[largest, np.arange(dim)])


def _floor_deviation(variance, floor):
    """Deviations of at least the floor; 1 if all variances are 0."""
    mean = variance.mean()
    return np.sqrt(np.maximum(variance, floor * mean)) if mean > 0 else 1.0


def _normalise(x):
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x / ops.sqrt(ops.maximum(square, 1e-24))
