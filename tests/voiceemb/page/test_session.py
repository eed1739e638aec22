"""Sessions of the page: a recording, its turns, and what is done to them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.voiceemb.page.pages import TALK, conversation, diarize
from timbre.audio import wave
from timbre.turns import Turn, read_rttm
from voiceemb.diarization.result import Diarization
from voiceemb.page import session
from voiceemb.page.session import Session, parse_num_speakers, peaks


def test_the_turns_of_the_stand_in_are_those_of_the_sound(opened):
    expected = [(a, b, "speaker 2" if f > 500 else "speaker 1") for a, b, f in TALK]
    assert [(t.start, t.end, t.speaker) for t in opened.found.turns] == expected


def test_a_session_keeps_the_sound_and_needs_the_file_no_more(opened, talk):
    given = wave.read(talk)
    talk.unlink()
    np.testing.assert_array_equal(opened.recording.read(), given)
    assert opened.recording.duration_s == len(given) / 16000 == 8.5


def test_a_bad_file_changes_nothing_and_is_called_by_the_users_name(opened, tmp_path):
    bad = tmp_path / "deadbeef.wav"
    bad.write_text("not a sound")
    before, turns = opened.recording, opened.found
    with pytest.raises(ValueError, match="^my <talk>.wav: ") as caught:
        opened.load(bad, "my <talk>.wav")
    assert str(tmp_path) not in str(caught.value)
    assert opened.recording is before and opened.found is turns


def test_a_louder_sound_than_a_file_can_hold_keeps_its_shape(tmp_path):
    loud = 2.5 * conversation([(0, 1, 200)]) / 0.3
    soundfile.write(tmp_path / "loud.wav", loud, 16000, subtype="FLOAT")
    opened = Session(tmp_path)
    opened.load(tmp_path / "loud.wav", "loud")
    np.testing.assert_allclose(opened.recording.read(), loud / 2.5, atol=1e-4)


def test_another_recording_takes_the_place_and_the_disk_of_the_first(opened, talk):
    first = opened.recording
    opened.load(talk, "again")
    assert opened.found is None and not first.path.exists()
    assert opened.recording.read().size


def test_a_name_is_never_a_path(tmp_path, talk):
    opened = Session(tmp_path / "..")
    opened.load(talk, "../../etc/passwd")
    assert opened.recording.path.name == "sound.wav"
    assert opened.folder in opened.recording.path.parents
    opened.close()
    assert not opened.folder.exists() and tmp_path.exists()


def test_turns_of_a_recording_that_was_replaced_meanwhile_are_dropped(opened, talk):
    def late(waveform, **options):
        opened.load(talk, "newer")
        return diarize(waveform, **options)

    assert opened.analyse(late) is False
    assert opened.found is None and opened.recording.name == "newer"


@pytest.mark.parametrize("moment", ["first", "last"])
def test_turns_of_a_recording_that_is_replaced_while_they_are_written_are_dropped(
    opened, talk, moment
):
    old = opened.recording.path.parent

    class Slow(Diarization):
        def save(self, path, **names):
            if moment == "last":
                super().save(path, **names)
            if path.suffix == (".rttm" if moment == "first" else ".srt"):
                opened.load(talk, "newer")
            if moment == "first":
                super().save(path, **names)

    def late(waveform, **options):
        return Slow(diarize(waveform, **options).turns, 8.5)

    assert opened.analyse(late) is False
    assert opened.found is None and opened.recording.name == "newer"
    assert not old.exists() and opened.recording.path.exists()


def test_edits_can_be_taken_back_to_what_was_found(opened):
    found = opened.found
    assert opened.rename("speaker 1", "  Anna\tMaria ") == "Anna Maria"
    opened.split("Anna Maria")
    opened.merge("speaker 2", "Anna Maria")
    assert set(opened.found.speakers) == {"speaker 2", "speaker 1"}
    for _ in range(3):
        opened.undo()
    assert opened.found is found
    with pytest.raises(ValueError, match="no change"):
        opened.undo()


@pytest.mark.parametrize("name", ["", " ", None, "speaker 2", "a\x00b", 501 * "a"])
def test_a_name_must_be_one_and_nobody_elses(opened, name):
    with pytest.raises(ValueError, match="name|already"):
        opened.rename("speaker 1", name)
    assert len(opened.versions) == 1


def test_nothing_is_done_to_nobody(tmp_path, opened):
    empty = Session(tmp_path)
    for act in (lambda: empty.split("anna"), lambda: empty.analyse(diarize)):
        with pytest.raises(ValueError, match="Choose or record a sound first"):
            act()
    for act in (opened.split, lambda name: opened.merge("speaker 1", name)):
        with pytest.raises(ValueError, match="Choose a speaker"):
            act("nobody")
    with pytest.raises(ValueError, match="two different"):
        opened.merge("speaker 1", "speaker 1")


def test_each_version_has_its_own_files(opened):
    first = opened.files
    opened.rename("speaker 1", "Anna")
    opened.rename("speaker 2", "Bea")
    assert not {*first} & {*opened.files}
    assert [path.rpartition(".")[2] for path in first] == [*session.FORMATS]
    ((name, turns),) = read_rttm(opened.files[0]).items()
    assert name == Path(opened.recording.name).stem
    assert sorted(turns) == sorted(opened.found.turns)
    opened.undo()
    opened.undo()
    assert opened.files == first


def test_a_version_that_can_not_be_written_is_none(opened):
    """In RTTM a space is an underscore, so these two would be one."""
    opened.rename("speaker 1", "Anna Bea")
    with pytest.raises(ValueError, match="Anna"):
        opened.rename("speaker 2", "Anna_Bea")
    assert set(opened.found.speakers) == {"Anna Bea", "speaker 2"}


def test_samples_are_the_longest_stretches_that_nobody_else_shares(opened):
    overlapped = [*opened.found.turns, Turn(4.5, 5.0, "speaker 2")]
    found = Diarization(overlapped, 8.5)
    assert seconds(session.speaker_samples(opened, found, "speaker 1")) == {
        "talk.wav 5.0-8.0 s": 3.0,
        "talk.wav 0.5-2.5 s": 2.0,
    }
    short = session.speaker_samples(opened, found, "speaker 2")
    assert seconds(short) == {"talk.wav 3.0-4.0 s": 1.0}


def seconds(samples):
    return {name: len(part) / 16000 for name, part in samples.items()}


def test_who_is_enrolled_has_a_name(opened):
    taken = {}

    def enrol(name, sources, names):
        taken[name] = dict(zip(names, sources, strict=True))

    people = SimpleNamespace(enrol=enrol)
    with pytest.raises(ValueError, match="Rename speaker 1 first"):
        opened.enrol(people, "speaker 1")
    opened.rename("speaker 1", "Anna")
    opened.enrol(people, "Anna")
    known = {"talk.wav 4.5-8.0 s": 3.5, "talk.wav 0.5-2.5 s": 2.0}
    assert seconds(taken["Anna"]) == known


@pytest.mark.parametrize("samples", [1, 5, 64, 1000, 1037])
def test_peaks_are_the_largest_of_equal_parts(rng, samples):
    waveform = rng.normal(size=samples)
    bins = min(64, samples)
    edges = np.arange(bins + 1) * samples // bins
    parts = [np.abs(waveform[a:b]).max() for a, b in zip(edges, edges[1:])]  # noqa: B905
    np.testing.assert_allclose(peaks(waveform, 64), parts / np.abs(waveform).max())
    assert peaks(waveform, 64).max() == 1


def test_the_outline_of_silence_is_flat():
    np.testing.assert_array_equal(peaks(np.zeros(100, np.float32), 10), 0)


def test_the_control_says_what_diarization_is_asked():
    assert parse_num_speakers("estimated", 99, None, 0) == {}
    assert parse_num_speakers("exact", 3.0, None, None) == {"num_speakers": 3}
    between = {"min_speakers": 2, "max_speakers": 5}
    assert parse_num_speakers("between", None, 2, 5) == between


@pytest.mark.parametrize(
    "asked",
    [("exact", None, 1, 2), ("exact", 0, 1, 2), ("exact", 2.5, 1, 2)]
    + [("between", 2, 5, 2), ("between", 2, 1, 21), ("between", 2, None, 3)],
)
def test_numbers_of_speakers_that_can_not_be_are_refused(asked):
    with pytest.raises(ValueError, match="whole number|not be more"):
        parse_num_speakers(*asked)
