"""Sources against `timbre.audio.wave.read`, a fake clock and a fake microphone."""

import itertools
import sys
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from timbre.audio import wave
from voiceemb.streaming import sources


@pytest.mark.parametrize(
    "rate, channels, suffix",
    [(16000, 1, ".wav"), (8000, 1, ".wav"), (44100, 2, ".flac"), (48000, 3, ".wav")],
)
@pytest.mark.parametrize("block_s", [0.013, 0.1, 5.0])
def test_the_blocks_of_a_file_are_the_whole_file(
    rng, tmp_path, rate, channels, suffix, block_s
):
    path = tmp_path / f"talk{suffix}"
    sound = rng.uniform(-0.5, 0.5, (round(1.234 * rate), channels))
    soundfile.write(path, sound, rate)
    blocks = list(sources.file(path, block_s=block_s))
    assert {len(block) for block in blocks[:-1]} <= {round(block_s * 16000)}
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), wave.read(path))


class Clock:
    """Time passes only while somebody sleeps, or says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds >= 0
        self.now += seconds


def test_a_file_in_real_time_comes_when_it_would_be_played(tmp_path):
    path, clock = tmp_path / "talk.wav", Clock()
    wave.write(path, np.zeros(16000 + 80, np.float32))
    blocks = sources.file(path, real_time=True, clock=clock, sleep=clock.sleep)
    came = []
    for number, _ in enumerate(blocks):
        came.append(clock.now - 100)
        clock.now += 0.25 if number == 3 else 0.02  # the listener is late, once
    expected, now = [], 0.0
    for number, end in enumerate([*np.arange(1, 11) / 10, 1.005]):
        now = max(now, end)
        expected.append(now)
        now += 0.25 if number == 3 else 0.02
    assert came[4] > 0.6 and came[6] == pytest.approx(0.7)  # late, then in time again
    np.testing.assert_allclose(came, expected)


def test_a_file_at_full_speed_waits_for_nothing(tmp_path):
    path = tmp_path / "talk.wav"
    wave.write(path, np.zeros(16000, np.float32))
    clock = Clock()
    assert len(list(sources.file(path, clock=clock, sleep=clock.sleep))) == 10
    assert clock.now == 100


@pytest.mark.parametrize("rate", [16000, 48000])
def test_memory_follows_the_block_and_not_the_file(tmp_path, rate):
    path = tmp_path / "long.wav"
    sound = np.zeros(120 * rate, np.int16)
    soundfile.write(path, sound, rate)
    del sound
    tracemalloc.start()
    total = sum(len(block) for block in sources.file(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 120 * 16000
    assert peak < 2**20  # the file has 4 MB and more


@pytest.mark.parametrize("bad", [np.nan, np.inf, -11.0])
def test_a_bad_sample_is_refused_with_the_time_where_it_is(tmp_path, bad):
    path = tmp_path / "bad.wav"
    sound = np.zeros((16000, 2), np.float32)
    sound[12040, 1] = bad
    soundfile.write(path, sound, 8000, subtype="FLOAT")
    with pytest.raises(wave.AudioError, match=r"at 1\.505 s"):
        list(sources.file(path))


def test_a_file_that_is_no_sound_is_refused(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("not sound")
    with pytest.raises(wave.AudioError, match="by its first bytes"):
        list(sources.file(path))
    with pytest.raises(wave.AudioError, match="no such file"):
        list(sources.file(tmp_path / "absent.wav"))


@pytest.mark.parametrize("block_s", [0, -1.0, float("nan"), 1e9, "0.1"])
def test_a_block_of_no_length_is_refused(block_s):
    with pytest.raises(ValueError, match="`block_s`"):
        next(sources.file("talk.wav", block_s=block_s))


class PortAudioError(Exception):
    pass


class FakeInput:
    """Calls back from a thread of its own, as PortAudio does, `count` times."""

    opened = []

    def __init__(self, *, samplerate, blocksize, callback, **options):
        self.rate, self.size, self.callback = samplerate, blocksize, callback
        self.options, self.closed = options, False
        FakeInput.opened.append(self)

    def __enter__(self):
        thread = threading.Thread(target=self._speak)
        thread.start()
        thread.join()  # all is said before anybody listens
        return self

    def __exit__(self, *_):
        self.closed = True

    def _speak(self):
        for number in range(FakeInput.count):
            block = np.full((self.size, 1), number / 1000, np.float32)
            status = SimpleNamespace(input_overflow=number == 1)
            self.callback(block, self.size, None, status)
            block[:] = 7  # PortAudio writes over it


@pytest.fixture
def sounddevice(monkeypatch):
    """A `sounddevice` whose only microphone says 4 blocks, at any rate."""

    def check_input_settings(samplerate, **_):
        if samplerate not in FakeInput.rates:
            raise PortAudioError("Invalid sample rate")

    FakeInput.opened, FakeInput.count, FakeInput.rates = [], 4, {16000}
    module = SimpleNamespace(
        InputStream=FakeInput,
        PortAudioError=PortAudioError,
        check_input_settings=check_input_settings,
        query_devices=lambda device, kind: {"default_samplerate": 48000.0},
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.05)
    return module


def test_a_microphone_gives_what_it_recorded_and_is_closed(sounddevice):
    mic = sources.Microphone()
    blocks_read = list(itertools.islice(iter(mic), 4))
    assert [len(block) for block in blocks_read] == [1600] * 4
    np.testing.assert_allclose([b[0] for b in blocks_read], [0, 0.001, 0.002, 0.003])
    assert mic.overflows == 1 and mic.lost_s == 0
    (opened,) = FakeInput.opened
    assert opened.options == {"channels": 1, "dtype": "float32", "device": None}


def test_leaving_the_loop_closes_the_microphone(sounddevice):
    blocks = iter(sources.Microphone())
    next(blocks)
    assert not FakeInput.opened[0].closed
    blocks.close()
    assert FakeInput.opened[0].closed


def test_a_microphone_that_falls_silent_for_ever_is_an_error(sounddevice):
    with pytest.raises(OSError, match="gives sound all the time"):
        list(sources.Microphone())
    assert FakeInput.opened[0].closed


def test_lost_sound_is_counted_and_keeps_its_time(sounddevice, monkeypatch):
    """Three blocks fit; seven are lost; the next comes after as many zeros."""
    monkeypatch.setattr(sources, "QUEUE_S", 0.3)
    FakeInput.count = 10
    mic = sources.Microphone()
    blocks = iter(mic)
    blocks_read = [next(blocks) for _ in range(3)]
    assert np.isclose(mic.lost_s, 0.7)
    block, late = np.full((1600, 1), 0.5, np.float32), SimpleNamespace(input_overflow=0)
    FakeInput.opened[0].callback(block, 1600, None, late)
    blocks_read += [next(blocks) for _ in range(8)]
    assert [float(b.max()) for b in blocks_read[3:]] == [0] * 7 + [0.5]
    assert np.isclose(mic.lost_s, 0.7)


def test_a_microphone_of_another_rate_is_resampled(sounddevice):
    FakeInput.rates = {48000}
    FakeInput.count = 20
    blocks = iter(sources.Microphone())
    heard = [next(blocks) for _ in range(18)]  # the filter keeps the last back
    assert FakeInput.opened[0].rate == 48000 and FakeInput.opened[0].size == 4800
    assert {len(block) for block in heard} == {1600}


@pytest.mark.parametrize(
    "module, match", [(None, "pip install"), ("broken", "libportaudio2")]
)
def test_without_its_package_a_microphone_says_what_to_install(
    monkeypatch, tmp_path, module, match
):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    if module:
        (tmp_path / "sounddevice.py").write_text("raise OSError('no PortAudio')")
        monkeypatch.delitem(sys.modules, "sounddevice")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=match):
        sources.Microphone()
