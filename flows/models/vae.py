"""The baseline: a Gaussian variational autoencoder, without an exact inverse.

`log p(x) >= E[log N(x; decoder(z), deviation)] - KL(N(m, s) || N(0, 1)) = elbo(x)`

with `z = m + s * noise` and `m, log s**2 = encoder(x)`, in nats, by one noise sample.
The latent of a segment is `m`. Labels are not used in training.

Reference:
    Auto-Encoding Variational Bayes (Kingma and Welling, 2013), equation 10 and appendix
    C.2, https://arxiv.org/abs/1312.6114; `beta` is that of beta-VAE (Higgins et al.,
    2017), https://openreview.net/forum?id=Sy2fzU9gl
"""

import math

import keras
from keras import ops

from flows.bijectors.base import ConfigurableLayer
from flows.gaussian import log_normal
from flows.models.latent_model import LatentModel

MAX_LOG_VARIANCE = 10.0  # of a latent, either way
MAX_LOG_DEVIATION = math.log(1e3)  # of a decoder, either way


@keras.saving.register_keras_serializable(package="flows")
class Perceptron(ConfigurableLayer):
    """A multilayer perceptron: hidden layers with ReLU, then a linear one.

    Args:
        hidden: Widths of the hidden layers. Defaults to `(256, 256)`.
        outputs: Width of the last. Defaults to `1`.
        seed: Of the first weights. Defaults to `0`.

    Call arguments:
        x: `[batch, inputs]`.

    Returns:
        `[batch, outputs]`.
    """

    def __init__(self, hidden=(256, 256), outputs=1, seed=0, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.hidden = tuple(hidden)
        self.outputs = outputs
        self.seed = seed
        self._layers_in_turn = [
            keras.layers.Dense(
                width,
                activation="relu" if i < len(hidden) else None,
                kernel_initializer=keras.initializers.GlorotUniform(seed + i),
                dtype="float32",
            )
            for i, width in enumerate((*self.hidden, outputs))
        ]

    def build(self, input_shape):
        for layer in self._layers_in_turn:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, x):
        for layer in self._layers_in_turn:
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)


@keras.saving.register_keras_serializable(package="flows")
class VAE(LatentModel):
    """A Gaussian variational autoencoder (VAE) of segments.

    Args:
        encoder: A layer, scaled segments `[batch, D]` to `[batch, 2 * latent]`.
        decoder: A layer, `[batch, latent]` to `[batch, D]`.
        scaler, vocabulary, jitter, seed: As for `LatentModel`.
        latent: Dimensions of a latent. Defaults to `32`.
        beta: Weight of the divergence in training. Defaults to `1.0`.
        deviation: Of the decoder, in deviations of the data. Defaults to `None`, which
            learns one for all numbers.

    Call arguments:
        inputs: Dict of `x`, `[batch, *shape]`, and perhaps `labels`; or bare `x`.

    Returns:
        The loss of each row in nats, `[batch]`: `-elbo` of scaled segments where `beta`
        is 1. In training the noise is sampled anew, otherwise it is always the same.

    Raises:
        ValueError: If a width does not fit, or a number is out of its range.
    """

    def __init__(
        self,
        encoder,
        decoder,
        scaler,
        vocabulary,
        latent=32,
        beta=1.0,
        deviation=None,
        jitter=0.0,
        seed=0,
        **kwargs,
    ):
        if beta < 0 or (deviation is not None and deviation <= 0):
            raise ValueError(
                "`beta` must be at least 0 and `deviation` above 0. "
                f"Received: beta={beta}, deviation={deviation}"
            )
        super().__init__(scaler, vocabulary, latent, jitter=jitter, seed=seed, **kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.latent = latent
        self.beta = beta
        self.deviation = deviation
        numbers = math.prod(self.shape)
        _build("encoder", encoder, numbers, 2 * latent)
        _build("decoder", decoder, latent, numbers)
        if deviation is None:
            self._log_deviation = self.add_weight(
                name="log_deviation",
                shape=(),
                initializer="zeros",
                constraint=_clip,  # a step beyond the bound can come back
            )

    def call(self, inputs, training=None):
        x, _ = self._inputs(inputs)
        scaled = self._jittered(self.scaler.forward(x), training)
        seed = self.random_state if training else 0
        reconstruction, divergence = self._terms(scaled, seed)
        return reconstruction + self.beta * divergence

    def encode(self, x):
        return self._approximate_posterior(self._scaled(x)[0])[0]

    def decode(self, z):
        return self.scaler.inverse(self.decoder(ops.convert_to_tensor(z, "float32")))

    def elbo(self, x, seed=0):
        """Evidence lower bound of scaled segments, nats, by one noise sample."""
        return self._bound(x, seed)[0]

    def log_prob(self, x, labels=None, seed=0):
        """`elbo` in the units of the features; labels are ignored."""
        return ops.add(*self._bound(x, seed))

    def _bound(self, x, seed):
        """The bound of scaled segments and their log-determinants, `[batch]` each."""
        scaled, log_det = self._scaled(x)
        reconstruction, divergence = self._terms(scaled, seed)
        return -reconstruction - divergence, log_det

    def _approximate_posterior(self, scaled):
        """Mean and log-variance of `q(z | x)` of scaled segments, `[batch, latent]`."""
        mean, log_variance = ops.split(self.encoder(scaled), 2, axis=-1)
        return mean, ops.clip(log_variance, -MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)

    def _terms(self, scaled, seed):
        """Negative log-likelihood and KL divergence, in nats, `[batch]` each."""
        mean, log_variance = self._approximate_posterior(scaled)
        noise = keras.random.normal(ops.shape(mean), seed=seed)
        z = mean + ops.exp(log_variance / 2) * noise
        if self.deviation is None:
            log_deviation = _clip(self._log_deviation)
        else:
            log_deviation = math.log(self.deviation)
        reconstruction = -log_normal(scaled, self.decoder(z), 2 * log_deviation)
        square = ops.square(mean) + ops.exp(log_variance) - log_variance - 1
        return reconstruction, 0.5 * ops.sum(square, axis=-1)


def _clip(log_deviation):
    return ops.clip(log_deviation, -MAX_LOG_DEVIATION, MAX_LOG_DEVIATION)


def _build(name, layer, inputs, outputs):
    """Builds a layer and checks its output width."""
    if not layer.built:
        layer.build((None, inputs))
    width = layer.compute_output_shape((None, inputs))[-1]
    if width != outputs:
        raise ValueError(
            f"`{name}` must give {outputs} numbers for {inputs}. Received: {width}"
        )
