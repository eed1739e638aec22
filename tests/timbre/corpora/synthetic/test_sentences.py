from collections import Counter

import numpy as np
import pytest

from timbre.corpora.synthetic import espeak, sentences


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("language", ["en-us", "ko"])
def test_lists_are_equally_long_and_repeat_nothing(language):
    parts = sentences.LANGUAGES[language[:2]]
    assert len({len(part) for part in parts}) == 1
    assert all(len(set(part)) == len(part) for part in parts)


def test_a_speaker_repeats_no_part_in_thirty_sentences():
    said = " ".join(sentences.sample(30, rng()))
    assert all(part in said for parts in sentences.ENGLISH for part in parts)


def test_nine_hundred_sentences_of_a_speaker_differ():
    assert len(set(sentences.sample(900, rng()))) == 900


def test_speakers_share_their_words():
    """What is said tells nothing about who says it: all parts are equally likely."""
    said = [text for seed in range(300) for text in sentences.sample(5, rng(seed))]
    counts = Counter(
        part for text in said for part in sentences.ENGLISH[0] if text.startswith(part)
    )
    expected = 1500 / 30
    assert len(counts) == 30
    assert sum((c - expected) ** 2 / expected for c in counts.values()) < 29 + 4 * 7.6


def test_thirty_sentences_hold_the_phones_of_english():
    phones = set()
    for text in sentences.sample(30, rng()):
        phones |= {label.name for label in espeak.synthesise(text).phones}
    wanted = "p b t d k ɡ tʃ dʒ f v θ ð s z ʃ ʒ h m n ŋ l ɹ w j".split()
    wanted += "iː ɪ ɛ æ ɑː ɔː ʊ uː ʌ ə ɜː ɚ eɪ aɪ ɔɪ aʊ oʊ".split()
    assert set(wanted) <= phones


def test_own_texts_are_drawn_in_any_order_and_then_again():
    texts = ["Eins.", "Zwei.", "Drei."]
    drawn = sentences.sample(6, rng(), language="de", texts=texts)
    assert sorted(drawn[:3]) == sorted(texts) and drawn[3:] == drawn[:3]


@pytest.mark.parametrize("texts", [None, [], [""], "Guten Tag."])
def test_a_language_without_texts_is_refused(texts):
    with pytest.raises(ValueError, match="texts.*Received"):
        sentences.sample(1, rng(), language="de", texts=texts)
