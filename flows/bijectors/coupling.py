"""Couplings: some of the channels stay, and say how the others move.

`z_a = x_a` and `z_b = f(x_b; conditioner(x_a, context))`, where `f` acts on every
number by itself. Whatever the conditioner is, the map can be undone, for `x_a` is
still there, and its Jacobian is triangular: `log_det` is the sum of `log |f'|`.
A coupling is the identity until it is trained.
"""

import keras
from keras import ops

from flows.bijectors.base import Bijector, event_sum
from flows.bijectors.conditioner import Conditioner


class Coupling(Bijector):
    """What couplings share; a member writes `num_parameters` and `_move`.

    Args:
        hidden: Widths of the conditioner's hidden layers. Defaults to `(128, 128)`.
        context_dim: Channels of the context, 0 for none. Defaults to `0`.
        swap: Whether the first channels move and not the others. Defaults to `False`.
        seed: Of the conditioner's first weights. Defaults to `0`.
        split: How many channels are the first ones. Defaults to half of them; of an
            odd number the second half is the larger one.

    Call arguments:
        x: `[batch, ..., channels]`, two channels or more.
        context: `[batch, ..., context_dim]`, axes as `x` has, or of length 1.

    Raises:
        ValueError: If no channel moves or none tells, or there is no context where one
            is needed.

    Reference:
        Density estimation using Real NVP (Dinh et al., 2016), section 3.2.
        https://arxiv.org/abs/1605.08803
    """

    ARGUMENTS = ("hidden", "context_dim", "swap", "seed", "split")

    def __init__(
        self,
        hidden=(128, 128),
        context_dim=0,
        swap=False,
        seed=0,
        split=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = tuple(hidden)
        self.context_dim = context_dim
        self.swap = swap
        self.seed = seed
        self.split = split

    @property
    def num_parameters(self):
        """How many numbers say how one number moves."""
        raise NotImplementedError

    def _move(self, x, parameters, inverse):
        """`x` moved (or back), `[..., moved]`, and its `log |f'|`, shaped alike.

        `parameters` are `[..., moved, num_parameters]`; where they are all zero,
        nothing moves.
        """
        raise NotImplementedError

    def build(self, input_shape):
        channels = input_shape[-1]
        self.first = channels // 2 if self.split is None else self.split
        if not 0 < self.first < channels:
            raise ValueError(
                "A coupling needs two channels or more, some to tell and some to move. "
                f"Received: {channels}, of shape {tuple(input_shape)}, split at "
                f"{self.first}"
            )
        sides = (self.first, channels - self.first)
        told, moved = reversed(sides) if self.swap else sides
        self.conditioner = Conditioner(
            self.hidden,
            moved * self.num_parameters,
            self.context_dim,
            self.seed,
            dtype=self.dtype_policy,
        )
        self.conditioner.build((*input_shape[:-1], told))

    def _forward(self, x, context):
        return self._coupled(x, context, inverse=False)

    def _inverse(self, z, context):
        return self._coupled(z, context, inverse=True)

    def _coupled(self, x, context, inverse):
        first, second = x[..., : self.first], x[..., self.first :]
        told, moved = (second, first) if self.swap else (first, second)
        parameters = ops.reshape(
            self.conditioner(told, context),
            (*ops.shape(moved), self.num_parameters),
        )
        moved, log_slope = self._move(moved, parameters, inverse)
        sides = (moved, told) if self.swap else (told, moved)
        return ops.concatenate(sides, axis=-1), event_sum(log_slope)

    def get_config(self):
        own = {name: getattr(self, name) for name in self.ARGUMENTS}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="flows")
class AffineCoupling(Coupling):
    """Some of the channels are scaled and shifted as the others say.

    `z_b = x_b * exp(log_scale) + shift`, with `log_scale = bound * tanh(raw / bound)`:
    no number grows or shrinks by more than `exp(bound)`.

    Args:
        hidden, context_dim, swap, seed, split: See `Coupling`.
        bound: Largest log-scale, a float > 0. Defaults to `2.0`.

    Call arguments:
        x, context: See `Coupling`.
    """

    ARGUMENTS = (*Coupling.ARGUMENTS, "bound")
    num_parameters = 2

    def __init__(self, hidden=(128, 128), context_dim=0, bound=2.0, **kwargs):
        super().__init__(hidden, context_dim, **kwargs)
        if not bound > 0:
            raise ValueError(f"`bound` must be above 0. Received: bound={bound}")
        self.bound = bound

    def _move(self, x, parameters, inverse):
        raw, shift = parameters[..., 0], parameters[..., 1]
        log_scale = self.bound * ops.tanh(raw / self.bound)
        if inverse:
            return (x - shift) * ops.exp(-log_scale), -log_scale
        return x * ops.exp(log_scale) + shift, log_scale
