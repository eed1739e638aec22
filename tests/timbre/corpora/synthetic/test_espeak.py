import sys

import numpy as np
import pytest

from timbre.corpora.synthetic import espeak

TEXT = "We were away, and then the cat took a loaf of bread."
VOWELS = set("aeiouæɑɐəɚɛɜɪɔʊʌᵻ")


@pytest.fixture(scope="module")
def speech():
    return espeak.synthesise(TEXT, voice="en-us+m3")


def samples_of(speech, label):
    start, end = (round(t * speech.sample_rate) for t in (label.start_s, label.end_s))
    return speech.waveform[start:end]


def level(samples):
    return np.sqrt(np.mean(np.square(samples)))


def test_labels_are_in_order_and_inside(speech):
    duration_s = len(speech.waveform) / speech.sample_rate
    for labels in (speech.phones, speech.words):
        times = [t for label in labels for t in (label.start_s, label.end_s)]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= duration_s
        assert all(label.end_s > label.start_s for label in labels)


def test_words_together_are_the_text(speech):
    words = " ".join(label.name for label in speech.words)
    assert words.split() == TEXT.replace(",", "").strip(".").split()


def test_words_begin_and_end_with_a_phone(speech):
    starts = {label.start_s for label in speech.phones}
    ends = {label.end_s for label in speech.phones}
    for word in speech.words:
        assert word.start_s in starts and word.end_s in ends


def test_vowels_sound_and_what_no_phone_claims_is_silent(speech):
    vowels = [p for p in speech.phones if p.name[0] in VOWELS]
    assert len(vowels) == 13  # we were a-way and then the cat took a loaf of bread
    claimed = np.zeros(len(speech.waveform), bool)
    for label in speech.phones:
        start, end = (
            round(t * speech.sample_rate) for t in (label.start_s, label.end_s)
        )
        claimed[start:end] = True
    assert not speech.waveform[~claimed].any()
    loudness = level(speech.waveform[claimed])
    assert all(level(samples_of(speech, vowel)) > loudness / 4 for vowel in vowels)


def test_closure_belongs_to_its_plosive(speech):
    """The mouth is shut for 20 ms or more before a `k` or `t` within the phrase."""
    plosives = [p for p in speech.phones[1:] if p.name in ("k", "t")]
    assert len(plosives) == 4  # cat took: k t t k
    for plosive in plosives:
        assert not samples_of(speech, plosive)[: speech.sample_rate // 50].any()
        assert samples_of(speech, plosive).any()


def test_pauses_are_gaps_between_phones(speech):
    pairs = zip(speech.phones, speech.phones[1:], strict=False)
    gaps = [after.start_s - before.end_s for before, after in pairs]
    assert sum(gap > 0.05 for gap in gaps) == 1  # the comma


def test_same_request_gives_the_same_samples_whatever_came_before(speech):
    espeak.synthesise("Something else entirely!", voice="en-us+f1", pitch=80)
    again = espeak.synthesise(TEXT, voice="en-us+m3")
    np.testing.assert_array_equal(again.waveform, speech.waveform)
    assert again.phones == speech.phones


def test_phones_are_korean_in_korean():
    speech = espeak.synthesise("젊은 의사 선생님은 책을 읽어요.", voice="ko")
    assert {"ŋ", "s", "n", "tɕ"} <= {label.name for label in speech.phones}
    assert speech.words[0].name == "젊은"


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (ValueError, {"text": " "}),
        (ValueError, {"text": "a\0b"}),
        (ValueError, {"text": "a", "pitch": 200}),
        (ValueError, {"text": "a", "rate": 20}),
        (espeak.SynthesisError, {"text": "a", "voice": "no such voice"}),
    ],
)
def test_bad_requests_are_refused_and_the_next_one_served(error, settings):
    with pytest.raises(error, match="Received"):
        espeak.synthesise(**settings)
    assert espeak.synthesise("Yes.").phones


def test_one_text_at_a_time_in_a_process(monkeypatch):
    load = espeak.load_package

    def load_while_another_asks():
        with pytest.raises(espeak.SynthesisError, match="at a time"):
            espeak.synthesise("No.")
        return load()

    monkeypatch.setattr(espeak, "load_package", load_while_another_asks)
    assert espeak.synthesise("Yes.").phones


def test_missing_package_is_named_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match="pip install espeakng-loader"):
        espeak.synthesise("Yes.")
    monkeypatch.undo()
    assert espeak.synthesise("Yes.").phones
