"""LibriSpeech: reading and download of a corpus of audiobooks, 2,484 speakers.

A tree is `LibriSpeech/<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<n>.flac`,
with the sentences of a chapter in `<speaker>-<chapter>.trans.txt` beside them and
the readers in `LibriSpeech/SPEAKERS.TXT`.

Reference: LibriSpeech: an ASR corpus based on public domain audio books (Panayotov
et al., 2015), https://www.openslr.org/12, CC BY 4.0.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from timbre.corpora.corpus import Corpus, Utterance
from timbre.training.networks import check_choice

URL = "https://www.openslr.org/resources/12"
SUBSETS = {  # and the SHA-256 of <subset>.tar.gz
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": (
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"
    ),
    "train-clean-360": (
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"
    ),
    "train-other-500": (
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"
    ),
}


def is_tree(root: str | os.PathLike) -> bool:
    """Whether a folder is LibriSpeech, or holds the folder `LibriSpeech`."""
    return bool(_present(_home(root)))


def read(
    root: str | os.PathLike,
    subsets: Sequence[str] | None = None,
    *,
    name: str | None = None,
) -> Corpus:
    """Read a tree that is already on disk.

    Args:
        root: The folder `LibriSpeech`, or the one that holds it.
        subsets: Names such as `"train-clean-100"`. Defaults to all that are there.
        name: What to call the corpus. Defaults to `"librispeech"`.

    Returns:
        The corpus, with the sentences as texts, and `subset`, `chapter` and, where
        `SPEAKERS.TXT` is there, `gender` as extra columns.

    Raises:
        ValueError: If a subset is missing or holds no recordings.
    """
    home = _home(root)
    present = _present(home)
    subsets = present if subsets is None else list(subsets)
    missing = [subset for subset in subsets if subset not in present]
    if missing or not subsets:
        raise ValueError(
            f"`root` must hold the subsets asked for, of {', '.join(SUBSETS)}; "
            "`python -m timbre.corpora librispeech ROOT SUBSET` downloads one. "
            f"Received: {home}, which has {present} and lacks {missing}"
        )
    genders = _genders(home / "SPEAKERS.TXT")
    utterances = tuple(u for subset in subsets for u in _subset(home / subset, genders))
    if not utterances:
        raise ValueError(f"A LibriSpeech tree must hold *.flac. Received: {home}")
    return Corpus(name or "librispeech", utterances)


def download(root: str | os.PathLike, subset: str, *, url: str = URL) -> Path:
    """Fetch one subset, check it and unpack it below `root/LibriSpeech`.

    A subset that is there already is not touched, and an interrupted download is
    resumed. The subset's folder, which is returned, appears atomically.

    Args:
        root: Where to put the folder `LibriSpeech`.
        subset: One of `SUBSETS`.
        url: Another server with the same archives. Defaults to OpenSLR.
    """
    from timbre.corpora import download  # a reader of a tree needs no network code

    check_choice("subset", subset, tuple(SUBSETS))
    root = Path(root)
    folder = root / "LibriSpeech" / subset
    if not folder.is_dir():
        archive = root / f"{subset}.tar.gz"
        download.fetch(f"{url}/{subset}.tar.gz", archive, sha256=SUBSETS[subset])
        download.unpack(archive, root, whole=f"LibriSpeech/{subset}")
        archive.unlink()
    return folder


def _home(root: str | os.PathLike) -> Path:
    root = Path(root)
    return root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root


def _present(home: Path) -> list[str]:
    return [subset for subset in SUBSETS if (home / subset).is_dir()]


def _subset(folder: Path, genders: dict[str, str]) -> Iterator[Utterance]:
    for chapter in sorted(folder.glob("*/*/")):
        speaker = chapter.parent.name
        lines = _lines(chapter / f"{speaker}-{chapter.name}.trans.txt")
        pairs = (line.partition(" ") for line in lines)  # <utterance> <SENTENCE>
        texts = {utterance: text for utterance, _, text in pairs}
        extra = {"subset": folder.name, "chapter": chapter.name}
        if speaker in genders:
            extra["gender"] = genders[speaker]
        for path in sorted(chapter.glob("*.flac")):
            yield Utterance(path, speaker, text=texts.get(path.stem, ""), extra=extra)


def _genders(file: Path) -> dict[str, str]:
    """Genders by speaker, from lines `id | sex | subset | minutes | name`."""
    cells = (line.split("|") for line in _lines(file) if not line.startswith(";"))
    return {row[0].strip(): row[1].strip() for row in cells if len(row) > 1}


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
