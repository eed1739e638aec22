#!/usr/bin/env bash
# How often does the innermost layer run when a nested model is called for the first time?
#
# Guess: twice at most, once with symbols to build it and once with the data.
# Seen with keras 3.15.1 (JAX backend): once for the data and once more for every layer
# around it. A first call has each unbuilt layer build itself by running its `call` with
# symbols, whatever those inside it have done already. A convolution four levels deep runs
# five times, so a deep network is slow to build unless it is built from the inside out:
# then it runs once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q keras==3.15.1 jax==0.10.2 jaxlib==0.10.2
cd "$folder"
KERAS_BACKEND=jax env/bin/python - <<'PY'
import keras
import numpy as np

runs = 0
x = np.ones((1, 3), "float32")


class Leaf(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        global runs
        runs += 1
        return x * self.scale


class Around(keras.layers.Layer):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def count(levels, inside_out):
    global runs
    layer = Leaf()
    for _ in range(levels):
        if inside_out:
            layer(x)
        layer = Around(layer)
    if inside_out:
        layer.built = True
    runs = 0
    layer(x)
    return runs


print("keras", keras.__version__)
found = {levels: count(levels, False) for levels in range(5)}
print("runs of the innermost layer by levels around it:", found)
assert found == {levels: levels + 1 for levels in range(5)}
print("built from the inside out:", count(4, True))
assert count(4, True) == 1
PY
