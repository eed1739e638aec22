"""A stream that is listened to: blocks of any size, in time, in bounded memory."""

import itertools
import tracemalloc

import numpy as np
import pytest

from tests.voiceemb.listeners import (
    TALK,
    events_of,
    listener,
    names,
    random_blocks,
    said,
)
from tests.voiceemb.tones import Loud, silence, tone
from timbre.audio import wave
from voiceemb.streaming import sources
from voiceemb.streaming.listener import listen
from voiceemb.vad.detection import detect
from voiceemb.vad.segmentation import HysteresisConfig


@pytest.mark.parametrize("most", [97, 1600, 30_000])
def test_any_split_of_the_stream_gives_the_same_slices(rng, most):
    sound = said(*TALK) + rng.normal(0, 0.01, len(said(*TALK))).astype(np.float32)
    options = {"hysteresis": None, "change_cosine": 0.3}
    whole = events_of(sound, "low", "high", **options)
    assert len(whole) == 19 and {"low", "high"} <= {one.speaker for one in whole}
    blocks = random_blocks(rng, sound, most)
    one = listener("low", "high", **options)
    assert list(listen(blocks, one)) == whole  # to the bit, see TimelineEvent.__eq__


def test_an_event_is_final_within_the_delay_it_states(rng):
    """Whatever comes, the events that are missing are those of the last `delay_s`."""
    one = listener(hysteresis=None)
    sound = rng.choice([0, 1], 60).repeat(1600).astype(np.float32)
    count = 0
    for end in range(160, len(sound) + 1, 160):
        count += len(one.push(sound[end - 160 : end]))
        assert count >= (end / 16000 - one.delay_s) // 0.5
    assert 0.5 < one.delay_s < 0.8


class Late(Loud):
    """Detects speech in 20 frames at once, when 5 more have come, as a network does."""

    delay_s = (24 * 160 + 400) / 16000

    def stream(self):
        return _LateStream(super().stream())


class _LateStream:
    def __init__(self, stream):
        self._stream, self._known, self._told = stream, np.zeros(0, np.float32), 0

    def push(self, block):
        self._known = np.append(self._known, self._stream.push(block))
        return self._tell(len(self._known) // 20 * 20 - 5)

    def finish(self):
        self._known = np.append(self._known, self._stream.finish())
        return self._tell(len(self._known))

    def _tell(self, end):
        start, self._told = self._told, max(end, self._told)
        return self._known[start : self._told]


def test_a_detector_of_longer_delay_is_waited_for():
    """The worst is a word that is just too short, at the beginning of its blocks."""
    options = {
        "detector": Late(),
        "hysteresis": HysteresisConfig(release_s=1.0, min_speech_s=1.0),
        "every_s": 0.01,
        "keep_s": 0.1,  # so the ring holds no more than it must
    }
    sound = said(". 2.19", "low 0.97", ". 2")
    one, ended, waits = listener(**options), 0.0, []
    for end in range(160, len(sound) + 1, 160):
        ended = max([ended, *(x.end for x in one.push(sound[end - 160 : end]))])
        waits.append(end / 16000 - ended)
    assert one.delay_s - 0.06 < max(waits) < one.delay_s
    again, worst = listener(**options), 160 * (int(np.argmax(waits)) + 1)
    events = again.push(sound[:worst]) + again.push(sound[worst:]) + again.finish()
    assert events[-1].end == 5.16  # and it does


def test_while_somebody_speaks_events_come_at_once():
    one = listener(hysteresis=None)
    sound = tone("low", 3)
    came = [len(one.push(sound[i : i + 800])) for i in range(0, len(sound), 800)]
    assert np.flatnonzero(came).tolist() == [10, 20, 30, 40, 50]  # 50 ms after each


def test_speech_is_what_the_detector_finds_in_the_whole(rng):
    """The frames in the ring of speech are those of `vad.detect`, to the last."""
    sound = said(*TALK)
    one = listener(window_s=60.0, forget_s=60.0, hysteresis=None)
    one.push(sound)
    one.finish()
    active = detect(sound, detector=Loud()).active
    np.testing.assert_array_equal(one.speech.places(), 160 * np.flatnonzero(active))


def test_what_a_listener_holds_does_not_grow():
    one = listener("low", every_s=10.0)
    minute = said("low 3", ". 2", "high 4", ". 51").reshape(60, 16000)
    sizes = []
    for block in itertools.chain.from_iterable([minute] * 5):
        one.push(block)
        held = (one._spoken, one._probability, one._stream._held)
        sizes.append([len(x) for x in held])
    assert (np.max(sizes, axis=0) <= [1000, 1100, 400]).all()


@pytest.mark.slow
def test_an_hour_is_listened_to_in_bounded_memory():
    one = listener("low")
    one.encoder.embed_utterance = lambda _: np.array([1, 0], np.float32)
    minute = said("low 3", ". 2", "high 4", ". 51").reshape(120, 8000)
    tracemalloc.start()
    held, count = [], 0
    for _ in range(60):
        count += sum(len(one.push(block)) for block in minute)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert count == 7199 and max(held[5:]) - held[4] < 20_000


def test_a_block_of_any_size_is_taken_in_pieces():
    """Five minutes at once fit through rings of ten seconds."""
    sound = np.tile(said("low 3", ". 2"), 60)
    assert len(events_of(sound, every_s=1.0)) == 300


@pytest.mark.parametrize("bad", [np.nan, np.inf, 32767.0])
def test_a_sample_that_is_no_number_is_refused_with_its_time(bad):
    one = listener("low")
    one.push(tone("low", 1.5))
    block = tone("low", 0.5)
    block[4000] = bad
    with pytest.raises(ValueError, match=r"at 1\.750 s"):
        one.push(block)
    assert one.sound.clock == 24000  # and it goes on as if nothing had been
    events = one.push(tone("low", 0.5)) + one.finish()
    assert events[-1].end == 2.0 and events[-1].speaker == "low"


@pytest.mark.parametrize(
    "block", [[0.0, 0.1], "sound", None, np.zeros(160, np.int16), np.zeros((2, 160))]
)
def test_what_is_no_block_is_refused(block):
    with pytest.raises(TypeError, match="Sound is a float array"):
        listener().push(block)


def test_a_listener_finishes_once():
    one = listener()
    one.finish()
    for again in (one.finish, lambda: one.push(np.zeros(0, np.float32))):
        with pytest.raises(ValueError, match="has finished"):
            again()


@pytest.mark.parametrize("source", [[], [np.zeros(0, np.float32)], [silence(0.005)]])
def test_a_source_without_a_frame_has_no_slices(source):
    assert list(listen(source, listener())) == []


def test_a_file_in_real_time_says_what_a_file_at_full_speed_says(tmp_path):
    path, slept = tmp_path / "talk.wav", []
    wave.write(path, said(*TALK))
    fast = list(listen(sources.file(path), listener("low")))
    options = {"clock": lambda: sum(slept), "sleep": slept.append}
    slow = sources.file(path, real_time=True, block_s=0.07, **options)
    assert list(listen(slow, listener("low"))) == fast
    assert np.isclose(sum(slept), len(said(*TALK)) / 16000)


def test_events_come_while_the_source_goes_on():
    endless = itertools.repeat(tone("low", 0.1))
    events = itertools.islice(listen(endless, listener("low")), 5)
    assert names(events) == "- low low low low"
