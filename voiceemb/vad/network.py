"""Voice activity by a small network that was trained with noise.

    present[t] = convolutions(log-mel up to frame t)
    past[t] = GRU(present up to frame t)
    probability[t - ahead] = logistic(compare(present[t], past[t]))

The recurrent layer remembers what the noise is like; the present is held against it.
Frame `i` is judged after frame `i + ahead` has been heard. Everything else looks back
only, and what it must remember is a state of fixed size, so a sound may come in blocks.
"""

import json
import math
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from timbre.audio.filterbank import Filterbank
from timbre.files import stated_sha256
from voiceemb.vad.base import FRAME, HOP, SAMPLE_RATE, Detector, Stream, num_frames

PRETRAINED = Path(__file__).with_name("pretrained") / "activity"
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
class ActivityNetwork(keras.Model):
    """Says of every frame of sound how probable speech is.

    Args:
        bands: Mel bands from 0 to 8 kHz. Defaults to `40`.
        filters: Of each of the two convolutions. Defaults to `64`.
        kernel: Frames that a convolution sees, the present one and those before it.
            Defaults to `5`.
        units: Of the recurrent layer, a GRU, and of the one that compares what is
            heard with what was. Defaults to `64`.
        ahead: Frames that a judgement waits for. Defaults to `5`.

    Call arguments:
        waveform: Float `[batch, samples]` at 16 kHz, finite.

    Returns:
        Logits of speech, float32 `[batch, frames - ahead]`, where `samples` of
        `frames * HOP + FRAME - HOP` make `frames`.
    """

    ARGUMENTS = ("bands", "filters", "kernel", "units", "ahead")

    def __init__(self, bands=40, filters=64, kernel=5, units=64, ahead=5, **kwargs):
        super().__init__(**kwargs)
        given = dict(
            zip(self.ARGUMENTS, (bands, filters, kernel, units, ahead), strict=True)
        )
        for name, least in zip(self.ARGUMENTS, (1, 1, 2, 1, 0), strict=True):
            if given[name] < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: {given[name]}"
                )
            setattr(self, name, given[name])
        self.filterbank = HannFilterbank(SAMPLE_RATE, num_bands=bands)
        self.near = layers.Conv1D(filters, kernel, activation="relu", name="near")
        self.far = layers.Conv1D(filters, kernel, activation="relu", name="far")
        self.memory = layers.GRU(
            units, return_sequences=True, return_state=True, name="memory"
        )
        self.compare = layers.Dense(units, activation="relu", name="compare")
        self.judge = layers.Dense(1, dtype="float32", name="judge")

    def call(self, waveform):
        state = self.beginning(ops.shape(waveform)[0])
        return self.advance(waveform, state)[0][:, self.ahead :]

    def beginning(self, batch=1):
        """The state before a sound: a tuple of zeros `[batch, ...]`."""
        past = self.kernel - 1
        return (
            ops.zeros((batch, past, self.bands)),
            ops.zeros((batch, past, self.filters)),
            ops.zeros((batch, self.units)),
        )

    def advance(self, waveform, state):
        """Hear some more frames.

        Args:
            waveform: Float `[batch, frames * HOP + FRAME - HOP]`; its first frame
                follows the last one heard.
            state: What `beginning` or the last call of this gave.

        Returns:
            Logits `[batch, frames]`, each for the frame `ahead` before, and the state.
        """
        heard, seen, memory = state
        energies = self.filterbank(waveform)
        features = (ops.log(energies + FLOOR) - CENTRE) / SPREAD
        heard = ops.concatenate([heard, features], axis=1)
        seen = ops.concatenate([seen, self.near(heard)], axis=1)
        present = self.far(seen)
        past, memory = self.memory(present, initial_state=memory)
        both = self.compare(ops.concatenate([present, past], axis=-1))
        kept = 1 - self.kernel
        state = heard[:, kept:], seen[:, kept:], memory
        return self.judge(both)[..., 0], state

    def get_config(self):
        return {name: getattr(self, name) for name in (*self.ARGUMENTS, "name")}


class NetworkDetector(Detector):
    """The detector that comes with the package, or one that was trained.

    It computes blocks of 0.2 s and waits for 0.05 s more, so an answer comes at most
    0.27 s after its frame began.

    Args:
        folder: A run of `train_activity.py`. Defaults to what comes with the package.

    Raises:
        FileNotFoundError: If there is no network in `folder`.
        ValueError: If the weights are not those the run has written.
    """

    name = "network"

    def __init__(self, folder=PRETRAINED):
        folder = Path(folder)
        if not (folder / ABOUT).is_file():
            raise FileNotFoundError(
                f"Expected a detector ({ABOUT} and {WEIGHTS}). Received: {folder}"
            )
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        self.sha256 = stated_sha256(folder / WEIGHTS)
        network = ActivityNetwork(**about["network"])
        network(np.zeros((1, FRAME + network.ahead * HOP), "float32"))
        network.load_weights(folder / WEIGHTS)
        self._hold(network)

    @classmethod
    def of(cls, network):
        """Wraps an `ActivityNetwork` in memory, whose weights may change no more."""
        detector = cls.__new__(cls)
        detector.sha256 = None
        detector._hold(network)
        return detector

    def _hold(self, network):
        import tensorflow as tf

        self.network = network
        self.delay_s = ((BLOCK - 1 + network.ahead) * HOP + FRAME) / SAMPLE_RATE

        @tf.function(autograph=False, jit_compile=True)  # one program, thrice as fast
        def advance(waveform, *state):
            logits, state = network.advance(waveform, state)
            return tf.sigmoid(logits)[0], state

        self.advance = advance

    def stream(self):
        return _NetworkStream(self)


class _NetworkStream(Stream):
    """Gives the network as many frames each time, so that it computes the same.

    Its answers come `ahead` frames late; the first of them, about what was before the
    sound, are left out.
    """

    def __init__(self, detector):
        super().__init__()
        self._detector = detector
        self._state = detector.network.beginning()
        self._early = detector.network.ahead  # answers still to be left out

    def _take(self):
        left = num_frames(self._samples) - self._frames
        if self._closed:
            missing = left + self._early if left else 0
            length = -(-missing // BLOCK) * BLOCK * HOP + SHARED
            more = max(length - len(self._held), 0)
            self._held = np.pad(self._held, (0, more))[:length]
        starts = range(0, len(self._held) - SHARED - BLOCK * HOP + 1, BLOCK * HOP)
        blocks = [self._held[s : s + BLOCK * HOP + SHARED] for s in starts]
        answers = [np.zeros(0, np.float32), *map(self._advance, blocks)]
        answers = np.concatenate(answers)
        found = answers[self._early :][:left]
        self._early = max(self._early - len(answers), 0)
        self._frames += len(found)
        self._held = self._held[len(blocks) * BLOCK * HOP :].copy()
        return found

    def _advance(self, block):
        """Answers `[BLOCK]` to the samples of as many frames."""
        found, self._state = self._detector.advance(block[None], *self._state)
        return found.numpy()
