"""A store's calibration follows the people, unless another was fitted."""

import json

import numpy as np
import pytest

from tests.references import unit
from tests.voiceemb import tones
from tests.voiceemb.bands import BANDS, LINE, Loud, again, encoder, speak
from timbre.metrics.score_adaptation import ScoreDistribution
from voiceemb.enrolment import cohort_calibration
from voiceemb.enrolment.identification import posterior
from voiceemb.enrolment.people import People
from voiceemb.enrolment.store_calibration import StoreCalibration
from voiceemb.streaming.listener import Listener

PLACES = {
    "one": (ScoreDistribution(0.95, 0.05), ScoreDistribution(0.4, 0.2)),
    "other": (ScoreDistribution(0.9, 0.1), ScoreDistribution(0.6, 0.1)),
}


@pytest.fixture
def people(tmp_path):
    trained = encoder()
    trained.calibration, trained.corpus_scores = LINE, PLACES
    return People.create(tmp_path / "people", trained, detector=Loud())


def file(people):
    return people.store.folder / "calibration.centroid.json"


def test_a_new_store_rests_on_the_corpora_of_its_encoder(people):
    assert people.calibration == cohort_calibration.calibrate(PLACES, {}) != LINE
    assert people.provenance == "2 corpora that came with the encoder"
    assert again(people).calibration == people.calibration


def test_whoever_is_enrolled_changes_the_calibration(rng, people):
    seen = [people.calibration]
    for voice, name in enumerate(["anna", "ben", "zoe"]):
        people.enrol(name, speak(rng, 2 * voice))
        seen.append(people.calibration)
        samples = {n: people.embeddings(n) for n in people.names}
        assert people.calibration == cohort_calibration.calibrate(PLACES, samples)
        assert again(people).calibration == people.calibration
    lines = np.array([(line.slope, line.offset) for line in seen])
    np.testing.assert_allclose(lines[0], lines[1], rtol=1e-6)  # one has no impostor
    assert np.abs(np.diff(lines[1:, 0])).min() > 0.01
    assert "adapted to the 3 people in the store" in people.provenance
    people.remove("zoe")
    assert people.calibration == seen[2]


def test_several_samples_of_one_person_say_something_too(rng, people):
    people.enrol("anna", [speak(rng, 1), speak(rng, 1, colour=0.6)])
    assert people.calibration != cohort_calibration.calibrate(PLACES, {})
    assert people.provenance.endswith("adapted to the samples of one person")


def test_identification_and_verification_use_it(rng, people):
    for voice, name in enumerate(["anna", "ben"]):
        people.enrol(name, speak(rng, 3 * voice))
    voice = unit(rng, 1, BANDS)[0]
    expected = people.calibration.probability(people.scores(voice)["anna"])
    assert np.isclose(people.verify(voice, "anna").probability, expected)
    listener = Listener(people.embedder.encoder, detector=tones.Loud(), people=people)
    events = listener.push(speak(rng, 3))
    embedded = [one for one in events if one.embedding is not None]
    assert embedded and {one.speaker for one in embedded} == {"ben"}
    for one in embedded:
        scores = [*people.scores(one.embedding).values()]
        chances = posterior(people.calibration.llr(scores))
        assert np.isclose(one.probability, chances.max())


def test_another_process_enrols_and_the_calibration_follows(rng, people):
    other = again(people)
    for voice, name in enumerate(["anna", "ben"]):
        other.enrol(name, speak(rng, 3 * voice))
    assert people.calibration != other.calibration
    people.refresh()
    assert people.calibration == other.calibration


def test_a_file_that_another_process_replaces_is_read_again(people):
    calibration = StoreCalibration(people.store)
    before = calibration.get()
    held = json.loads(file(people).read_text())
    del held["places"]["other"]
    file(people).write_text(json.dumps(held))
    assert calibration.get() == before
    calibration.refresh()
    assert (
        calibration.get()
        == cohort_calibration.calibrate({"one": PLACES["one"]}, {})
        != before
    )


def test_what_is_asked_for_goes_before_what_is_guessed(rng, people):
    for voice, name in enumerate(["anna", "ben"]):
        people.enrol(name, speak(rng, 3 * voice))
    label = np.arange(200) % 2 == 1
    scores = np.where(label, 0.8, 0.2) + 0.2 * rng.normal(size=200)
    found = people.calibrate(label, scores)
    people.enrol("zoe", speak(rng, 6))
    assert people.calibration == found == again(people).calibration
    assert people.provenance == "trials of your own"
    people.calibrate(label, scores, about={"corpus": "studio"})
    assert people.provenance == "trials of your own, studio"


def test_a_store_without_places_is_believed_as_it_is(people):
    held = json.loads(file(people).read_text())
    del held["places"]
    file(people).write_text(json.dumps(held))
    found = again(people)
    assert found.calibration == LINE
    assert found.provenance == "calibration of the encoder, single utterances"
    file(people).unlink()
    found = again(people)
    assert found.calibration is None and found.provenance.startswith("nothing")


@pytest.mark.parametrize(
    "places",
    [
        *([], 7, {"a": 7}, {"a": {"same": [0.5, 0.1]}}),
        {"a": {"same": [0.5, 0.1], "different": [0.1, 0]}},
        {"a": {"same": [0.5, 0.1], "different": [0.1, 0.1, 0.1]}},
        {"a": {"same": ["x", 0.1], "different": [0.1, 0.1]}},
        {"a": {"same": [0.1, 0.1], "different": [0.1, 0.1]}},
    ],
)
def test_damaged_places_are_said_and_passed_over(people, places):
    held = json.loads(file(people).read_text()) | {"places": places}
    file(people).write_text(json.dumps(held))
    found = again(people)
    assert found.calibration is None and file(people).name in found.corrupted
