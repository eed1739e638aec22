import itertools

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora.corpus import Corpus, Utterance
from timbre.metrics import reliability, scoring
from timbre.metrics.calibration import LogisticCalibration
from voiceemb import evaluate, figures
from voiceemb.evaluation import score_normalisation


@pytest.fixture
def corpus(tmp_path, rng):
    """Three speakers of four files, one of them damaged; the pitch is the speaker."""
    rows = []
    for speaker, i in itertools.product(range(3), range(4)):
        time = np.arange(8000) / 16000
        x = np.sin(2 * np.pi * (100 + 60 * speaker) * time) * 0.3
        x = (x + rng.normal(scale=0.01, size=8000)).astype("float32")
        path = tmp_path / f"s{speaker}" / f"{i}.wav"
        path.parent.mkdir(exist_ok=True)
        wave.write(path, x, sample_rate=16000)
        rows.append(Utterance(path, f"s{speaker}"))
    rows[0].path.write_text("this is no sound")
    return Corpus("tones", tuple(rows))


def pitch(waveforms):
    """An extractor that can not err: the loudest frequency as an angle."""
    peaks = np.array([np.abs(np.fft.rfft(x)).argmax() * 2.0 for x in waveforms])
    return np.stack([np.cos(peaks / 50), np.sin(peaks / 50)], axis=-1)


def noise(waveforms):
    rng = np.random.default_rng(1)
    return np.stack([rng.normal(size=8) for _ in waveforms])


def test_extractors_are_compared_on_the_same_trials(corpus, capsys):
    found = evaluate.evaluate(corpus, {"pitch": pitch, "noise": noise}, resamples=20)
    assert len(found.sets["pitch"]) == 11 and len(found.skipped) == 1
    assert "1 of 12 utterances can not be used" in capsys.readouterr().err
    perfect, useless = found.row("pitch"), found.row("noise")
    assert perfect["eer"] == 0 and useless["eer"] > 0.2
    assert perfect["trials_sha256"] == useless["trials_sha256"]
    assert perfect["num_trials"] == 11 * 10 // 2
    assert perfect["protocol"] == "open-set, unseen speakers"


def test_both_trial_lists_and_both_protocols_are_named(corpus):
    found = evaluate.evaluate(
        corpus,
        {"pitch": pitch},
        protocol="closed-set",
        trial_lists=("all-pairs", "deep-speaker"),
        resamples=0,
    )
    assert [row["trial_list"] for row in found.rows] == ["all-pairs", "deep-speaker"]
    assert {row["protocol"] for row in found.rows} == {"closed-set, unseen utterances"}


def test_an_evaluation_without_a_pair_is_refused(corpus):
    alone = Corpus("alone", corpus.utterances[:4])
    with pytest.raises(ValueError, match="at least two speakers"):
        evaluate.evaluate(alone, {"pitch": pitch})


def test_speakers_of_the_training_are_refused_or_left_out(corpus):
    with pytest.raises(ValueError, match="1 of 3 .* trained on: s1"):
        evaluate.exclude_trained(corpus, {"other/s1", "s9"})
    left = evaluate.exclude_trained(corpus, {"other/s1"}, leave_out=True)
    assert left.speakers == ("s0", "s2")
    assert evaluate.exclude_trained(corpus, {"s9"}) == corpus


def test_centred_scores_stand_beside_cosines_and_forget_what_all_voices_share(corpus):
    def shifted(waveforms):
        return pitch(waveforms) + [100.0, 50.0]

    found = evaluate.evaluate(
        corpus,
        {"pitch": pitch, "shifted": shifted},
        normalisations=score_normalisation.centre_scores("pitch")
        | score_normalisation.centre_scores("shifted"),
        resamples=0,
    )
    said = "{}, centred on this corpus (unsupervised)"
    order = ["pitch", said.format("pitch"), "shifted", said.format("shifted")]
    assert [row["extractor"] for row in found.rows] == order
    assert [row["normalise"] for row in found.rows] == ["none", "centre"] * 2
    assert (
        found.rows[1]["name"] == "tones: pitch, centred on this corpus (unsupervised)"
    )
    assert ["optimistic" in row["note"] for row in found.rows] == [False, True] * 2
    centred = [found.scores["all-pairs", said.format(name)] for name in found.sets]
    np.testing.assert_allclose(*centred, atol=1e-9)
    assert found.scores["all-pairs", "shifted"].min() > 0.99


