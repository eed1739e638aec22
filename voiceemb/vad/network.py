"""Voice activity detection by a small recurrent network, trained on noisy speech.

    present[t] = convolutions(log-mel up to frame t)
    past[t] = GRU(present up to frame t)
    probability[t - ahead] = logistic(compare(present[t], past[t]))

The recurrent state summarises the past, the noise above all. All but the look-ahead of
`ahead` frames is causal with a state of fixed size, so audio may be streamed in blocks.
"""

import json
import math
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from timbre.audio.filterbank import Filterbank
from timbre.files import verify_sha256
from timbre.training.networks import ConfiguredByArguments
from voiceemb.vad.base import FRAME, HOP, SAMPLE_RATE, Detector, Stream, num_frames

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "activity"
WEIGHTS, ABOUT = "model.weights.h5", "activity.json"
BLOCK = 20  # frames computed at a time, whatever comes: 0.2 s
SHARED = FRAME - HOP  # samples of a block that the next one begins with
FLOOR = 1e-10  # energy of a band that is silence, about half a bit of 16
CENTRE, SPREAD = -11.0, 5.0  # of logarithms of energies of speech


@keras.saving.register_keras_serializable(package="voiceemb")
class HannFilterbank(Filterbank):
    """A `Filterbank` whose frames have a Hann window: a hum stays in its own bands.

    `w[n] = sin(pi * n / length)**2` begins with zero, so that pre-emphasis, which does
    not know the sample before the first, makes no difference.
    """

    def _frames(self, x):
        window = np.sin(math.pi * np.arange(self.length) / self.length) ** 2
        window = np.pad(window, (0, self.fft_size - self.length)).astype("float32")
        return super()._frames(x) * ops.convert_to_tensor(window)


@keras.saving.register_keras_serializable(package="voiceemb")
class ActivityNetwork(ConfiguredByArguments, keras.Model):
    """Predicts the logit of speech of every frame.

    Args:
        bands: Mel bands from 0 to 8 kHz. Defaults to `40`.
        filters: Of each of the two convolutions. Defaults to `64`.
        kernel: Frames that a causal convolution sees. Defaults to `5`.
        units: Of the recurrent layer, a GRU, and of the layer that compares present
            and past. Defaults to `64`.
        ahead: Look-ahead in frames. Defaults to `5`.

    Call arguments:
        waveform: Float `[batch, samples]` at 16 kHz, finite.

    Returns:
        Logits of speech, float32 `[batch, frames - ahead]`, where `samples` of
        `frames * HOP + FRAME - HOP` make `frames`.
    """

    def __init__(self, bands=40, filters=64, kernel=5, units=64, ahead=5, **kwargs):
        super().__init__(**kwargs)
        self.bands, self.filters, self.kernel = bands, filters, kernel
        self.units, self.ahead = units, ahead
        self.check_min(bands=1, filters=1, kernel=2, units=1, ahead=0)
        self.filterbank = HannFilterbank(SAMPLE_RATE, num_bands=bands)
        self.near = layers.Conv1D(filters, kernel, activation="relu", name="near")
        self.far = layers.Conv1D(filters, kernel, activation="relu", name="far")
        self.memory = layers.GRU(
            units, return_sequences=True, return_state=True, name="memory"
        )
        self.compare = layers.Dense(units, activation="relu", name="compare")
        self.judge = layers.Dense(1, dtype="float32", name="judge")

    def call(self, waveform):
        state = self.initial_state(ops.shape(waveform)[0])
        return self.advance(waveform, state)[0][:, self.ahead :]

    def initial_state(self, batch=1):
        """The state before the first frame: a tuple of zeros `[batch, ...]`."""
        past = self.kernel - 1
        return (
            ops.zeros((batch, past, self.bands)),
            ops.zeros((batch, past, self.filters)),
            ops.zeros((batch, self.units)),
        )

    def advance(self, waveform, state):
        """Process the next frames.

        Args:
            waveform: Float `[batch, frames * HOP + FRAME - HOP]`; its first frame
                follows the last one processed.
            state: Of `initial_state` or the last `advance`.

        Returns:
            Logits `[batch, frames]`, each for the frame `ahead` before, and the state.
        """
        inputs, hidden, memory = state  # the last `kernel - 1` frames, and the GRU's
        energies = self.filterbank(waveform)
        features = (ops.log(energies + FLOOR) - CENTRE) / SPREAD
        inputs = ops.concatenate([inputs, features], axis=1)
        hidden = ops.concatenate([hidden, self.near(inputs)], axis=1)
        present = self.far(hidden)
        past, memory = self.memory(present, initial_state=memory)
        both = self.compare(ops.concatenate([present, past], axis=-1))
        kept = 1 - self.kernel
        state = inputs[:, kept:], hidden[:, kept:], memory
        return self.judge(both)[..., 0], state


