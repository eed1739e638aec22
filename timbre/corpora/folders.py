"""Opening corpora: manifests, trees of recordings, or several of them.

`open_corpus` takes a manifest or a folder that holds `manifest.csv`, a LibriSpeech or
VoxCeleb tree, a plain folder `<speaker>/**/<utterance>.(wav|flac|ogg|mp3)`, or several.
Hidden files and folders (`.git`, `._a.wav`) are skipped, links to folders are followed.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from timbre.corpora import librispeech, voxceleb
from timbre.corpora.corpus import Corpus, Utterance, some
from timbre.corpora.manifest import AUDIO_SUFFIXES, join, read

Source = str | os.PathLike | Corpus


def open_corpus(
    source: Source | Sequence[Source], *, name: str | None = None
) -> Corpus:
    """Open a corpus, however its recordings are organised.

    Args:
        source: A manifest, a folder, a `Corpus` already open, or a list of them, which
            is joined (see `manifest.join`); sources of one name are distinguished by
            their parent folders.
        name: What to call the corpus. Defaults to the name of the folder, or
            `"joined"` for a list.

    Raises:
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If it holds no speech, or some outside the folders of speakers.
    """
    if isinstance(source, Corpus):
        return Corpus(name, source.utterances) if name else source
    if not isinstance(source, str | os.PathLike):
        return _open_many(list(source), name)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"A corpus must be a manifest or a folder that exists. Received: {source}"
        )
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise ValueError(
                "A corpus that is a file must be a manifest, *.csv. "
                f"Received: {source}; open the folder above its speakers instead"
            )
        return read(path, name=name)
    if (path / "manifest.csv").is_file():
        return read(path / "manifest.csv", name=name)
    for tree in (librispeech, voxceleb):
        if tree.is_tree(path):
            return tree.read(path, name=name)
    return scan(path, name=name)


def scan(folder: str | os.PathLike, *, name: str | None = None) -> Corpus:
    """Read a folder `<speaker>/**/<utterance>.(wav|flac|ogg|mp3)`, by sorted paths.

    The first folder below `folder` is the speaker, however deep a file lies. `name` is
    what to call the corpus, and defaults to that of the folder.
    """
    folder = Path(folder)
    utterances, outside = [], []
    for path in recordings(folder):
        parts = path.relative_to(folder).parts
        if len(parts) == 1:
            outside.append(path.name)
        else:
            utterances.append(Utterance(path, parts[0]))
    if outside:
        raise ValueError(
            "Recordings must lie in a folder named after their speaker, "
            f"<speaker>/<utterance>.wav, or have a manifest. Received: {folder} with "
            f"{len(outside)} files outside: {some(outside)}"
        )
    if not utterances:
        raise ValueError(
            "A corpus folder must hold recordings, <speaker>/<utterance> ending in "
            f"{', '.join(AUDIO_SUFFIXES)}. Received: {folder}, which has none"
        )
    return Corpus(name or folder.resolve().name, tuple(utterances))


def recordings(folder: Path) -> Iterator[Path]:
    """Sound files below a folder, sorted, each real folder visited once."""
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_fail):
        real = os.path.realpath(parent)
        if real in visited:  # a link that leads back
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            suffix = os.path.splitext(file)[1].lower()
            if suffix in AUDIO_SUFFIXES and not file.startswith("."):
                yield Path(parent, file)


def _fail(error: OSError) -> None:
    raise error


def _open_many(sources: list[Source], name: str | None) -> Corpus:
    if not sources:
        raise ValueError("A list of corpora must not be empty. Received: []")
    if len(sources) == 1:
        return open_corpus(sources[0], name=name)
    names = _distinct_names(sources)
    corpora = [
        Corpus(unique, open_corpus(source).utterances)
        for unique, source in zip(names, sources, strict=True)
    ]
    return join(corpora, name=name or "joined")


def _distinct_names(sources: list[Source]) -> list[str]:
    """The shortest ends of the sources' paths that differ from each other."""
    trails = []
    for source in sources:
        if isinstance(source, Corpus):
            trails.append((source.name,))
            continue
        path = Path(source).resolve()
        if path.name == "manifest.csv":
            path = path.parent
        trails.append((*path.parent.parts, path.stem if path.is_file() else path.name))
    depth = 1
    while len({trail[-depth:] for trail in trails}) < len(trails):
        if depth >= max(map(len, trails)):
            listed = [s.name if isinstance(s, Corpus) else str(s) for s in sources]
            raise ValueError(f"Corpora to join must differ. Received: {listed}")
        depth += 1
    return ["/".join(trail[-depth:]).lstrip("/") for trail in trails]
