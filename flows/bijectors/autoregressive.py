"""Masked autoregressive flow (MAF): each channel is an affine map given those before.

`z[i] = (x[i] - shift[i]) * exp(-log_scale[i])`, both functions of `x[:i]` alone, so the
Jacobian is triangular and `log_det = -sum(log_scale)`. One masked network (MADE)
predicts the shifts and log-scales of all channels in one pass.

Forward is one pass, inverse one for each channel. `Inverse` of it is the inverse
autoregressive flow (IAF): fast to sample from, slow to estimate densities with.

Reference:
    MADE (Germain et al., 2015), equations 8 to 13, https://arxiv.org/abs/1502.03509;
    Masked Autoregressive Flow (Papamakarios et al., 2017), equations 3 to 5,
    https://arxiv.org/abs/1705.07057; Inverse Autoregressive Flow (Kingma et al., 2016),
    https://arxiv.org/abs/1606.04934
"""

from itertools import pairwise

import keras
import numpy as np
from keras import layers, ops

from flows.bijectors.base import Bijector, ConfigurableLayer, check_context, event_sum


@keras.saving.register_keras_serializable(package="flows")
class MaskedDense(ConfigurableLayer):
    """A dense layer with masked connections.

    `y = x @ (kernel * mask) + bias`, with `mask[i, j] = after[j] >= before[i]`: a unit
    depends on inputs of its own degree or lower. A degree is the last channel, in the
    order, that an input or unit depends on.

    Args:
        before: Degree of each input, ints.
        after: Degree of each unit.
        kernel_initializer: Defaults to `"glorot_uniform"`.

    Call arguments:
        x: `[batch, ..., inputs]`.

    Returns:
        `y`, `[batch, ..., units]`.
    """

    def __init__(self, before, after, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.before = tuple(int(degree) for degree in before)
        self.after = tuple(int(degree) for degree in after)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        self.mask = np.greater_equal.outer(self.after, self.before).T  # [inputs, units]
        self.kernel = self.add_weight(
            shape=self.mask.shape, initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(
            shape=self.mask.shape[1:], initializer="zeros", name="bias"
        )

    @property
    def masked(self):
        """The kernel, zero where connections are masked, `[inputs, units]`."""
        return self.kernel * ops.cast(self.mask, self.kernel.dtype)

    def call(self, x):
        return x @ self.masked + self.bias


@keras.saving.register_keras_serializable(package="flows")
class MADE(ConfigurableLayer):
    """Predicts shift and log-scale of each channel from the channels before it alone.

    Degrees of hidden units are spread evenly over the order. Where there is a context,
    the first of them depend on it alone and pass it on to all channels; a layer of one
    unit has only that one, or the first channel's.

    Args:
        dim: Number of channels.
        hidden, context_dim, reverse, orthogonal, seed: See `MaskedAutoregressive`. If
            not `orthogonal` the last kernel begins at zero, and so do all results.

    Call arguments:
        x: `[batch, ..., dim]`.
        context: `[batch, ..., context_dim]`, with as many axes.

    Returns:
        Shifts and log-scales, each shaped as `x`.
    """

    def __init__(
        self,
        dim,
        hidden=(128, 128),
        context_dim=0,
        reverse=False,
        orthogonal=False,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.hidden = tuple(hidden)
        self.context_dim = context_dim
        self.reverse = reverse
        self.orthogonal = orthogonal
        self.seed = seed

    def build(self, x_shape, context_shape=None):
        order = np.arange(self.dim)[:: -1 if self.reverse else 1]
        degrees = [order, *(self._degrees(width) for width in self.hidden)]
        degrees.append(np.tile(order - 1, 2))  # of shifts, of log-scales
        seeds = np.random.default_rng(self.seed).integers(2**31, size=len(degrees))
        self.stack = []
        for i, (before, after) in enumerate(pairwise(degrees)):
            start = self._initializer(seeds[i], last=i == len(self.hidden))
            layer = MaskedDense(before, after, start, dtype=self.dtype_policy)
            layer.build((None, len(before)))
            self.stack.append(layer)
        if self.context_dim:
            self.told = layers.Dense(  # the name is that of weights on disk
                self.hidden[0],
                use_bias=False,
                kernel_initializer=self._initializer(seeds[-1], last=False),
                dtype=self.dtype_policy,
            )
            self.told.build((None, self.context_dim))

    def call(self, x, context=None):
        predict = self.predictor(len(x.shape), context)
        return ops.split(predict(x), 2, axis=-1)

    def predictor(self, rank, context=None):
        """Prepares masked kernels and the context's term, once for many passes.

        Args:
            rank: Number of axes of `x`.
            context: See the class.

        Returns:
            A function of `x` `[batch, ..., dim]`, which gives `[batch, ..., 2 * dim]`,
            or of `x` and a channel, an int32 scalar, which gives `[batch, ..., 2]`.
        """
        from_context = 0.0
        if self.context_dim:
            check_context(context, rank, self.context_dim)
            from_context = self.told(context)
        kernels = [layer.masked for layer in self.stack]
        biases = [ops.convert_to_tensor(layer.bias) for layer in self.stack]
        last = [ops.reshape(w, (-1, 2, self.dim)) for w in (kernels[-1], biases[-1])]

        def predict(x, channel=None):
            h = ops.relu(x @ kernels[0] + biases[0] + from_context)
            for kernel, bias in zip(kernels[1:-1], biases[1:-1], strict=True):
                h = ops.relu(h @ kernel + bias)
            if channel is None:
                return h @ kernels[-1] + biases[-1]
            kernel, bias = [ops.take(w, channel, axis=-1) for w in last]
            return h @ kernel + bias

        return predict

    def _initializer(self, seed, last):
        if self.orthogonal:
            return keras.initializers.Orthogonal(seed=int(seed))
        return "zeros" if last else keras.initializers.GlorotUniform(int(seed))

    def _degrees(self, width):
        """Degrees of hidden units; none depends on the last channel."""
        lowest = -1 if self.context_dim else 0
        steps = max(self.dim - 1 - lowest, 1)
        if width >= steps:
            return np.arange(width) % steps + lowest
        return np.arange(width) * (steps - 1) // max(width - 1, 1) + lowest


@keras.saving.register_keras_serializable(package="flows")
class MaskedAutoregressive(Bijector):
    """`z[i] = (x[i] - shift[i]) * exp(-log_scale[i])`, both of `x[:i]` and the context.

    Acts on the channels of each place of the event, all places alike. The inverse is a
    loop of the graph, traced once: differentiable, though not under TensorFlow's XLA.

    Args:
        hidden: Widths of the network's hidden layers. Defaults to `(128, 128)`.
        context_dim: Size of the context. Defaults to `0`, none.
        reverse: Whether the order runs from last to first. Defaults to `False`.
        bound: Largest log-scale, `bound * tanh(raw / bound)`; `None` sets no bound.
            Defaults to `2.0`.
        orthogonal: Whether all kernels begin orthogonal, as in the released code of
            DNF; else the map begins as the identity. Defaults to `False`.
        seed: Of the first weights. Defaults to `0`.

    Call arguments:
        x: `[batch, ..., channels]`.
        context: `[batch, ..., context_dim]`.
    """

    def __init__(
        self,
        hidden=(128, 128),
        context_dim=0,
        reverse=False,
        bound=2.0,
        orthogonal=False,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if bound is not None and bound <= 0:
            raise ValueError(f"`bound` must be above 0, or None. Received: {bound}")
        self.hidden = tuple(int(width) for width in hidden)
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(
                f"`hidden` must name widths of at least 1. Received: {self.hidden}"
            )
        self.context_dim = context_dim
        self.reverse = reverse
        self.bound = bound
        self.orthogonal = orthogonal
        self.seed = seed

    def build(self, input_shape):
        self.made = MADE(
            input_shape[-1],
            self.hidden,
            context_dim=self.context_dim,
            reverse=self.reverse,
            orthogonal=self.orthogonal,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="made",
        )
        self.made.build(input_shape)

    def _forward(self, x, context):
        shift, log_scale = self.made(x, context)
        log_scale = self._bounded(log_scale)
        z = (x - shift) * ops.exp(-log_scale)
        return z, -event_sum(log_scale)

    def _inverse(self, z, context):
        rank = len(z.shape)
        predict = self.made.predictor(rank, context)
        dim, places = z.shape[-1], tuple(range(1, rank - 1))

        def next_channel(i, state):
            x, log_det = state
            channel = dim - 1 - i if self.reverse else i
            parameters = predict(x, channel)
            shift = parameters[..., 0]
            log_scale = self._bounded(parameters[..., 1])
            value = ops.take(z, channel, axis=-1) * ops.exp(log_scale) + shift
            x = x + value[..., None] * ops.one_hot(channel, dim, dtype=z.dtype)
            return x, log_det + ops.sum(log_scale, axis=places)

        x = ops.zeros_like(z)
        return ops.fori_loop(0, dim, next_channel, (x, event_sum(x)))

    def _bounded(self, log_scale):
        if self.bound is None:
            return log_scale
        return self.bound * ops.tanh(log_scale / self.bound)
