"""Noise synthesis: background sounds that a voice activity detector must reject.

A noise is a sum of one to three sounds of different kinds (`KINDS`) with random
parameters. None is recorded, so none can be in a test set. Sounds are float64
`[samples]` at 16 kHz while they are synthesised.
"""

import numpy as np
from scipy import signal

from voiceemb.vad.base import SAMPLE_RATE

MAX_DIFFERENCE_DB = 12.0  # between the levels of two sounds of a noise
TINY = 1e-12


def noise(samples, rng):
    """Synthesise one noise, float32 `[samples]` of power one.

    Args:
        samples: Its length, at least a tenth of a second.
        rng: A `numpy.random.Generator`.
    """
    chosen = rng.choice(len(KINDS), size=rng.integers(1, 4), replace=False)
    sounds = [_unit(KINDS[kind](samples, rng)) for kind in chosen]
    total = sum(s * _gain(-rng.uniform(0, MAX_DIFFERENCE_DB)) for s in sounds)
    if rng.random() < 0.5:
        total = _reverberate(total, rng)
    return _unit(_equalise(total, rng)).astype(np.float32)


def hiss(samples, rng):
    """Noise whose power falls as `1 / f**slope`, stronger and weaker by turns."""
    return _falling(samples, rng.uniform(-0.5, 2.2), rng) * _swell(samples, rng)


def hum(samples, rng):
    """The mains: harmonics of 50 or 60 Hz that hardly move."""
    pitch = rng.choice([50.0, 60.0, 100.0, 120.0]) * rng.uniform(0.99, 1.01)
    count = rng.integers(3, 30)
    gains = rng.exponential(size=count) / np.arange(1, count + 1) ** rng.uniform(0, 1.5)
    return _harmonics(np.full(samples, pitch), gains, rng)


def engine(samples, rng):
    """Strokes at a slowly moving rate through a body's resonances, with hiss."""
    rate = rng.uniform(8, 150) * _gain(4 * _wander(samples, rng.uniform(0.1, 1), rng))
    phase = np.cumsum(rate) / SAMPLE_RATE
    strokes = np.diff(np.floor(phase), prepend=0) * rng.uniform(0.5, 1.5, samples)
    body = _resonances(strokes, rng, low=60, high=3000, count=rng.integers(2, 6))
    rough = _falling(samples, 1.0, rng) * (1 + 0.8 * np.sin(2 * np.pi * phase))
    return _unit(body) + rng.uniform(0, 0.7) * _unit(rough)


def rhythm(samples, rng):
    """A machine with a beat: bands of noise that come and go, with squeaks."""
    rate = rng.uniform(0.5, 6)
    phase = 2 * np.pi * (rate * np.arange(samples) / SAMPLE_RATE + rng.random())
    beat = np.maximum(np.sin(phase + 0.5 * np.sin(phase)), 0) ** rng.uniform(0.5, 4)
    low = rng.uniform(80, 2500)
    band = _resonances(rng.normal(size=samples), rng, low=low, high=3 * low, count=3)
    squeak = _glide(samples, rng, low=600, high=3500) * np.maximum(np.cos(phase), 0)
    sound = _unit(beat * band) + rng.uniform(0, 0.4) * _unit(squeak)
    return sound + rng.uniform(0, 0.5) * _unit(_falling(samples, 1.0, rng))


def clatter(samples, rng):
    """Dishes, keys, doors: blows that set a few modes ringing."""
    sound = np.zeros(samples)
    low, high = sorted(rng.uniform(np.log(150), np.log(7000), 2))
    ring_s = np.exp(rng.uniform(np.log(0.004), np.log(0.25)))
    for start in _events(samples, np.exp(rng.uniform(np.log(0.7), np.log(15))), rng):
        size = min(samples - start, int(6 * ring_s * SAMPLE_RATE) + 80)
        time = np.arange(size) / SAMPLE_RATE
        count = rng.integers(1, 9)
        hz = np.exp(rng.uniform(low, high + 0.1, count))[:, None]
        decay = ring_s * rng.uniform(0.3, 1, count)[:, None]
        modes = np.sin(2 * np.pi * hz * time) * np.exp(-time / decay)
        knock = rng.normal(size=size) * np.exp(-time / rng.uniform(0.001, 0.01))
        blow = rng.uniform(0.2, 1, count) @ modes + rng.uniform(0, 2) * knock
        sound[start : start + size] += _gain(-rng.uniform(0, 20)) * blow
    return sound