def test_as_norm_names_its_cohort_and_scores_as_the_metric_does(corpus):
    cohort = np.random.default_rng(2).normal(size=(30, 8))
    found = evaluate.evaluate(
        corpus,
        {"noise": noise, "pitch": pitch},
        normalisations=score_normalisation.as_norm_scores(
            "noise", cohort, name="strangers", top=9
        ),
        resamples=0,
    )
    name = "noise, AS-norm by strangers (top 9 of 30)"
    assert [row["extractor"] for row in found.rows] == ["noise", name, "pitch"]
    assert [row["cohort"] for row in found.rows] == ["", "strangers", ""]
    expected = scoring.as_norm(
        found.scores["all-pairs", "noise"],
        found.trials["all-pairs"],
        found.sets["noise"].embeddings,
        cohort,
        top=9,
    )
    np.testing.assert_array_equal(found.scores["all-pairs", name], expected)
    few = score_normalisation.as_norm_scores("noise", cohort[:5], name="few")
    assert list(few) == ["noise, AS-norm by few (top 5 of 5)"]


def test_a_cohort_has_one_mean_a_speaker(corpus):
    means = evaluate.speaker_means(corpus, pitch)
    assert sorted(means) == ["s0", "s1", "s2"]
    expected = pitch([u.read() for u in corpus.utterances[4:8]]).mean(axis=0)
    np.testing.assert_allclose(means["s1"], expected)


def test_a_calibration_is_evaluated_on_the_cosines_it_is_for(corpus, tmp_path):
    found = evaluate.evaluate(
        corpus,
        {"pitch": pitch, "noise": noise},
        normalisations=score_normalisation.centre_scores("pitch"),
        resamples=0,
    )
    calibration = LogisticCalibration(slope=2.0, offset=-1.0)
    calibrated = evaluate.add_calibration(found, "pitch", calibration, prior=0.2)
    assert ["calibration" in row for row in calibrated.rows] == [True, False, False]
    got = calibrated.rows[0]["calibration"]
    label, cosines = found.trials["all-pairs"].label, found.scores["all-pairs", "pitch"]
    odds = np.exp(2 * cosines - 1) * 0.2 / 0.8
    probability = odds / (1 + odds)
    assert got["prior"] == 0.2
    assert got["ece"] == pytest.approx(
        reliability.expected_calibration_error(label, probability, prior=0.2)
    )
    costs = [np.log2(1 + np.exp(-x)) for x in (2 * cosines - 1, 1 - 2 * cosines)]
    cllr = (costs[0][label].mean() + costs[1][~label].mean()) / 2
    assert got["cllr"] == pytest.approx(cllr)
    assert 0 <= got["min_cllr"] <= got["cllr"]
    assert "calibration" not in found.rows[0]
    path = figures.plot_reliability(
        calibrated, calibration, tmp_path, extractor="pitch"
    )
    assert path.name == "reliability.png" and path.stat().st_size > 5000


@pytest.mark.slow
def test_every_figure_of_an_evaluation_is_plotted(corpus, tmp_path):
    found = evaluate.evaluate(corpus, {"pitch": pitch, "noise": noise}, resamples=20)
    paths = figures.plot_evaluation(found, tmp_path, extractor="pitch", prefix="test_")
    assert [p.name for p in paths] == [
        f"test_{name}.png" for name in ("tsne", "det", "scores", "matrix")
    ]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize(
    "name, eer",
    [
        ("librispeech_test_other", 0.053),
        ("vctk_excerpt", 0.081),
        ("emodb", 0.335),
        ("korean_emotiontts", 0.120),
    ],
)
def test_the_baseline_has_its_known_error_on_real_speech(real_data, name, eer):
    """Measured apart from this code, with another implementation of the protocol."""
    from timbre.corpora.folders import open_corpus

    found = evaluate.evaluate(
        open_corpus(real_data / name), {"mfcc": evaluate.mfcc_extractor()}, resamples=0
    )
    assert found.row("mfcc")["eer"] == pytest.approx(eer, abs=0.001)
