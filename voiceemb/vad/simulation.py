"""Scenes: speech, pauses and noise put together, and when there is speech in them.

    scene = microphone(room(utterances and pauses) + noise)

What is speech is told by the clean utterances alone, before anything is done to them
(`voiceemb.vad.labels`). Batches are a function of seed and step.
"""

import numpy as np

from voiceemb.vad import noise_synthesis
from voiceemb.vad.base import FRAME, HOP, SAMPLE_RATE

FADE = HOP  # samples at either end of an utterance
CROWD = 6  # voices; more of them are noise even when they are nearly as loud
CROWD_DB, COMPANY_DB = 3.0, 10.0  # least level of a talker over many voices, and few
NOISE_S = 6.0  # length of one made-up noise, which goes round


class Scenes:
    """Draws scenes, each from its own seed.

    Args:
        readings: List of `readings.Reading`.
        seconds: Length of a scene.
        noises: How many noises are made up, from `seed`.
        snr_db: Least and most of speech over noise, both without pauses.
        silent: Share of scenes in which nobody speaks.
        clean: Share of the others that have no noise.
        babble: Share of the rest whose noise is other people.
        room, equaliser, bandwidth, codec: Shares that meet these conditions, see
            `timbre.audio.augment.Augmenter`.
        gain_db: Least and most gain of the whole.
        seed: Of everything drawn.
    """

    def __init__(
        self,
        readings,
        *,
        seconds,
        noises,
        snr_db,
        silent,
        clean,
        babble,
        room,
        equaliser,
        bandwidth,
        codec,
        gain_db,
        seed=0,
    ):
        from timbre.audio.augment import Augmenter

        self.readings, self.seed, self.snr_db = readings, seed, snr_db
        self.frames = round(seconds * SAMPLE_RATE / HOP)
        self.samples = self.frames * HOP
        self.silent, self.clean, self.babble = silent, clean, babble
        self.noises = _made_up(noises, seed)
        self._room = Augmenter(room_probability=room)
        self._line = Augmenter(
            equaliser_probability=equaliser,
            bandwidth_probability=bandwidth,
            codec_probability=codec,
            gain_probability=1.0,
            gain_db=gain_db,
        )

    def draw(self, *key):
        """Speech and noise of one scene, apart, and which frames are speech.

        Args:
            *key: Integers >= 0 that name the scene.

        Returns:
            Float32 `[samples]` twice and float32 `[frames]`.
        """
        rng = np.random.default_rng([self.seed, *key])
        noise = self._noise(rng)
        if rng.random() < self.silent:
            nobody = np.zeros(self.samples, np.float32)
            level = 10 ** (rng.uniform(-50, -10) / 20)
            return nobody, level * noise, np.zeros(self.frames, np.float32)
        speech, active, loudness = self._talk(rng)
        low, high = self.snr_db
        if rng.random() < self.clean:
            return speech, np.zeros_like(noise), active
        snr_db = rng.uniform(low, high)
        if rng.random() < self.babble:
            noise, least_db = self._company(rng)
            snr_db = max(low, least_db) + rng.random() * (high - max(low, least_db))
        return speech, noise * (loudness * 10 ** (-snr_db / 20)), active

    def batch(self, step, batch):
        """Scenes of one step: speech, noise and targets, stacked."""
        rows = [self.draw(int(step), row) for row in range(batch)]
        return tuple(np.stack(part) for part in zip(*rows, strict=True))

    def batches(self, *, batch, ahead):
        """Gives what `timbre.training.loop.fit` asks for: the batches that follow a step.

        Args:
            batch: Scenes of a step.
            ahead: Last frames that have no target, see `ActivityNetwork`.

        Returns:
            A function of a step, giving the `tf.data.Dataset` of pairs of waveforms
            `[batch, samples + FRAME - HOP]` and targets `[batch, frames - ahead]`.
        """
        import tensorflow as tf

        def make(step):
            parts = tf.numpy_function(
                lambda s: self.batch(s, batch), [step], [tf.float32] * 3
            )
            sizes = self.samples, self.samples, self.frames
            parts = [
                tf.ensure_shape(x, [batch, n])
                for x, n in zip(parts, sizes, strict=True)
            ]
            return tuple(parts), step

        def hear(parts, step):
            speech, noise, active = parts
            seeds = tf.random.split(
                tf.stack([tf.cast(self.seed, tf.int64), step]), 2, alg="philox"
            )
            sound = self._room(speech, seed=seeds[0]) + noise
            sound = self._line(sound, seed=seeds[1])
            sound = tf.pad(sound, [[0, 0], [0, FRAME - HOP]])
            return sound, active[:, : self.frames - ahead]

        def following(step):
            data = tf.data.Dataset.counter(step)
            data = data.map(make, num_parallel_calls=2, deterministic=True)
            return data.map(hear).prefetch(4)

        return following

    def _talk(self, rng):
        """Utterances and pauses, when there is speech, and its root mean square."""
        speech = np.zeros(self.samples, np.float32)
        active = np.zeros(self.frames, np.float32)
        frame = int(rng.integers(0, 150))
        while frame < self.frames:
            reading = self.readings[rng.integers(len(self.readings))]
            size = len(reading.active)
            first = int(rng.integers(0, max(size // 2, 1)))
            last = int(rng.integers(first + (size - first) // 3, size)) + 1
            last = min(last, first + self.frames - frame)
            part = reading.waveform[first * HOP : last * HOP]
            part = _faded(part * np.float32(_ratio(rng.normal(scale=4.0))))
            speech[frame * HOP : frame * HOP + len(part)] = part
            active[frame : frame + last - first] = reading.active[first:last]
            frame += last - first + int(rng.integers(0, 250))
        heard = np.repeat(active, HOP) > 0
        loudness = np.sqrt(np.mean(np.square(speech[heard]))) if heard.any() else 1e-2
        return speech, active, loudness

    def _noise(self, rng):
        """One or two made-up noises, which may begin or end within the scene."""
        total = self._turned(self.noises, rng)
        if rng.random() < 0.3:
            total = total + _ratio(-rng.uniform(0, 15)) * self._turned(self.noises, rng)
        if rng.random() < 0.3:
            edge = int(rng.integers(self.samples))
            side = slice(edge, None) if rng.random() < 0.5 else slice(0, edge)
            total[side] *= _ratio(-rng.uniform(6, 40))
        return _level(total)

    def _company(self, rng):
        """Other people, and how far below a talker they must be to be noise."""
        count = int(rng.integers(3, 13))
        waveforms = [reading.waveform for reading in self.readings]
        total = sum(
            _ratio(-rng.uniform(0, 8)) * _level(self._turned(waveforms, rng))
            for _ in range(count)
        )
        return _level(total), CROWD_DB if count > CROWD else COMPANY_DB

    def _turned(self, sounds, rng):
        """A random part of a random sound, which goes round if it is short."""
        sound = sounds[rng.integers(len(sounds))]
        places = rng.integers(len(sound)) + np.arange(self.samples)
        return sound[places % len(sound)]


def _made_up(count, seed):
    """So many noises, float32 `[NOISE_S]` each."""
    return [
        noise_synthesis.noise(
            round(NOISE_S * SAMPLE_RATE), np.random.default_rng([seed, 1, number])
        )
        for number in range(count)
    ]


def _ratio(db):
    return np.float32(10 ** (db / 20))


def _level(sound):
    return sound / np.sqrt(max(np.mean(np.square(sound)), 1e-12), dtype=np.float32)


def _faded(sound):
    ramp = np.linspace(0, 1, min(FADE, len(sound)), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return sound
