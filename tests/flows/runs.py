"""Run folders of flows, as a training leaves them, of models that learned nothing."""

import dataclasses

import numpy as np

from flows import config, data
from flows.models import registry
from timbre.training.run import Run

PLAN = config.SpeechFlowConfig(
    data=config.FlowDataConfig(
        source="spectra", speakers=3, classes=4, rows=240, unseen=0.0
    ),
    segment=config.SegmentConfig(frames=2, bands=4),
    backbone=config.BackboneConfig(steps=1, hidden=8),
    vae=config.VaeConfig(latent=4, hidden=8),
)
KINDS = ("vae", "nf", "dnf-phone", "dnf-speaker", "fdnf")


def divided(**changes):
    """The plan with some fields replaced, and its `SegmentSplits`."""
    plan = dataclasses.replace(PLAN, **changes)
    return plan, data.prepare(plan)


def untrained(kind, plan, parts):
    """A model of a plan."""
    return registry.build(kind, **registry.arguments(plan, parts.facts))


def make(folder, kinds=KINDS, **changes):
    """Leaves a finished run at `folder` whose models know their data but no more."""
    plan, parts = divided(**changes)
    run = Run.open(folder, dataclasses.asdict(plan))
    run.lock_data(data.FACTS, parts.facts)
    rng = np.random.default_rng(0)
    for kind in kinds:
        model = untrained(kind, plan, parts)
        model.adapt(parts.train.x, parts.train.labels)
        for weight in model.trainable_variables:  # couplings start as the identity
            weight.assign_add(0.1 * rng.normal(size=weight.shape))
        model.fit_class_means(parts.train.x, parts.train.labels)
        run.save_weights(model, registry.weights_file(kind))
    return folder
