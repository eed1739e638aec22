"""VAD labels: what is speech in clean recordings, by level alone."""

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora import folders
from voiceemb.vad import labels
from voiceemb.vad.base import HOP


def test_frames_far_below_the_loud_ones_or_near_the_silence_are_no_speech():
    level = np.full(100, -20.0)
    level[30:60] = -59.0  # 39 dB below
    level[80:] = -90.0
    expected = np.ones(100, bool)
    expected[30:60] = expected[80:] = False
    np.testing.assert_array_equal(labels.speech_frames(level), expected)
    level[30:60] = -57.0  # 37 dB below
    assert labels.speech_frames(level)[:80].all()
    level[80:] = -62.0  # now 5 dB above the silence of the recording
    np.testing.assert_array_equal(labels.speech_frames(level), expected)


def test_weak_speech_in_a_noisy_recording_is_speech():
    level = np.concatenate([np.full(50, -20.0), np.full(30, -43.0), np.full(50, -46.0)])
    expected = np.arange(130) < 80
    np.testing.assert_array_equal(labels.speech_frames(level), expected)


def test_speech_too_close_to_silence_is_not_labelled():
    assert labels.speech_frames(np.linspace(-30, -20, 50)) is None


def test_pauses_within_words_are_speech_and_pauses_between_them_are_not():
    active = np.zeros(100, bool)
    active[[10, 15, 50, 56]] = True  # pauses of four frames and of five
    expected = active.copy()
    expected[10:16] = True
    np.testing.assert_array_equal(labels.fill_pauses(active), expected)


def record(folder, noise):
    """A corpus of one speaker: bursts of noise over a quieter one."""
    rng = np.random.default_rng(0)
    gate = np.repeat(np.arange(4) % 2, 8000)
    sound = rng.normal(size=32_000) * (0.1 * gate + noise)
    (folder / "anna").mkdir(parents=True)
    wave.write(folder / "anna" / "1.wav", sound.clip(-1, 1).astype("float32"))
    return folders.open_corpus(folder)


def test_utterances_are_read_with_their_pauses(tmp_path):
    (utterance,) = labels.label_corpus(record(tmp_path, 1e-4))
    assert len(utterance.active) * HOP == len(utterance.waveform) == 32_000
    assert utterance.active[55:95].all() and not utterance.active[5:45].any()


def test_a_corpus_in_noise_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 24 dB above silence"):
        labels.label_corpus(record(tmp_path, 0.05))
