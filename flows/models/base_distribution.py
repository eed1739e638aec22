"""Base distributions of flows: class-conditional normals, factor by factor.

A latent has a part for each factor (phone, speaker, ...) and a residual:

`log p(z | y) = sum_f log N(z_f; mean[f, y_f], v_f) + log N(residual; 0, 1)`

Where a label is missing, `y = -1`, the factor's part follows the mixture of its
classes: `log sum_k prior[f, k] N(z_f; mean[f, k], v_f)`. The prior of a known label is
not counted: this is the density of the latent given the labels, not of both. By Bayes'
rule `p(k | z_f) = prior[f, k] N(z_f; mean[f, k], v_f) / sum_j ...`.

No factor and all residual is the normal base of an ordinary flow (NF), one factor that
of a discriminative flow (DNF), several that of a factorial one (f-DNF).

Reference:
    Deep Generative Factorization for Speech Signal (Sun et al., 2021),
    https://arxiv.org/abs/2010.14242; Deep Normalization for Speaker Vectors (Cai et
    al., 2020), https://arxiv.org/abs/2004.04095; the mixture is that of Semi-Supervised
    Learning with Normalizing Flows (Izmailov et al., 2020), equation 3,
    https://arxiv.org/abs/1912.13025
"""

import itertools
import math

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import ConfigurableLayer, add_constant
from flows.gaussian import class_means, log_normal, log_normals, log_priors
from flows.validation import validate_latents
from timbre.training.networks import check_choice

VARIANCES = ("unit", "shared", "class")
MAX_LOG_VARIANCE = 3.0  # either way


