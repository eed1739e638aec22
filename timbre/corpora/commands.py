"""Corpora: download, render, list, check and cache recordings.

python -m timbre.corpora synthetic corpus --num-speakers 80
python -m timbre.corpora librispeech data train-clean-100
python -m timbre.corpora manifest my_recordings
python -m timbre.corpora augment-styles augmented my_recordings --count 6
python -m timbre.corpora join all/manifest.csv data/LibriSpeech my_recordings
python -m timbre.corpora check my_recordings --decode
python -m timbre.corpora cache my_recordings cache/mine
python -m timbre.corpora embeddings --out set.npz --speakers 5000
"""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

COMMANDS = {
    name: f"timbre.corpora.commands:{name.replace('-', '_')}"
    for name in (
        "synthetic librispeech manifest augment-styles join check cache embeddings"
    ).split()
}
Source = Positional[Annotated[Path, arg(help="Folder or manifest.")]]
MANY = "(at least one)"
SOURCES = arg(
    metavar="SOURCE [SOURCE ...]", help="Folders or manifests.", help_behavior_hint=MANY
)
Sources = Positional[Annotated[tuple[Path, ...], SOURCES]]
SUBSETS = arg(metavar="SUBSET [SUBSET ...]", help_behavior_hint=MANY)


def synthetic(
    folder: Positional[Path],
    *,
    num_speakers: int = 80,
    utterances: int = 20,
    language: str = "en-us",
    clean: bool = False,
    seed: int = 0,
):
    """Render a corpus of synthetic voices.

    Args:
        folder: Where to put it.
        utterances: Of each speaker.
        language: Of eSpeak NG.
        clean: No rooms, no noise.
    """
    from timbre.corpora.synthetic import espeak, render

    try:
        corpus = render.render(
            folder,
            num_speakers=num_speakers,
            utterances=utterances,
            seed=seed,
            clean=clean,
            language=language,
        )
    except espeak.SynthesisError as error:
        raise ValueError(str(error)) from error
    _describe(corpus, folder)


def librispeech(
    root: Positional[Path],
    subsets: Positional[Annotated[tuple[str, ...], SUBSETS]],
):
    """Download and unpack subsets of LibriSpeech.

    Args:
        root: Where to put the folder LibriSpeech.
        subsets: As train-clean-100.
    """
    from timbre.corpora import librispeech

    for subset in subsets:
        librispeech.download(root, subset)
    _describe(librispeech.read(root, subsets), root)


def manifest(source: Positional[Path], *, out: Path | None = None):
    """Write the manifest of a folder of recordings.

    Args:
        source: Folder to read.
        out: The CSV file; by default SOURCE/manifest.csv.
    """
    from timbre.corpora import folders, manifest

    out = out or source / "manifest.csv"
    if out.exists():
        raise ValueError(f"A manifest is not replaced. Received: {out}, which exists")
    corpus = folders.open_corpus(source)
    _describe(corpus, manifest.write(out, corpus))


def augment_styles(
    folder: Positional[Path], source: Source, *, count: int = 6, seed: int = 0
):
    """Add every recording in other speaking styles.

    Args:
        folder: Where to put the manifest and the recordings.
        count: Of each recording.
    """
    from timbre.corpora import folders, style_augmentation

    corpus = folders.open_corpus(source)
    augmented = style_augmentation.augment(corpus, folder, count=count, seed=seed)
    _describe(augmented, folder)


def join(out: Positional[Path], sources: Sources):
    """Write one manifest for several corpora.

    Args:
        out: The CSV file.
    """
    from timbre.corpora import folders, manifest

    corpus = folders.open_corpus(sources)
    _describe(corpus, manifest.write(out, corpus))


def cache(source: Source, folder: Positional[Path], *, sample_rate: int = 16000):
    """Decode a corpus once, into flat shards.

    Args:
        folder: Where to put the cache.
        sample_rate: In Hz.
    """
    from timbre.corpora import folders
    from timbre.corpora.cache import records

    corpus = folders.open_corpus(source)
    cached = records.cache(corpus, folder, sample_rate=sample_rate)
    print(
        f"{cached.num} utterances, {cached.about['hours']:.2f} h, of "
        f"{len(cached.speakers)} speakers in {folder}; {cached.num_skipped} skipped"
    )


def embeddings(
    *,
    out: Path,
    speakers: int = 5000,
    utterances: int | None = None,
    dim: int = 64,
    seed: int = 0,
):
    """Sample an embedding set of synthetic speakers, without any sound.

    Args:
        out: The .npz to write.
        speakers: How many.
        utterances: Of each speaker; by default one embedding of the speaker itself.
        dim: Of an embedding.
    """
    from timbre.corpora.synthetic import embeddings

    if utterances is None:
        voices = embeddings.sample_speakers(speakers, seed=seed, dim=dim)
    else:
        voices = embeddings.sample_utterances(speakers, utterances, seed=seed, dim=dim)
    voices.save(out)
    print(f"{len(voices)} embeddings of {speakers} speakers in {out}")


def check(sources: Sources, *, decode: bool = False):
    """Say what is in a corpus, and what is wrong with it.

    Args:
        decode: Read whole files.
    """
    from timbre.audio import wave
    from timbre.corpora import folders

    corpus = folders.open_corpus(sources)
    seconds, rates, damaged = 0.0, {}, []
    for key, utterance in zip(corpus.keys(), corpus, strict=True):
        try:
            info = wave.inspect(utterance.path)
            end = info.duration_s if utterance.end is None else utterance.end
            seconds += end - (utterance.start or 0.0)
            rates[info.sample_rate] = rates.get(info.sample_rate, 0) + 1
            if decode:
                utterance.read()
        except (wave.AudioError, OSError) as error:
            damaged.append(f"{key}: {getattr(error, 'reason', error)}")
    _describe(corpus, "all")
    counts = sorted(len(group) for group in corpus.by_speaker().values())
    middle = counts[len(counts) // 2]
    print(f"utterances of a speaker: {counts[0]} to {counts[-1]}, half have {middle}")
    print(f"hours: {seconds / 3600:.2f}")
    found = ", ".join(f"{rate} Hz ({n})" for rate, n in sorted(rates.items()))
    print(f"sample rates: {found}")
    print(f"damaged: {len(damaged)}", *damaged, sep="\n  ")
    return 1 if damaged else 0


def _describe(corpus, place):
    print(f"{len(corpus)} utterances of {len(corpus.speakers)} speakers in {place}")
