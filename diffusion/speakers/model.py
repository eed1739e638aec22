"""A diffusion model over speaker embeddings: what is trained, saved and served.

Embeddings of any extractor go in and come out: their scaling is part of the model.
Labels (gender, language, any column of a set) condition it; each may be unknown.
"""

import keras

from diffusion import denoising, schedules
from diffusion.networks import registry
from diffusion.speakers.config import DiffusionModelConfig
from diffusion.speakers.scaling import Scaler
from timbre.training.config import subset


@keras.saving.register_keras_serializable(package="diffusion")
class SpeakerDiffusion(keras.Model):
    """A distribution of voices, trained by `scaler.fit`, then `compile` and `fit`.

    Args:
        denoiser: A `diffusion.denoising.Denoiser` of vectors.
        scaler: A `diffusion.speakers.scaling.Scaler`.
        vocabulary: Dict, each label's name to its values in the order of their codes.
            Defaults to no labels.

    Call arguments:
        inputs: Embeddings `[batch, dim]`, or a dict of `x_0`, such embeddings, and
            `labels`, int32 `[batch, num_labels]` with -1 where unknown.

    Returns:
        The loss of each embedding, `[batch]`.
    """

    def __init__(self, denoiser, scaler, vocabulary=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.denoiser = denoiser
        self.scaler = scaler
        self.vocabulary = {k: tuple(v) for k, v in (vocabulary or {}).items()}

    @property
    def dim(self):
        """Number of dimensions of an embedding."""
        return self.denoiser.network.dim

    @property
    def schedule(self):
        """The `diffusion.schedules.Schedule` it was trained with."""
        return schedules.build(**self.denoiser.schedule)

    def call(self, inputs, training=None):
        inputs = inputs if isinstance(inputs, dict) else {"x_0": inputs}
        scaled = self.scaler.scale(inputs["x_0"])
        return self.denoiser({**inputs, "x_0": scaled}, training=training)

    def compute_loss(self, *args, **kwargs):
        return self.denoiser.compute_loss(*args, **kwargs)

    def get_config(self):
        return {
            "name": self.name,
            "denoiser": keras.saving.serialize_keras_object(self.denoiser),
            "scaler": keras.saving.serialize_keras_object(self.scaler),
            "vocabulary": {k: list(v) for k, v in self.vocabulary.items()},
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            key: keras.saving.deserialize_keras_object(config[key])
            for key in ("denoiser", "scaler")
        }
        return cls(**{**config, **parts})


def build(config, data):
    """Build the untrained model of a config for `diffusion.speakers.data` splits."""
    return build_from_facts(config, data.facts)


def build_from_facts(config, facts):
    """As `build`, with the `facts` of `voices.json`: `dim`, `unit`, `vocabulary`."""
    return create(
        **subset(config, DiffusionModelConfig),
        dim=facts["dim"],
        unit=facts["unit"],
        vocabulary=facts["vocabulary"],
        seed=config.seed,
    )


def create(
    *,
    dim,
    network=None,
    schedule=None,
    prediction="velocity",
    weighting="plain",
    label_dropout=0.1,
    scaling="standardise",
    blocks=(),
    unit=False,
    vocabulary=None,
    seed=0,
):
    """Makes an untrained `SpeakerDiffusion` out of names and numbers.

    Args:
        dim: Dimensions of an embedding.
        network: Dict for `diffusion.networks.registry.build`. Defaults to `resmlp`.
        schedule: Dict for `diffusion.schedules.build`. Defaults to cosine, 1000 steps.
        prediction, weighting, label_dropout, seed: See `Denoiser`.
        scaling, blocks, unit: See `Scaler`, where `scaling` is `kind`.
        vocabulary: See `SpeakerDiffusion`.
    """
    given = {k: v for k, v in (schedule or {}).items() if v is not None}
    schedule = {"name": "cosine", "steps": 1000, **given}
    classes = tuple(len(values) for values in (vocabulary or {}).values())
    made = registry.build(
        dim=dim, steps=schedule["steps"], classes=classes, **(network or {})
    )
    denoiser = denoising.Denoiser(
        made,
        schedule=schedule,
        prediction=prediction,
        weighting=weighting,
        label_dropout=label_dropout,
        seed=seed,
    )
    scaler = Scaler(kind=scaling, blocks=blocks, unit=unit)
    scaler.build((None, dim))
    model = SpeakerDiffusion(denoiser, scaler, vocabulary)
    labels = keras.ops.full((1, len(classes)), -1, dtype="int32")
    model({"x_0": keras.ops.zeros((1, dim)), "labels": labels})
    return model
