"""Folding: phones that are nearly one sound become one label.

As Lee and Hon do with TIMIT's 61: a reduced vowel is the full one, a syllabic consonant
the plain one, and two that many speakers do not tell apart are one.

Reference: Speaker-independent phone recognition using hidden Markov models (Lee & Hon,
1989), table II, https://doi.org/10.1109/29.46546.
"""

SILENCE = "sil"
FOLDED = {  # those that are other phones' kin; all others stay what they are
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
UNFOLDED = (
    "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t "
    "th uh uw v w y z"
)
# TIMIT's 61 labels to 39, silence among them; the glottal stop is no phone of its own.
FOLDING: dict[str, str | None] = {
    **{phone: phone for phone in UNFOLDED.split()},
    **{phone: kin for kin, phones in FOLDED.items() for phone in phones.split()},
    "q": None,
}
NOT_TIMIT = f"A phone of TIMIT must be one of its {len(FOLDING)} labels."
# eSpeak's English phones, folded likewise: its "happy" vowel is TIMIT's `iy` as well.
# What TIMIT writes as two labels, a vowel and the `r` or schwa after it, is dropped.
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


def fold(phone: str) -> str | None:
    """A label of TIMIT as one of 39, `"sil"` among them; `None` if it is dropped.

    Args:
        phone: One of TIMIT's 61 labels, in any case.

    Raises:
        ValueError: If it is none of them.
    """
    label = phone.strip().lower()
    if label not in FOLDING:
        raise ValueError(f"{NOT_TIMIT} Received: {phone!r}")
    return FOLDING[label]


def fold_espeak(phone: str) -> str | None:
    """An English phone of eSpeak NG as its kin; `None` if it is two sounds in one.

    Args:
        phone: In IPA, without stress marks; what has no kin stays what it is.
    """
    return ESPEAK.get(phone, phone)
