"""Corpora on the command line.

python -m timbre.corpora synthetic corpus --num-speakers 80
python -m timbre.corpora librispeech data train-clean-100
python -m timbre.corpora manifest my_recordings
python -m timbre.corpora styles retold my_recordings --count 6
python -m timbre.corpora join all/manifest.csv data/LibriSpeech my_recordings
python -m timbre.corpora check my_recordings --decode
python -m timbre.corpora cache my_recordings cache/mine
python -m timbre.corpora points --out set.npz --speakers 5000
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    from timbre.corpora.synthetic.espeak import SynthesisError

    try:
        return options.run(options)
    except (ValueError, OSError, ImportError, SynthesisError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on or starts anew.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m timbre.corpora",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run, text):
        added = commands.add_parser(
            run.__name__.strip("_"), help=text, description=text
        )
        added.set_defaults(run=run)
        return added

    _order(command(_synthetic, "render a corpus of synthetic voices"))

    librispeech = command(_librispeech, "download and unpack subsets of LibriSpeech")
    librispeech.add_argument("root", help="where to put the folder LibriSpeech")
    librispeech.add_argument("subsets", nargs="+", help="as train-clean-100")

    manifest = command(_manifest, "write the manifest of a folder of recordings")
    manifest.add_argument("source", help="folder to read")
    manifest.add_argument("--out", help="the CSV file; default SOURCE/manifest.csv")

    styles = command(_styles, "add every recording in other styles")
    styles.add_argument("folder", help="where to put the manifest and the recordings")
    styles.add_argument("source", help="folder or manifest")
    styles.add_argument("--count", type=int, default=6, help="of each recording")
    styles.add_argument("--seed", type=int, default=0)

    join = command(_join, "write one manifest for several corpora")
    join.add_argument("out", help="the CSV file")
    join.add_argument("sources", nargs="+", help="folders or manifests")

    check = command(_check, "say what is in a corpus, and what is wrong with it")
    check.add_argument("sources", nargs="+", help="folders or manifests")
    check.add_argument("--decode", action="store_true", help="read whole files")

    cache = command(_cache, "decode a corpus once, into TFRecord shards")
    cache.add_argument("source", help="folder or manifest")
    cache.add_argument("folder", help="where to put the cache")
    cache.add_argument("--sample-rate", type=int, default=16000, help="in Hz")

    points = command(_points, "draw voices as points, an embedding set without sound")
    points.add_argument("--out", required=True, help="the .npz to write")
    points.add_argument("--speakers", type=int, default=5000)
    points.add_argument(
        "--utterances", type=int, help="of each speaker; by default the speaker itself"
    )
    points.add_argument("--dim", type=int, default=64, help="of an embedding")
    points.add_argument("--seed", type=int, default=0)
    return parser


def _order(synthetic: argparse.ArgumentParser) -> None:
    synthetic.add_argument("folder", help="where to put it")
    synthetic.add_argument("--num-speakers", type=int, default=80)
    synthetic.add_argument("--utterances", type=int, default=20, help="of each speaker")
    synthetic.add_argument("--language", default="en-us", help="of eSpeak NG")
    synthetic.add_argument("--clean", action="store_true", help="no rooms, no noise")
    synthetic.add_argument("--seed", type=int, default=0)


def _synthetic(options) -> int:
    from timbre.corpora.synthetic import render

    corpus = render.render(
        options.folder,
        num_speakers=options.num_speakers,
        utterances=options.utterances,
        seed=options.seed,
        clean=options.clean,
        language=options.language,
    )
    return _say(corpus, options.folder)


def _librispeech(options) -> int:
    from timbre.corpora import librispeech

    for subset in options.subsets:
        librispeech.download(options.root, subset)
    corpus = librispeech.read(options.root, options.subsets)
    return _say(corpus, options.root)


def _manifest(options) -> int:
    from timbre.corpora import folders, manifest

    out = Path(options.out or Path(options.source) / "manifest.csv")
    if out.exists():
        raise ValueError(f"A manifest is not replaced. Received: {out}, which exists")
    corpus = folders.open_corpus(options.source)
    return _say(corpus, manifest.write(out, corpus))


def _styles(options) -> int:
    from timbre.corpora import folders, style_augmentation

    corpus = folders.open_corpus(options.source)
    augmented = style_augmentation.augment(
        corpus, options.folder, count=options.count, seed=options.seed
    )
    return _say(augmented, options.folder)


def _join(options) -> int:
    from timbre.corpora import folders, manifest

    corpus = folders.open_corpus(options.sources)
    return _say(corpus, manifest.write(options.out, corpus))


def _cache(options) -> int:
    from timbre.corpora import folders
    from timbre.corpora.cache import records

    corpus = folders.open_corpus(options.source)
    cached = records.cache(corpus, options.folder, sample_rate=options.sample_rate)
    print(
        f"{cached.num} utterances, {cached.about['hours']:.2f} h, of "
        f"{len(cached.speakers)} speakers in {options.folder}; "
        f"{cached.num_skipped} skipped"
    )
    return 0


def _points(options) -> int:
    from timbre.corpora.synthetic import embeddings

    told = {"seed": options.seed, "dim": options.dim}
    if options.utterances is None:
        voices = embeddings.sample_speakers(options.speakers, **told)
    else:
        voices = embeddings.sample_utterances(
            options.speakers, options.utterances, **told
        )
    voices.save(options.out)
    print(f"{len(voices)} points of {options.speakers} speakers in {options.out}")
    return 0


def _check(options) -> int:
    from timbre.audio import wave
    from timbre.corpora import folders

    corpus = folders.open_corpus(options.sources)
    seconds, rates, damaged = 0.0, {}, []
    for key, utterance in zip(corpus.keys(), corpus, strict=True):
        try:
            info = wave.inspect(utterance.path)
            end = info.duration_s if utterance.end is None else utterance.end
            seconds += end - (utterance.start or 0.0)
            rates[info.sample_rate] = rates.get(info.sample_rate, 0) + 1
            if options.decode:
                utterance.read()
        except (wave.AudioError, OSError) as error:
            damaged.append(f"{key}: {getattr(error, 'reason', error)}")
    _say(corpus, "all")
    counts = sorted(len(group) for group in corpus.by_speaker().values())
    middle = counts[len(counts) // 2]
    print(f"utterances of a speaker: {counts[0]} to {counts[-1]}, half have {middle}")
    print(f"hours: {seconds / 3600:.2f}")
    print(
        "sample rates: " + ", ".join(f"{r} Hz ({n})" for r, n in sorted(rates.items()))
    )
    print(f"damaged: {len(damaged)}", *damaged, sep="\n  ")
    return 1 if damaged else 0


def _say(corpus, place) -> int:
    print(f"{len(corpus)} utterances of {len(corpus.speakers)} speakers in {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
