"""Style augmentation: what a style names changes, by what it says, and no more."""

import dataclasses
import sys

import numpy as np
import pytest
from scipy.signal import lfilter

from timbre.audio import wave
from timbre.corpora import folders, style_augmentation
from timbre.corpora.style_augmentation import Style

RATE = 16000


def vowel(f0_hz=120.0, seconds=1.0, formants=(600, 1400, 2600, 3600)):
    """A pulse train with a gentle melody through resonances: pitch is known."""
    time = np.arange(int(seconds * RATE)) / RATE
    f0 = f0_hz * 2 ** (0.15 * np.sin(2 * np.pi * 2 * time))
    x = (np.diff(np.floor(np.cumsum(f0) / RATE), prepend=0) > 0).astype(float)
    for hz in formants:
        r = np.exp(-np.pi * 100 / RATE)
        x = lfilter([1], [1, -2 * r * np.cos(2 * np.pi * hz / RATE), r * r], x)
    return (0.1 * x / np.abs(x).max()).astype(np.float32)


def pitch(waveform):
    """Frames of pitch in Hz, where there is any."""
    import pyworld

    f0, _ = pyworld.harvest(waveform.astype(np.float64), RATE)
    return f0[f0 > 0]


def band_db(waveform, low, high):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return 10 * np.log10(power[(hz >= low) & (hz < high)].sum())


def resynthesise(style, waveform=None):
    (result,) = style_augmentation.apply_styles(
        vowel() if waveform is None else waveform, [style]
    )
    return result


def test_a_neutral_style_changes_next_to_nothing():
    before, after = vowel(), resynthesise(Style())
    assert abs(len(after) - len(before)) <= 160
    assert np.isclose(np.median(pitch(after)), np.median(pitch(before)), rtol=0.01)
    for low, high in [(0, 1000), (1000, 2000), (2000, 4000)]:
        assert abs(band_db(after, low, high) - band_db(before, low, high)) < 1.5


@pytest.mark.parametrize("ratio", [0.8, 1.5])
def test_pitch_moves_by_its_ratio_and_formants_stay(ratio):
    plain, moved = resynthesise(Style()), resynthesise(Style(f0_ratio=ratio))
    assert np.isclose(
        np.median(pitch(moved)), ratio * np.median(pitch(plain)), rtol=0.02
    )
    assert abs(band_db(moved, 2400, 2800) - band_db(plain, 2400, 2800)) < 2


def test_the_melody_widens_by_its_ratio():
    spread = [np.log(pitch(resynthesise(Style(f0_range=r)))).std() for r in (1.0, 2.0)]
    assert np.isclose(spread[1] / spread[0], 2, rtol=0.15)


def test_the_tilt_is_in_decibels_an_octave_above_its_hinge():
    flat, steep = resynthesise(Style()), resynthesise(Style(tilt_db=6.0))
    change = [
        band_db(steep, hz * 0.97, hz * 1.03) - band_db(flat, hz * 0.97, hz * 1.03)
        for hz in (1000, 2000, 4000)
    ]
    np.testing.assert_allclose(np.diff(change), 6, atol=1.2)


def test_the_first_formant_moves_and_the_third_stays():
    def peak(waveform, low, high):
        power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
        power = np.convolve(power, np.ones(150), "same")
        hz = np.fft.rfftfreq(len(waveform), 1 / RATE)
        inside = (hz > low) & (hz < high)
        return hz[inside][power[inside].argmax()]

    plain, moved = resynthesise(Style()), resynthesise(Style(formant=1.2))
    assert peak(moved, 400, 1000) > 1.08 * peak(plain, 400, 1000)
    assert np.isclose(peak(moved, 2300, 3000), peak(plain, 2300, 3000), rtol=0.04)


def test_pace_changes_the_length_and_not_the_pitch():
    plain, quick = resynthesise(Style()), resynthesise(Style(pace=2.0))
    assert np.isclose(len(quick), len(plain) / 2, atol=160)
    assert np.isclose(np.median(pitch(quick)), np.median(pitch(plain)), rtol=0.03)


def test_a_result_is_as_loud_and_never_clips(rng):
    x = 9 * vowel()
    for sound in style_augmentation.apply_styles(
        x, [style_augmentation.sample_style(rng) for _ in range(8)]
    ):
        level = np.sqrt(np.mean(sound**2)) / np.sqrt(np.mean(x**2))
        peak = np.abs(sound).max()
        assert peak < 1 and (np.isclose(level, 1, atol=1e-3) or peak > 0.98)


