"""Denoising: prediction targets, their conversions, loss weights and the model.

From `x_t = signal * x_0 + noise * z` a network may predict the noise `z`, the clean
sample `x_0`, or the velocity `v = signal * z - noise * x_0`. With `signal**2 + noise**2
= 1` each determines the others:

`x_0 = (x_t - noise * z) / signal = signal * x_t - noise * v`
`z = (x_t - signal * x_0) / noise = noise * x_t + signal * v`

and errors convert: `d z**2 = snr * d x_0**2`, `d v**2 = (snr + 1) * d x_0**2`, with
`snr = signal**2 / noise**2`. Where no signal is left, `x_t` is the noise, and
predicting it does not determine `x_0`; the clean sample and the velocity do.

Reference:
    Progressive Distillation (Salimans and Ho, 2022), appendix D,
    https://arxiv.org/abs/2202.00512
"""

import keras
import numpy as np
from keras import ops

from diffusion.noising import NoisedModel, signal_to_noise, unknown_labels
from timbre.training.losses import MeanOverReplicas
from timbre.training.networks import check_choice

PREDICTIONS = ("noise", "clean", "velocity")
WEIGHTINGS = ("plain", "min_snr", "p2")
MAX_SNR = 5.0  # gamma of min-SNR, as published
P2_POWER, P2_OFFSET = 1.0, 1.0  # gamma and k of P2, as published


def to_clean(kind, output, x_t, signal, noise):
    """The clean sample `x_0` of a prediction, shaped as it.

    Args:
        kind: One of `PREDICTIONS`.
        output: The prediction, `[batch, ...]`.
        x_t: The noisy sample, shaped as `output`.
        signal, noise: Levels that broadcast with it; `signal` above 0 for `"noise"`.
    """
    check_choice("kind", kind, PREDICTIONS)
    if kind == "noise":
        return (x_t - noise * output) / signal
    return output if kind == "clean" else signal * x_t - noise * output


def to_noise(kind, output, x_t, signal, noise):
    """The noise of a prediction, as `to_clean`; `noise` above 0 for `"clean"`."""
    check_choice("kind", kind, PREDICTIONS)
    if kind == "clean":
        return (x_t - signal * output) / noise
    return output if kind == "noise" else noise * x_t + signal * output


def target(kind, x_0, z, signal, noise):
    """The target of a network of that kind, shaped as `x_0`."""
    check_choice("kind", kind, PREDICTIONS)
    return {"noise": z, "clean": x_0, "velocity": signal * z - noise * x_0}[kind]


def loss_weight(weighting, prediction, snr):
    """The weight of the squared error at a signal-to-noise ratio.

    `"plain"` weighs errors of the prediction equally. The others weigh errors of the
    noise, `"min_snr"` by `min(snr, 5) / snr` and `"p2"` by `1 / (1 + snr)`, and are
    converted to the equivalent weight of the prediction:

    `weight(clean) = snr * weight(noise)`
    `weight(velocity) = snr / (snr + 1) * weight(noise)`

    Both are 0 where no signal is left: with zero terminal SNR only `"plain"` trains the
    last time.

    Args:
        weighting: One of `WEIGHTINGS`.
        prediction: One of `PREDICTIONS`.
        snr: `signal**2 / noise**2`, finite, a float or NumPy array; the weight is
            shaped as it.

    Reference:
        Min-SNR (Hang et al., 2023), https://arxiv.org/abs/2303.09556, section 3.4;
        P2 (Choi et al., 2022), https://arxiv.org/abs/2204.00227, equation 8
    """
    check_choice("weighting", weighting, WEIGHTINGS)
    check_choice("prediction", prediction, PREDICTIONS)
    if weighting == "plain":
        return np.ones_like(snr, dtype="float64")
    if weighting == "min_snr":
        weight = MAX_SNR / np.maximum(snr, MAX_SNR)
    else:
        weight = 1 / (P2_OFFSET + snr) ** P2_POWER
    return weight * {"noise": 1, "clean": snr, "velocity": snr / (snr + 1)}[prediction]


