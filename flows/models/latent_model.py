"""Latent-variable models of segments: encode, decode, classify, manipulate, sample.

`z = encode(x)`, `x = decode(z)`. Each factor (phone, speaker, ...) has a centre in
latent space for each of its classes. Models that are trained with labels have centres
that are 0 outside of the factor's own part of the latent; for others they are class
means of whole latents, set by `fit_class_means`. A factor is manipulated by

`x' = decode(encode(x) + alpha * (centre[to] - centre[source]))`

with the posterior-weighted mean of all centres where the source is not known. In models
with parts the other parts stay what they are, to the bit.

Names and arrays are validated; traced tensors of a `tf.function` are not.

Reference:
    Deep Generative Factorization for Speech Signal (Sun et al., 2021), section 3,
    https://arxiv.org/abs/2010.14242
"""

import inspect

import keras
import numpy as np
from keras import ops

from flows import validation
from flows.batching import map_batches
from flows.bijectors.base import ConfigurableLayer, add_constant
from flows.models.class_means import ClassMeans
from timbre.training.losses import MeanOverReplicas

MAX_ADAPT_ROWS = 10_000  # from which scales and directions are estimated


class LatentModel(ConfigurableLayer, keras.Model):
    """What a VAE and the flows share; a member writes `call`, `encode` and `decode`.

    A member is called with `{"x": [batch, *shape], "labels": int [batch, F]}`, or bare
    `x` where no label is known, and returns the loss of each row, `[batch]`. Labels are
    class indices with a column for each factor of `vocabulary`, -1 where missing.

    Args:
        scaler: A `flows.bijectors.normalisation.Scaler` of the segments.
        vocabulary: Dict, each factor of the data to the names of its classes in the
            order of their indices.
        dim: Dimensions of a latent.
        own: The factors that the model is trained to classify; where there are none,
            class means of latents stand in for all factors.
        jitter: Deviation of the noise added to segments in training, in deviations of
            the data. Replicas sample the same noise and hide the same labels. Defaults
            to `0.0`.
        seed: Of all noise in training, and of the rows that scales are estimated from.
            Defaults to `0`.

    Attributes:
        factors: The factors that can be classified and manipulated: `own`, or all.
        averages: A `flows.models.class_means.ClassMeans`; `None` with `own` factors.
    """

    def __init__(
        self, scaler, vocabulary, dim, *, own=(), jitter=0.0, seed=0, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self.vocabulary = {name: tuple(names) for name, names in vocabulary.items()}
        validation.validate_vocabulary(self.vocabulary, own)
        self.scaler, self.dim = scaler, dim
        self.shape = tuple(scaler.shape)
        self.own, self.jitter, self.seed = tuple(own), jitter, seed
        self.check_min(jitter=0)
        self.factors = self.own or tuple(self.vocabulary)
        if not scaler.built:
            scaler.build((None, *self.shape))
        self.averages = None if self.own else ClassMeans(self.num_classes, dim)
        self.random_state = keras.random.SeedGenerator(seed)
        self.mean = MeanOverReplicas()
        self.is_adapted = add_constant(self, "is_adapted", 0.0)
        self.built = True  # members build what they hold

    def encode(self, x):
        """Latents `[batch, dim]` of segments `[batch, *shape]`."""
        raise NotImplementedError

    def decode(self, z):
        """Segments `[batch, *shape]` of latents `[batch, dim]`."""
        raise NotImplementedError

    @property
    def num_classes(self):
        """Number of classes of each factor of the data."""
        return tuple(len(names) for names in self.vocabulary.values())

    @property
    def adapted(self):
        """Whether `adapt` has been called, ever: it is saved with the weights."""
        return bool(ops.convert_to_numpy(self.is_adapted))

    @property
    def has_parts(self):
        """Whether factors have parts of their own in a latent."""
        return False

    @property
    def classifier(self):
        """The class-conditional densities: a member's own base, or the class means.

        Class means that have not been set are a RuntimeError.
        """
        is_set = validation.concrete(self.averages.is_set)
        if is_set is not None and not is_set:
            raise RuntimeError(
                "A model trained without labels has class means only after "
                "`fit_class_means(x, labels)`"
            )
        return self.averages

    def adapt(self, x, labels=None):
        """Sets what depends on data before training: scales, first centres and priors.

        Scales are estimated from up to 10,000 random rows, the others from all.

        Args:
            x: Segments, finite, NumPy `[n, *shape]`, two or more.
            labels: Int NumPy `[n, F]`, -1 where missing; `None`: all are.

        Raises:
            ValueError: If they are not that, or a factor of `own` has no labelled row.
        """
        x = validation.validate_segments(x, self.shape, minimum=2)
        labels = validation.validate_labels(labels, len(x), self.num_classes)
        self.scaler.adapt(self._subset(x))
        self._adapt(x, labels)
        self.is_adapted.assign(1.0)

    def fit_class_means(self, x, labels):
        """Sets the class means after training, where the model has no `own` factors.

        Arguments are as for `adapt`, with labelled rows of every factor.
        """
        if self.averages is not None:
            x = validation.validate_segments(x, self.shape, minimum=2)
            self.averages.adapt(map_batches(self.encode, x), labels)

    def fit(self, x=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, adapting the model to arrays first.

        The class means are set at the end where the arrays have labels of all factors.

        Args:
            x: Dict of `x` and `labels`, or bare segments; or what else Keras takes, a
                data set of such batches say, by a model that is adapted.

        Returns:
            The history.

        Raises:
            ValueError: If arrays are not finite or not of the model's shape, or there
                are none and the model is not adapted.
        """
        inputs = x if isinstance(x, dict) else {"x": x}
        segments, labels = inputs.get("x"), inputs.get("labels")
        has_arrays = hasattr(segments, "__array__")
        if has_arrays:
            segments = validation.validate_segments(segments, self.shape)
            labels = validation.validate_labels(labels, len(segments), self.num_classes)
            if not self.adapted:
                self.adapt(segments, labels)
        elif not self.adapted:
            raise ValueError(
                "A model must be adapted to arrays, by `adapt(x, labels)`, before it "
                f"is fitted to anything else. Received: {type(x).__name__}"
            )
        history = super().fit(x, *args, **kwargs)
        if has_arrays and (labels >= 0).any(axis=0).all():
            self.fit_class_means(segments, labels)
        return history

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean of the losses `y_pred`, weighted where weights are given."""
        return self.mean(ops.zeros_like(y_pred), y_pred, sample_weight)

    def posterior(self, x):
        """`p(class | x)`: dict of each factor to `[batch, classes]`."""
        found = self.log_posterior(x)
        return {factor: ops.exp(values) for factor, values in found.items()}

    def log_posterior(self, x):
        """`log p(class | x)`: dict of each factor to `[batch, classes]`."""
        found = self.classifier.log_posterior(self.encode(x))
        return dict(zip(self.factors, found, strict=True))

    def centres(self, factor):
        """Centres of the classes of a factor, `[classes, dim]`."""
        return self.classifier.centres(self._index(factor))

    def split_latents(self, z):
        """Dict of the named parts of latents; without parts the whole, as `code`."""
        return {"code": z}

    def class_indices(self, labels):
        """Class indices, int32 NumPy `[F]`, of a dict of factors to names of classes.

        They are -1 for factors not given; no such factor or class is a ValueError.
        """
        return validation.class_indices(self.vocabulary, labels)

    def manipulate(self, x, factor, to, *, source=None, alpha=1.0):
        """Changes the class of one factor of segments.

        Args:
            x: `[batch, *shape]`.
            factor: Name of the factor, one of `factors`.
            to: Target: name or index of a class, names or indices `[batch]`, or a
                centre, `[dim]` or `[batch, dim]`, such as `enrol` returns.
            source: What the segments are, the same, with index -1 where it is not
                known. Defaults to the posterior-weighted mean of all centres.
            alpha: How far to shift, a float or `[batch]`. Defaults to `1.0`.

        Returns:
            `[batch, *shape]`.

        Raises:
            ValueError: If a factor, a class or a shape is not the model's, or anything
                is not finite.
        """
        names = self.vocabulary[self.factors[self._index(factor)]]
        x = validation.validate_segments(x, self.shape)
        rows = x.shape[0]
        to = validation.validate_target(to, factor, names, self.dim, rows)
        if source is not None:
            source = validation.validate_target(
                source, factor, names, self.dim, rows, minimum=-1
            )
        alpha = validation.validate_alpha(alpha, rows)
        return self.decode(
            self.shift_latents(self.encode(x), factor, to, source, alpha)
        )

    def shift_latents(self, z, factor, to, source=None, alpha=1.0):
        """Latents `z` `[batch, dim]`, shifted as `manipulate` does it.

        `to` and `source` are class indices or centres, and nothing is validated.
        """
        alpha = ops.convert_to_tensor(alpha, "float32")
        alpha = alpha[:, None] if alpha.ndim else alpha
        change = self._centre(z, factor, to) - self._centre(z, factor, source)
        return z + alpha * change

    def swap(self, x1, x2, factor):
        """Exchanges a factor between two batches of segments, row by row.

        Parts of the latent are exchanged as they are, and swapping twice restores the
        input. Without parts the difference of the posterior-weighted means is
        exchanged, and swapping twice restores it nearly.

        Args:
            x1, x2: `[batch, *shape]` each.
            factor: Name of the factor, one of `factors`.
        """
        self._index(factor)
        x1 = validation.validate_segments(x1, self.shape)
        x2 = validation.validate_segments(x2, self.shape)
        if x1.shape[0] != x2.shape[0]:
            raise ValueError(
                "Batches that are swapped must have as many rows each. "
                f"Received: {x1.shape[0]} and {x2.shape[0]}"
            )
        z1, z2 = self.encode(x1), self.encode(x2)
        if self.has_parts:
            part = self._mask(factor) > 0
            new1, new2 = ops.where(part, z2, z1), ops.where(part, z1, z2)
        else:
            change = self._centre(z2, factor, None) - self._centre(z1, factor, None)
            new1, new2 = z1 + change, z2 - change
        return self.decode(new1), self.decode(new2)

    def enrol(self, x, factor):
        """The centre of a new class of a factor, the mean latent of its segments.

        Of `[n, *shape]` it is `[dim]`, and 0 outside of the factor's part.
        """
        self._index(factor)
        z = self.encode(validation.validate_segments(x, self.shape))
        return self._mask(factor) * ops.mean(z, axis=0)

    def sample(self, labels=None, count=None, seed=0, temperature=1.0):
        """Samples segments.

        Args:
            labels: Dict of factors in `own` to names of classes, for all; or class
                indices, int `[n, F]`, -1 for a class sampled by the priors. Defaults to
                classes sampled by the priors.
            count: How many. Defaults to the rows of `labels`, or 1.
            seed: Which; the first of many are those of few. Defaults to `0`.
            temperature: Scales the noise. Defaults to `1.0`.

        Returns:
            `[count, *shape]`.

        Raises:
            ValueError: If there is no such factor or class, or `count` is below 1 or
                not that of `labels`.
        """
        if isinstance(labels, dict):
            known = {name: self.vocabulary[name] for name in self.own}
            validation.class_indices(known, labels)  # refuses factors not in `own`
            indices = self.class_indices(labels)
            labels = np.tile(indices, (1 if count is None else count, 1))
        if count is None:
            count = 1 if labels is None else len(labels)
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: {count}")
        labels = validation.validate_labels(labels, count, self.num_classes)
        noise = np.random.default_rng(seed).standard_normal((count, self.dim))
        uniform = np.random.default_rng([seed, 1]).random(labels.shape)
        return self.generate(
            noise.astype("float32"), uniform.astype("float32"), labels, temperature
        )

    def generate(self, noise, uniform, labels, temperature=1.0):
        """Segments of given noise, without validation.

        Arguments are as for `flows.models.base_distribution.FactorialNormal.sample`.
        """
        return self.decode(ops.convert_to_tensor(noise) * temperature)

    def _adapt(self, x, labels):
        """What `adapt` sets beside the scaler."""

    def _mask(self, factor):
        """1 where the part of a factor is in a latent, else 0, `[dim]`."""
        return ops.ones((self.dim,))

    def _centre(self, z, factor, given):
        """Centres of class indices or centres; `None` and -1 are inferred from `z`."""
        f = self._index(factor)
        centres = self.classifier.centres(f)
        if given is None:
            return ops.matmul(ops.exp(self.classifier.log_posterior(z)[f]), centres)
        given = ops.convert_to_tensor(given)
        if not keras.backend.is_int_dtype(given.dtype):
            return ops.cast(given, "float32") * self._mask(factor)
        known = ops.take(centres, ops.maximum(given, 0), axis=0)
        return ops.where(given[..., None] < 0, self._centre(z, factor, None), known)

    def _subset(self, x):
        """Up to `MAX_ADAPT_ROWS` of the rows, at random."""
        if len(x) <= MAX_ADAPT_ROWS:
            return x
        order = np.random.default_rng(self.seed).permutation(len(x))
        return x[np.sort(order[:MAX_ADAPT_ROWS])]

    def _scaled(self, x):
        """Scaled segments `[batch, D]` and log-determinants; arrays are validated."""
        if isinstance(x, np.ndarray):
            x = validation.validate_segments(x, self.shape, minimum=0)
        return self.scaler.forward_and_log_det(x)

    def _inputs(self, inputs):
        """Segments `[batch, *shape]` and labels `[batch, F]` of a call's inputs."""
        inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
        x, labels = ops.cast(inputs["x"], "float32"), inputs.get("labels")
        if labels is None:
            labels = ops.full((ops.shape(x)[0], len(self.vocabulary)), -1, "int32")
        return x, ops.cast(labels, "int32")

    def _jittered(self, scaled, training):
        """Scaled segments `[batch, D]`, in training with noise."""
        if not training or not self.jitter:
            return scaled
        noise = keras.random.normal(ops.shape(scaled), seed=self.random_state)
        return scaled + self.jitter * noise

    def _index(self, factor):
        if factor not in self.factors:
            raise ValueError(
                f"Factors must be among {self.factors}. Received: {factor!r}"
            )
        return self.factors.index(factor)

    @classmethod
    def arguments(cls):
        _, *names, _ = inspect.signature(cls.__init__).parameters  # `self`, `kwargs`
        return tuple(names)
