#!/usr/bin/env bash
# What must be installed for KERAS_BACKEND=numpy?
#
# Guess: Keras and NumPy.
# Seen with keras 3.15.1: SciPy and JAX as well, neither of which Keras asks for. Its NumPy
# backend takes `fft` from its JAX backend, which imports jax. So the NumPy backend is no
# way to run Keras without a machine-learning framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q keras==3.15.1 numpy==2.4.6
export KERAS_BACKEND=numpy
expect() {
  said=$("$folder/env/bin/python" -c "import keras" 2>&1 | tail -1) || true
  echo "$said"
  [ "$said" = "ModuleNotFoundError: No module named '$1'" ]
}
expect scipy
"$folder/env/bin/pip" install -q scipy==1.17.1
expect jax
"$folder/env/bin/pip" install -q jax==0.10.2 jaxlib==0.10.2
"$folder/env/bin/python" -c "
import keras
print('keras', keras.__version__, 'backend', keras.backend.backend())
assert keras.backend.backend() == 'numpy'"
