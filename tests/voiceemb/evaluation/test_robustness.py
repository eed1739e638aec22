import itertools
import json

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora.corpus import Corpus, Utterance
from voiceemb import evaluate, figures
from voiceemb.evaluation import corruptions, robustness
from voiceemb.evaluation.robustness import Robustness

HZ = (200, 400, 800)  # the tone of each speaker
FAST = {"resamples": 20, "shown": False}


@pytest.fixture
def corpus(tmp_path):
    """Three tones with three utterances each, of 0.6, 1.0 and 2.2 s."""
    rows = []
    for hz, seconds in itertools.product(HZ, (0.6, 1.0, 2.2)):
        time = np.arange(round(seconds * 16000)) / 16000
        x = (0.3 * np.sin(2 * np.pi * hz * time)).astype("float32")
        path = tmp_path / "tones" / str(hz) / f"{seconds}.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        wave.write(path, x, sample_rate=16000)
        rows.append(Utterance(path, str(hz)))
    return Corpus("tones", tuple(rows))


def loudest(waveform):
    """Speaker by the loudest of the tones, and whether there is much beside it."""
    time = np.arange(len(waveform)) / 16000
    waves = np.exp(-2j * np.pi * np.array(HZ)[:, None] * time)
    power = np.abs(waves @ waveform) ** 2 / len(waveform) ** 2
    noisy = np.mean(waveform**2) > 1.03 * 2 * power.max()
    return int(power.argmax()), bool(noisy)


def tones(waveforms):
    """An extractor that knows every tone."""
    return np.eye(3)[[loudest(x)[0] for x in waveforms]]


def turned(waveforms):
    """Takes each noisy tone for the next lower one."""
    found = [loudest(x) for x in waveforms]
    return np.eye(3)[[(tone - noisy) % 3 for tone, noisy in found]]


def test_short_cuts_lie_inside_long_ones(rng):
    x = np.arange(1000)
    for name in map(str, range(50)):
        parts = [
            corruptions.cut(x, size, rng=corruptions.generator(0, name))
            for size in (1, 10, 500, 999, 1000)
        ]
        assert [len(part) for part in parts] == [1, 10, 500, 999, 1000]
        for inner, outer in itertools.pairwise(parts):
            assert outer[0] <= inner[0] and inner[-1] <= outer[-1]


def test_cuts_start_anywhere_and_depend_on_seed_and_name_only():
    x = np.arange(1000)

    def start(seed, name):
        return corruptions.cut(x, 500, rng=corruptions.generator(seed, name))[0]

    starts = [start(0, str(i)) for i in range(400)]
    assert abs(np.mean(starts) - 250) < 4 * 144.6 / 20  # deviation of a uniform draw
    assert starts == [start(0, str(i)) for i in range(400)]
    assert start(1, "a") != start(0, "a") != start(0, "b")


@pytest.mark.parametrize("snr_db", [20, 0, -5])
def test_noise_has_exactly_the_power_asked_for(rng, snr_db):
    speech, noise = rng.normal(size=(2, 8000)).astype("float32") * [[0.1], [3]]
    speech = speech.astype("float32")
    added = corruptions.mix(speech, noise.astype("float32"), snr_db=snr_db) - speech
    ratio = 10 * np.log10(np.mean(speech**2) / np.mean(added**2))
    assert ratio == pytest.approx(snr_db, abs=1e-3)


def test_pink_noise_has_equal_power_in_every_octave_from_50_hz():
    noise = corruptions.sample_noise(2**20, None, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise.astype(float))) ** 2
    hz = np.fft.rfftfreq(2**20, 1 / 16000)
    octaves = [
        power[(hz >= low) & (hz < 2 * low)].sum() for low in 100 * 2.0 ** np.arange(6)
    ]
    np.testing.assert_allclose(octaves / np.mean(octaves), 1, atol=0.05)
    assert power[hz < 50].sum() < 1e-9 * power.sum()


def test_a_short_recording_of_noise_goes_round_in_a_circle():
    recording = np.arange(1, 8, dtype="float32")
    noise = corruptions.sample_noise(20, [recording], np.random.default_rng(0))
    assert set(np.diff(noise) % 7) == {1} and len(noise) == 20


def test_noises_are_read_from_a_folder_and_silence_is_refused(tmp_path, rng):
    with pytest.raises(ValueError, match="must hold recordings of noise"):
        corruptions.read_noises(tmp_path)
    loud = rng.uniform(-0.1, 0.1, 800).astype("float32")
    wave.write(tmp_path / "a.wav", loud, sample_rate=8000)
    assert [len(x) for x in corruptions.read_noises(tmp_path)] == [1600]
    wave.write(tmp_path / "b.wav", 0 * loud, sample_rate=8000)
    with pytest.raises(ValueError, match=r"silent \['b.wav'\]"):
        corruptions.read_noises(tmp_path)
    with pytest.raises(FileNotFoundError, match="no .*none"):
        corruptions.read_noises(tmp_path / "none")


