"""Programs that run where Keras computes by JAX, for tests that compare."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Operations by the hundred are compiled, and run once: optimising them takes the time,
# and XLA's newer emitter of fused loops three times what the older one takes.
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"


def on_jax(program, *arguments):
    """Runs a program of the tests under JAX, in a process of its own.

    Args:
        program: Its path below `tests`; the last word it prints is its backend.
        *arguments: Of its command line.
    """
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    told = {"KERAS_BACKEND": "jax", "XLA_FLAGS": QUICK, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / program), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "jax"
