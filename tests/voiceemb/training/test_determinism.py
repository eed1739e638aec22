"""The same bits on a machine that is busy with other things."""

import subprocess
import sys

import pytest

from tests import programs
from tests.conftest import ROOT

BUSY = """
import time
end = time.time() + 60
while time.time() < end:
    start = time.time()
    while time.time() - start < 0.003:
        pass
    time.sleep(0.004)
"""
GRADIENTS = """
from timbre.training import interrupts as safety
safety.make_deterministic(0)
import keras, numpy as np, tensorflow as tf
from voiceemb.networks import speaker_encoder as encoders
from voiceemb.training.trainers import SpeakerClassifier

encoder = encoders.build(stages=(16, 32, 64), num_blocks=1, embedding_dim=128)
model = SpeakerClassifier(encoder, 63, dropout=0.0)
rng = np.random.default_rng(0)
x = rng.uniform(0.1, 9, (64, 160, 64)).astype("float32")
y = rng.integers(0, 63, 64)
model(x[:1])

@tf.function
def gradients(x, y):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    return tape.gradient(loss, model.trainable_variables)

found = {b"".join(g.numpy().tobytes() for g in gradients(x, y)) for _ in range(10)}
print(len(found))
"""


@pytest.mark.slow
def test_a_busy_machine_computes_the_same_gradient_every_time():
    """Without the switch in `make_deterministic` most of ten differ somewhere."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(3)]
    try:
        done = programs.run(
            [sys.executable, "-c", GRADIENTS],
            env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
        )
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1"]
