"""Normalising flows: the density of segments, by a change of variables.

`log p(x | labels) = log p(z | labels) + log |det dz / dx|`, `z = bijector(scaler(x))`

in nats, in the units of the features. The base distribution `p(z | labels)` makes it a
plain (NF), a discriminative (DNF) or a factorial flow (f-DNF). Labels that are missing,
-1, are marginalised.

Training minimises, for each row,

`-log p(x | labels) - ce_weight * sum_f log p(y_f | z_f) + cross_penalty * sum scatter`

of which the second discriminates the classes and the third reduces leakage of factors
into each other's parts; both are off by default, as in the paper.

Reference:
    Deep Generative Factorization for Speech Signal (Sun et al., 2021), equation 6,
    https://arxiv.org/abs/2010.14242; the second term after Training Normalizing Flows
    with the Information Bottleneck (Ardizzone et al., 2020),
    https://arxiv.org/abs/2001.06448
"""

import math

import keras
import numpy as np
from keras import ops

from flows.batching import map_batches
from flows.models.latent_model import LatentModel
from flows.validation import concrete, validate_labels


@keras.saving.register_keras_serializable(package="flows")
class Flow(LatentModel):
    """A normalising flow of segments: NF, DNF or f-DNF, by its base.

    Args:
        bijector: A `flows.bijectors.base.Bijector` of `[batch, D]`.
        base: A `flows.models.base_distribution.FactorialNormal` of `D` dimensions.
        scaler, vocabulary, jitter, seed: As for `LatentModel`.
        label_dropout: Probability that a label is masked in training, each
            independently. Defaults to `0.0`.
        ce_weight: Weight of the cross-entropy of the classes. Defaults to `0.0`.
        cross_penalty: Weight of `scatter`, of each factor's classes in each part that
            is another's or the residual. Defaults to `0.0`.
        own: The factors whose classes the base has. Defaults to all of `vocabulary`,
            or none where the base has no classes.

    Call arguments:
        inputs: Dict of `x`, `[batch, *shape]`, and `labels`, int `[batch, F]`; or bare
            `x`.

    Returns:
        The loss of each row in nats, `[batch]`.

    Raises:
        ValueError: If sizes do not fit, or a weight or probability is out of its range.

    Example:
        ```python
        model = registry.build("fdnf", shape=(20, 40), vocabulary=vocabulary)
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
        model.fit({"x": x, "labels": labels}, epochs=10)
        changed = model.manipulate(x, "speaker", "s07")
        ```
    """

    def __init__(
        self,
        bijector,
        base,
        scaler,
        vocabulary,
        label_dropout=0.0,
        ce_weight=0.0,
        cross_penalty=0.0,
        jitter=0.0,
        seed=0,
        own=None,
        **kwargs,
    ):
        if own is None:
            own = tuple(vocabulary) if base.classes else ()
        super().__init__(
            scaler, vocabulary, base.dim, own=own, jitter=jitter, seed=seed, **kwargs
        )
        self.bijector, self.base = bijector, base
        self.label_dropout = label_dropout
        self.ce_weight = ce_weight
        self.cross_penalty = cross_penalty
        self._check()
        if not bijector.built:
            bijector.build((None, base.dim))

    def call(self, inputs, training=None):
        x, labels = self._inputs(inputs)
        scaled, scaler_log_det = self.scaler.forward_and_log_det(x)
        if training and self.label_dropout:
            uniform = keras.random.uniform(ops.shape(labels), seed=self.random_state)
            labels = ops.where(uniform < self.label_dropout, -1, labels)
        scaled = self._jittered(scaled, training)
        z, log_det = self.bijector.forward_and_log_det(scaled)
        labels = self._own_columns(labels)
        loss = -(self.base.log_prob(z, labels) + log_det + scaler_log_det)
        if self.ce_weight and self.own:
            loss = loss + self.ce_weight * self._cross_entropy(z, labels)
        if self.cross_penalty and self.has_parts:
            loss = loss + self.cross_penalty * self._leakage(z, labels)
        return loss

    def encode(self, x):
        return self.bijector.forward(self._scaled(x)[0])

    def decode(self, z):
        return self.scaler.inverse(self.bijector.inverse(z))

    def log_prob(self, x, labels=None):
        """Log-densities of segments given their labels, nats, `[batch]`.

        Args:
            x: `[batch, *shape]`, finite.
            labels: Int `[batch, F]`, -1 where missing; `None`: all are.
        """
        scaled, scaler_log_det = self._scaled(x)
        z, log_det = self.bijector.forward_and_log_det(scaled)
        if labels is not None:
            if concrete(labels) is not None:
                labels = validate_labels(labels, x.shape[0], self.num_classes)
            labels = ops.cast(ops.convert_to_tensor(labels), "int32")
            labels = self._own_columns(labels)
        return self.base.log_prob(z, labels) + log_det + scaler_log_det

    def generate(self, noise, uniform, labels, temperature=1.0):
        labels = self._own_columns(ops.convert_to_tensor(labels))
        uniform = self._own_columns(ops.convert_to_tensor(uniform))
        return self.decode(self.base.sample(noise, uniform, labels, temperature))

    @property
    def classifier(self):
        return self.base if self.own else super().classifier

    @property
    def has_parts(self):
        return len(self._part_names) > 1

    def split_latents(self, z):
        """Dict of the parts of latents: of each own factor, and the residual, `rest`.

        What is one part only, as of an NF or a DNF without residual, is named `code`.
        """
        if not self.has_parts:
            return super().split_latents(z)
        return dict(zip(self._part_names, self.base.split(z), strict=True))

    @property
    def _part_names(self):
        return (*self.own, "rest") if self.base.residual else self.own

    def _adapt(self, x, labels):
        labels = ops.convert_to_numpy(self._own_columns(labels))
        scaled = ops.convert_to_numpy(self.scaler.forward(self._subset(x)))
        noise = np.random.default_rng(self.seed).normal(size=scaled.shape)
        # with the noise of training: what is constant without it is no larger than 1
        scaled = scaled + self.jitter * noise
        self.bijector.adapt(scaled, labels=self._subset(labels))
        if self.own:
            self.base.adapt(map_batches(self.encode, x), labels)

    def _mask(self, factor):
        f = self._index(factor)
        if not self.own:
            return super()._mask(factor)
        return self.base.pad_part(f, ops.ones((1, self.base.dims[f])))[0]

    def _own_columns(self, columns):
        """Of columns `[batch, F]` of all factors those of `own`."""
        names = list(self.vocabulary)
        own = [columns[:, names.index(factor)] for factor in self.own]
        return ops.stack(own, axis=-1) if own else columns[:, :0]

    def _cross_entropy(self, z, labels):
        """`-sum_f log p(y_f | z_f)` over the labels that are known, `[batch]`."""
        return -sum(
            ops.sum(ops.one_hot(labels[:, f], values.shape[-1]) * values, axis=-1)
            for f, values in enumerate(self.base.log_posterior(z))
        )

    def _leakage(self, z, labels):
        """`scatter` of every own factor in every part but its own, summed."""
        parts = self.base.split(z)
        return sum(
            scatter(part, labels[:, f], num_classes)
            for f, num_classes in enumerate(self.base.classes)
            for place, part in enumerate(parts)
            if place != f
        )

    def _check(self):
        sizes = tuple(len(self.vocabulary[factor]) for factor in self.own)
        if self.base.classes != sizes:
            raise ValueError(
                f"The base must have the classes of {self.own}, {sizes}. "
                f"Received: {self.base.classes}; name their factors by `own`"
            )
        numbers = math.prod(self.shape)
        if self.base.dim != numbers:
            raise ValueError(
                f"The base must have as many dimensions as a segment has numbers, "
                f"{numbers}. Received: {self.base.dim}"
            )
        self.check_min(label_dropout=0, ce_weight=0, cross_penalty=0)
        if self.label_dropout > 1:
            raise ValueError(
                f"`label_dropout` must be at most 1. Received: {self.label_dropout}"
            )


def scatter(z, labels, num_classes):
    """Between-class share of the variance of a part, for the classes of a factor.

    `sum_k n_k |mean_k - mean|**2 / sum_i |z_i - mean|**2`, over the rows of the batch
    that are labelled: 1 where classes are points, 0 where their means are equal or
    nothing is labelled. By chance it is `(classes in the batch - 1) / (rows - 1)`: use
    batches of many rows a class. Factors that are correlated in the data, such as
    speaker and gender, are separated by it at the cost of likelihood.

    Args:
        z: `[batch, d]`.
        labels: Int `[batch]`, -1 where missing.
        num_classes: Of the factor.
    """
    members = ops.one_hot(labels, num_classes, dtype=z.dtype)  # zeros for -1
    counts = ops.sum(members, axis=0)
    known = ops.sum(members, axis=-1, keepdims=True)
    centred = z - ops.sum(known * z, axis=0) / ops.maximum(ops.sum(counts), 1)
    sums = ops.matmul(ops.transpose(members), centred)
    between = ops.sum(ops.square(sums) / ops.maximum(counts, 1)[:, None])
    return between / ops.maximum(ops.sum(known * ops.square(centred)), 1e-12)
