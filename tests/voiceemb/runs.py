"""Run folders as training leaves them, made at once."""

import json

import numpy as np

from files import sha256
from voiceemb import encoders

SHAPE = {"stages": (4,), "num_blocks": 1, "embedding_dim": 8, "log": True}


def make(folder, speakers, norm="frame", crop_frames=50, **shape):
    """A run folder as training leaves it, with random weights."""
    shape = {"network": "rescnn", **SHAPE, "norm": norm, "front_end": {}, **shape}
    folder.mkdir(parents=True)
    model = encoders.build(**shape)
    for weight in model.weights:
        change = np.random.default_rng(len(folder.name)).normal(size=weight.shape)
        weight.assign(weight + 0.1 * np.abs(change).astype(weight.dtype))
    model.save_weights(folder / "model.weights.h5")
    digest = sha256(folder / "model.weights.h5")
    (folder / "model.weights.h5.sha256").write_text(f"{digest}  model.weights.h5\n")
    config = {"encoder": shape, "crop_frames": crop_frames, "seed": 0}
    config |= {"corpus": ["/some/where/voices"], "runs": "/else/runs", "cache": "c"}
    (folder / "config.json").write_text(json.dumps({"config": config}))
    heard = {"speakers": {"train": speakers, "validation": ["eve"]}}
    (folder / "speakers.json").write_text(json.dumps(heard))
    (folder / "card.md").write_text(f"# {folder.name}\n")
    (folder / "checkpoints").mkdir()
    return folder