def test_silence_and_noise_have_no_pitch_to_change(rng):
    assert style_augmentation.apply_styles(np.zeros(RATE), [Style()]) == []
    assert (
        style_augmentation.apply_styles(0.1 * rng.normal(size=RATE // 4), [Style()])
        == []
    )


@pytest.fixture
def corpus(tmp_path):
    for speaker, f0_hz in (("anna", 210), ("bert", 110)):
        for i in range(2):
            path = tmp_path / "in" / speaker / f"{i}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave.write(path, vowel(f0_hz + 5 * i, 0.5))
    return folders.open_corpus(tmp_path / "in")


def sounds(corpus):
    return [u.path.read_bytes() for u in corpus]


def test_the_result_holds_the_corpus_and_its_styles(corpus, tmp_path):
    found = style_augmentation.augment(
        corpus, tmp_path / "out", count=3, progress=False
    )
    assert found.name == corpus.name and found.speakers == corpus.speakers
    assert sounds(found)[:4] == sounds(corpus)
    assert len(found) == 4 + 4 * 3
    keys = set(corpus.keys())
    for u in found.utterances[4:]:
        assert u.extra["retold"] in keys and u.speaker in u.extra["retold"]
        assert 0.3 < float(u.extra["f0_ratio"]) < 3


def test_the_same_arguments_give_the_same_bytes_on_any_number_of_threads(
    corpus, tmp_path
):
    first = style_augmentation.augment(
        corpus, tmp_path / "a", count=2, threads=1, progress=False
    )
    again = style_augmentation.augment(
        corpus, tmp_path / "b", count=2, threads=3, progress=False
    )
    other = style_augmentation.augment(
        corpus, tmp_path / "c", count=2, seed=1, progress=False
    )
    assert sounds(first) == sounds(again)
    assert sounds(first)[4:] != sounds(other)[4:]
    more = style_augmentation.augment(corpus, tmp_path / "d", count=3, progress=False)
    assert set(sounds(first)) < set(sounds(more))  # more styles keep the first ones


def test_an_utterance_is_augmented_alike_whatever_stands_beside_it(
    corpus, tmp_path, monkeypatch
):
    """Its styles follow from its name: a corpus may lose others, or grow."""
    monkeypatch.setattr(
        style_augmentation, "apply_styles", lambda x, styles: [x] * len(styles)
    )
    fewer = dataclasses.replace(corpus, utterances=corpus.utterances[1:])
    extras = [
        [
            u.extra
            for u in style_augmentation.augment(
                one, tmp_path / name, count=2, progress=False
            )
        ]
        for name, one in (("all", corpus), ("fewer", fewer))
    ]
    every, some = ([e for e in extra if "retold" in e] for extra in extras)
    assert some == every[2:] and len(some) == 6
    assert len({extra["f0_ratio"] for extra in every}) == 8


def test_a_result_is_read_again_and_another_is_refused(corpus, tmp_path):
    first = style_augmentation.augment(
        corpus, tmp_path / "out", count=1, progress=False
    )
    written = first.utterances[-1].path.stat().st_mtime_ns
    again = style_augmentation.augment(
        corpus, tmp_path / "out", count=1, progress=False
    )
    assert again.utterances[-1].path.stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="folder of its own"):
        style_augmentation.augment(corpus, tmp_path / "out", count=2, progress=False)
    with pytest.raises(ValueError, match="folder of its own"):
        style_augmentation.augment(corpus, tmp_path / "in", count=1, progress=False)
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        style_augmentation.augment(corpus, tmp_path / "none", count=0)


def test_a_result_that_is_stopped_leaves_nothing(corpus, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(style_augmentation, "apply_styles", stop)
    with pytest.raises(KeyboardInterrupt):
        style_augmentation.augment(corpus, tmp_path / "out", progress=False)
    assert {p.name for p in tmp_path.iterdir()} == {"in"}


def test_a_damaged_file_is_kept_for_others_to_report(corpus, tmp_path):
    corpus.utterances[0].path.write_bytes(b"not a sound")
    found = style_augmentation.augment(
        corpus, tmp_path / "out", count=1, progress=False
    )
    assert len(found) == 4 + 3


def test_a_missing_vocoder_is_named(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ImportError, match="pip install pyworld"):
        style_augmentation.augment(corpus, tmp_path / "out", count=1)
    assert not (tmp_path / "out").exists()
