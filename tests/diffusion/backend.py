"""Calls the networks of a folder, trains one and scales; a program of its own.

KERAS_BACKEND=jax python backend.py FOLDER
"""

import json
import sys
from pathlib import Path

import jax
import keras
import numpy as np

from diffusion.denoising import Denoiser
from diffusion.networks.classifier import NoiseConditionalClassifier
from diffusion.networks.registry import build
from diffusion.speakers.scaling import Scaler

folder = Path(sys.argv[1])
with np.load(folder / "inputs.npz") as file:
    inputs = tuple(file[name] for name in file.files)
found, denoisers = {}, {}
for path in sorted(folder.glob("*.json")):
    network = build(**json.loads(path.read_text("utf-8")))
    network.load_weights(folder / f"{path.stem}.weights.h5")
    schedule = {"name": "cosine", "steps": network.steps}
    denoiser = denoisers[path.stem] = Denoiser(network, schedule)
    found[path.stem] = jax.jit(denoiser.denoise)(*inputs)  # one compilation
points = np.load(folder / "points.npy")
scaler = Scaler("whiten", (2, 4), unit=True).fit(points)
found["scaled"] = scaled = scaler.scale(points)
found["unscaled"] = scaler.unscale(scaled)
found = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
np.savez(folder / "outputs.npz", **found)
x_0, _, labels = inputs
classifier = NoiseConditionalClassifier(network.dim, 3, schedule, width=8, num_blocks=1)
for model, data in (
    (denoisers["resmlp"], {"x": {"x_0": x_0, "labels": labels}}),
    (classifier, {"x": x_0, "y": labels[:, 0]}),
):
    model.compile(optimizer="adam")
    history = model.fit(**data, batch_size=3, epochs=2, verbose=0).history
    if not np.isfinite(history["loss"]).all():
        raise ValueError(f"{model.name} does not train: {history}")
print(keras.backend.backend())
