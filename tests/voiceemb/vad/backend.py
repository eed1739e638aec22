"""Detects speech by a detector's network, and trains it, by Keras alone.

KERAS_BACKEND=jax python activity_backend.py SOUND.npy FOLDER
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from voiceemb.vad.network import ABOUT, WEIGHTS, ActivityNetwork

sound, folder = map(Path, sys.argv[1:])
waveform = np.load(sound)[None]
about = json.loads((folder / ABOUT).read_text("utf-8"))
network = ActivityNetwork(**about["network"])
network(waveform)
network.load_weights(folder / WEIGHTS)
logits = keras.ops.convert_to_numpy(network(waveform))
np.save(folder / "logits.npy", logits)
network.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
before = network.near.get_weights()[0]
network.fit(waveform, np.ones_like(logits), verbose=0)
change = network.near.get_weights()[0] - before
np.save(folder / "change.npy", change)
print(keras.backend.backend())
