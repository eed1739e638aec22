"""A noise-conditional classifier, `log p(label | x_t, t)`, for classifier guidance."""

import keras
from keras import layers, ops

from diffusion.networks.conditioning import Conditioning
from diffusion.networks.resmlp import ResidualBlock
from diffusion.noising import NoisedModel, unknown_labels
from timbre.training.networks import ConfiguredByArguments


@keras.saving.register_keras_serializable(package="diffusion")
class NoiseConditionalClassifier(ConfiguredByArguments, NoisedModel):
    """Classifies noisy vectors; `compile` and `fit(x_0, labels)` train it.

    Args:
        dim: Size of a sample.
        num_classes: Number of classes, at least 2.
        schedule: Dict of arguments of `diffusion.schedules.build`.
        width: Units of the residual stream. Defaults to `256`.
        num_blocks: Residual blocks. Defaults to `2`.
        dropout: Dropout rate of the hidden layers. Defaults to `0`.
        seed: Seed of times, noise and dropout. Defaults to `0`.

    Call arguments:
        x_0: Clean samples, `[batch, dim]`.

    Returns:
        Logits `[batch, num_classes]` of the samples, noised to random times. Labels of
        -1 (unknown) have no loss.

    Reference:
        Diffusion models beat GANs on image synthesis (Dhariwal and Nichol, 2021),
        section 4, https://arxiv.org/abs/2105.05233
    """

    def __init__(
        self,
        dim,
        num_classes,
        schedule,
        width=256,
        num_blocks=2,
        dropout=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(schedule, seed, **kwargs)
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` must be at least 2. Received: {num_classes}"
            )
        self.dim = dim
        self.num_classes = num_classes
        self.width = width
        self.num_blocks = num_blocks
        self.dropout = dropout
        steps = self.levels.steps
        self.conditioning = Conditioning(steps, (), width, name="condition")
        self.enter = layers.Dense(width, name="enter")
        self.blocks = [
            ResidualBlock(1, dropout, seed + i, name=f"block_{i}")
            for i in range(num_blocks)
        ]
        self.norm = layers.LayerNormalization(name="norm")
        self.leave = layers.Dense(num_classes, dtype="float32", name="leave")
        self.entropy = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=-1
        )
        self.logits(ops.zeros((1, dim)), 1)  # makes all weights
        self.built = True

    def call(self, x_0, training=None):
        x_0 = ops.cast(x_0, "float32")
        t, z = self.sample_times_and_noise(x_0)
        return self.logits(self.add_noise(x_0, t, z), t, training=training)

    def logits(self, x_t, t, training=None):
        """Logits, float32 `[batch, num_classes]`.

        Args:
            x_t: Noisy samples, `[batch, dim]`.
            t: Their times, int `[batch]`, or one for all.
            training: Whether dropout is active.
        """
        t = ops.broadcast_to(ops.cast(t, "int32"), ops.shape(x_t)[:1])
        condition = ops.silu(self.conditioning(t, unknown_labels(x_t, 0)))
        x = self.enter(x_t)
        for block in self.blocks:
            x = block(x, condition, training=training)
        return self.leave(self.norm(x))

    def log_prob(self, x_t, t, labels):
        """`log p(label | x_t, t)`, `[batch]`, for `diffusion.guidance.classifier`.

        `labels` are classes, int `[batch]`, or one for all; other arguments as in
        `logits`.
        """
        logs = ops.log_softmax(self.logits(x_t, t, training=False), axis=-1)
        labels = ops.broadcast_to(ops.cast(labels, "int32"), ops.shape(logs)[:1])
        return ops.sum(logs * ops.one_hot(labels, self.num_classes), axis=-1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Cross entropy of the classes `y`, int `[batch]`, with the logits `y_pred`."""
        return self.entropy(y, y_pred, sample_weight)
