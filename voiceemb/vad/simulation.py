"""Mixture simulation: speech, pauses and noise with frame-level speech labels.

    mixture = microphone(room(utterances and pauses) + noise)

The labels are those of the clean utterances (`voiceemb.vad.labels`). The noise is
synthetic, or babble of other speakers. Batches are a function of seed and step.
"""

import numpy as np

from voiceemb.vad import noise_synthesis
from voiceemb.vad.base import FRAME, HOP, SAMPLE_RATE

FADE = HOP  # samples at either end of an utterance
MANY_TALKERS = 6  # more of them are noise even when they are nearly as loud
MIN_SNR_MANY_DB = 3.0  # of speech over babble of more than `MANY_TALKERS`
MIN_SNR_FEW_DB = 10.0  # of speech over babble of fewer
NOISE_S = 6.0  # length of one synthetic noise, which is repeated


class MixtureSimulator:
    """Samples mixtures, each from its own seed.

    Args:
        utterances: List of `voiceemb.vad.labels.LabelledUtterance`.
        config: A `voiceemb.vad.config.MixtureConfig`.
        seed: Of everything sampled. Defaults to `0`.
    """

    def __init__(self, utterances, config, *, seed=0):
        from timbre.audio.augment import Augmenter

        self.utterances, self.config, self.seed = utterances, config, seed
        self.frames = round(config.seconds * SAMPLE_RATE / HOP)
        self.samples = self.frames * HOP
        self.noises = _synthesise_noises(config.noises, seed)
        self._room = Augmenter(room_probability=config.room)
        self._channel = Augmenter(
            equaliser_probability=config.equaliser,
            bandwidth_probability=config.bandwidth,
            codec_probability=config.codec,
            gain_probability=1.0,
            gain_db=config.gain_db,
        )

    def sample(self, *key):
        """Sample one mixture.

        Args:
            *key: Integers >= 0 that identify the mixture.

        Returns:
            Float32 speech and noise, `[samples]`, and speech labels, `[frames]`.
        """
        rng = np.random.default_rng([self.seed, *key])
        noise = self._sample_noise(rng)
        if rng.random() < self.config.silent:
            silence = np.zeros(self.samples, np.float32)
            level = 10 ** (rng.uniform(-50, -10) / 20)
            return silence, level * noise, np.zeros(self.frames, np.float32)
        speech, active, loudness = self._sample_speech(rng)
        low, high = self.config.snr_db
        if rng.random() < self.config.clean:
            return speech, np.zeros_like(noise), active
        snr_db = rng.uniform(low, high)
        if rng.random() < self.config.babble:
            noise, min_db = self._sample_babble(rng)
            snr_db = max(low, min_db) + rng.random() * (high - max(low, min_db))
        return speech, noise * (loudness * 10 ** (-snr_db / 20)), active

    def batch(self, step, batch):
        """The mixtures of one step: speech, noise and labels, stacked."""
        rows = [self.sample(int(step), row) for row in range(batch)]
        return tuple(np.stack(part) for part in zip(*rows, strict=True))

    def batches(self, *, batch, ahead):
        """The batches that follow a step, as `timbre.training.loop.fit` takes them.

        A function of a step, giving the `tf.data.Dataset` of pairs of waveforms
        `[batch, samples + FRAME - HOP]` and targets `[batch, frames - ahead]`, where
        the last `ahead` frames have no target, see `ActivityNetwork`.
        """
        import tensorflow as tf

        def sample(step):
            speech, noise, active = tf.numpy_function(
                lambda s: self.batch(s, batch), [step], [tf.float32] * 3
            )
            speech = tf.ensure_shape(speech, [batch, self.samples])
            noise = tf.ensure_shape(noise, [batch, self.samples])
            active = tf.ensure_shape(active, [batch, self.frames])
            return (speech, noise, active), step

        def mix(parts, step):
            speech, noise, active = parts
            seeds = tf.random.split(
                tf.stack([tf.cast(self.seed, tf.int64), step]), 2, alg="philox"
            )
            mixture = self._room(speech, seed=seeds[0]) + noise
            mixture = self._channel(mixture, seed=seeds[1])
            mixture = tf.pad(mixture, [[0, 0], [0, FRAME - HOP]])
            return mixture, active[:, : self.frames - ahead]

        def following(step):
            data = tf.data.Dataset.counter(step)
            data = data.map(sample, num_parallel_calls=2, deterministic=True)
            return data.map(mix).prefetch(4)

        return following

    def _sample_speech(self, rng):
        """Utterances with pauses, their labels, and the RMS level of the speech."""
        speech = np.zeros(self.samples, np.float32)
        active = np.zeros(self.frames, np.float32)
        frame = int(rng.integers(0, 150))
        while frame < self.frames:
            utterance = self.utterances[rng.integers(len(self.utterances))]
            size = len(utterance.active)
            first = int(rng.integers(0, max(size // 2, 1)))
            last = int(rng.integers(first + (size - first) // 3, size)) + 1
            last = min(last, first + self.frames - frame)
            part = utterance.waveform[first * HOP : last * HOP]
            part = _fade(part * np.float32(_gain(rng.normal(scale=4.0))))
            speech[frame * HOP : frame * HOP + len(part)] = part
            active[frame : frame + last - first] = utterance.active[first:last]
            frame += last - first + int(rng.integers(0, 250))
        spoken = np.repeat(active, HOP) > 0
        loudness = np.sqrt(np.mean(np.square(speech[spoken]))) if spoken.any() else 1e-2
        return speech, active, loudness

    def _sample_noise(self, rng):
        """One or two synthetic noises, which may begin or end within the mixture."""
        total = self._sample_part(self.noises, rng)
        if rng.random() < 0.3:
            gain = _gain(-rng.uniform(0, 15))
            total = total + gain * self._sample_part(self.noises, rng)
        if rng.random() < 0.3:
            edge = int(rng.integers(self.samples))
            side = slice(edge, None) if rng.random() < 0.5 else slice(0, edge)
            total[side] *= _gain(-rng.uniform(6, 40))
        return _normalise(total)

    def _sample_babble(self, rng):
        """Babble, and the lowest SNR at which it is noise and not speech."""
        count = int(rng.integers(3, 13))
        waveforms = [utterance.waveform for utterance in self.utterances]
        total = sum(
            _gain(-rng.uniform(0, 8)) * _normalise(self._sample_part(waveforms, rng))
            for _ in range(count)
        )
        min_db = MIN_SNR_MANY_DB if count > MANY_TALKERS else MIN_SNR_FEW_DB
        return _normalise(total), min_db

    def _sample_part(self, sounds, rng):
        """A random part of a random sound, which is repeated if it is short."""
        sound = sounds[rng.integers(len(sounds))]
        places = rng.integers(len(sound)) + np.arange(self.samples)
        return sound[places % len(sound)]


def _synthesise_noises(count, seed):
    """A list of `count` noises of `NOISE_S` seconds, float32 `[samples]` each."""
    size = round(NOISE_S * SAMPLE_RATE)
    generators = (np.random.default_rng([seed, 1, number]) for number in range(count))
    return [noise_synthesis.noise(size, rng) for rng in generators]


def _gain(db):
    return np.float32(10 ** (db / 20))


def _normalise(sound):
    return sound / np.sqrt(max(np.mean(np.square(sound)), 1e-12), dtype=np.float32)


def _fade(sound):
    ramp = np.linspace(0, 1, min(FADE, len(sound)), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return sound