class NetworkDetector(Detector):
    """The pretrained detector, or one of your own.

    It computes blocks of 0.2 s with a look-ahead of 0.05 s, so the latency is at most
    0.27 s.

    Args:
        folder: A run of `train_activity.py`. Defaults to the pretrained one. Weights
            that are not those that the run wrote are a `ValueError`.
    """

    name = "network"

    def __init__(self, folder=PRETRAINED):
        folder = Path(folder)
        if not (folder / ABOUT).is_file():
            raise FileNotFoundError(
                f"Expected a detector ({ABOUT} and {WEIGHTS}). Received: {folder}"
            )
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        self.sha256 = verify_sha256(folder / WEIGHTS)
        network = ActivityNetwork(**about["network"])
        network(np.zeros((1, FRAME + network.ahead * HOP), "float32"))
        network.load_weights(folder / WEIGHTS)
        self._compile(network)

    @classmethod
    def of(cls, network):
        """Wrap an `ActivityNetwork` in memory, whose weights must be final."""
        detector = cls.__new__(cls)
        detector.sha256 = None
        detector._compile(network)
        return detector

    def _compile(self, network):
        import tensorflow as tf

        self.network = network
        self.delay_s = ((BLOCK - 1 + network.ahead) * HOP + FRAME) / SAMPLE_RATE

        @tf.function(autograph=False, jit_compile=True)  # XLA is three times as fast
        def advance(waveform, *state):
            logits, state = network.advance(waveform, state)
            return tf.sigmoid(logits)[0], state

        self.advance = advance

    def stream(self):
        return _NetworkStream(self)


class _NetworkStream(Stream):
    """Feeds the network blocks of one size, so that results do not depend on cuts."""

    def __init__(self, detector):
        super().__init__()
        self._detector = detector
        self._state = detector.network.initial_state()
        self._early = detector.network.ahead  # outputs to drop, before the sound

    def _take(self):
        left = num_frames(self._samples) - self._frames
        if self._closed:
            missing = left + self._early if left else 0
            length = -(-missing // BLOCK) * BLOCK * HOP + SHARED
            more = max(length - len(self._held), 0)
            self._held = np.pad(self._held, (0, more))[:length]
        starts = range(0, len(self._held) - SHARED - BLOCK * HOP + 1, BLOCK * HOP)
        blocks = [self._held[s : s + BLOCK * HOP + SHARED] for s in starts]
        outputs = [np.zeros(0, np.float32), *map(self._advance, blocks)]
        outputs = np.concatenate(outputs)
        found = outputs[self._early :][:left]
        self._early = max(self._early - len(outputs), 0)
        self._frames += len(found)
        self._held = self._held[len(blocks) * BLOCK * HOP :].copy()
        return found

    def _advance(self, block):
        """Probabilities `[BLOCK]` of the next block."""
        found, self._state = self._detector.advance(block[None], *self._state)
        return found.numpy()
