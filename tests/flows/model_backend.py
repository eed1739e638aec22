"""Asks the models of a folder by Keras alone, and trains them; a program of its own.

KERAS_BACKEND=jax python model_backend.py FOLDER
"""

import sys
from pathlib import Path

import keras
import numpy as np

from tests.flows import small

folder = Path(sys.argv[1])
x, labels = small.rows(6)
found = {}
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
