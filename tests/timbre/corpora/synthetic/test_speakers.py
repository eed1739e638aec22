from collections import Counter

import numpy as np
import pytest

from timbre.corpora.synthetic import espeak, speakers

TEXT = "We were away a year ago while the lazy boy may yawn."


def median_f0_hz(speech):
    """Pitch by autocorrelation, over the frames where it is clear."""
    rate, size = speech.sample_rate, speech.sample_rate // 25
    starts = range(0, len(speech.waveform) - size, size // 2)
    frames = np.stack([speech.waveform[s : s + size] for s in starts])
    window = np.hanning(size)
    spectra = np.abs(np.fft.rfft(frames * window, 4 * size)) ** 2
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 4 * size)) ** 2)[:size]
    lags = np.fft.irfft(spectra)[:, :size] / (own / own[0] + 1e-3)
    lags /= lags[:, :1] + 1e-9
    shortest, longest = rate // 450, rate // 60
    best = lags[:, shortest:longest].argmax(1) + shortest
    clear = lags[np.arange(len(best)), best] > 0.7
    return np.median(rate / best[clear])


def formant_ratio(one, other):
    """How much higher the formants of `one` lie: the best shift of envelopes.

    Average spectra, smoothed over 250 Hz and laid out on a logarithmic axis, are
    those of the same sounds moved by the logarithm of the ratio.
    """
    ratios, hz = np.exp(np.linspace(-0.4, 0.4, 161)), np.geomspace(1000, 4500, 300)
    misfit = [np.std(envelope(one, hz * r) - envelope(other, hz)) for r in ratios]
    return ratios[np.argmin(misfit)]


def envelope(speech, hz):
    frames = np.lib.stride_tricks.sliding_window_view(speech.waveform, 512)[::256]
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2, axis=0)
    smooth = np.convolve(power, np.hanning(18), mode="same")[:257]
    return np.log(np.interp(hz, np.arange(257) * 31.25, smooth))


def speaker(tract=1.0, f0_hz=100.0, speed=1.0):
    variant = next(v for v in speakers.MALE if v.name == "m6")
    return speakers.Speaker("s0000", variant, f0_hz, tract, speed)


def test_first_speakers_of_many_are_those_of_few():
    assert speakers.sample_speakers(50, seed=3)[:10] == speakers.sample_speakers(
        10, seed=3
    )


def test_another_seed_draws_other_speakers():
    one, other = (speakers.sample_speakers(20, seed=seed) for seed in (0, 1))
    assert not {s.f0_hz for s in one} & {s.f0_hz for s in other}


def test_speakers_are_spread_evenly():
    sampled = speakers.sample_speakers(300, seed=0)
    assert len({(s.f0_hz, s.tract, s.speed) for s in sampled}) == 300
    assert Counter(s.gender for s in sampled) == {"f": 150, "m": 150}
    uses = Counter(s.variant for s in sampled if s.gender == "f")
    assert set(uses.values()) == {150 // len(speakers.FEMALE)}
    tracts = np.sort([np.log(s.tract / s.variant.tract) for s in sampled])
    even = np.linspace(-speakers.TRACT_SPREAD, speakers.TRACT_SPREAD, 300)
    np.testing.assert_allclose(tracts, even, atol=0.02)


def test_women_speak_higher_than_men():
    f0_hz = {"f": [], "m": []}
    for one in speakers.sample_speakers(80, seed=0):
        f0_hz[one.gender].append(one.f0_hz)
    assert np.mean(f0_hz["f"]) > 1.5 * np.mean(f0_hz["m"])


@pytest.mark.parametrize("tract", [0.8, 1.0, 1.2])
def test_played_slower_a_tone_falls_and_its_labels_stretch(tract):
    """At `tract`, 1 s of 1000 Hz is `tract` s of `1000 / tract` Hz."""
    rate = 22050
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    label = espeak.Label(0.25, 0.75, "a")
    speech = espeak.Speech(0.5 * tone, rate, (label,), (label,))
    longer = speakers.apply_tract_length(speech, tract=tract)
    assert longer.sample_rate == 16000
    assert abs(len(longer.waveform) / 16000 - tract) < 1e-3
    peak = np.abs(np.fft.rfft(longer.waveform)).argmax() * 16000 / len(longer.waveform)
    assert abs(peak - 1000 / tract) < 2
    assert np.isclose(longer.phones[0].start_s, 0.25 * tract, rtol=1e-4)
    assert np.isclose(longer.words[0].end_s, 0.75 * tract, rtol=1e-4)


def test_a_longer_tract_lowers_formants_and_leaves_pitch_and_speed():
    short, long = (
        speakers.synthesise(TEXT, speaker=speaker(tract=t)) for t in (0.9, 1.1)
    )
    assert abs(formant_ratio(short, long) / (1.1 / 0.9) - 1) < 0.05
    assert abs(np.log2(median_f0_hz(short) / median_f0_hz(long))) < 0.08
    assert abs(np.log(len(short.waveform) / len(long.waveform))) < 0.08


@pytest.mark.parametrize("index", range(0, 40, 5))
def test_speakers_have_the_pitch_they_are_given(index):
    one = speakers.sample_speakers(40, seed=0)[index]
    measured = median_f0_hz(speakers.synthesise(TEXT, speaker=one))
    assert abs(12 * np.log2(measured / one.f0_hz)) < 1.5  # semitones


def test_prosody_moves_pitch_and_speed():
    plain = speakers.synthesise(TEXT, speaker=speaker())
    prosody = speakers.Prosody(semitones=3.0, speed=1.15)
    moved = speakers.synthesise(TEXT, speaker=speaker(), prosody=prosody)
    assert 2 < 12 * np.log2(median_f0_hz(moved) / median_f0_hz(plain)) < 4
    assert len(moved.waveform) < 0.92 * len(plain.waveform)


def test_every_variant_speaks_without_clipping():
    for variant in speakers.FEMALE + speakers.MALE:
        one = speakers.Speaker("s", variant, variant.f0_hz, 1.0, 1.0)
        peak = np.abs(speakers.synthesise("Yes, away.", speaker=one).waveform).max()
        assert 0.02 < peak < 0.95, variant.name