@keras.saving.register_keras_serializable(package="flows")
class FactorialNormal(ConfigurableLayer):
    """The product of class-conditional normals, one for each factor.

    Args:
        classes: How many classes each factor has. Defaults to `(10, 12)`.
        dims: Dimensions of each factor's part. Defaults to `(32, 32)`.
        residual: Dimensions of the residual, which has no classes. Defaults to `0`.
        variance: `"unit"`: 1 in all directions; `"shared"`: a diagonal is trained for
            each factor; `"class"`: one for each class. Defaults to `"unit"`.

    Call arguments:
        z: Latents `[batch, dim]`.
        labels: Int `[batch, factors]`, -1 where missing; `None`: all are.

    Returns:
        Log-densities in nats, `[batch]`, as `log_prob`.

    Raises:
        ValueError: If `dims` are not one for each of `classes`, a part or the latent
            has no dimension, or a factor fewer than two classes.
    """

    def __init__(
        self,
        classes=(10, 12),
        dims=(32, 32),
        residual=0,
        variance="unit",
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.classes, self.dims = tuple(classes), tuple(dims)
        self.residual = residual
        self.variance = variance
        self._check()
        edges = itertools.accumulate((*self.dims, residual), initial=0)
        self._slices = [slice(*ends) for ends in itertools.pairwise(edges)]
        each = list(enumerate(zip(self.classes, self.dims, strict=True)))
        self._means = [
            self.add_weight(name=f"means_{f}", shape=(k, d), initializer="zeros")
            for f, (k, d) in each
        ]
        self._log_variances = []
        if variance != "unit":
            self._log_variances = [
                self.add_weight(
                    name=f"log_variance_{f}",
                    shape=(k if variance == "class" else 1, d),
                    initializer="zeros",
                    constraint=_clip,  # a step beyond the bound can come back
                )
                for f, (k, d) in each
            ]
        self._log_priors = [
            add_constant(self, f"log_priors_{f}", np.full(k, -math.log(k)))
            for f, (k, _) in each
        ]
        self.built = True

    @property
    def dim(self):
        """Dimensions of a latent, all parts together."""
        return sum(self.dims) + self.residual

    def call(self, z, labels=None):
        return self.log_prob(z, labels)

    def split(self, z):
        """Parts of latents: `[batch, dims[f]]` of each factor, the residual, if any."""
        slices = self._slices if self.residual else self._slices[:-1]
        return tuple(z[:, part] for part in slices)

    def means(self, f):
        """Means of the classes in their own part, `[classes[f], dims[f]]`."""
        return ops.convert_to_tensor(self._means[f])

    def log_variance(self, f):
        """Log-variances of factor `f`, to broadcast with `[classes[f], dims[f]]`."""
        if self.variance == "unit":
            return ops.zeros((1, self.dims[f]), self.compute_dtype)
        return _clip(self._log_variances[f])

    def log_prob(self, z, labels=None):
        """Log-densities of latents given their labels, nats; see the class."""
        z = ops.convert_to_tensor(z, self.compute_dtype)
        total = ops.zeros_like(z[:, 0])
        if self.residual:
            total = log_normal(z[:, self._slices[-1]], 0.0, 0.0)
        for f, joint in enumerate(self._log_joints(z)):
            density = ops.logsumexp(joint, axis=-1)
            if labels is not None:
                label = ops.cast(ops.convert_to_tensor(labels), "int32")[:, f]
                mean, log_variance = self._of_classes(f, label)
                known = log_normal(z[:, self._slices[f]], mean, log_variance)
                density = ops.where(label < 0, density, known)
            total = total + density
        return total

    def log_posterior(self, z):
        """Logarithms of `p(class | z)`, for each factor `[batch, classes[f]]`."""
        z = ops.convert_to_tensor(z, self.compute_dtype)
        return tuple(ops.log_softmax(joint, axis=-1) for joint in self._log_joints(z))

    def centres(self, f):
        """Means of the classes as latents, 0 in other parts, `[classes[f], dim]`."""
        return self.pad_part(f, self.means(f))

    def pad_part(self, f, part):
        """Latents `[batch, dim]` of which part `f` is `part` and all else 0."""
        before = self._slices[f].start
        after = self.dim - self._slices[f].stop
        part = ops.convert_to_tensor(part, self.compute_dtype)
        return ops.pad(part, [[0, 0], [before, after]])

    def sample(self, noise, uniform, labels=None, temperature=1.0):
        """Transforms noise to samples `[batch, dim]`.

        Args:
            noise: Standard normal, `[batch, dim]`.
            uniform: In [0, 1), `[batch, factors]`; selects a class by the priors where
                none is given.
            labels: Int `[batch, factors]`, -1 where missing; `None`: all are.
            temperature: Scales the noise; 0 gives the means. Defaults to `1.0`.
        """
        noise = ops.convert_to_tensor(noise, self.compute_dtype) * temperature
        uniform = ops.convert_to_tensor(uniform, self.compute_dtype)
        parts = list(self.split(noise))
        for f in range(len(self.classes)):
            edges = ops.cumsum(ops.exp(self._log_priors[f]))[:-1]
            label = ops.sum(ops.cast(uniform[:, f, None] >= edges, "int32"), axis=-1)
            if labels is not None:
                given = ops.cast(ops.convert_to_tensor(labels), "int32")[:, f]
                label = ops.where(given < 0, label, given)
            mean, log_variance = self._of_classes(f, label)
            parts[f] = mean + ops.exp(log_variance / 2) * parts[f]
        return ops.concatenate(parts, axis=-1)

    def adapt(self, z, labels):
        """Sets means to class means of latents, priors to the shares of `rows + 1`.

        A class without rows starts from the mean of all rows. Variances stay.

        Args:
            z: Latents of the untrained flow, finite, NumPy `[n, dim]`, two or more.
            labels: Int NumPy `[n, factors]`, -1 where missing.

        Raises:
            ValueError: If they are not that, or a factor has no labelled row.
        """
        z, labels = validate_latents(z, labels, self.dim, self.classes)
        for f, num_classes in enumerate(self.classes):
            part = z[:, self._slices[f]]
            means, rows = class_means(part, labels[:, f], num_classes)
            self._means[f].assign(means)
            self._log_priors[f].assign(log_priors(rows))

    def _check(self):
        check_choice("variance", self.variance, VARIANCES)
        self.check_min(classes=2, dims=1, residual=0)
        if len(self.classes) != len(self.dims):
            raise ValueError(
                "`dims` must have one number for each factor of `classes`. "
                f"Received: dims={self.dims}, classes={self.classes}"
            )
        if self.dim < 1:
            raise ValueError("`dims` and `residual` must be at least 1 together")

    def _of_classes(self, f, labels):
        """Means and log-variances of the classes of rows; unknown ones count as 0."""
        labels = ops.maximum(labels, 0)
        log_variance = self.log_variance(f)
        if self.variance == "class":
            log_variance = ops.take(log_variance, labels, axis=0)
        return ops.take(self.means(f), labels, axis=0), log_variance

    def _log_joints(self, z):
        """`log prior[f, k] + log N(z_f; mean[f, k], v_f)`, `[batch, classes[f]]`."""
        for f, log_prior in enumerate(self._log_priors):
            part = z[:, self._slices[f]]
            yield log_prior + log_normals(part, self.means(f), self.log_variance(f))

    def compute_output_shape(self, z_shape, labels_shape=None):
        return z_shape[:1]


def _clip(log_variance):
    return ops.clip(log_variance, -MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)
