"""Small models, made and stirred, and the segments they are tried on."""

import numpy as np

from flows.models import registry

VOCABULARY = {"phone": ("a", "i", "s"), "speaker": ("F01", "M02")}
SHAPE = (2, 3)
KINDS = ("vae", "nf", "dnf-phone", "fdnf")


def rows(count=60, seed=0):
    """Segments `[count, 2, 3]`: a frame is louder by phone, the other by speaker.

    Returns:
        x float32, labels int32 `[count, 2]`.
    """
    rng = np.random.default_rng(seed)
    sizes = [len(names) for names in VOCABULARY.values()]
    labels = rng.integers(sizes, size=(count, 2)).astype(np.int32)
    x = rng.normal(size=(count, *SHAPE)) + 4 * labels[:, :, None] + [5, 0, -5]
    return x.astype(np.float32), labels


def untrained(kind="fdnf", **given):
    """A small model as `flows.models.registry.build` makes it."""
    told = {
        "shape": SHAPE,
        "vocabulary": VOCABULARY,
        "backbone": {"steps": 1, "hidden": 8},
        "vae": {"latent": 4, "hidden": 16},
    }
    return registry.build(kind, **{**told, **given})


def model(kind="fdnf", **given):
    """One that is adapted, its weights moved away from where they start."""
    model, (x, labels) = untrained(kind, **given), rows()
    model.adapt(x, labels)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    model.fit_class_means(x, labels)
    return model


def models():
    """One of each kind."""
    return {kind: model(kind) for kind in KINDS}
