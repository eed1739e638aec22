"""VoxCeleb: reading of a corpus of interviews with celebrities.

A tree is `[wav/]<speaker>/<video>/<utterance>.wav`, where a speaker is `id` and five
digits. VoxCeleb 1 comes as WAV; VoxCeleb 2 comes as M4A and has to be converted to WAV
or FLAC first, in the same folders. The archives have to be asked for at
https://www.robots.ox.ac.uk/~vgg/data/voxceleb and unpacked.

Reference: VoxCeleb: a large-scale speaker identification dataset (Nagrani, Chung and
Zisserman, 2017), https://arxiv.org/abs/1706.08612.
"""

import csv
import os
import re
from pathlib import Path

from timbre.corpora.corpus import Corpus, Utterance

_SPEAKER = re.compile(r"id\d{5}")
_SUFFIXES = (".wav", ".flac")


def is_tree(root: str | os.PathLike) -> bool:
    """Whether a folder, or its folder `wav`, is laid out as VoxCeleb."""
    visible = [p for p in _home(root).iterdir() if not p.name.startswith(".")]
    folders = [p for p in visible if p.is_dir()]
    speakers = all(_SPEAKER.fullmatch(p.name) for p in folders)
    return speakers and any(True for p in folders for _ in p.glob("*/"))


def read(root: str | os.PathLike, *, name: str | None = None) -> Corpus:
    """Read a tree that is already on disk.

    Args:
        root: The folder of the speakers, or the one that holds it as `wav`. Where
            `vox1_meta.csv` or `vox2_meta.csv` lies in `root`, genders are read.
        name: What to call the corpus. Defaults to `"voxceleb"`.

    Returns:
        The corpus, with `video` and, where known, `gender` as extra columns.
    """
    home = _home(root)
    genders = _genders(Path(root))
    utterances, others = [], set()
    for speaker in sorted(p for p in home.iterdir() if _SPEAKER.fullmatch(p.name)):
        for path in sorted(speaker.glob("*/*")):
            if path.suffix.lower() not in _SUFFIXES:
                others.add(path.suffix)
                continue
            extra = {"video": path.parent.name}
            if speaker.name in genders:
                extra["gender"] = genders[speaker.name]
            utterances.append(Utterance(path, speaker.name, extra=extra))
    if not utterances:
        raise ValueError(
            "A VoxCeleb tree must hold id*/<video>/*.wav (or *.flac, converted from "
            "M4A), unpacked from https://www.robots.ox.ac.uk/~vgg/data/voxceleb. "
            f"Received: {home}, which has files of type {sorted(others) or 'none'}"
        )
    return Corpus(name or "voxceleb", tuple(utterances))


def _home(root: str | os.PathLike) -> Path:
    root = Path(root)
    return root / "wav" if (root / "wav").is_dir() else root


def _genders(root: Path) -> dict[str, str]:
    """Genders by speaker, from the columns `VoxCeleb1 ID` (or 2) and `Gender`."""
    genders = {}
    for file in sorted(root.glob("vox[12]_meta.csv")):
        lines = file.read_text(encoding="utf-8").splitlines()
        tab = "\t" if lines and "\t" in lines[0] else ","
        for row in csv.DictReader(lines, delimiter=tab):
            cells = {(key or "").strip(): cell for key, cell in row.items()}
            speaker = cells.get("VoxCeleb1 ID") or cells.get("VoxCeleb2 ID") or ""
            genders[speaker.strip()] = (cells.get("Gender") or "").strip()
    return genders
