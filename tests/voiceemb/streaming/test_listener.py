"""Listening, with voices that are tones: every number here can be worked out."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.voiceemb.listeners import (
    HYSTERESIS,
    events_of,
    listener,
    names,
    random_blocks,
    said,
)
from tests.voiceemb.tones import Loud, ToneEncoder, tone
from timbre.audio import wave
from timbre.metrics.calibration import LogisticCalibration
from voiceemb.encoder import Encoder
from voiceemb.enrolment import people as enrolment
from voiceemb.streaming import sources
from voiceemb.streaming.listener import Listener, format_event, listen
from voiceemb.vad.energy import EnergyDetector
from voiceemb.vad.segmentation import HysteresisConfig

ABOUT = {
    "extractor": "tones",
    "sample_rate": 16000,
    "dim": 2,
    "window_samples": 32000,
    "sha256": "a" * 64,
}


def test_events_tile_the_time_and_the_last_ends_with_the_last_whole_frame():
    events = events_of(said("low 1.234"))
    ends = [one.end for one in events]
    assert ends == [0.5, 1.0, 1.23]
    assert [one.start for one in events] == [0.0, *ends[:-1]]
    assert [one.end for one in events_of(said("low 1.1"), every_s=0.3)][-1] == 1.1


def test_an_event_says_what_was_in_it():
    (loud, quiet) = events_of(said("low 0.5", ". 0.5"), "low", min_speech_s=0.3)
    assert (loud.is_speech, quiet.is_speech) == (True, False)
    assert np.isclose(loud.energy_db, 10 * np.log10(0.3**2 / 2), atol=1e-3)
    assert quiet.energy_db == -120
    sound = said("low 0.5", ". 0.5") + np.float32(0.1)
    (shifted, _) = events_of(sound, min_speech_s=0.3)
    assert np.isclose(shifted.energy_db, loud.energy_db, atol=1e-3)  # without the mean
    assert loud.speech_prob == 1 and quiet.speech_prob <= 2 / 50  # frames reach over
    np.testing.assert_allclose(loud.embedding, [1, 0], atol=1e-3)
    assert quiet.embedding is None
    assert (loud.speaker, loud.score) == ("low", loud.embedding[0])
    assert loud.probability == 0.9
    assert (quiet.speaker, quiet.score, quiet.probability) == (None, None, None)


def test_there_is_a_name_every_half_second_and_a_dash_for_nobody_known():
    events = events_of(said("low 2", ". 2", "high 2"), "low")
    assert names(events) == "- low low low - - - - - - - -"
    assert [one.is_speech for one in events] == [True] * 4 + [False] * 4 + [True] * 4
    assert all(one.embedding is not None for one in events[9:])  # embedded, not known


def test_nobody_is_named_where_nobody_is_enrolled():
    one = Listener(ToneEncoder(), detector=Loud(), hysteresis=HYSTERESIS)
    events = one.push(said("low 2")) + one.finish()
    assert names(events) == "- - - -" and events[3].embedding is not None


def test_too_little_speech_has_no_voice():
    """0.8 s are there with the second event; words of 0.2 s add up over pauses."""
    events = events_of(said("low 1.5"))
    assert [x.embedding is None for x in events] == [True, False, False]
    words = said(*["low 0.3", ". 0.2"] * 6)
    voices = [x.embedding is not None for x in events_of(words)]
    assert voices == [False, False, True, True, True, True]


def test_a_long_silence_parts_two_speakers_and_a_short_one_does_not():
    apart = listener("low", "high", window_s=2.0)
    apart.push(said("low 2", ". 1.5", "high 1.5"))
    assert apart.speech.places()[0] / 16000 == pytest.approx(3.5, abs=0.03)
    expected = [1.0, 1.5, 2.0, 1.0]  # seconds that the encoder was given
    np.testing.assert_allclose(apart.encoder.heard_s, expected, atol=0.03)
    near = listener("low", "high", window_s=2.0)
    near.push(said("low 2", ". 0.5", "high 1.5"))
    assert near.speech.places()[0] / 16000 == pytest.approx(1.5, abs=0.03)


def test_a_change_of_speaker_is_noticed_as_soon_as_enough_is_new():
    """Without it the window of 3 s is more `low` than `high` for 1.5 s."""
    talk = said("low 4", "high 3")
    slow = names(events_of(talk, "low", "high", window_s=3.0))
    fast = names(events_of(talk, "low", "high", window_s=3.0, change_cosine=0.5))
    assert slow == "- low low low low low low low low low low high high high"
    assert fast == "- low low low low low low low low high high high high high"
    one = listener("low", "high", window_s=3.0, change_cosine=0.5)
    one.push(said("low 4", "high 2"))
    assert one.speech.places()[0] / 16000 > 4  # nothing of `low` is left


def test_the_cosine_of_a_change_comes_from_the_calibration():
    encoder = ToneEncoder()
    assert Listener(encoder, detector=Loud()).change_cosine == -1
    encoder.calibration = LogisticCalibration(slope=20.0, offset=-8.0)
    assert np.isclose(
        Listener(encoder, detector=Loud()).change_cosine, 0.3
    )  # 20 x - 8 = -2


def test_a_voice_is_embedded_without_its_pauses():
    """What the encoder is given is the speech alone, in its order."""
    one = listener(
        hysteresis=HysteresisConfig(0.5, 0.5, 1, 0.01, 0.0, 0.0), window_s=1.0
    )
    one.push(said("low 0.6", ". 0.4", "high 0.5"))
    places = one.speech.places()
    assert (np.diff(places) > 0).all() and len(places) == 100
    spoken = one.speech.newest().reshape(-1, 160)
    quiet = np.abs(spoken).max(axis=1) < 0.05
    assert quiet.sum() <= 3  # frames look 15 ms ahead


@pytest.mark.parametrize(
    "options",
    [
        {"every_s": 0.0},
        {"every_s": 0.505},
        {"every_s": np.inf},
        {"every_s": np.nan},
        {"every_s": 1e6},
        {"window_s": 0.5, "min_speech_s": 0.8},
        {"min_speech_s": 0.0},
        {"window_s": 1000.0},
        {"forget_s": 0.0},
    ],
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="Received"):
        listener(**options)


def test_an_encoder_of_another_rate_is_refused():
    encoder = ToneEncoder()
    encoder.sample_rate = 8000
    with pytest.raises(ValueError, match="16000 Hz"):
        Listener(encoder, detector=Loud())


def test_a_fifth_of_a_second_is_one_event_without_a_voice():
    (one,) = listen([tone("low", 0.2)], listener("low"))
    assert (one.start, one.end, one.is_speech) == (0.0, 0.2, True)
    assert one.embedding is None and one.speaker is None


def test_a_file_of_another_rate_and_two_channels_is_read(tmp_path):
    path = tmp_path / "talk.wav"
    sound = wave.resample(said("low 2", ". 1"), from_rate=16000, to_rate=8000)
    soundfile.write(path, np.stack([sound, sound], axis=1), 8000)
    events = list(listen(sources.file(path), listener("low")))
    assert names(events) == "- low low low - -"


def test_a_line_has_time_name_probability_and_level():
    events = events_of(said("low 1", ". 1"), "low", every_s=1.0)
    expected = "  0:01.0  low                90 %  ################"
    assert format_event(events[0]) == expected
    assert format_event(events[1]) == "  0:02.0  -"
    odd = dataclasses.replace(events[0], end=3725.5, speaker="a\x1b[2Jb")
    assert format_event(odd).startswith(" 62:05.5  a?[2Jb   ")


def test_people_on_disk_are_known(tmp_path, rng):
    """A store of people is asked as it is; an empty one knows nobody."""
    encoder = Encoder(
        lambda batch: np.stack([ToneEncoder().embed_utterance(x) for x in batch]),
        ABOUT,
    )
    encoder.calibration = LogisticCalibration(slope=20.0, offset=-8.0)
    people = enrolment.People.create(tmp_path / "people", encoder, detector=Loud())
    options = {"people": people, "detector": Loud()}
    talk = said("low 2", ". 2", "high 2")
    assert names(listen([talk], Listener(encoder, **options))) == " ".join("-" * 12)
    people.enrol("anna", [said("low 6")], force=True)
    events = list(listen([talk], Listener(encoder, **options)))
    assert [one.speaker for one in events[1:4]] == ["anna"] * 3
    assert {one.speaker for one in events[4:]} == {None}
    assert events[3].probability > 0.9 and events[3].score > 0.99


def test_people_without_a_calibration_are_refused_before_any_sound(tmp_path):
    encoder = Encoder(lambda batch: batch, ABOUT)
    people = enrolment.People.create(tmp_path / "people", encoder, detector=Loud())
    with pytest.raises(ValueError, match="without a calibration"):
        Listener(encoder, people=people, detector=Loud())
    people.calibrate([True, False] * 10, [0.9, 0.5, 0.4, 0.1] * 5)
    assert Listener(encoder, people=people, detector=Loud()).people is people


@pytest.mark.slow
@pytest.mark.real_data
def test_readers_are_named_in_what_they_were_not_enrolled_with(
    rng, real_data, pretrained
):
    """Two readers known, one not; and the network, too, gives the same to the bit."""
    encoder = pretrained
    folder = real_data / "librispeech_test_other"
    readers = {name: sorted((folder / name).glob("*.flac")) for name in ("367", "2414")}
    points = {n: encoder.embed_speaker(paths[:3]) for n, paths in readers.items()}

    def identify(embedding):
        score, name = max((float(points[n] @ embedding), n) for n in points)
        name = name if score > encoder.calibration.threshold() else None
        return SimpleNamespace(name=name, score=score, probability=None)

    stranger = sorted((folder / "533").glob("*.flac"))[0]
    talk = [wave.read(p)[:96000] for p in (readers["367"][4], readers["2414"][4])]
    sound = np.concatenate([*talk, wave.read(stranger)[:96000]])
    people = SimpleNamespace(identify=identify)
    options = {"people": people, "detector": EnergyDetector()}
    whole = list(listen([sound], Listener(encoder, **options)))
    blocks = random_blocks(rng, sound, 20_000)
    assert list(listen(blocks, Listener(encoder, **options))) == whole
    spoken = [one for one in whole if one.is_speech]
    first, second, third = (
        [one.speaker for one in spoken if start + 1 < one.end <= start + 6]
        for start in (0, 6, 12)
    )
    assert first.count("367") >= 0.8 * len(first) and "2414" not in first
    assert second.count("2414") >= 0.7 * len(second) and second[-1] != "367"
    assert third.count(None) >= 0.7 * len(third)