def water(samples, rng):
    """A tap or rain: hiss, and a great many short rising drops."""
    sound = np.zeros(samples)
    size = int(0.03 * SAMPLE_RATE)
    time = np.arange(size) / SAMPLE_RATE
    for start in _events(samples - size, np.exp(rng.uniform(1, 5)), rng):
        hz = np.exp(rng.uniform(np.log(400), np.log(5000))) * (1 + 8 * time)
        drop = np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE)
        drop *= np.exp(-time * rng.uniform(100, 600)) * rng.exponential()
        sound[start : start + size] += drop
    stream = _resonances(rng.normal(size=samples), rng, low=300, high=6000, count=4)
    return _unit(sound) + rng.uniform(0.2, 3) * _unit(stream * _swell(samples, rng))


def wind(samples, rng):
    """Deep gusts, and the rumble of handling and traffic."""
    gust = _gain(8 * _wander(samples, rng.uniform(0.2, 2), rng))
    return gust * _falling(samples, rng.uniform(1.5, 3), rng)


def crackle(samples, rng):
    """Clicks of a bad line, of paper, of fire."""
    clicks = np.zeros(samples)
    places = _events(samples, np.exp(rng.uniform(1, 5.5)), rng)
    clicks[places] = rng.normal(size=len(places)) * rng.exponential(size=len(places))
    return _resonances(clicks, rng, low=500, high=7000, count=2)


def alarm(samples, rng):
    """Beeps, sirens and telephones: tones that switch or sweep in a fixed pattern."""
    time = np.arange(samples) / SAMPLE_RATE
    period, phase = rng.uniform(0.15, 2.5), rng.random()
    cycle = (time / period + phase) % 1
    hz, depth = np.exp(rng.uniform(np.log(350), np.log(3500))), rng.uniform(0, 0.7)
    sweep = rng.choice([0, 1, 2, 3])
    jump = (cycle > 0.5).astype(float)
    shape = (np.zeros(samples), cycle, np.abs(2 * cycle - 1), jump)[sweep]
    on = cycle < (rng.uniform(0.2, 0.9) if rng.random() < 0.6 else 1)
    gains = rng.exponential(size=rng.integers(1, 7)) / 2.0
    gate = np.convolve(on, np.hanning(160) / np.hanning(160).sum(), "same")
    return _harmonics(hz * (1 + depth * shape), gains, rng) * gate


def music(samples, rng):
    """Notes of a scale, alone or in chords, plucked or held."""
    sound = np.zeros(samples)
    root, count = rng.uniform(55, 300), rng.integers(2, 14)
    gains = rng.exponential(size=count) / np.arange(1, count + 1) ** rng.uniform(0.3, 2)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 16, 19, 24])
    plucked = rng.random() < 0.5
    for start in _events(samples, rng.uniform(1, 6), rng):
        size = min(samples - start, int(rng.uniform(0.15, 1.5) * SAMPLE_RATE))
        time = np.arange(size) / SAMPLE_RATE
        shape = np.exp(-4 * time) if plucked else np.minimum(1, 20 * time)
        shape = shape * np.minimum(1, (size / SAMPLE_RATE - time) * 40)
        for step in rng.choice(scale, rng.integers(1, 4), replace=False):
            vibrato = 1 + rng.uniform(0, 0.01) * np.sin(2 * np.pi * 5.5 * time)
            note = _harmonics(root * 2 ** (step / 12) * vibrato, gains, rng)
            sound[start : start + size] += shape * note * rng.uniform(0.3, 1)
    return sound


def cries(samples, rng):
    """Mews, howls and whines: long glides of a voice that forms no syllables."""
    sound = np.zeros(samples)
    low, high = rng.uniform(150, 500), rng.uniform(1.3, 3)
    for start in _events(samples, rng.uniform(0.3, 1.5), rng):
        size = min(samples - start, int(rng.uniform(0.25, 1.6) * SAMPLE_RATE))
        if size < 800:
            continue
        place = np.linspace(0, 1, size)
        arch = np.sin(np.pi * place ** rng.uniform(0.4, 1.6))
        pitch = low * high ** (arch * rng.uniform(0.3, 1))
        pitch = pitch * (1 + 0.02 * np.sin(2 * np.pi * 6 * np.arange(size) / 16000))
        gains = rng.uniform(0.3, 1, 20) / np.arange(1, 21) ** rng.uniform(0.2, 1.3)
        cry = _harmonics(pitch, gains, rng) * np.hanning(size) ** 0.5
        formant = rng.uniform(500, 2500)
        cry = _moving_band(cry, formant * rng.uniform(0.5, 2) ** place)
        sound[start : start + size] += _unit(cry) * _gain(-rng.uniform(0, 10))
    return sound