@keras.saving.register_keras_serializable(package="diffusion")
class Denoiser(NoisedModel):
    """A denoising model: a network with its schedule, target, loss and weighting.

    `loss = weight(snr[t]) * mean((target - network(x_t, t, labels))**2)`

    Samplers call `denoise`. Labels are dropped at random in training, so that the same
    network is also an unconditional one, which classifier-free guidance needs.

    Args:
        network: Maps `(x, t, labels)` to something shaped as `x`; has `steps` and
            `classes` (see `diffusion.networks`).
        schedule: Dict of arguments of `diffusion.schedules.build`.
        prediction: `"noise"`, `"clean"` or `"velocity"`. Defaults to `"velocity"`.
        weighting: `"plain"`, `"min_snr"` or `"p2"`. Defaults to `"plain"`.
        label_dropout: Probability that all labels of a sample are dropped together,
            and that each of several is dropped alone, so that any subset may be given.
            Defaults to `0.1`.
        seed: Seed of times, noise and dropped labels. Defaults to `0`.

    Call arguments:
        inputs: Dict of `x_0`, `[batch, ...]`, and `labels`, int `[batch, attributes]`;
            or `x_0` alone, all labels then being unknown.

    Returns:
        The loss of each sample at a random time, `[batch]`.

    Raises:
        ValueError: If the network predicts noise and no signal is left at T.

    Example:
        ```python
        network = registry.build(dim=64, steps=1000)
        denoiser = Denoiser(network, schedule={"name": "cosine", "steps": 1000})
        denoiser.compile(optimizer=keras.optimizers.Adam(1e-3))
        denoiser.fit(x_0, epochs=10)
        ```

    Reference:
        Denoising Diffusion Probabilistic Models (Ho et al., 2020), equation 14,
        https://arxiv.org/abs/2006.11239; Classifier-free diffusion guidance (Ho and
        Salimans, 2022), algorithm 1, https://arxiv.org/abs/2207.12598
    """

    def __init__(
        self,
        network,
        schedule,
        prediction="velocity",
        weighting="plain",
        label_dropout=0.1,
        seed=0,
        **kwargs,
    ):
        super().__init__(schedule, seed, **kwargs)
        check_choice("prediction", prediction, PREDICTIONS)
        if not 0 <= label_dropout <= 1:
            raise ValueError(
                f"`label_dropout` must be between 0 and 1. Received: {label_dropout}"
            )
        if prediction == "noise" and self.levels.signal[-1] == 0:
            raise ValueError(
                "`prediction` must be 'velocity' or 'clean' where the schedule ends "
                "without signal (zero terminal SNR): at T the noisy sample is the "
                "noise, and x_0 does not follow from it. Received: 'noise'"
            )
        self.check_steps(network)
        self.network = network
        self.prediction = prediction
        self.weighting = weighting
        self.label_dropout = label_dropout
        snr = signal_to_noise(self.levels)[1:]
        weight = loss_weight(weighting, prediction, snr)
        self._weight = np.append(0, weight).astype("float32")  # by t, from 0 on
        self.mean = MeanOverReplicas()
        self.built = network.built  # it has no weights but the network's

    def call(self, inputs, training=None):
        inputs = inputs if isinstance(inputs, dict) else {"x_0": inputs}
        x_0 = ops.cast(inputs["x_0"], "float32")
        labels = self._labels(inputs.get("labels"), x_0)
        t, z = self.sample_times_and_noise(x_0)
        if training and self.network.classes:
            labels = self.drop_labels(labels)
        return self.losses_at(x_0, t, z, labels, training=training)

    def losses_at(self, x_0, t, z, labels, training=None):
        """The loss of each sample `[batch]` at times `t` `[batch]` with noise `z`."""
        x_t = self.add_noise(x_0, t, z)
        output = ops.cast(self.network((x_t, t, labels), training=training), x_t.dtype)
        signal, noise = self.signal_and_noise(t, x_0)
        error = output - target(self.prediction, x_0, z, signal, noise)
        error = ops.mean(ops.square(error), axis=range(1, x_0.ndim))
        return ops.take(self._weight, t) * error

    def drop_labels(self, labels):
        """Labels `[batch, attributes]`, some of them replaced by -1; see the class."""
        rows, attributes = ops.shape(labels)[0], labels.shape[1]
        chance = keras.random.uniform((rows, attributes + 1), seed=self.random_state)
        lost = chance < self.label_dropout
        lost = lost[:, :1] | lost[:, 1:] if attributes > 1 else lost[:, :1]
        return ops.where(lost, -1, labels)

    def _labels(self, labels, x):
        if labels is None:
            return unknown_labels(x, len(self.network.classes))
        return ops.cast(labels, "int32")

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean of the losses `y_pred`, weighted by `sample_weight`."""
        return self.mean(ops.zeros_like(y_pred), y_pred, sample_weight)

    def denoise(self, x_t, t, labels=None):
        """The estimate of the clean samples, float32, shaped as `x_t`.

        Args:
            x_t: Noisy samples, `[batch, ...]`.
            t: Their times in 1, ..., T, int `[batch]`, or one for all.
            labels: Int `[batch, attributes]`, -1 where unknown. Defaults to unknown.
        """
        x_t, t = ops.cast(x_t, "float32"), ops.cast(t, "int32")
        # one row of times and labels where they are the same for all: it broadcasts
        rows = x_t[:1] if t.ndim == 0 and labels is None else x_t
        labels = self._labels(labels, rows)
        t = ops.broadcast_to(t, ops.shape(rows)[:1])
        output = self.network((x_t, t, labels), training=False)
        output = ops.broadcast_to(ops.cast(output, x_t.dtype), ops.shape(x_t))
        signal, noise = self.signal_and_noise(t, x_t)
        return to_clean(self.prediction, output, x_t, signal, noise)

    def get_config(self):
        names = ("prediction", "weighting", "label_dropout", "seed", "name")
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "schedule": dict(self.schedule),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
