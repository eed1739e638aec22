"""Data augmentation of waveforms, and SpecAugment of features.

Waveforms are float32 `[batch, samples]` and keep their shape. Everything runs in any
graph; the same `seed`, two integers, gives the same bits on the same machine.
"""

import numpy as np
import tensorflow as tf

from timbre.audio import corruptions
from timbre.audio.corruptions import sample_uniform, split_seed
from timbre.audio.room import impulse_response, reverberate

TELEPHONE_HZ = (300.0, 3400.0)
EQUALISER_POINTS = 6
EQUALISER_POINTS = 6


def spec_augment(
    features,
    *,
    seed,
    num_band_masks=2,
    max_bands=8,
    num_frame_masks=2,
    max_frames=20,
    value=0.0,
):
    """Mask random bands and frames of every row (SpecAugment).

    Width and position of a mask are uniform.

    Args:
        features: Float `[batch, frames, bands]`.
        seed: Integers `[2]`.
        num_band_masks, max_bands: Masks of bands, and the largest width of one. Default
            to `2` and `8`.
        num_frame_masks, max_frames: Likewise of frames. Default to `2` and `20`.
        value: Of masked features; `0.0`, the default, is the mean of normalised ones.

    Reference:
        SpecAugment (Park et al., 2019), https://arxiv.org/abs/1904.08779
    """
    batch, frames, bands = tf.unstack(tf.shape(features))
    band_seed, frame_seed = split_seed(seed, 2)
    band_mask = _sample_masks(batch, bands, num_band_masks, max_bands, band_seed)
    frame_mask = _sample_masks(batch, frames, num_frame_masks, max_frames, frame_seed)
    masked = band_mask[:, None, :] | frame_mask[:, :, None]
    return tf.where(masked, tf.cast(value, features.dtype), features)


class Augmenter:
    """Applies each corruption to each row with its own probability.

    In the order of the signal path: speed, room, noise, equaliser (a random microphone,
    lest an encoder learn the few microphones of a speaker), gain, bandwidth, codec.
    With all probabilities zero, the default, rows are unchanged to the bit.

    Args:
        sample_rate: Hz. Defaults to `16000`.
        speed_probability: Chance of another speed.
        speed: Range of ratios, lowest and highest. Defaults to `(0.95, 1.05)`.
        room_probability: Chance of a synthetic room.
        rt60_s: Range of reverberation times, in seconds. Defaults to `(0.1, 0.6)`.
        direct_db: Range of direct sound over the rest. Defaults to `(0.0, 12.0)`.
        noise_probability: Chance of noise.
        snr_db: Range of signal-to-noise ratios. Defaults to `(5.0, 30.0)`.
        noises: Waveforms to sample noise from, each float `[samples]`; `None` is
            noise of random colour, white to brown.
        equaliser_probability: Chance of a microphone of random colour.
        equaliser_db: Largest gain or loss of its six points. Defaults to `8.0`.
        gain_probability: Chance of another level.
        gain_db: Range of gains. Defaults to `(-10.0, 6.0)`.
        bandwidth_probability: Chance of a narrow band: a telephone's, or all below
            a random edge of `cutoff_hz`.
        cutoff_hz: Range of that edge. Defaults to `(2500.0, 7000.0)`.
        codec_probability: Chance of coarse quantisation: a telephone's 8 bits, or a
            linear grid of 8 to 12 bits.

    Call arguments:
        waveform: Float32 `[batch, samples]`.
        seed: Integers `[2]`.

    Returns:
        Waveforms, `[batch, samples]`, finite where they were finite, and nowhere above
        both full scale and the peak of their row.
    """

    def __init__(
        self,
        *,
        sample_rate=16000,
        speed_probability=0.0,
        speed=(0.95, 1.05),
        room_probability=0.0,
        rt60_s=(0.1, 0.6),
        direct_db=(0.0, 12.0),
        noise_probability=0.0,
        snr_db=(5.0, 30.0),
        noises=None,
        equaliser_probability=0.0,
        equaliser_db=8.0,
        gain_probability=0.0,
        gain_db=(-10.0, 6.0),
        bandwidth_probability=0.0,
        cutoff_hz=(2500.0, 7000.0),
        codec_probability=0.0,
    ):
        self.sample_rate = sample_rate
        self.speed = _range("speed", speed, above=0)
        self.rt60_s = _range("rt60_s", rt60_s, above=0)
        self.direct_db = _range("direct_db", direct_db)
        self.snr_db = _range("snr_db", snr_db)
        self.equaliser_db = _range("equaliser_db", (-equaliser_db, equaliser_db))
        self.gain_db = _range("gain_db", gain_db)
        self.cutoff_hz = _range("cutoff_hz", cutoff_hz, above=0)
        self.noises = None if noises is None else _NoiseRecordings(noises)
        self._probabilities = {
            "speed": speed_probability,
            "room": room_probability,
            "noise": noise_probability,
            "equaliser": equaliser_probability,
            "gain": gain_probability,
            "bandwidth": bandwidth_probability,
            "codec": codec_probability,
        }
        for name, value in self._probabilities.items():
            if not 0 <= value <= 1:
                raise ValueError(
                    f"`{name}_probability` lies from 0 to 1. Received: {value}"
                )
        if self.cutoff_hz[1] > sample_rate / 2:
            raise ValueError(
                "`cutoff_hz` ends at half the sample rate. "
                f"Received: cutoff_hz={cutoff_hz}, sample_rate={sample_rate}"
            )

    def __call__(self, waveform, *, seed):
        waveform = tf.convert_to_tensor(waveform, tf.float32)
        if not any(self._probabilities.values()):
            return waveform
        peak = tf.maximum(tf.reduce_max(tf.abs(waveform), axis=1), 1.0)
        seeds = split_seed(seed, len(self._probabilities))
        result = waveform
        for (name, p), own in zip(self._probabilities.items(), seeds, strict=True):
            if p > 0:
                result = _apply_to_some(result, p, getattr(self, f"_{name}"), own)
        return tf.ensure_shape(corruptions.limit_peak(result, peak), waveform.shape)

    def _speed(self, x, seed):
        return corruptions.change_speed(x, _uniform(x, self.speed, seed))

    def _room(self, x, seed):
        first, second, third = split_seed(seed, 3)
        impulses = impulse_response(
            _uniform(x, self.rt60_s, first),
            direct_db=_uniform(x, self.direct_db, second),
            seed=third,
            duration_s=self.rt60_s[1],
            sample_rate=self.sample_rate,
        )
        return reverberate(x, impulses)

    def _noise(self, x, seed):
        first, second, third = split_seed(seed, 3)
        if self.noises is None:
            slope, samples = _uniform(x, (0.0, 2.0), first), tf.shape(x)[1]
            noise = corruptions.coloured_noise(slope, samples=samples, seed=second)
        else:
            noise = self.noises.sample(tf.shape(x), seed=second)
        return corruptions.add_noise(x, noise, snr_db=_uniform(x, self.snr_db, third))

    def _equaliser(self, x, seed):
        gain_db = _uniform(x, self.equaliser_db, seed, EQUALISER_POINTS)
        return corruptions.equalise(x, gain_db, sample_rate=self.sample_rate)

    def _gain(self, x, seed):
        return corruptions.apply_gain(x, _uniform(x, self.gain_db, seed))

    def _bandwidth(self, x, seed):
        first, second = split_seed(seed, 2)
        telephone = _uniform(x, (0.0, 1.0), first) < 0.5
        low, high = TELEPHONE_HZ
        cutoff = _uniform(x, self.cutoff_hz, second)
        return corruptions.bandpass(
            x,
            low_hz=tf.where(telephone, low, 0.0),
            high_hz=tf.where(telephone, high, cutoff),
            sample_rate=self.sample_rate,
        )

    def _codec(self, x, seed):
        first, second = split_seed(seed, 2)
        telephone = _uniform(x, (0.0, 1.0), first) < 0.5
        bits = tf.floor(_uniform(x, (8.0, 13.0), second))
        return tf.where(
            telephone[:, None], corruptions.mu_law(x), corruptions.quantise(x, bits)
        )


