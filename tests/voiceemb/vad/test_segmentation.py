"""Segments are what the hysteresis says, and the same however the stream is cut."""

import numpy as np
import pytest

from voiceemb.vad.segmentation import HysteresisConfig, Segmenter

CONFIGS = [
    HysteresisConfig(),
    HysteresisConfig(pad_s=0.0),
    HysteresisConfig(pad_s=0.4, release_s=0.1),  # paddings meet
    HysteresisConfig(onset_frames=1, release_s=0.0, min_speech_s=0.0, pad_s=0.0),
    HysteresisConfig(onset=0.7, offset=0.1, min_speech_s=0.5),
]


def plain(probabilities, config):
    """The hysteresis as its docstring says it, for one who sees all frames at once."""
    release, pad, least = (
        round(100 * seconds)
        for seconds in (config.release_s, config.pad_s, config.min_speech_s)
    )
    loud, kept = probabilities >= config.onset, probabilities >= config.offset
    num, release, segments, i = len(probabilities), max(release, 1), [], 0
    while i + config.onset_frames <= num:
        if not loud[i : i + config.onset_frames].all():
            i += 1
            continue
        j = i + config.onset_frames
        while j + release <= num and kept[j : j + release].any():
            j += 1
        until = j if j + release <= num else num
        end = i + 1 + np.flatnonzero(kept[i:until])[-1]
        if end - i >= least:
            start, end_padded = max(i - pad, 0), min(end + pad, num)
            if segments and start <= segments[-1][1]:
                segments[-1] = (segments[-1][0], end_padded)
            else:
                segments.append((start, end_padded))
        i = j + release
    return segments


def course(rng, num):
    """Probabilities that stay low or high for a while, and cross the thresholds."""
    levels = rng.uniform(0, 1, num // 8 + 1) ** rng.choice([0.5, 1, 3])
    return np.clip(np.repeat(levels, 8)[:num] + rng.normal(0, 0.1, num), 0, 1)


def cut(rng, whole):
    """The whole in pieces of any length, also of none."""
    ends = np.sort(rng.integers(0, len(whole) + 1, rng.integers(0, 20)))
    return np.split(whole, ends)


def spoken(segments, num):
    """Frames in segments."""
    active = np.zeros(num, bool)
    for start, end in segments:
        active[start:end] = True
    return active


@pytest.mark.parametrize("config", CONFIGS)
def test_segments_are_those_of_the_plain_rule_however_the_stream_is_cut(rng, config):
    found = 0
    for _ in range(60):
        whole = course(rng, int(rng.integers(0, 600)))
        segmenter = Segmenter(config)
        segments = sum((segmenter.push(part) for part in cut(rng, whole)), [])
        segments += segmenter.finish()
        assert segments == plain(whole, config)
        found += len(segments)
    assert found > 20


@pytest.mark.parametrize("config", CONFIGS)
def test_segments_are_in_order_apart_and_inside_the_sound(rng, config):
    for _ in range(40):
        whole = course(rng, int(rng.integers(0, 600)))
        segmenter = Segmenter(config)
        edges = np.ravel(segmenter.push(whole) + segmenter.finish())
        assert (np.diff(edges) > 0).all()
        assert not len(edges) or (edges[0] >= 0 and edges[-1] <= len(whole))


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_decided_is_never_changed_and_lags_by_a_bounded_time(rng, config):
    bound = config.onset_frames + 100 * (
        config.release_s + config.pad_s + config.min_speech_s
    )
    for _ in range(12):
        whole = course(rng, 400)
        active = spoken(plain(whole, config), 400)
        segmenter, finished, before = Segmenter(config), [], 0
        for frame in range(400):
            finished += segmenter.push(whole[frame : frame + 1])
            certain = finished + [segmenter.open] * (segmenter.open is not None)
            decided = segmenter.decided
            assert before <= decided <= frame + 1
            assert frame + 1 - decided <= bound + 1e-6
            np.testing.assert_array_equal(
                spoken(certain, 400)[:decided], active[:decided]
            )
            before = decided
        segmenter.finish()
        assert segmenter.decided == 400


def test_speech_needs_its_onset_and_keeps_on_above_the_offset():
    config = HysteresisConfig(pad_s=0.0, min_speech_s=0.0, release_s=0.1)
    silence, above, between = np.zeros(50), np.full(3, 0.5), np.full(40, 0.4)
    segmenter = Segmenter(config)
    both = np.concatenate([between, silence, above, between, silence])
    assert segmenter.push(both) + segmenter.finish() == [(90, 133)]
    segmenter = Segmenter(config)
    assert segmenter.push(np.tile([0.9, 0.9, 0.1], 30)) + segmenter.finish() == []


def test_a_pause_as_long_as_the_release_parts_and_a_shorter_one_does_not():
    def edges(pause):
        segmenter = Segmenter(HysteresisConfig(pad_s=0.0))
        voice = np.ones(40)
        return segmenter.push(np.concatenate([voice, np.zeros(pause), voice])) + (
            segmenter.finish()
        )

    assert edges(29) == [(0, 109)]
    assert edges(30) == [(0, 40), (70, 110)]


def test_padding_widens_within_the_sound_and_joins_what_it_makes_meet():
    def edges(pause, config):
        segmenter = Segmenter(config)
        parts = [np.zeros(5), np.ones(40), np.zeros(pause), np.ones(40), np.zeros(40)]
        return segmenter.push(np.concatenate(parts)) + segmenter.finish()

    config = HysteresisConfig(release_s=0.1)
    assert edges(21, config) == [(0, 55), (56, 116)]
    assert edges(20, config) == [(0, 115)]


def test_short_sounds_are_no_speech_and_do_not_join_others():
    segmenter = Segmenter(HysteresisConfig())
    parts = [np.ones(24), np.zeros(60), np.ones(25), np.zeros(60), np.ones(24)]
    assert segmenter.push(np.concatenate(parts)) + segmenter.finish() == [(74, 119)]


def test_it_says_when_somebody_speaks():
    segmenter = Segmenter()
    segmenter.push(np.ones(2))
    assert not segmenter.is_speaking
    segmenter.push(np.ones(1))
    assert segmenter.is_speaking and segmenter.open is None  # too short until 25
    segmenter.push(np.ones(22))
    assert segmenter.open == (0, 35)
    assert segmenter.push(np.zeros(29)) == [] and segmenter.is_speaking
    assert segmenter.push(np.zeros(1)) == [(0, 35)]
    assert not segmenter.is_speaking and segmenter.open is None


@pytest.mark.parametrize("wrong", [[np.nan], [-0.1], [1.1], [[0.5]]])
def test_what_is_no_probability_is_refused_and_nothing_changes(wrong):
    segmenter = Segmenter()
    segmenter.push(np.ones(30))
    with pytest.raises(ValueError, match="Probabilities are"):
        segmenter.push(np.array(wrong))
    assert segmenter.finish() == [(0, 30)]
    with pytest.raises(ValueError, match="finished"):
        segmenter.push(np.ones(1))
    with pytest.raises(ValueError, match="finished"):
        segmenter.finish()


@pytest.mark.parametrize(
    "wrong",
    [
        {"onset": 0.3},
        {"offset": -0.1},
        {"onset": 1.1},
        {"onset": float("nan")},
        {"onset_frames": 0},
        {"release_s": -1},
        {"pad_s": float("nan")},
        {"min_speech_s": float("inf")},
    ],
)
def test_a_rule_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="Received"):
        HysteresisConfig(**wrong)
