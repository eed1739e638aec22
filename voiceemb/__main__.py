"""`python -m voiceemb`: embed recordings, compare two, or measure an encoder."""

import argparse
import dataclasses
import sys
from pathlib import Path


def main(arguments=None):
    """Runs one command; an error that a user can mend is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.run_command(options)
    except (OSError, ValueError) as error:  # AudioError is a ValueError
        sys.exit(f"error: {error}")


def _parser():
    parser = argparse.ArgumentParser(prog="python -m voiceemb", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    embed = commands.add_parser("embed", help="write an embedding set (.npz)")
    embed.add_argument(
        "paths",
        nargs="+",
        type=Path,
        help="sound files, folders of speakers, manifests",
    )
    embed.add_argument("--out", required=True, type=Path, help="the .npz to write")
    embed.set_defaults(run_command=_embed)

    verify = commands.add_parser("verify", help="is it the same voice in two files?")
    verify.add_argument("paths", nargs=2, type=Path, metavar=("A", "B"))
    verify.add_argument(
        "--threshold", type=float, help="cosine; by default the run's own"
    )
    verify.set_defaults(run_command=_verify)

    evaluate = commands.add_parser(
        "evaluate", help="error rates on speakers it has never heard"
    )
    evaluate.add_argument(
        "--corpus", required=True, nargs="+", type=Path, help="each gives its own rows"
    )
    evaluate.add_argument(
        "--out", type=Path, help="figures and trials; by default RUN/evaluation"
    )
    evaluate.add_argument(
        "--protocol",
        choices=("open-set", "closed-set"),
        help="by default open-set, which the run must be able to check",
    )
    evaluate.add_argument(
        "--trials", type=Path, help="lines `label enrol test` instead of all pairs"
    )
    evaluate.add_argument(
        "--deep-speaker",
        action="store_true",
        help="also by 1 anchor, 1 positive and 99 negatives a speaker",
    )
    evaluate.add_argument(
        "--leave-out-trained",
        action="store_true",
        help="leave out speakers whose name the run was trained on",
    )
    evaluate.set_defaults(run_command=_evaluate)

    for command in (embed, verify, evaluate):
        command.add_argument(
            "--run", required=True, type=Path, help="a run folder or an export"
        )
    return parser


def _embed(options):
    import datetime

    from progress import Bar
    from voiceemb import evaluation
    from voiceemb.embeddings import EmbeddingSet

    if options.out.suffix != ".npz":
        raise ValueError(f"--out names a .npz file. Received: {options.out}")
    corpus = _open(options.paths)
    encoder = _load(options.run)
    good, skipped = evaluation.usable(corpus, sample_rate=encoder.sample_rate)
    for reason in skipped.values():
        print(f"left out: {reason}", file=sys.stderr)
    if not good:
        raise ValueError(f"No file could be used. Received: {len(corpus)} files")
    _check_writable(options.out)
    about = {**encoder.about, "date": datetime.date.today().isoformat()}
    sounds = (evaluation.read(u, sample_rate=encoder.sample_rate) for u in good)
    with Bar("embedding", len(good), unit=" utterances") as bar:
        embeddings = encoder.embed_utterances(sounds, progress=lambda _: bar.update())
    voices = EmbeddingSet(
        embeddings,
        [u.speaker for u in good],
        evaluation.names(corpus, good),
        about,
    )
    voices.save(options.out)
    print(f"{options.out}: {len(voices)} embeddings of {encoder.dim} dimensions")


def _verify(options):
    encoder = _load(options.run)
    a, b = (encoder.embed_utterance(path) for path in options.paths)
    cosine = encoder.similarity(a, b)
    limit, source = options.threshold, "as asked"
    if limit is None:
        limit, source = _threshold(options.run)
    print(f"cosine {cosine:.4f}")
    if limit is None:
        print("no threshold is known for this encoder; give one with --threshold")
    else:
        answer = "the same voice" if cosine >= limit else "two voices"
        print(f"{answer} (threshold {limit:.4f}, {source})")


def _evaluate(options):
    from metrics import verification
    from voiceemb import evaluation, figures, report

    encoder = _load(options.run)
    known, protocol = report.trained_speakers(options.run), options.protocol
    if known is None and protocol is None:
        raise ValueError(
            "An export does not know whom it was trained on: name the run folder, or "
            f"say --protocol yourself. Received: {options.run}"
        )
    extractors = {encoder.about["extractor"]: encoder.embed_utterances}
    if encoder.model is not None:
        extractors["untrained network"] = report.untrained(options.run).embed_utterances
    extractors[evaluation.BASELINE] = evaluation.cepstra(encoder.sample_rate)
    is_run = (options.run / "config.json").is_file()
    out = options.out or (options.run if is_run else Path()) / "evaluation"
    lists = [options.trials and verification.read_trials(options.trials)]
    if options.trials is None:
        lists = ("all-pairs", "deep-speaker")[: 1 + options.deep_speaker]
    rows = []
    for source in options.corpus:
        corpus = _open([source])
        if protocol != "closed-set" and known is not None:
            corpus = evaluation.unheard(
                corpus, known, leave_out=options.leave_out_trained
            )
        one = evaluation.evaluate(
            corpus,
            extractors,
            protocol=protocol or "open-set",
            trial_lists=lists,
            sample_rate=encoder.sample_rate,
        )
        rows += one.rows
        folder = out / corpus.name
        report.save_trials(one, folder)
        figures.draw_evaluation(one, folder, extractor=encoder.about["extractor"])
    report.write_rows(out / "metrics.json", rows)
    print(verification.table(rows))
    print(f"figures and trials: {out}", file=sys.stderr)


def _load(run):
    """The encoder at `run`; whatever is wrong with its files is one error."""
    from voiceemb.encoder import Encoder

    try:
        return Encoder.load(run)
    except FileNotFoundError:
        raise
    except Exception as error:  # h5py, Keras and TensorFlow each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(f"{run} can not be loaded. Received: {reason}") from error


def _check_writable(path):
    """Raises `OSError` before any work if a file can not be written later."""
    import tempfile

    if path.is_dir():
        raise IsADirectoryError(f"A file is to be written, but {path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def _open(paths):
    """A corpus out of files, folders and manifests.

    Files have no speaker, nor has a folder in which recordings lie side by side.
    """
    from corpora import folders
    from corpora.corpus import Corpus, Utterance

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"There is no {', '.join(missing)}")
    alone, sources = [], []
    for path in paths:
        if path.suffix.lower() == ".csv" or (path / "manifest.csv").is_file():
            sources.append(path)
        elif path.is_file():
            alone.append(Utterance(path, ""))
        elif any(sound.parent == path for sound in folders.recordings(path)):
            for sound in folders.recordings(path):
                *speaker, _ = sound.relative_to(path).parts
                alone.append(Utterance(sound, speaker[0] if speaker else ""))
        else:
            sources.append(path)
    corpus = folders.open_corpus(sources) if sources else Corpus("files", ())
    return dataclasses.replace(corpus, utterances=(*alone, *corpus.utterances))


def _threshold(run):
    """The threshold that training found, and where; or `(None, "")`."""
    import json

    path = run / "metrics.json"
    if not path.is_file():
        return None, ""
    try:
        limit = json.loads(path.read_text(encoding="utf-8"))["threshold"]
        if limit is None:
            return None, ""
        return limit["value"], f"equal errors on {limit['corpus']}"
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"A threshold must be in {path}; give one with --threshold. "
            f"Received: {type(error).__name__}, {error}"
        ) from error


if __name__ == "__main__":
    main()