def birds(samples, rng):
    """Chirps: short quick glides high up."""
    sound = np.zeros(samples)
    base = rng.uniform(1500, 5000)
    for start in _events(samples, rng.uniform(1, 10), rng):
        size = min(samples - start, int(rng.uniform(0.03, 0.3) * SAMPLE_RATE))
        place = np.linspace(0, 1, size)
        turn = np.sin(2 * np.pi * place * rng.uniform(0.2, 6))
        hz = base * 2 ** (rng.uniform(-0.5, 0.5) + rng.uniform(0, 0.4) * turn)
        chirp = _harmonics(hz, [1.0, 0.2], rng)
        sound[start : start + size] += chirp * np.hanning(size)
    return sound


# fmt: off
KINDS = (
    hiss, hum, engine, rhythm, clatter, water, wind, crackle, alarm, music, cries, birds
)
# fmt: on


def _unit(sound):
    """Power one; silence stays silence."""
    return sound / np.sqrt(max(np.mean(np.square(sound)), TINY))


def _gain(db):
    return 10 ** (np.asarray(db) / 20)


def _events(samples, rate_hz, rng):
    """Start samples of a Poisson process of `rate_hz`, at least one."""
    count = max(rng.poisson(rate_hz * samples / SAMPLE_RATE), 1)
    return np.sort(rng.integers(0, samples, count))


def _wander(samples, rate_hz, rng):
    """A smooth random curve of standard deviation one and bandwidth `rate_hz`."""
    points = rng.normal(size=int(2 * rate_hz * samples / SAMPLE_RATE) + 3)
    return np.interp(np.linspace(0, 1, samples), np.linspace(0, 1, len(points)), points)


def _swell(samples, rng):
    return _gain(rng.uniform(0, 6) * _wander(samples, rng.uniform(0.2, 4), rng))


def _falling(samples, slope, rng):
    """Gaussian noise whose power falls as `1 / f**slope` from 30 Hz on."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum *= (np.maximum(hz, 30) / 1000) ** (-slope / 2)
    return _unit(np.fft.irfft(spectrum, samples))


def _harmonics(pitch_hz, gains, rng):
    """A sum of sines at multiples of a moving pitch, none above half the rate."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE
    sound = np.zeros(len(pitch_hz))
    for number, gain in enumerate(gains, start=1):
        if number * np.max(pitch_hz) > SAMPLE_RATE / 2:
            break
        sound += gain * np.sin(number * phase + rng.uniform(0, 2 * np.pi))
    return sound


def _glide(samples, rng, *, low, high):
    """A tone that wanders."""
    hz = rng.uniform(low, high) * _gain(3 * _wander(samples, 2, rng))
    return _harmonics(np.minimum(hz, 7000), [1.0, 0.4, 0.2], rng)


def _resonances(sound, rng, *, low, high, count):
    """The output of a few resonators in parallel."""
    total = np.zeros(len(sound))
    for hz in np.exp(rng.uniform(np.log(low), np.log(min(high, 7500)), count)):
        b, a = signal.iirpeak(hz, rng.uniform(1, 12), fs=SAMPLE_RATE)
        total += rng.uniform(0.2, 1) * signal.lfilter(b, a, sound)
    return total


def _moving_band(sound, centre_hz):
    """A wide band around a moving frequency, in pieces that overlap."""
    frames = signal.stft(sound, SAMPLE_RATE, nperseg=400, noverlap=200)[2]
    hz = np.linspace(0, SAMPLE_RATE / 2, frames.shape[0])[:, None]
    places = np.linspace(0, len(sound) - 1, frames.shape[1]).astype(int)
    gain = 1 / (1 + ((hz - centre_hz[places]) / 300) ** 2) + 0.05
    filtered = signal.istft(frames * gain, SAMPLE_RATE, nperseg=400, noverlap=200)[1]
    return np.resize(filtered, len(sound))


def _reverberate(sound, rng):
    """Convolve with exponentially decaying Gaussian noise."""
    size = int(rng.uniform(0.05, 0.4) * SAMPLE_RATE)
    tail = rng.normal(size=size) * np.exp(-6 * np.arange(size) / size)
    tail[0] = rng.uniform(0, 20)
    return signal.fftconvolve(sound, tail)[: len(sound)]


def _equalise(sound, rng):
    """Filter by a random frequency response of up to 10 dB either way."""
    spectrum = np.fft.rfft(sound)
    mel = np.log1p(np.linspace(0, 8000, len(spectrum)) / 700)
    points = rng.uniform(-10, 10, 6)
    gain_db = np.interp(mel, np.linspace(0, mel[-1], 6), points)
    return np.fft.irfft(spectrum * _gain(gain_db), len(sound))
