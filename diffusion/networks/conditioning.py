"""Conditioning of a network on the time and the labels.

`condition = MLP(sinusoids of t / T) + sum over attributes of embedding[label]`

Each attribute of a sample (gender, language, ...) has a table of its own, with a row
for label -1, "unknown": any subset may be given. `FiLM` conditions blocks.
"""

import keras
import numpy as np
from keras import layers, ops

from timbre.training.networks import ConfiguredByArguments

MAX_FREQUENCY = 1000.0  # radians from t = 0 to t = T


@keras.saving.register_keras_serializable(package="diffusion")
class TimeFeatures(ConfiguredByArguments, layers.Layer):
    """Sinusoids of `t / T`: `sin(f[k] * t / T), cos(f[k] * t / T)`.

    `f[k]` are spaced evenly in the logarithm from 1 to 1000 radians.

    Args:
        steps: T, the time of pure noise.
        num_features: How many, even and at least 4. Defaults to `64`.

    Call arguments:
        t: Times, int `[batch]`.
    """

    def __init__(self, steps, num_features=64, **kwargs):
        super().__init__(**kwargs)
        if num_features < 4 or num_features % 2:
            raise ValueError(
                f"`num_features` must be even and at least 4. Received: {num_features}"
            )
        self.steps = steps
        self.num_features = num_features

    def call(self, t):
        frequencies = np.geomspace(1, MAX_FREQUENCY, self.num_features // 2)
        angle = ops.expand_dims(ops.cast(t, "float32"), -1) / self.steps
        angle = angle * frequencies.astype("float32")  # [batch, num_features / 2]
        features = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
        return ops.cast(features, self.compute_dtype)

    def compute_output_shape(self, t_shape):
        return (*t_shape, self.num_features)


@keras.saving.register_keras_serializable(package="diffusion")
class LabelEmbeddings(ConfiguredByArguments, layers.Layer):
    """The sum of one embedding for each attribute's label; -1 has one, too.

    Args:
        classes: Number of classes of each attribute; at least one attribute.
        width: Size of the vectors.

    Call arguments:
        labels: Int `[batch, attributes]`, from -1 (unknown) to `classes - 1`.
    """

    def __init__(self, classes, width, **kwargs):
        super().__init__(**kwargs)
        if not classes or min(classes) < 1:
            raise ValueError(
                "`classes` must hold the number of classes, at least 1, of each of at "
                f"least one attribute. Received: {classes}"
            )
        self.classes = tuple(classes)
        self.width = width
        normal = keras.initializers.RandomNormal
        self.tables = [
            layers.Embedding(count + 1, width, normal(0.5), name=f"attribute_{i}")
            for i, count in enumerate(self.classes)
        ]

    def build(self, labels_shape):
        for table in self.tables:
            table.build(labels_shape[:-1])

    def call(self, labels):
        rows = [table(labels[:, i] + 1) for i, table in enumerate(self.tables)]
        return sum(rows[1:], rows[0])


@keras.saving.register_keras_serializable(package="diffusion")
class Conditioning(ConfiguredByArguments, layers.Layer):
    """Time and labels as one vector.

    Args:
        steps: T, the time of pure noise.
        classes: Number of classes of each attribute, `()` for none.
        width: Size of the vector.
        num_features: Sinusoids of the time. Defaults to `64`.

    Call arguments:
        t: Times, int `[batch]`.
        labels: Int `[batch, attributes]`, -1 where unknown.
    """

    def __init__(self, steps, classes, width, num_features=64, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps
        self.classes = tuple(classes)
        self.width = width
        self.num_features = num_features
        self.time = TimeFeatures(steps, num_features, name="time")
        self.first = layers.Dense(width, "silu", name="first")
        self.second = layers.Dense(width, name="second")
        if self.classes:
            self.label = LabelEmbeddings(self.classes, width, name="label")

    def build(self, t_shape, labels_shape):
        self.first.build((*t_shape, self.num_features))
        self.second.build((*t_shape, self.width))
        if self.classes:
            self.label.build(labels_shape)

    def call(self, t, labels):
        condition = self.second(self.first(self.time(t)))
        return condition + self.label(labels) if self.classes else condition


@keras.saving.register_keras_serializable(package="diffusion")
class FiLM(layers.Layer):
    """`x * (1 + scale) + shift`, both affine in the condition, one for each channel.

    Call arguments:
        x: `[batch, ..., channels]`, of any rank from 2 on.
        condition: `[batch, width]`.

    Reference:
        FiLM: visual reasoning with a general conditioning layer (Perez et al., 2018),
        https://arxiv.org/abs/1709.07871
    """

    def build(self, x_shape, condition_shape):
        self.affine = layers.Dense(2 * x_shape[-1], dtype=self.dtype_policy)
        self.affine.build(condition_shape)

    def call(self, x, condition):
        shape = (-1, *(1,) * (x.ndim - 2), 2 * x.shape[-1])
        both = ops.reshape(self.affine(condition), shape)
        scale, shift = ops.split(both, 2, axis=-1)
        return x * (1 + scale) + shift
