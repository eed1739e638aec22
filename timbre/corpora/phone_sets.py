"""Phone mapping: sets of phone labels reduced to fewer classes.

TIMIT's 61 labels become 39 as in Lee and Hon: reduced vowels are mapped to full ones,
syllabic consonants to plain ones, and pairs that many speakers do not distinguish are
merged. eSpeak's English phones are reduced likewise.

Reference: Speaker-independent phone recognition using hidden Markov models (Lee & Hon,
1989), table II, https://doi.org/10.1109/29.46546.
"""

SILENCE = "sil"
MERGED = {  # class: the other labels that are mapped to it
    "aa": "ao",
    "ah": "ax ax-h",
    "er": "axr",
    "hh": "hv",
    "ih": "ix",
    "l": "el",
    "m": "em",
    "n": "en nx",
    "ng": "eng",
    "sh": "zh",
    "uw": "ux",
    SILENCE: "pcl tcl kcl bcl dcl gcl h# pau epi",
}
KEPT = (
    "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t "
    "th uh uw v w y z"
)
# 61 labels to 39 classes, silence among them; the glottal stop is dropped.
TIMIT_TO_39: dict[str, str | None] = {
    **{phone: phone for phone in KEPT.split()},
    **{phone: name for name, phones in MERGED.items() for phone in phones.split()},
    "q": None,
}
# eSpeak's "happy" vowel is TIMIT's `iy` as well. What TIMIT writes as two labels, a
# vowel and the `r` or schwa after it, is dropped.
ESPEAK: dict[str, str | None] = {
    "ɐ": "ə",  # ah, ax, ax-h
    "ʌ": "ə",
    "ᵻ": "ɪ",  # ih, ix
    "i": "iː",
    "ɜː": "ɚ",  # er, axr
    "ɔ": "ɔː",  # aa, ao
    "ɑː": "ɔː",
    "ʒ": "ʃ",  # sh, zh
    "əl": "l",  # l, el
    **dict.fromkeys("ɔːɹ ɛɹ ɑːɹ ʊɹ ɪɹ aɪɚ iə aɪə".split()),
}


def map_timit(phone: str, *, where: str = "") -> str | None:
    """Map a label of TIMIT to one of 39 classes, `"sil"` among them.

    Args:
        phone: One of TIMIT's 61 labels, in any case; another is a `ValueError`.
        where: Its place, to end that message with. Defaults to `""`.

    Returns:
        The class, or `None` for a label that is dropped.
    """
    label = phone.strip().lower()
    if label not in TIMIT_TO_39:
        raise ValueError(
            f"A phone of TIMIT must be one of its {len(TIMIT_TO_39)} labels. "
            f"Received: {phone!r}{where}"
        )
    return TIMIT_TO_39[label]


def map_espeak(phone: str) -> str | None:
    """Map an English phone of eSpeak NG, in IPA without stress marks, to its class.

    It is the phone itself if none is merged with it, and `None` for two sounds in one.
    """
    return ESPEAK.get(phone, phone)
