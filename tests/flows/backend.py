"""Runs the bijectors of a folder both ways, asks its models, and trains one, all by
Keras alone; a program of its own.

KERAS_BACKEND=jax python backend.py FOLDER
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from flows.bijectors import conditioner, coupling, linear, normalisation, spline
from tests.flows import small

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
    found |= {f"{path.stem}.{index}": value for index, value in enumerate(values)}
x, labels = small.rows(6)
for kind in ("vae", "fdnf"):
    model = small.untrained(kind, label_dropout=0.1, jitter=0.1, ce_weight=1.0)
    model.load_weights(folder / f"{kind}.weights.h5")
    if kind == "vae":
        found["vae.z"] = model.encode(x)
    else:
        found["fdnf.moved"] = model.manipulate(x, "phone", "i", alpha=0.5)
        found["fdnf.log_prob"] = model.log_prob(x, labels)
found = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
np.savez(folder / "answers.npz", **found)
model.compile(optimizer="adam")  # the last
history = model.fit({"x": x, "labels": labels}, batch_size=3, verbose=0).history
if not np.isfinite(history["loss"]).all():
    raise ValueError(f"It does not train: {history}")
print(keras.backend.backend())
