"""Programs that run where Keras computes by JAX, for tests that compare."""

import importlib.util
import os
import subprocess
import sys
from importlib import metadata

import pytest

from tests.conftest import ROOT

# Operations by the hundred are compiled, and run once: optimising them takes the time,
# and XLA's newer emitter of fused loops three times what the older one takes.
QUICK = "--xla_backend_optimization_level=0"
OLDER_EMITTER = "--xla_cpu_use_fusion_emitters=false"
KNOWS_IT = (0, 10)  # the last jaxlib known to; others end at a flag they do not know


def on_jax(program, *arguments):
    """Runs a program of the tests under JAX, in a process of its own.

    Args:
        program: Its path below `tests`; the last word it prints is its backend.
        *arguments: Of its command line.
    """
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    major, minor = metadata.version("jaxlib").split(".")[:2]
    older = (int(major), int(minor)) <= KNOWS_IT
    flags = f"{QUICK} {OLDER_EMITTER}" if older else QUICK
    told = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / program), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "jax"
