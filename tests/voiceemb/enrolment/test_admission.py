"""Admission, by voices on a circle: cosines are those of known angles."""

import numpy as np
import pytest

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.calibration import LogisticCalibration
from voiceemb.enrolment.admission import admit, admitted_samples
from voiceemb.enrolment.quality import Quality, QualityThresholds

LINE = LogisticCalibration(slope=20.0, offset=-16.0)  # even at cosine 0.8, 37 degrees


def at(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def enrolled(**people):
    """People by name, with samples at these angles of 2 s of speech each."""
    return {
        name: EmbeddingSet(
            at(*degrees),
            np.full(len(degrees), name),
            np.full(len(degrees), ""),
            {},
            {"speech_s": np.full(len(degrees), "2.00")},
        )
        for name, degrees in people.items()
    }


def ask(name, people, *degrees, calibration=LINE, speech_s=4.0, reasons=(), **options):
    recordings = [(f"{d}", Quality(speech_s, 0.0, None, reasons)) for d in degrees]
    options = {"calibration": calibration, "thresholds": QualityThresholds()} | options
    return admit(name, recordings, at(*degrees), people, **options)


def test_what_is_refused_for_its_quality_has_no_vote():
    """A good voice at 0 degrees; noise at 90 would have been the only other one."""
    recordings = [
        ("good", Quality(4.0, 0.0, None)),
        ("noise", Quality(4.0, 0, None, ("x",))),
    ]
    report = admit(
        "anna",
        recordings,
        at(0, 90),
        {},
        calibration=LINE,
        thresholds=QualityThresholds(),
    )
    good, noise = report.samples
    assert good.enrolled and not good.reasons and good.score is None
    assert np.isclose(noise.score, 0) and not noise.enrolled


def test_too_little_sound_for_an_embedding_is_never_kept():
    recordings = [
        ("good", Quality(4.0, 0.0, None)),
        ("click", Quality(0, 0, None, ("x",))),
    ]
    rows = np.concatenate([at(0), np.zeros((1, 2), np.float32)])
    report = admit(
        "anna",
        recordings,
        rows,
        {},
        calibration=LINE,
        thresholds=QualityThresholds(),
        force=True,
    )
    assert [s.enrolled for s in report.samples] == [True, False]
    assert report.samples[1].reasons == ("x",) and not report.forced


def reasons(report):
    return [reason for sample in report.samples for reason in sample.reasons]


def test_the_score_is_the_cosine_with_all_other_samples():
    """Others at 0 and 20 degrees have their mean at 10; 40 is 30 away from it."""
    report = ask("anna", enrolled(anna=[0, 20]), 40)
    assert np.isclose(report.samples[0].score, np.cos(np.radians(30)))
    assert np.isclose(report.samples[0].probability, LINE.probability(np.sqrt(0.75)))
    of_each_other = [sample.score for sample in ask("anna", {}, 0, 30).samples]
    np.testing.assert_allclose(of_each_other, np.sqrt(0.75), rtol=1e-6)


def test_who_is_likelier_themselves_is_not_taken_for_a_neighbour():
    """At 12 degrees, ben at 20 is likely, 8 away; anna at 10 is likelier still."""
    for calibration in (LINE, None):
        people = enrolled(anna=[10], ben=[20])
        assert not reasons(ask("anna", people, 12, calibration=calibration))
        rival = reasons(ask("anna", people, 18, calibration=calibration))
        assert rival == ["sounds like 'ben', who is enrolled"]


def test_a_nearer_neighbour_who_is_unlikely_too_is_no_reason():
    """At 100 degrees neither anna at 0 nor carl at 180 is likely."""
    found = reasons(ask("anna", enrolled(anna=[0], carl=[180]), 100))
    assert len(found) == 1 and "somebody else" in found[0]


def test_a_new_name_is_refused_only_for_a_voice_that_is_surely_known():
    """At cosine 0.9, the ratio e**2 is too little against a prior of 19 to 1."""
    people = enrolled(anna=[0])
    doubtful, surely = np.degrees(np.arccos([0.9, 0.99]))
    assert not reasons(ask("zoe", people, doubtful))
    assert reasons(ask("zoe", people, surely)) == [
        "sounds like 'anna', who is enrolled"
    ]
    assert not reasons(ask("zoe", people, surely, calibration=None))


def test_all_speech_of_a_person_counts_and_that_of_refused_recordings_does_not():
    short = {"speech_s": 1.5}
    assert not ask("anna", {}, 0, **short).enrolled
    assert ask("anna", enrolled(anna=[0]), 5, **short).speech_s == 3.5
    report = ask("anna", enrolled(anna=[0]), 5, 90, **short)
    assert [s.enrolled for s in report.samples] == [False, False]  # 90 bends the mean
    report = ask("anna", enrolled(anna=[0, 0, 0]), 5, 90, **short)
    assert [s.enrolled for s in report.samples] == [True, False]
    assert report.speech_s == 7.5


def test_when_every_recording_is_refused_the_shortage_is_no_reason_too():
    report = ask("anna", {}, 0, speech_s=0.5, reasons=("clipped",))
    assert not report.enrolled and report.reasons == () and reasons(report)


@pytest.mark.parametrize("again", [[0], [0, 5], [7, 7]])
def test_one_recording_is_never_kept_twice(again):
    report = ask("anna", enrolled(anna=[0]), *again, force=True)
    assert sum(s.enrolled for s in report.samples) == len({*again} - {0})
    repeated = [r for s in report.samples if s.duplicate for r in s.reasons]
    where = "is given twice" if 7 in again else "is enrolled already"
    assert repeated == [f"this recording {where}"]


def test_what_is_refused_and_given_twice_keeps_its_reasons():
    report = ask("anna", {}, 7, 7, reasons=("clipped",))
    assert [s.duplicate for s in report.samples] == [False, True]
    assert reasons(report) == ["clipped", "this recording is given twice", "clipped"]


def test_what_is_kept_says_against_what_it_was():
    report = ask("anna", {}, 0, speech_s=1.25, reasons=("clipped",), force=True)
    samples = admitted_samples(report, at(0), {"dim": 2})
    assert report.forced and samples.speaker.tolist() == ["anna"]
    assert samples.labels["forced"][0].startswith("clipped; only 1.2 s of speech")
    assert samples.labels["speech_s"][0] == "1.25" and samples.labels["snr_db"][0] == ""