class _NoiseRecordings:
    """Recordings of noise, one after the other in one tensor."""

    def __init__(self, waveforms):
        waveforms = [np.asarray(noise, np.float32) for noise in waveforms]
        if not waveforms or any(n.ndim != 1 or not n.size for n in waveforms):
            raise ValueError(
                "`noises` are waveforms [samples] with at least one sample. "
                f"Received: {[noise.shape for noise in waveforms]}"
            )
        if not all(np.isfinite(noise).all() for noise in waveforms):
            raise ValueError("`noises` are finite. Received: one that is not")
        self._flat = tf.constant(np.concatenate(waveforms))
        lengths = np.array([len(noise) for noise in waveforms])
        self._length = tf.constant(lengths, tf.int64)
        self._start = tf.constant(np.cumsum(lengths) - lengths, tf.int64)

    def sample(self, shape, *, seed):
        """A random part of a random recording for each row, in a circle if short."""
        first, second = split_seed(seed, 2)
        num = tf.size(self._start)
        which = sample_uniform(shape[:1], first, 0, num, dtype=tf.int32)
        length = tf.gather(self._length, which)[:, None]
        share = sample_uniform(shape[:1], second, dtype=tf.float64)[:, None]
        offset = tf.cast(share * tf.cast(length, tf.float64), tf.int64)
        where = (offset + tf.range(tf.cast(shape[1], tf.int64))) % length
        return tf.gather(self._flat, tf.gather(self._start, which)[:, None] + where)


def _apply_to_some(waveform, probability, corruption, seed):
    """Apply a corruption to random rows, and compute it for those alone."""
    first, second = split_seed(seed, 2)
    rows = tf.where(_uniform(waveform, (0.0, 1.0), first) < probability)
    changed = corruption(tf.gather_nd(waveform, rows), second)
    return tf.tensor_scatter_nd_update(waveform, rows, changed)


def _uniform(x, bounds, seed, *columns):
    """One number, or a row of them, for each row of `x`."""
    low, high = bounds
    shape = tf.stack([tf.shape(x)[0], *columns])
    return low + (high - low) * sample_uniform(shape, seed)


def _sample_masks(batch, size, num_masks, widest, seed):
    """True within any of `num_masks` stripes, `[batch, size]`."""
    first, second = split_seed(seed, 2)
    shape = [batch, num_masks]
    widest = tf.minimum(widest, size)
    width = sample_uniform(shape, first, 0, widest + 1, dtype=tf.int32)
    share = sample_uniform(shape, second)
    start = tf.cast(share * tf.cast(size - width + 1, tf.float32), tf.int32)
    place = tf.range(size)
    inside = (place >= start[..., None]) & (place < (start + width)[..., None])
    return tf.reduce_any(inside, axis=1)


def _range(name, bounds, above=-np.inf):
    low, high = bounds
    if not above < low <= high < np.inf:
        rule = "from low to high" + (f", above {above}" if above > -np.inf else "")
        raise ValueError(f"`{name}` goes {rule}. Received: {name}={bounds}")
    return float(low), float(high)
