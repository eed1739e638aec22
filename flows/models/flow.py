"""Flows: the density of segments, by a change of variables.

`log p(x | labels) = log p(z | labels) + log |det dz / dx|`, `z = bijector(scaler(x))`

in nats, in the units of the features; the base says what `p(z | labels)` is, and with
it whether this is a plain flow (NF), a discriminative (DNF) or a factorial one (f-DNF).
Labels that are missing, -1, are summed over.

Training minimises, for each row,

`-log p(x | labels) - ce_weight * sum_f log p(y_f | z_f) + cross_penalty * sum scatter`

of which the second sharpens the classes and the third keeps factors out of each other's
parts; both are off by default, as in the paper.

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
from flows.models.latent_model import SOME, LatentModel
from flows.validation import concrete, validate_labels


@keras.saving.register_keras_serializable(package="flows")
class Flow(LatentModel):
    """A flow on segments: NF, DNF or f-DNF, by its base.

    Args:
        bijector: A `flows.bijectors.base.Bijector` of `[batch, D]`.
        base: A `flows.models.base_distribution.FactorialNormal` of `D` dimensions.
        scaler: A `flows.bijectors.normalisation.Scaler` of the segments.
        vocabulary: Dict, each factor of the data to the names of its classes in the
            order of their codes.
        label_dropout: Chance that a label is hidden in training, each by itself.
            Defaults to `0.0`.
        ce_weight: Weight of the cross-entropy of the classes. Defaults to `0.0`.
        cross_penalty: Weight of `scatter`, of each factor's classes in each part that
            is another's or the rest. Defaults to `0.0`.
        jitter: Deviation of the noise added in training, in deviations of the data.
            Defaults to `0.0`.
        seed: Of hidden labels and noise. Defaults to `0`.
        own: The factors whose classes the base has. Defaults to all of `vocabulary`,
            or none where the base has no classes.

    Call arguments:
        inputs: Dict of `x`, `[batch, *shape]`, and `labels`, int `[batch, F]` with a
            column for each factor of `vocabulary` and -1 where missing; or bare `x`.

    Returns:
        The loss of each row in nats, `[batch]`.

    Raises:
        ValueError: If base, scaler and vocabulary are not of one size, or a weight or
            chance is out of its range.

    Example:
        ```python
        model = models.build("fdnf", shape=(20, 40), vocabulary=vocabulary)
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
        model.fit({"x": x, "labels": labels}, epochs=10)
        changed = model.manipulate(x, "speaker", "s07")
        ```
    """

    MADE_OF = ("bijector", "base", "scaler")

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
        given = {"dim": base.dim, "own": own, "jitter": jitter, "seed": seed}
        super().__init__(scaler, vocabulary, **given, **kwargs)
        self.bijector, self.base = bijector, base
        self.label_dropout = label_dropout
        self.ce_weight = ce_weight
        self.cross_penalty = cross_penalty
        self._check()
        if not bijector.built:
            bijector.build((None, base.dim))

    def call(self, inputs, training=None):
        x, labels = self._inputs(inputs)
        scaled, stretch = self.scaler.forward_and_log_det(x)
        if training and self.label_dropout:
            chance = keras.random.uniform(ops.shape(labels), seed=self.random_state)
            labels = ops.where(chance < self.label_dropout, -1, labels)
        scaled = self._jittered(scaled, training)
        z, log_det = self.bijector.forward_and_log_det(scaled)
        labels = self._own(labels)
        loss = -(self.base.log_prob(z, labels) + log_det + stretch)
        if self.ce_weight and self.own:
            loss = loss + self.ce_weight * self._cross_entropy(z, labels)
        if self.cross_penalty and self.has_parts:
            loss = loss + self.cross_penalty * self._crossed(z, labels)
        return loss

    def encode(self, x):
        return self.bijector.forward(self._scaled(x)[0])

    def decode(self, z):
        return self.scaler.inverse(self.bijector.inverse(z))

    def log_prob(self, x, labels=None):
        """Log-densities of segments given their labels.

        Args:
            x: `[batch, *shape]`.
            labels: Int `[batch, F]`, -1 where missing; `None`: all are.

        Returns:
            Nats, in the units of the features, `[batch]`.

        Raises:
            ValueError: If arrays are not finite or of another shape, or labels name no
                class.
        """
        scaled, stretch = self._scaled(x)
        z, log_det = self.bijector.forward_and_log_det(scaled)
        if labels is not None:
            if concrete(labels) is not None:
                labels = validate_labels(labels, x.shape[0], self.sizes)
            labels = self._own(ops.cast(ops.convert_to_tensor(labels), "int32"))
        return self.base.log_prob(z, labels) + log_det + stretch

    def drawn(self, noise, uniform, labels, temperature=1.0):
        labels, uniform = (
            self._own(ops.convert_to_tensor(v)) for v in (labels, uniform)
        )
        return self.decode(self.base.draw(noise, uniform, labels, temperature))

    @property
    def classifier(self):
        return self.base if self.own else super().classifier

    @property
    def has_parts(self):
        return len(self._names) > 1

    def parts(self, z):
        """Codes cut into named parts, one of each own factor, and the `rest`.

        What is one part only, as of an NF or a DNF without rest, is named `code`.
        """
        if not self.has_parts:
            return {"code": z}
        return dict(zip(self._names, self.base.parts(z), strict=True))

    @property
    def _names(self):
        return (*self.own, "rest") if self.base.residual else self.own

    def _start(self, x, labels):
        labels = ops.convert_to_numpy(self._own(labels))
        few, told = self._some(x, SOME), self._some(labels, SOME)
        scaled = ops.convert_to_numpy(self.scaler.forward(few))
        noise = np.random.default_rng(self.seed).normal(size=scaled.shape)
        # as training will see it: what is constant but for noise is no larger than 1
        self.bijector.adapt(scaled + self.jitter * noise, labels=told)
        if self.own:
            self.base.adapt(map_batches(self.encode, x), labels)

    def _mask(self, factor):
        f = self._index(factor)
        if not self.own:
            return super()._mask(factor)
        return self.base.place(f, ops.ones((1, self.base.dims[f])))[0]

    def _own(self, columns):
        """Columns `[batch, F]` of all factors, of those whose classes the base has."""
        names = list(self.vocabulary)
        chosen = [columns[:, names.index(factor)] for factor in self.own]
        return ops.stack(chosen, axis=-1) if chosen else columns[:, :0]

    def _cross_entropy(self, z, labels):
        """`-sum_f log p(y_f | z_f)` over the labels that are known, `[batch]`."""
        told = enumerate(self.base.log_posterior(z))
        return -sum(
            ops.sum(ops.one_hot(labels[:, f], values.shape[-1]) * values, axis=-1)
            for f, values in told
        )

    def _crossed(self, z, labels):
        """`scatter` of every own factor in every part but its own, summed."""
        parts = self.base.parts(z)
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
                f"Received: {self.base.classes}; say whose they are by `own`"
            )
        numbers = math.prod(self.shape)
        if self.base.dim != numbers:
            raise ValueError(
                f"The base must have as many dimensions as a segment has numbers, "
                f"{numbers}. Received: {self.base.dim}"
            )
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(
                "`label_dropout` must be between 0 and 1. "
                f"Received: {self.label_dropout}"
            )
        if self.ce_weight < 0 or self.cross_penalty < 0:
            raise ValueError(
                "`ce_weight` and `cross_penalty` must be at least 0. "
                f"Received: {self.ce_weight} and {self.cross_penalty}"
            )

    def get_config(self):
        weights = ("label_dropout", "ce_weight", "cross_penalty")
        return self._config(*weights, "jitter", "seed") | {"own": list(self.own)}


def scatter(z, labels, num_classes):
    """The share of a part's variance that lies between the classes of a factor.

    `sum_k n_k |mean_k - mean|**2 / sum_i |z_i - mean|**2`, over the rows of the batch
    that are labelled: 1 where classes are points, 0 where their means are one. By
    chance alone it is `(classes met - 1) / (rows - 1)`, about which nothing can be
    done: take batches of many rows a class. Factors that go together in the data, such
    as speaker and gender, are driven apart by it at the cost of truth.

    Args:
        z: `[batch, d]`.
        labels: Int `[batch]`, -1 where missing.
        num_classes: Of the factor.

    Returns:
        A scalar in [0, 1]; 0 where nothing is labelled.
    """
    members = ops.one_hot(labels, num_classes, dtype=z.dtype)  # zeros for -1
    counts = ops.sum(members, axis=0)
    known = ops.sum(members, axis=-1, keepdims=True)
    centred = z - ops.sum(known * z, axis=0) / ops.maximum(ops.sum(counts), 1)
    sums = ops.matmul(ops.transpose(members), centred)
    between = ops.sum(ops.square(sums) / ops.maximum(counts, 1)[:, None])
    return between / ops.maximum(ops.sum(known * ops.square(centred)), 1e-12)
