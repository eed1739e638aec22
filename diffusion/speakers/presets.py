"""Presets of diffusion models over speaker embeddings (`SpeakerDiffusionConfig`).

    python -m diffusion train speakers                        # synthetic embeddings
    python -m diffusion train speakers --set voices.npz       # what an encoder wrote
    python -m diffusion train speakers --preset faithful      # the original, its faults

The run folder ends with weights, a report against baselines, figures, a card and a
SavedModel. The same command again resumes a run that was stopped.
"""

from dataclasses import replace

from diffusion.speakers.config import (
    DenoiserConfig,
    SamplingConfig,
    ScheduleConfig,
    SpeakerDiffusionConfig,
    SyntheticEmbeddingsConfig,
)

DEFAULT = "default"

_voices = SpeakerDiffusionConfig(name="voices")

PRESETS = {
    "default": _voices,
    "64": replace(_voices, name="voices-64"),
    "128": replace(_voices, name="voices-128"),
    "704": replace(  # ECAPA-TDNN's 192 dimensions and an x-vector's 512
        _voices, name="voices-704", network=DenoiserConfig(width=768), blocks=(192, 512)
    ),
    "faithful": replace(
        _voices,
        # The original, for comparison: its schedule leaves 88 % of the signal, so its
        # samples, which start from noise, stay noise.
        name="voices-faithful",
        network=DenoiserConfig("linear"),
        schedule=ScheduleConfig("sigmoid", steps=100, start=1e-5, end=5e-3),
        prediction="noise",
        batch=64,
        steps=6300,
        optimiser=replace(
            _voices.optimiser,
            learning_rate=1e-4,
            decay="none",
            warm_up=0,
            ema=0.9,
            ema_warm_up=False,
        ),
        sampling=SamplingConfig("ddpm", steps=100, variance="beta"),
    ),
    "smoke": replace(
        _voices,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="voices-smoke",
        synthetic=SyntheticEmbeddingsConfig(speakers=300),
        network=DenoiserConfig(width=32, num_blocks=1),
        steps=20,
        batch=32,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
