"""Diarization of conversations whose truth is known, and of what is none."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from tests.voiceemb.dialogues import (
    BandEncoder,
    LevelDetector,
    conversation,
    drawn,
    noise,
)
from timbre.audio import wave
from timbre.metrics.diarization import DiarizationErrors, score
from timbre.turns import read_rttm, read_uem
from voiceemb.diarization.online import OnlineAssigner
from voiceemb.diarization.pipeline import diarize, slide_windows
from voiceemb.diarization.result import Diarization
from voiceemb.enrolment.identification import Identity
from voiceemb.vad.energy import EnergyDetector


def run(source, **options):
    """Diarizes with what needs no network."""
    options = {"encoder": BandEncoder(), "detector": LevelDetector()} | options
    return diarize(source, **options)


@pytest.fixture(scope="module")
def two():
    """Two voices that take turns; waveform and turns."""
    rng = np.random.default_rng(3)
    spans = [(1, 4, 2), (4, 6.5, 8), (7.2, 9, 2), (9, 12, 8), (13, 15, 2)]
    return conversation(rng, spans)


class Known:
    """People by the band that is theirs."""

    def __init__(self, bands):
        self.bands = bands

    def identify(self, embedding):
        name = self.bands.get(int(np.argmax(embedding)))
        return Identity(name, 0.9, float(np.max(embedding)), [])


@pytest.mark.parametrize("method", ["spectral", "agglomerative"])
@pytest.mark.parametrize("num_speakers", [1, 2, 3, 5])
def test_a_conversation_is_found_and_its_speakers_counted(rng, method, num_speakers):
    waveform, turns = conversation(rng, drawn(rng, num_speakers, 12))
    found = run(waveform, method=method)
    errors = score(turns, found.turns)
    assert len(found.speakers) == num_speakers
    assert errors.share(errors.confusion) < 0.05 and errors.der < 0.12
    given = run(waveform, method=method, num_speakers=num_speakers)
    assert given.turns == found.turns


def test_changes_are_found_finer_than_the_windows_are_apart(two):
    waveform, turns = two
    found = run(waveform)
    changes = [turn.start for turn in found.turns]
    for true in (4.0, 9.0):
        assert min(abs(change - true) for change in changes) < 0.15


def test_turns_are_sorted_apart_and_numbered_by_appearance(two):
    found = run(two[0])
    assert found.turns == sorted(found.turns)
    assert all(a.end <= b.start for a, b in pairwise(found.turns))
    assert [*dict.fromkeys(t.speaker for t in found.turns)] == [
        "speaker 1",
        "speaker 2",
    ]
    assert [*found.embeddings] == ["speaker 1", "speaker 2"]
    seconds = found.speakers
    assert sum(seconds.values()) == pytest.approx(sum(t.duration for t in found.turns))
    assert [*seconds.values()] == sorted(seconds.values(), reverse=True)


@pytest.mark.parametrize("num_speakers", [1, 2, 3, 4, 6])
def test_exactly_as_many_speak_as_are_asked_for(two, num_speakers):
    found = run(two[0], num_speakers=num_speakers)
    assert len(found.speakers) == num_speakers
    assert {*found.windows.labels.tolist()} <= {*found.speakers}
    bounded = run(two[0], min_speakers=num_speakers, max_speakers=num_speakers)
    assert bounded.turns == found.turns


def test_bounds_of_the_number_are_kept(two):
    assert len(run(two[0], max_speakers=1).speakers) == 1
    assert len(run(two[0], min_speakers=3).speakers) == 3


def test_an_estimate_that_meets_its_bound_says_that_there_may_be_more(two):
    def notes(**bounds):
        return " ".join(run(two[0], **bounds).notes)

    assert "2 speakers were found, as many as are allowed (--max-speakers)" in notes(
        max_speakers=2
    )
    for bounds in ({"max_speakers": 3}, {"num_speakers": 2}, {"max_speakers": 1}):
        assert "as many as" not in notes(**bounds)


def test_a_path_and_its_waveform_give_the_same(two, tmp_path):
    waveform = two[0]
    path = tmp_path / "대화.wav"
    wave.write(path, waveform, subtype="FLOAT")
    assert run(path).turns == run(waveform).turns
    stereo = np.stack([waveform, waveform], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 16000, subtype="FLOAT")
    assert run(tmp_path / "stereo.wav").turns == run(waveform).turns


def test_all_windows_go_through_the_encoder_once_and_all_speech_is_covered(two):
    encoder = BandEncoder()
    found = run(two[0], encoder=encoder)
    assert encoder.calls == [len(found.windows)]
    for turn in found.turns:
        inside = (found.windows.starts_s < turn.end) & (
            found.windows.ends_s > turn.start
        )
        assert inside.any()


def test_stages_are_measured_and_progress_rises_to_one(two):
    seen = []
    found = run(two[0], progress=lambda stage, done: seen.append((stage, done)))
    stages = ["read", "activity", "embed", "cluster", "segment"]
    assert [*found.stages] == stages == [*dict.fromkeys(stage for stage, _ in seen)]
    assert all(seconds >= 0 for seconds in found.stages.values())
    shares = [share for _, share in seen]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert found.duration_s == len(two[0]) / 16000 and found.notes == []


def test_windows_cover_speech_evenly_from_end_to_end():
    starts, ends, seconds = slide_windows([(1.0, 1.4), (3.0, 7.0), (8.0, 9.5)], 9.6)
    np.testing.assert_allclose(ends - starts, 1.5)
    assert starts[0] == pytest.approx(0.45)  # around the middle of what is short
    long = starts[1:-1]
    assert long[0] == 3 and ends[1:-1][-1] == 7 and np.diff(long).max() <= 0.25 + 1e-9
    assert seconds.sum() == pytest.approx(0.4 + 4 + 1.5)
    starts, ends, _ = slide_windows([(0.0, 0.2), (0.9, 1.2)], 1.2)
    assert (starts >= 0).all() and (ends <= 1.2 + 1e-9).all()
    assert (
        len(slide_windows([(0.0, 0.05)], 0.05)[0])
        == len(slide_windows([], 5.0)[0])
        == 0
    )


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 0.2, 3.0])
def test_silence_has_no_speaker_and_says_so(seconds):
    waveform = np.zeros(round(16000 * seconds), np.float32)
    found = run(waveform, num_speakers=2, people=Known({}))
    assert found.turns == [] and found.speakers == found.identities == {}
    assert found.notes == ["No speech was found."] and not len(found.windows)
    assert found.duration_s == len(waveform) / 16000


def test_without_speech_no_encoder_is_needed():
    assert diarize(np.zeros(16000, "f4"), detector=EnergyDetector()).turns == []


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.4, 1.6])
def test_little_speech_is_somebody_and_says_that_it_is_little(rng, seconds):
    """Whatever the detector makes of it, nothing breaks."""
    waveform, _ = conversation(rng, [(0.5, 0.5 + seconds, 4)])
    for number in (None, 1, 3):
        found = run(waveform, num_speakers=number)
        assert bool(len(found.windows)) <= len(found.speakers) <= (number or 1)
        if len(found.windows) == 1:
            assert "one window" in " ".join(found.notes) and len(found.turns) == 1
        lacking = len(found.speakers) < (number or 0) and len(found.windows) > 0
        assert any("were asked for" in note for note in found.notes) is lacking


def test_sound_that_is_all_speech_is_all_turns(rng):
    class Always:
        def probabilities(self, waveform):
            return np.ones(len(waveform) // 160, np.float32)

    waveform = noise(rng, 3, 5.0)
    found = run(waveform, detector=Always())
    assert [(t.start, t.end) for t in found.turns] == [(0.0, 5.0)]
    short = run(waveform[:4000], detector=Always())  # shorter than a window
    assert [(t.start, t.end) for t in short.turns] == [(0.0, 0.25)]


def test_people_are_named_and_two_clusters_of_one_person_are_one(two):
    found = run(two[0], people=Known({2: "Anna"}))
    assert {*found.speakers} == {"Anna", "speaker 2"}
    assert found.identities["Anna"].name == "Anna"
    assert found.identities["speaker 2"].name is None
    assert {*found.windows.labels.tolist()} == {*found.embeddings} == {*found.speakers}
    both = run(two[0], people=Known({2: "Anna", 8: "Anna"}))
    assert [*both.speakers] == [*both.identities] == [*both.embeddings] == ["Anna"]
    exact = run(two[0], people=Known({2: "Anna", 8: "Anna"}), num_speakers=2)
    assert len(exact.speakers) == 2 and "sounds like Anna, too" in exact.notes[-1]


def test_a_person_who_is_called_as_an_unknown_speaker_would_be_is_not_mixed_up(two):
    found = run(two[0], people=Known({2: "speaker 2"}))
    assert {*found.speakers} == {"speaker 2", "speaker 1"}
    first = found.turns[0].speaker
    assert first == "speaker 2" and found.identities[first].name == first
    assert found.identities["speaker 1"].name is None


def test_people_without_a_calibration_name_nobody_and_a_note_says_why(two):
    class Uncalibrated:
        def identify(self, embedding):
            raise ValueError("there is no calibration")

    found = run(two[0], people=Uncalibrated())
    assert {*found.speakers} == {"speaker 1", "speaker 2"} and not found.identities
    assert found.notes == ["Nobody is named: there is no calibration"]


def test_what_can_not_be_diarized_is_refused(two, tmp_path):
    waveform = two[0]
    for wrong in (np.zeros((2, 16000)), np.full(16000, np.nan)):
        with pytest.raises(ValueError):
            run(wrong.astype("f4"))
    for wrong in ({"num_speakers": 0}, {"min_speakers": 3, "max_speakers": 2}):
        with pytest.raises(ValueError, match="number of speakers"):
            run(waveform, **wrong)
    with pytest.raises(ValueError, match="`method`"):
        run(waveform, method="magic")
    with pytest.raises(wave.AudioError):
        run(tmp_path / "missing.wav")
    telephone = BandEncoder()
    telephone.sample_rate = 8000
    with pytest.raises(ValueError, match="8000 Hz"):
        run(waveform, encoder=telephone)


def test_a_stream_is_assigned_to_voices_as_it_comes(rng):
    assigner = OnlineAssigner(threshold=0.5, max_speakers=3)
    voices = np.eye(4, 16)
    order = [0, 0, 1, 0, 2, 1, 2, 0]
    for voice in order:
        name = assigner.assign(5 * voices[voice] + 0.1 * rng.normal(size=16))
        assert name == f"speaker {voice + 1}"
    assert assigner.names == ["speaker 1", "speaker 2", "speaker 3"]
    assert assigner.assign(voices[3] + 0.2 * voices[1]) == "speaker 2"  # no room
    lengths = np.linalg.norm(assigner.centroids, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_a_centroid_is_the_mean_direction_of_all_it_was_given(rng):
    assigner = OnlineAssigner(threshold=-1.0)
    points = rng.normal(size=(20, 8)) + 1
    for point in points:
        assert assigner.assign(point) == "speaker 1"
    mean = (points / np.linalg.norm(points, axis=1, keepdims=True)).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(assigner.centroids[0], expected, rtol=1e-5)
    for wrong in (np.zeros(8), np.ones(7), np.full(8, np.nan), np.ones((2, 4))):
        with pytest.raises(ValueError, match="8 finite numbers"):
            assigner.assign(wrong)
    for wrong in ({"threshold": 2.0}, {"max_speakers": 0}):
        with pytest.raises(ValueError, match="`threshold`"):
            OnlineAssigner(**wrong)


@pytest.mark.slow
@pytest.mark.real_data
def test_recordings_of_real_people_are_diarized(real_data):
    """All give a result; what is missed is half of it overlap, and energy's."""
    from voiceemb import Encoder

    encoder, errors, counts = Encoder.pretrained(), [], []
    for path in sorted((real_data / "diarization").glob("*.rttm")):
        (turns,), (region,) = (
            read(path.with_suffix(suffix)).values()
            for read, suffix in ((read_rttm, ".rttm"), (read_uem, ".uem"))
        )
        found = diarize(
            path.with_suffix(".flac"), encoder=encoder, detector=EnergyDetector()
        )
        errors.append(score(turns, found.turns, uem=region))
        counts.append(len(found.speakers) - len({turn.speaker for turn in turns}))
    pooled = sum(errors, DiarizationErrors())
    assert len(errors) == 16
    assert pooled.share(pooled.confusion) < 0.12 and pooled.der < 0.45
    assert np.mean(np.abs(counts)) < 2 and max(counts) <= 1


def test_a_result_does_not_change(two):
    found = run(two[0])
    before = dataclasses.replace(found)
    found.rename("speaker 1", "Anna")
    assert found.turns is before.turns and "Anna" not in found.speakers
    assert isinstance(found, Diarization)
