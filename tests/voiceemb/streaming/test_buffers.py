"""Rings against plain concatenation, and that they never grow."""

import tracemalloc

import numpy as np
import pytest

from voiceemb.streaming.buffers import RingBuffer, SpeechRingBuffer
from voiceemb.vad.base import HOP


def blocks(rng, sound, most):
    """The sound in blocks of 0 to `most` samples."""
    while len(sound):
        size = int(rng.integers(0, most + 1))
        yield sound[:size]
        sound = sound[size:]


@pytest.mark.parametrize("most", [3, 50, 400])
def test_a_ring_holds_the_end_of_all_that_came(rng, most):
    sound = rng.normal(size=1000).astype(np.float32)
    ring, came = RingBuffer(100), 0
    for block in blocks(rng, sound, most):
        ring.push(block)
        came += len(block)
        assert ring.clock == came and ring.start == max(came - 100, 0)
        held = ring.read(ring.start, ring.clock)
        np.testing.assert_array_equal(held, sound[max(came - 100, 0) : came])
        if came > 30:
            part = ring.read(came - 30, came - 10)
            np.testing.assert_array_equal(part, sound[came - 30 : came - 10])


@pytest.mark.parametrize("start, end", [(0, 5), (10, 25), (15, 12)])
def test_what_a_ring_does_not_hold_is_refused(start, end):
    ring = RingBuffer(10)
    ring.push(np.zeros(20, np.float32))
    with pytest.raises(ValueError, match="Samples 10 to 20 are there"):
        ring.read(start, end)


def test_what_a_ring_gives_is_not_changed_by_what_comes_later():
    ring = RingBuffer(4)
    ring.push(np.arange(4, dtype=np.float32))
    held = ring.read(0, 4)
    ring.push(np.full(4, 9, np.float32))
    assert held.tolist() == [0, 1, 2, 3]


def speak(ring, pattern):
    """Pushes a frame a letter: `s` is speech, whose samples are its number."""
    numbers = np.arange(ring.clock, ring.clock + len(pattern), dtype=np.float32)
    spoken = np.array([letter == "s" for letter in pattern], bool)
    ring.push(np.repeat(numbers[:, None], HOP, axis=1), spoken)


def test_a_speech_buffer_holds_the_newest_speech_with_its_times():
    ring = SpeechRingBuffer(0.03, forget_s=1.0)
    speak(ring, "s..s.sss.")
    assert ring.clock == 9 and np.isclose(ring.seconds, 0.03)
    assert ring.newest()[::HOP].tolist() == [5, 6, 7]
    assert ring.places().tolist() == [5 * HOP, 6 * HOP, 7 * HOP]
    assert ring.newest(0.02)[::HOP].tolist() == [6, 7]
    ring.truncate(0.01)
    assert ring.newest()[::HOP].tolist() == [7]
    speak(ring, "s")
    assert ring.newest()[::HOP].tolist() == [7, 9]


def test_speech_is_forgotten_after_a_longer_silence_and_not_before():
    ring = SpeechRingBuffer(0.1, forget_s=0.03)
    speak(ring, "ss...")
    assert np.isclose(ring.seconds, 0.02)
    speak(ring, "s...")
    assert ring.newest()[::HOP].tolist() == [0, 1, 5]
    speak(ring, ".")
    assert ring.seconds == 0 and len(ring.newest()) == 0 and len(ring.places()) == 0
    speak(ring, "s")
    assert ring.newest()[::HOP].tolist() == [10]


@pytest.mark.parametrize("length, forget", [(4, 3), (9, 5), (40, 2)])
def test_a_speech_buffer_is_a_list_that_is_cut_however_frames_come(rng, length, forget):
    pattern = "".join(rng.choice(list("s."), 300, p=[0.4, 0.6]))
    ring, held, silent, left = (
        SpeechRingBuffer(length / 100, forget_s=forget / 100),
        [],
        0,
        0,
    )
    for size in rng.integers(0, 9, 100).tolist():
        speak(ring, pattern[left : left + size])
        for number in range(left, min(left + size, 300)):
            silent = 0 if pattern[number] == "s" else silent + 1
            held = [] if silent > forget else held
            held = [*held, number][-length:] if not silent else held
        left += size
        assert ring.newest()[::HOP].tolist() == held
        assert (ring.places() // HOP).tolist() == held


def test_rings_do_not_grow():
    ring, speech = RingBuffer(16000), SpeechRingBuffer(2.0, forget_s=1.0)
    block, frame = np.zeros(1600, np.float32), np.zeros((1, HOP), np.float32)
    tracemalloc.start()
    for i in range(2000):
        ring.push(block)
        speech.push(frame, [i % 3 > 0])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert ring.clock == 2000 * 1600 and np.isclose(speech.seconds, 2.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RingBuffer(0),
        lambda: SpeechRingBuffer(0.0, forget_s=1.0),
        lambda: SpeechRingBuffer(1.0, forget_s=0.0),
    ],
)
def test_a_ring_of_nothing_is_refused(make):
    with pytest.raises(ValueError, match="holds a"):
        make()
