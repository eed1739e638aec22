"""Names of speakers: normalisation and limits."""

import unicodedata

MAX_LETTERS = 500  # letters
JOINERS = "\u200c\u200d"  # invisible, but Persian and Hindi are written with them


def normalise_name(name) -> str:
    """Composes a name (Unicode NFC) and strips white space at its ends.

    Raises:
        ValueError: If it is empty, has more than 500 letters, or has characters that
            can not be printed: line breaks, control characters, direction marks.
    """
    normal = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    odd = [c for c in normal if not (c.isprintable() or c in JOINERS)]
    if odd or not 0 < len(normal) <= MAX_LETTERS:
        raise ValueError(
            f"A name has 1 to {MAX_LETTERS} letters, all of which can be printed. "
            f"Received: {str(name)[:40]!r}{f' with {odd[:3]}' if odd else ''}"
        )
    return normal
