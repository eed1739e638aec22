"""Texts for synthetic speech: sentences of three parts, each from a list of thirty.

A sentence is `first + second + third`. The lists are written so that together they
hold every phone of the language, and so that any three parts make a sentence. All
speakers sample from the same lists and repeat no part before its list is used up, so
the text carries no information about the speaker.
"""

from collections.abc import Sequence

import numpy as np


def _split(*parts):
    return tuple(tuple(s.strip() for s in part.split("|")) for part in parts)


ENGLISH = _split(
    """
    The old sailor | My younger brother | Her French teacher | A cheerful nurse |
    The shy musician | Our next neighbour | Nobody but George | The village doctor |
    A thirsty horse | This quiet lawyer | Your oldest cousin | The tired chef |
    Some foreign visitor | The youth choir | A voice outside | Their good friend Joy |
    That huge dog | The wise judge | Each boy and girl | The other author |
    An anxious tourist | Doctor Vaughan | The whole orchestra | A noisy toy robot |
    My father and I | The tall goalkeeper | Mister Hughes | The pilot's wife |
    One clever thief | The zoo keeper
    """,
    """
    measured the thick rope | carried five boxes | chose a yellow jacket |
    heard the thunder | poured hot coffee | watched the shooting stars |
    found a silver coin | painted both doors blue | enjoyed the beige cake |
    counted sixty geese | took the wrong bus | wrote a short letter |
    fixed the loose wheel | sang a joyful tune | pushed the heavy cart |
    brought fresh oranges | lost a leather glove | thought of the sea |
    threw away the map | asked for directions | drew a large cow | hid the treasure |
    jumped over the fence | laughed at the joke | bought cheap earrings |
    saw a pair of foxes | made vegetable soup | closed the garage | fell asleep |
    shared the bread
    """,
    """
    before the morning train. | near the narrow bridge. | as usual, without a word! |
    while it was raining. | on Thursday evening. | behind the church. |
    for the third time. | under a pear tree. | in the cold north wind. |
    to please the children. | with great pleasure. | after a long voyage. |
    between two meetings. | so early in the year? | beside the television. |
    at the edge of the woods. | until the music stopped. | by the light of the moon. |
    because of the noise? | and went straight home. | in front of the museum. |
    since July or August. | without looking back. | just to be sure! |
    on top of the hill. | beyond the school yard. | during the show. |
    in the usual kitchen. | where we played as boys. | for a measure of gold?
    """,
)
KOREAN = _split(
    """
    우리 할머니는 | 옆집 아저씨가 | 키가 큰 학생은 | 제 여동생이 | 젊은 의사 선생님은 |
    빨간 모자를 쓴 아이가 | 그 친절한 요리사는 | 외국에서 온 손님이 |
    음악을 좋아하는 친구는 | 늙은 어부 한 사람이
    """,
    """
    어제 저녁 시장에서 | 비가 오는 날마다 | 학교 뒤 언덕 위에서 | 아침 일찍 일어나 |
    기차를 기다리면서 | 조용한 도서관 앞에서 | 겨울 바닷가에서 | 생일을 맞아 |
    친구들과 함께 | 해가 지기 전에
    """,
    """
    따뜻한 호떡을 샀어요. | 즐겁게 노래를 불렀습니다. | 책을 세 권 읽었어요. |
    하얀 눈을 바라보았다. | 맛있는 찌개를 끓였어요. | 짧은 편지를 썼습니다. |
    커다란 그림을 그렸어요. | 예쁜 꽃을 꺾지 않았다. | 고양이를 쫓아갔어요? |
    옛날 이야기를 들었습니다.
    """,
)
LANGUAGES = {"en": ENGLISH, "ko": KOREAN}


def sample(
    count: int,
    rng: np.random.Generator,
    *,
    language: str = "en-us",
    texts: Sequence[str] | None = None,
) -> list[str]:
    """Sample the sentences of one speaker.

    Args:
        count: How many sentences. They differ from each other up to `texts`' length,
            or the square of the lists' (900 in English).
        rng: Source of randomness.
        language: A language of eSpeak NG. English and Korean have lists here.
        texts: Sentences to sample from instead, needed for every other language.
    """
    if texts is not None:
        if isinstance(texts, str) or not texts or not all(t.strip() for t in texts):
            raise ValueError(
                f"`texts` must be a list of sentences. Received: {texts!r}"
            )
        order = rng.permutation(len(texts))
        return [texts[int(order[i % len(texts)])] for i in range(count)]
    parts = LANGUAGES.get(language.split("-")[0].lower())
    if parts is None:
        raise ValueError(
            f"Give `texts` for a language other than {sorted(LANGUAGES)}. "
            f"Received: language={language!r}"
        )
    size = len(parts[0])
    first, second, third = ([part[i] for i in rng.permutation(size)] for part in parts)
    return [
        f"{first[i % size]} {second[(i + i // size) % size]} {third[i % size]}"
        for i in range(count)
    ]
