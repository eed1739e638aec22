"""Names of speakers: what one may be, wherever it is given, kept or read."""

import unicodedata

LONGEST = 500  # letters
JOINERS = "\u200c\u200d"  # invisible, but Persian and Hindi are written with them


def normalise_name(name) -> str:
    """A name as it is kept: composed (NFC), without white space at its ends.

    Raises:
        ValueError: If it is empty, has more than 500 letters, or holds what can not
            be printed: line breaks, control characters, marks of direction.
    """
    kept = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    odd = [c for c in kept if not (c.isprintable() or c in JOINERS)]
    if odd or not 0 < len(kept) <= LONGEST:
        raise ValueError(
            f"A name has 1 to {LONGEST} letters, all of which can be printed. "
            f"Received: {str(name)[:40]!r}{f' with {odd[:3]}' if odd else ''}"
        )
    return kept
