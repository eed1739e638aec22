"""Presets of flows on speech: instances of `flows.config.SpeechFlowConfig`.

    python -m flows train --preset tiny                       # synthetic spectra
    python -m flows train                                     # synthetic voices, phones
    python -m flows train --preset digits --data.path rows.csv  # words of a corpus

A VAE, a flow, a flow with classes for each factor and a factorial one. The run folder
ends with the weights of each, a report that compares them, figures, a card and a
SavedModel. The same command resumes a run that was stopped.
"""

from dataclasses import replace

from flows.config import (
    BackboneConfig,
    FlowDataConfig,
    SegmentConfig,
    SpeechFlowConfig,
    VaeConfig,
)

DEFAULT = "default"

_flow = SpeechFlowConfig(name="flow")
_some_hundred = replace(  # recordings, whole, of few speakers: stretched to one length
    _flow,
    data=FlowDataConfig(source="manifest", min_rows=5, unseen=0.0),
    segment=SegmentConfig(fit="stretch"),
    backbone=BackboneConfig(hidden=128),
    steps=800,
    batch=64,
    validate_every=100,
)
_embeddings = replace(  # few rows of many numbers: a small flow, much noise, few steps
    _flow,
    data=FlowDataConfig(source="embeddings", rows=200_000, classes=10_000, min_rows=2),
    backbone=BackboneConfig(steps=2, hidden=64),
    optimiser=replace(_flow.optimiser, learning_rate=1e-3),
    jitter=0.3,
    steps=400,
    batch=128,
    validate_every=50,
)

PRESETS = {
    "default": replace(
        _flow,
        # Of phone and speaker. Phones differ in few directions more than these; with
        # all 37 that 38 classes can have, the phone part encodes speakers.
        dims=(12, 21),
    ),
    "tiny": replace(
        _flow,
        # Spectra made of numbers, 10 phones said by 12 speakers; 12,000 rows to learn
        # from, 50 times. All five models in ten minutes on two cores.
        name="flow-tiny",
        data=FlowDataConfig(
            "spectra", speakers=12, rows=16_000, valid=0.125, test=0.125, unseen=0.0
        ),
        segment=SegmentConfig(frames=4, bands=16),
        backbone=BackboneConfig(steps=8, hidden=128, mixing="permutation"),
        vae=VaeConfig(latent=32, hidden=128),
        optimiser=replace(_flow.optimiser, learning_rate=1e-3),
        steps=2350,
        validate_every=235,
        save_every=470,
    ),
    "paper": replace(
        _flow,
        # What is known of the original (Sun et al., 2021), as wide as its segments. For
        # a GPU: a segment out of a code takes 4000 passes of each step.
        name="flow-paper",
        # of 38 phones and no silence
        data=FlowDataConfig(source="timit", classes=40, unseen=0.0),
        segment=SegmentConfig(bands=200, spectrum="linear"),
        backbone=BackboneConfig("maf", steps=10, hidden=4000, mixing="reverse"),
        vae=VaeConfig(latent=64, hidden=1024),
        residual=0,  # half of the code for each factor
        steps=10_000,
        batch=300,
        optimiser=replace(_flow.optimiser, learning_rate=3e-3, decay="none"),
        jitter=0.0,
        pairs=2000,
        validate_every=500,
    ),
    "maf": replace(
        _flow,
        # One pass to learn, one pass for each number and step to draw: few pairs.
        name="flow-maf",
        backbone=BackboneConfig("maf", steps=5, hidden=800, mixing="reverse"),
        pairs=500,
    ),
    "digits": replace(
        _some_hundred,
        # Whole words: --data.path names the manifest. FSDD was a telephone's: above
        # 4 kHz there is nothing, and nothing has no density.
        name="flow-digits",
        data=replace(_some_hundred.data, factors=("digit", "speaker")),
        segment=SegmentConfig(high_hz=4000.0, fit="stretch"),
        steps=1000,
    ),
    "emotions": replace(
        _some_hundred,
        # Whole sentences in several moods, as in EmoDB: --data.path names the manifest.
        name="flow-emotions",
        data=replace(_some_hundred.data, factors=("text_code", "emotion", "speaker")),
        segment=SegmentConfig(frames=12, bands=24, fit="stretch"),
    ),
    "embeddings": replace(
        _embeddings,
        # A flow between an encoder and its cosines: --data.path names the set. What is
        # verified are speakers it never saw.
        name="flow-embeddings",
        models=("nf", "dnf"),
        data=replace(_embeddings.data, factors=("speaker",), unseen=0.3),
    ),
    "attributes": replace(
        _embeddings,
        # An editor of embeddings: --data.path names a set with labels of gender.
        name="flow-attributes",
        models=("fdnf",),
        data=replace(_embeddings.data, factors=("speaker", "gender")),
    ),
    "smoke": replace(
        _flow,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="flow-smoke",
        data=FlowDataConfig(source="spectra", speakers=5, rows=400, unseen=0.0),
        segment=SegmentConfig(frames=4, bands=8),
        backbone=BackboneConfig(steps=2, hidden=16),
        vae=VaeConfig(latent=8, hidden=16),
        steps=20,
        batch=32,
        pairs=200,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
