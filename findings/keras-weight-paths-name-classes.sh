#!/usr/bin/env bash
# Which names stand in a Keras weights file of a subclassed model?
#
# Guess: the names of the attributes that hold the layers.
# Seen with keras 3.15.1 (JAX backend): of a `keras.Model`, only those of attributes that
# sort before "layers". `model.layers` is an attribute too, the saver walks attributes in
# alphabetical order and writes each layer once, so layers in attributes that sort after
# "layers" are written as `layers/<snake_case class name>`. Renaming such a class, or an
# attribute across that border, makes older weights unreadable; renaming an attribute that
# stays behind it does not. In a `keras.layers.Layer` all are named by attribute.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 h5py==3.14.0
cd "$folder"
KERAS_BACKEND=jax env/bin/python - <<'PY'
import h5py
import keras
import numpy as np


class Scaler(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        return x * self.scale


class Inner(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.encoder, self.scaler = keras.layers.Dense(2), Scaler()

    def call(self, x):
        return self.scaler(self.encoder(x))


class Outer(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder, self.scaler = keras.layers.Dense(2), Scaler()

    def call(self, x):
        return self.scaler(self.encoder(x))


class Around(keras.Model):
    def __init__(self):
        super().__init__()
        self.body = Inner()

    def call(self, x):
        return self.body(x)


def paths(model):
    model(np.ones((1, 2), "float32"))
    model.save_weights("a.weights.h5")
    found = set()
    with h5py.File("a.weights.h5") as file:
        file.visititems(
            lambda name, item: found.add(name.rpartition("/vars/")[0])
            if isinstance(item, h5py.Dataset)
            else None
        )
    return sorted(found)


print("keras", keras.__version__)
print("Model:", paths(Outer()), "Layer:", paths(Around()))
assert paths(Outer()) == ["encoder", "layers/scaler"]
assert paths(Around()) == ["body/encoder", "body/scaler"]
PY
