"""Enrolment: what goes in, and who is known again."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.references import unit
from tests.voiceemb.bands import (
    ABOUT,
    BANDS,
    LINE,
    RATE,
    Loud,
    again,
    encoder,
    files,
    speak,
)
from timbre.audio import wave
from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment.people import People
from voiceemb.enrolment.quality import QualityThresholds

ROOT = Path(__file__).resolve().parents[3]


def test_who_was_enrolled_from_one_recording_is_named_in_another(rng, people):
    for voice, name in enumerate(["anna", "ben", "화자"]):
        report = people.enrol(name, [speak(rng, 2 * voice)])
        assert report.enrolled and not report.samples[0].reasons and not report.forced
    for voice, name in enumerate(["anna", "ben", "화자"]):
        for one in (people, again(people)):
            found = one.identify(speak(rng, 2 * voice))
            assert found.name == name and found.probability > 0.85
    stranger = people.identify(speak(rng, 7))
    assert stranger.name is None and stranger.probability > 0.5
    assert people.verify(speak(rng, 2), "ben").same
    assert not people.verify(speak(rng, 4), "ben").same


def test_scores_follow_every_change(rng, people):
    anna, ben = unit(rng, 2, BANDS)  # some voice, asked before anybody is enrolled
    assert people.scores(anna) == {}
    people.enrol("anna", speak(rng, 1))
    before = people.scores(anna)["anna"]
    people.enrol("anna", speak(rng, 1, colour=0.5))
    assert people.scores(anna)["anna"] != before
    people.enrol("ben", speak(rng, 5))
    assert [*people.scores(ben)] == ["anna", "ben"]
    people.remove("anna")
    assert [*people.scores(ben)] == ["ben"]


def test_a_voice_may_be_a_path_a_waveform_or_an_embedding(rng, people, tmp_path):
    recording = speak(rng, 1).clip(-1, 1)
    wave.write(tmp_path / "a.wav", recording)
    report = people.enrol("anna", str(tmp_path / "a.wav"))
    assert report.samples[0].source == str(tmp_path / "a.wav")
    own = people.embeddings("anna")[0]
    same = [people.scores(v)["anna"] for v in (tmp_path / "a.wav", recording, 3 * own)]
    np.testing.assert_allclose(same, 1, atol=1e-5)
    deaf = People.open(people.store.folder)
    assert deaf.identify(own).name == "anna"
    with pytest.raises(ValueError, match="opened with its encoder"):
        deaf.identify(recording)


def test_silence_around_speech_changes_nothing(rng, people):
    recording = speak(rng, 1, noise=0.0)
    people.enrol("anna", recording)
    longer = np.pad(recording, 5 * RATE)
    assert np.isclose(people.scores(longer)["anna"], 1, atol=1e-6)


def test_samples_are_kept_with_what_is_known_of_them(rng, people):
    people.enrol("anna", [speak(rng, 1), speak(rng, 1)])
    people.enrol("anna", speak(rng, 1, noise=0.005))
    kept = again(people).samples("anna")
    assert len(kept) == 3 and kept.segment.tolist() == ["sound 1", "sound 2", "sound 1"]
    labels = {name: column.tolist() for name, column in kept.labels.items()}
    assert all(4 < float(s) < 4.5 for s in labels["speech_s"])
    assert 22 < float(labels["snr_db"][2]) < 29 < float(labels["snr_db"][0])
    assert labels["forced"] == [""] * 3 and labels["date"][0].startswith("20")
    np.testing.assert_allclose(np.linalg.norm(kept.embeddings, axis=1), 1, atol=1e-6)
    assert kept.about["sha256"] == ABOUT["sha256"]


def test_a_bad_recording_is_left_out_with_its_reason_and_the_others_kept(rng, people):
    clipped = np.clip(30 * speak(rng, 1), -1, 1)
    report = people.enrol("anna", [speak(rng, 1), clipped])
    assert report.enrolled and [s.enrolled for s in report.samples] == [True, False]
    assert "clipped" in report.samples[1].reasons[0] and "clipped" in str(report)
    assert len(people.embeddings("anna")) == 1


def test_speech_counts_together_and_with_what_is_enrolled(rng, people):
    short = [speak(rng, 1, seconds=1.2) for _ in range(4)]
    alone = people.enrol("anna", short[:1])
    assert not alone.enrolled and "3 s are needed" in alone.reasons[0]
    assert len(people) == 0 and not files(people)
    assert people.enrol("anna", short[:3]).enrolled
    assert people.enrol("anna", short[3]).enrolled
    thresholds = QualityThresholds(min_speech_s=1)
    assert people.enrol(
        "ben", speak(rng, 4, seconds=1.2), thresholds=thresholds
    ).enrolled


def test_force_overrides_and_the_report_and_the_sample_say_so(rng, people):
    report = people.enrol("anna", speak(rng, 1, seconds=1.2), force=True)
    assert report.enrolled and report.forced and "forced" in str(report)
    assert report.reasons and people.samples("anna").labels["forced"] == report.reasons
    good = people.enrol("anna", speak(rng, 1), force=True)
    assert good.enrolled and not good.forced


def test_silence_is_refused_and_forced_is_embedded_as_it_is(rng, people):
    quiet = (1e-4 * rng.normal(size=5 * RATE)).astype(np.float32)
    report = people.enrol("anna", quiet)
    assert not report.enrolled and "no speech was found" in str(report)
    with pytest.raises(ValueError, match="A voice must speak"):
        people.identify(quiet)
    assert people.enrol("anna", quiet, force=True).enrolled


def test_another_voice_under_a_known_name_is_seen(rng, people):
    people.enrol("anna", [speak(rng, 1), speak(rng, 1)])
    people.enrol("ben", speak(rng, 5))
    report = people.enrol("anna", [speak(rng, 5), speak(rng, 1)])
    odd, good = report.samples
    assert "somebody else" in odd.reasons[0] and "'ben'" in odd.reasons[1]
    assert odd.probability < 0.5 < good.probability and good.enrolled
    assert len(people.embeddings("anna")) == 3


def test_a_known_voice_under_a_new_name_is_seen(rng, people):
    people.enrol("anna", speak(rng, 1))
    report = people.enrol("zoe", speak(rng, 1))
    assert not report.enrolled
    assert report.samples[0].reasons == ("sounds like 'anna', who is enrolled",)
    assert people.enrol("zoe", speak(rng, 3)).enrolled


def test_a_recording_is_enrolled_once_however_often_it_is_given(rng, people):
    recording = speak(rng, 1)
    people.enrol("anna", [recording, recording])
    report = people.enrol("anna", recording, force=True)
    assert not report.enrolled and "already" in report.samples[0].reasons[0]
    assert len(people.embeddings("anna")) == 1


def test_without_a_calibration_there_are_ranks_and_no_decisions(rng, tmp_path):
    people = People.create(tmp_path / "p", encoder(), detector=Loud())
    people.enrol("anna", speak(rng, 1))
    people.enrol("ben", speak(rng, 5))
    assert people.calibration is None
    voice = speak(rng, 5)
    scores = people.scores(voice)
    assert scores["ben"] > scores["anna"]
    for ask in (people.identify, lambda v: people.verify(v, "ben")):
        with pytest.raises(ValueError, match=r"calibrate.*threshold"):
            ask(voice)
    found = people.identify(voice, threshold=0.5)
    assert found.name == "ben" and found.probability is None
    odd = people.enrol("anna", voice)
    assert odd.samples[0].reasons == ("sounds like 'ben', who is enrolled",)


def test_calibrations_are_kept_one_for_each_scoring(rng, people):
    assert again(people).calibration == LINE
    label = np.arange(400) % 2 == 1
    scores = np.where(label, -0.2, -1.0) + 0.2 * rng.normal(size=400)
    people.enrol("anna", speak(rng, 1))
    with pytest.raises(ValueError, match="calibrate"):
        people.identify(speak(rng, 1), scoring="mean-distance")
    found = people.calibrate(label, scores, scoring="mean-distance")
    for one in (people, again(people)):
        assert one.calibration == LINE
        identity = one.identify(speak(rng, 1), scoring="mean-distance")
        chance = found.probability(identity.score)  # one person, a stranger as likely
        assert identity.name == "anna" and np.isclose(identity.probability, chance)
    with pytest.raises(ValueError, match="`scoring` must be one of"):
        people.calibrate(label, scores, scoring="plda")
    with pytest.raises(ValueError, match="`kind` must be one of"):
        people.calibrate(label, scores, kind="platt")


def test_calibration_on_recordings_scores_as_people_are_scored(rng, people, tmp_path):
    rows = []
    for voice in range(0, 8, 2):
        for number in range(4):
            path = tmp_path / f"{voice}_{number}.wav"
            wave.write(path, speak(rng, voice, seconds=1, colour=1.2).clip(-1, 1))
            rows.append(Utterance(path, f"s{voice}"))
    wave.write(tmp_path / "silence.wav", np.zeros(RATE, np.float32))
    rows.append(Utterance(tmp_path / "silence.wav", "s0"))  # left out
    corpus = Corpus("mine", tuple(rows))
    found = people.calibrate_on(corpus, samples=2, shown=False)
    assert found != LINE and again(people).calibration == found
    held = json.loads((people.store.folder / "calibration.centroid.json").read_text())
    assert held["corpus"] == "mine" and held["samples"] == 2


def test_a_person_is_removed_renamed_and_exported(rng, people, tmp_path):
    people.enrol("anna", speak(rng, 1))
    people.enrol("ben", speak(rng, 5))
    own = people.embeddings("anna")
    people.export("anna", tmp_path / "anna.npz")
    exported = EmbeddingSet.load(tmp_path / "anna.npz")
    np.testing.assert_array_equal(exported.embeddings, own)
    assert {*exported.speaker} == {"anna"} and exported.about["dim"] == BANDS
    people.rename("anna", "Anna K.")
    for one in (people, again(people)):
        assert one.names == ["Anna K.", "ben"]
        np.testing.assert_array_equal(one.embeddings("Anna K."), own)
        assert one.identify(own[0]).name == "Anna K."
    with pytest.raises(ValueError, match="nobody's name yet"):
        people.rename("Anna K.", "ben")
    people.remove("ben")
    assert "ben" not in people and again(people).names == ["Anna K."]
    assert len(files(people)) == 1
    for ask in (people.remove, people.embeddings, lambda n: people.rename(n, "x")):
        with pytest.raises(ValueError, match="somebody enrolled"):
            ask("ben")


@pytest.mark.parametrize(
    "sound, reason",
    [
        (np.full(5 * RATE, np.nan, np.float32), "finite"),
        (np.zeros((2, 2, 5)), "float array"),
    ],
)
def test_what_is_no_sound_is_an_error_and_enrols_nothing(rng, people, sound, reason):
    with pytest.raises(ValueError, match=reason):
        people.enrol("anna", [speak(rng, 1), sound])
    assert not files(people)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_too_short_to_be_embedded_is_refused_alone(rng, people, force):
    sounds = [np.zeros(0, np.float32), speak(rng, 1), speak(rng, 1)[RATE:][:1500]]
    report = people.enrol("anna", sounds, names=["a", "b", "c"], force=force)
    assert [s.enrolled for s in report.samples] == [False, True, False]
    assert people.samples("anna").segment.tolist() == ["b"]
    short = "too short: 0.09 s of sound, 0.1 s are needed"
    assert report.samples[2].reasons == (short,) and f"  c: {short}" in str(report)
    assert not people.enrol("ben", sounds[:1], force=force).enrolled


@pytest.mark.parametrize("voice", [np.zeros(BANDS), np.full(BANDS, np.inf)])
def test_an_embedding_without_a_direction_is_refused(people, voice):
    with pytest.raises(ValueError, match="finite and not zero"):
        people.identify(voice)


def test_two_tenths_of_a_second_are_said_to_be_too_little(rng, people):
    report = people.enrol("anna", speak(rng, 1, seconds=0.2)[RATE:-RATE])
    assert not report.enrolled and report.samples[0].reasons


def test_a_new_store_is_empty_and_can_be_asked(rng, people):
    assert (
        len(people) == 0 and people.names == [] and people.scores(speak(rng, 1)) == {}
    )
    assert people.identify(speak(rng, 1)).name is None
    assert people.samples().embeddings.shape == (0, BANDS)
    with pytest.raises(ValueError, match="somebody enrolled"):
        people.verify(speak(rng, 1), "anna")


def test_at_equal_likelihoods_the_unknown_prior_decides(rng, people):
    people.enrol("anna", speak(rng, 1))
    own = people.embeddings("anna")[0].astype(float)
    other = unit(rng, 1, BANDS)[0]
    other -= other @ own * own
    other /= np.linalg.norm(other)
    voice = 0.8 * own + 0.6 * other  # where the ratio is 1
    found = people.identify(voice, unknown_prior=0.3)
    assert found.name == "anna" and np.isclose(found.probability, 0.7, atol=1e-3)
    assert people.identify(voice, unknown_prior=0.6).name is None
    decision = people.verify(voice, "anna", prior=0.2)
    assert np.isclose(decision.probability, 0.2, atol=1e-3) and not decision.same
    assert dataclasses.is_dataclass(decision)


@pytest.mark.slow
def test_real_people_are_identified_and_an_unknown_speaker_is_not(
    real_data, pretrained, tmp_path
):
    from voiceemb.vad.energy import EnergyDetector

    corpus = real_data / "librispeech_test_other"
    paths = {
        name: sorted((corpus / name).glob("*.flac")) for name in ("1998", "2033", "367")
    }
    store = People.create(tmp_path / "p", pretrained, detector=EnergyDetector())
    for name in ("1998", "2033"):
        assert store.enrol(name, paths[name][0]).enrolled
    named = {
        name: [store.identify(path).name for path in some[1:]]
        for name, some in paths.items()
    }
    assert named["1998"].count("1998") >= 8 and named["2033"].count("2033") >= 8
    assert named["367"].count(None) >= 8
