"""Coders: segments to codes and back, and whose codes lie where.

`z = encode(x)`, `x = decode(z)`. Each factor (phone, speaker, ...) has a centre for
each of its classes among the codes. Models that learn classes have centres that are 0
outside of the factor's own part; for others they are averages of whole codes, set by
`fit_class_means`.

What is asked by name, and arrays, are checked: inside of a `tf.function` there is
nothing to check, and the same methods take tensors.
"""

import keras
import numpy as np
from keras import ops

from flows.batching import map_batches
from flows.models.class_means import ClassMeans
from flows.models.manipulation import Manipulation
from flows.models.sampling import Sampling
from flows.validation import (
    class_indices,
    concrete,
    extract_arrays,
    validate_labels,
    validate_segments,
    validate_vocabulary,
)
from timbre.training.losses import MeanOverReplicas

SOME = 10_000  # most rows that scales and directions are found by


class LatentModel(Manipulation, Sampling, keras.Model):
    """What a VAE and the flows share; a member writes `call`, `encode` and `decode`.

    A member calls it with `{"x": [batch, *shape], "labels": int [batch, F]}`, or bare
    `x` where no label is known, and gives the loss of each row, `[batch]`. Labels have
    a column for each factor of `vocabulary`, -1 where missing.

    Args:
        scaler: A `flows.bijectors.normalisation.Scaler` of the segments.
        vocabulary: Dict, each factor of the data to the names of its classes in the
            order of their codes.
        dim: Dimensions of a code.
        own: The factors whose classes the model learns; the averages of codes stand in
            for all factors where it learns none.
        jitter: Deviation of the noise added to segments in training, in deviations of
            the data. Replicas each train on rows of their own, but draw the same noise,
            as well as the same hidden labels. Defaults to `0.0`.
        seed: Of all noise in training, and of the rows that scales are found by.
            Defaults to `0`.
        **kwargs: Arguments of `keras.Model`.

    Attributes:
        factors: The factors it can tell and change: `own`, or all.
        averages: A `flows.models.class_means.ClassMeans`, or `None` where it learns classes.
    """

    MADE_OF = ("scaler",)  # arguments of a member that are layers

    def __init__(
        self, scaler, vocabulary, *, dim, own=(), jitter=0.0, seed=0, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self.vocabulary = {name: tuple(names) for name, names in vocabulary.items()}
        validate_vocabulary(self.vocabulary, own)
        if jitter < 0:
            raise ValueError(f"`jitter` must be at least 0. Received: {jitter}")
        self.scaler, self.dim = scaler, dim
        self.shape = tuple(scaler.shape)
        self.own, self.jitter, self.seed = tuple(own), jitter, seed
        self.factors = self.own or tuple(self.vocabulary)
        if not scaler.built:
            scaler.build((None, *self.shape))
        self.averages = None if self.own else ClassMeans(self.sizes, dim)
        self.random_state = keras.random.SeedGenerator(seed)
        self.mean = MeanOverReplicas()
        self.is_adapted = self.add_weight(
            name="is_adapted", shape=(), initializer="zeros", trainable=False
        )
        self.built = True  # members build what they hold

    def encode(self, x):
        """Codes `[batch, dim]` of segments `[batch, *shape]`."""
        raise NotImplementedError

    def decode(self, z):
        """Segments `[batch, *shape]` of codes `[batch, dim]`."""
        raise NotImplementedError

    @property
    def sizes(self):
        """How many classes each factor of the data has."""
        return tuple(len(names) for names in self.vocabulary.values())

    @property
    def adapted(self):
        """Whether `adapt` has been called, ever: it is saved with the weights."""
        return bool(ops.convert_to_numpy(self.is_adapted))

    @property
    def classifier(self):
        """What knows classes: a member's own base, or else the averages.

        Raises:
            RuntimeError: If the averages have not been set.
        """
        is_set = concrete(self.averages.is_set)
        if is_set is not None and not is_set:
            raise RuntimeError(
                "A model that learns no classes knows them after `fit_class_means(x, labels)`"
            )
        return self.averages

    def adapt(self, x, labels=None):
        """Sets what depends on data before training: scales, first centres and priors.

        Scales are found by up to 10,000 rows, drawn by lot; centres and priors count
        all rows.

        Args:
            x: Segments, finite, NumPy `[n, *shape]`, two or more.
            labels: Int NumPy `[n, F]`, -1 where missing; `None`: all are.

        Raises:
            ValueError: If they are not that, or a factor that the model learns has no
                labelled row.
        """
        x = validate_segments(x, self.shape, least=2)
        labels = validate_labels(labels, len(x), self.sizes)
        self.scaler.adapt(self._some(x, SOME))
        self._start(x, labels)
        self.is_adapted.assign(1.0)

    def fit_class_means(self, x, labels):
        """Sets the averages after training; nothing where classes are learned.

        Args:
            x, labels: As for `adapt`, with labelled rows of every factor.
        """
        if self.averages is not None:
            x = validate_segments(x, self.shape, least=2)
            self.averages.adapt(map_batches(self.encode, x), labels)

    def fit(self, x=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, on arrays without further ado.

        A model that was never adapted is adapted to the arrays first, and labelled
        arrays are summarised at the end.

        Args:
            x: Dict of `x` and `labels`, or bare segments; or what else Keras takes, a
                data set of such batches say, by a model that is adapted.
            *args, **kwargs: For `keras.Model.fit`.

        Returns:
            The history.

        Raises:
            ValueError: If arrays are not finite or not of the model's shape, or if the
                model is not adapted and these are no arrays.
        """
        arrays = extract_arrays(x)
        if arrays is not None:
            segments, labels = validate_segments(arrays[0], self.shape), arrays[1]
            labels = validate_labels(labels, len(segments), self.sizes)
            if not self.adapted:
                self.adapt(segments, labels)
        elif not self.adapted:
            raise ValueError(
                "A model must be adapted to arrays, by `adapt(x, labels)`, before it "
                f"is fitted to anything else. Received: {type(x).__name__}"
            )
        history = super().fit(x, *args, **kwargs)
        if arrays is not None and (labels >= 0).any(axis=0).all():
            self.fit_class_means(segments, labels)
        return history

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean of the losses `y_pred`, weighted if so asked."""
        return self.mean(ops.zeros_like(y_pred), y_pred, sample_weight)

    def posterior(self, x):
        """`p(class | x)`: dict of each factor to `[batch, classes]`."""
        told = self.log_posteriors(x)
        return {factor: ops.exp(values) for factor, values in told.items()}

    def log_posteriors(self, x):
        """Logarithms of `posterior`."""
        told = self.classifier.log_posterior(self.encode(x))
        return dict(zip(self.factors, told, strict=True))

    def centres(self, factor):
        """Centres of the classes of a factor, `[classes, dim]`."""
        return self.classifier.centres(self._index(factor))

    def parts(self, z):
        """Codes cut into named parts; `code` where they are undivided."""
        return {"code": z}

    def codes(self, labels):
        """Codes of a dict of factors to names of classes.

        Returns:
            Int32 NumPy `[F]`, -1 for factors not given.

        Raises:
            ValueError: If there is no such factor, or no such class of it.
        """
        return class_indices(self.vocabulary, labels)

    # What members use, or replace

    @property
    def has_parts(self):
        """Whether factors have parts of their own in a code."""
        return False

    def _start(self, x, labels):
        """What `adapt` sets beside the scaler."""

    def _mask(self, factor):
        """1 where the part of a factor is in a code, else 0, `[dim]`."""
        return ops.ones((self.dim,))

    def _some(self, x, most):
        """Up to `most` of the rows, by lot."""
        if len(x) <= most:
            return x
        order = np.random.default_rng(self.seed).permutation(len(x))
        return x[np.sort(order[:most])]

    def _scaled(self, x):
        """Scaled segments `[batch, D]` and log-determinants; arrays must be finite."""
        if isinstance(x, np.ndarray):
            x = validate_segments(x, self.shape, least=0)
        return self.scaler.forward_and_log_det(x)

    def _inputs(self, inputs):
        """Segments `[batch, *shape]` and labels `[batch, F]` of what a model got."""
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
    def from_config(cls, config):
        layers = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in cls.MADE_OF
        }
        return cls(**{**config, **layers})

    def _config(self, *names):
        """What `get_config` gives: layers, vocabulary and arguments by their names."""
        layers = {name: getattr(self, name) for name in self.MADE_OF}
        return {
            **{k: keras.saving.serialize_keras_object(v) for k, v in layers.items()},
            "vocabulary": {k: list(v) for k, v in self.vocabulary.items()},
            **{name: getattr(self, name) for name in (*names, "name")},
        }
