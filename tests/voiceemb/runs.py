"""Run folders as training leaves them, made at once."""

import json

import numpy as np

from timbre.audio import wave
from timbre.files import sha256
from voiceemb.networks import speaker_encoder

SHAPE = {"stages": (4,), "num_blocks": 1, "embedding_dim": 8, "log": True}


def make(
    folder,
    speakers,
    norm="frame",
    crop_frames=50,
    corpus="/some/where/voices",
    **shape,
):
    """A run folder as training leaves it, with random weights."""
    shape = {"network": "rescnn", **SHAPE, "norm": norm, "front_end": {}, **shape}
    folder.mkdir(parents=True)
    model = speaker_encoder.build(**shape)
    for weight in model.weights:
        change = np.random.default_rng(len(folder.name)).normal(size=weight.shape)
        weight.assign(weight + 0.1 * np.abs(change).astype(weight.dtype))
    model.save_weights(folder / "model.weights.h5")
    digest = sha256(folder / "model.weights.h5")
    (folder / "model.weights.h5.sha256").write_text(f"{digest}  model.weights.h5\n")
    config = {"encoder": shape, "crop_frames": crop_frames, "seed": 0}
    config |= {
        "corpus": [str(corpus)] if corpus else [],
        "runs": "/else/runs",
        "cache": "c",
    }
    (folder / "config.json").write_text(json.dumps({"config": config}))
    trained = {"speakers": {"train": speakers, "validation": ["eve"]}}
    (folder / "speakers.json").write_text(json.dumps(trained))
    (folder / "card.md").write_text(f"# {folder.name}\n")
    (folder / "checkpoints").mkdir()
    return folder


def record(folder, speakers, each=4):
    """A corpus of noise, another colour for each speaker; returns its folder."""
    rng = np.random.default_rng(0)
    for number, speaker in enumerate(speakers):
        (folder / speaker).mkdir(parents=True)
        for i in range(each):
            sound = np.convolve(rng.normal(size=9000), np.hanning(5 + 9 * number))
            sound = 0.1 * sound / np.abs(sound).max()
            wave.write(
                folder / speaker / f"{i}.wav",
                sound.astype("float32"),
                sample_rate=16000,
            )
    return folder
