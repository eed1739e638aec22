"""Runs the bijectors of a folder both ways, by Keras alone; a program of its own.

KERAS_BACKEND=jax python backend.py FOLDER
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from flows.bijectors import conditioner, coupling, linear, normalisation, spline

# imported, Keras knows them
MEMBERS = (conditioner, coupling, linear, normalisation, spline)

folder = Path(sys.argv[1])
with np.load(folder / "inputs.npz") as file:
    x = file["x"]
found = {}
for path in sorted(folder.glob("*.json")):
    saved = json.loads(path.read_text("utf-8"))
    bijector = keras.saving.deserialize_keras_object(saved["config"])
    bijector.forward(x)
    for weight, value in zip(bijector.weights, saved["weights"], strict=True):
        weight.assign(np.array(value, weight.dtype))
    values = (*bijector.forward_and_log_det(x), *bijector.inverse_and_log_det(x))
    for index, value in enumerate(values):
        found[f"{path.stem}.{index}"] = keras.ops.convert_to_numpy(value)
np.savez(folder / "answers.npz", **found)
print(keras.backend.backend())