def test_a_duration_has_only_utterances_that_long_and_says_how_many(corpus):
    lengths = []

    def spy(waveforms):
        received = list(waveforms)
        lengths.append({len(x) for x in received})
        return tones(received)

    both = {"spy": spy, "tones": tones}
    rows = Robustness(corpus, both, **FAST).over_durations()
    assert lengths == [{8000}, {16000}]
    found = {(row["extractor"], row["duration_s"]): row for row in rows}
    assert [found["tones", s]["num_utterances"] for s in robustness.DURATIONS_S] == [
        *(9, 6, 3, 0, 0)
    ]
    assert {row["of_utterances"] for row in rows} == {9}
    for name in ("spy", "tones"):
        assert found[name, 0.5]["eer"] == 0 == found[name, 1.0]["eer"]
        assert found[name, 0.5]["eer_interval"] == [0, 0]
        missing = found[name, 2.0]
        assert missing["eer"] is None and missing["eer_interval"] is None
        assert missing["reason"].startswith("3 utterances are left, and 0 speakers")
    digests = [found[name, 1.0]["trials_sha256"] for name in ("spy", "tones")]
    assert digests[0] == digests[1]
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("over", [Robustness.over_durations, Robustness.over_noise])
def test_the_corruption_of_an_utterance_depends_on_its_name_alone(corpus, over):
    def corrupted(some):
        sounds = set()

        def spy(waveforms):
            waveforms = list(waveforms)
            sounds.update(x.tobytes() for x in waveforms)
            return tones(waveforms)

        over(Robustness(some, {"spy": spy}, **FAST))
        return sounds

    everything = corrupted(corpus)
    assert corrupted(Corpus("back", corpus.utterances[::-1])) == everything
    assert corrupted(corpus.subset(["200", "800"])) < everything


def test_noise_is_on_both_sides_or_on_the_test_side_only(corpus):
    """An extractor that errs alike on both sides does not err at all."""
    for noisy, eers in (("both", [0, 0]), ("test", [0, 1])):
        two = corpus.subset(["200", "400"])
        measured = Robustness(two, {"turned": turned}, **FAST)
        rows = measured.over_noise([10], noisy=noisy)
        assert [row["snr_db"] for row in rows] == [None, 10]
        assert [row["eer"] for row in rows] == eers
        assert {row["noisy"] for row in rows} == {robustness.NOISY[noisy]}
        assert len({row["trials_sha256"] for row in rows}) == 1


def test_levels_share_one_noise_and_differ_by_a_factor(corpus):
    received = []

    def spy(waveforms):
        received.append([x.astype(float) for x in waveforms])
        return tones(received[-1])

    Robustness(corpus, {"spy": spy}, **FAST).over_noise([0, 20])
    clean, quiet, loud = received
    for x, low, high in zip(clean, quiet, loud, strict=True):
        np.testing.assert_allclose(10 * (low - x), high - x, atol=2e-5)


@pytest.mark.parametrize(
    "over, options, reason",
    [
        (Robustness.over_durations, {"durations_s": [0.01]}, "at least 0.1 s"),
        (Robustness.over_durations, {"durations_s": []}, "Durations"),
        (Robustness.over_durations, {"durations_s": [9.0]}, "can not be evaluated"),
        (Robustness.over_noise, {"snrs_db": [np.nan]}, "must be finite"),
        (Robustness.over_noise, {"noisy": "enrol"}, "'both', 'test'"),
    ],
)
def test_what_can_not_be_measured_is_refused(corpus, over, options, reason):
    with pytest.raises(ValueError, match=reason):
        over(Robustness(corpus, {"tones": tones}, **FAST), **options)


def test_a_protocol_is_known(corpus):
    with pytest.raises(ValueError, match="protocol"):
        Robustness(corpus, {"tones": tones}, protocol="closed")


def test_the_table_has_a_line_for_every_point(corpus):
    measured = Robustness(corpus, {"tones": tones}, **FAST)
    rows = measured.over_durations() + measured.over_noise()
    lines = robustness.table(rows).splitlines()
    assert len(lines) == 1 + 10
    assert "tones: tones, 0.5 s" in lines[1] and "open-set" in lines[1]
    assert "tones: tones, clean" in lines[3] and "5 dB" in lines[6]
    assert lines[-1].startswith("tones: tones, 8 s: not measured, 0 utterances")


def test_figures_show_every_measured_point_and_name_every_tick(corpus):
    extractors = {"tones": tones, "turned": turned}
    measured = Robustness(corpus, extractors, **FAST)
    rows = measured.over_durations()
    axes = figures.duration_figure(rows).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.5, 1.0]] * 2
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["0.5\n(9)", "1\n(6)", "2\n(3)", "4\n(0)", "8\n(0)"]
    assert axes.get_title("left") == "Duration, tones, open-set"
    rows = measured.over_noise(noisy="test")
    axes = figures.noise_figure(rows).axes[0]
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["clean", "20", "10", "5", "0"]
    assert list(axes.lines[0].get_xdata()) == [20, 10, 5, 0]
    assert axes.xaxis_inverted()
    assert "pink noise from 50 Hz, test side only" in axes.get_xlabel()
    eers = [row["eer"] for row in rows if row["extractor"] == "turned"]
    np.testing.assert_allclose(axes.lines[2].get_ydata(), np.array(eers[1:]) * 100)


@pytest.mark.slow
def test_both_figures_are_plotted(corpus, tmp_path):
    measured = Robustness(corpus, {"tones": tones}, **FAST)
    rows = measured.over_durations() + measured.over_noise()
    paths = figures.plot_robustness(rows, tmp_path)
    assert [path.name for path in paths] == ["duration.png", "noise.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.real_data
@pytest.mark.slow
def test_real_speech_is_harder_when_short_and_when_noisy(real_data):
    from timbre.corpora.folders import open_corpus

    some = {"mfcc": evaluate.mfcc_extractor()}
    corpus = open_corpus(real_data / "librispeech_test_other")
    measured = Robustness(corpus, some, **FAST)
    short = measured.over_durations([0.5, 2])
    assert short[0]["eer"] > short[1]["eer"] + 0.1
    noisy = measured.over_noise([0], noises=real_data / "noise")
    assert noisy[0]["eer"] == pytest.approx(0.053, abs=0.001)  # as without this module
    assert noisy[1]["eer"] > noisy[0]["eer"] + 0.1
