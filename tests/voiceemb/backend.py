"""Embeds a sound by the weights of run folders, by Keras alone; a program of its own.

KERAS_BACKEND=jax python backend.py SOUND.npy ANSWERS.npz RUN [RUN ...]
"""

import json
import sys
from pathlib import Path

import jax
import keras
import numpy as np

from voiceemb.networks import speaker_encoder

sound, out, *runs = map(Path, sys.argv[1:])
found = {}
for run in runs:
    config = json.loads((run / "config.json").read_text("utf-8"))["config"]
    model = speaker_encoder.build(**config["encoder"])
    model.load_weights(run / "model.weights.h5")

    @jax.jit  # as one, which is compiled sooner than each of its operations
    def embed(waveform, model=model):
        return model(model.features(waveform), training=False)

    embedding = embed(np.load(sound))
    found[run.name] = keras.ops.convert_to_numpy(embedding)
np.savez(out, **found)
print(keras.backend.backend())
