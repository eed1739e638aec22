"""Commands of an encoder: embeddings, verification, error rates and calibration."""

import datetime
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from timbre import cli
from timbre.corpora.corpus import bare
from timbre.corpora.embeddings import EmbeddingSet
from timbre.progress import ProgressBar
from voiceemb import calibration as calibrations
from voiceemb import evaluate as evaluation
from voiceemb.commands import io
from voiceemb.enrolment.index import VoiceIndex
from voiceemb.evaluation import score_normalisation
from voiceemb.evaluation.readable import split_readable, utterance_names

Protocol = Annotated[
    Literal["open-set", "closed-set"] | None,
    arg(help="By default open-set, which the run must be able to check."),
]


def embed(paths: Positional[io.Sources], *, out: Path, run: io.Run = io.SMALL):
    """Write an embedding set (.npz) of files, folders and manifests.

    Args:
        paths: Sound files, folders of speakers, manifests.
        out: The .npz to write.
    """
    cli.check_output(out, (".npz",))
    corpus = io.open_corpus(paths)
    encoder = io.load_encoder(run)
    good, skipped = split_readable(corpus, sample_rate=encoder.sample_rate)
    for reason in skipped.values():
        cli.warn(f"left out: {reason}")
    if not good:
        raise ValueError(f"No file could be used. Received: {len(corpus)} files")
    about = {**encoder.about, "date": datetime.date.today().isoformat()}
    columns = {name for u in good for name in u.extra if name and name.isprintable()}
    voices = EmbeddingSet(
        _embedding(encoder, len(good))(
            u.read(sample_rate=encoder.sample_rate) for u in good
        ),
        [u.speaker for u in good],
        utterance_names(corpus, good),
        about,
        {name: [u.extra.get(name, "") for u in good] for name in sorted(columns)},
    )
    voices.save(out)
    print(f"{out}: {len(voices)} embeddings of {encoder.dim} dimensions")


def search(
    voices: Positional[Path],
    sounds: Positional[Annotated[tuple[Path, ...], arg(metavar="[FILE ...]")]] = (),
    *,
    rows: tuple[str, ...] = (),
    k: int = 5,
    engine: Literal["exact", "usearch"] = "exact",
    run: io.Run = io.SMALL,
):
    """Find the voices of an embedding set that are nearest to sounds or to its rows.

    Args:
        voices: Embedding set (.npz) whose rows have speakers, as `embed` writes it.
        sounds: Sound files to search for.
        rows: Rows of the set to search for: segments, speakers, or numbers from 0.
        k: Voices that are listed for each.
        engine: `exact`, or `usearch` for very many voices.
    """
    cli.check_min("--k", k, 1)
    if not sounds and not rows:
        raise cli.UsageError("sounds or --rows to search for must be given")
    index = VoiceIndex.load(voices, engine=engine)

    def show(name, embedding):
        found = index.search(embedding, k=k)
        print(f"{name}:")
        for speaker, cosine in zip(*found, strict=True):
            print(f"  {cosine:7.4f}  {speaker}")

    held = EmbeddingSet.load(voices) if rows else None
    queries = [(row, _row(held, row)) for row in rows]
    if sounds:
        encoder = io.load_encoder(run)
        ours, theirs = encoder.about["sha256"], index.about.get("sha256", "unknown")
        if ours != theirs:
            cli.warn(
                f"{voices} must be of the encoder {run}, of sha256 {ours[:12]}, or its "
                f"cosines say nothing. Received: one of sha256 {theirs[:12]}"
            )
    for name, embedding in queries:
        show(name, embedding)
    cli.for_each_file(sounds, lambda path: show(path, encoder.embed_utterance(path)))


def _row(held, name):
    """The embedding of a segment of a set, of a speaker, or of a row by its number."""
    for column in (held.segment, held.speaker):
        if name and (column == name).any():
            return held.embeddings[column == name].mean(axis=0)
    if name.isdecimal() and int(name) < len(held):
        return held.embeddings[int(name)]
    raise ValueError(
        "--rows are segments or speakers of the set, or numbers below "
        f"{len(held)}. Received: {name}"
    )


def verify(
    paths: io.Files,
    *,
    people: Path | None = None,
    name: str | None = None,
    threshold: float | None = None,
    prior: float | None = None,
    calibration: io.Calibration = None,
    detector: io.Detector | None = None,
    run: io.Run = io.SMALL,
):
    """Say whether two files hold one voice, or a file that of somebody enrolled.

    Args:
        paths: Two sound files; or one, with --people and --name.
        people: Folder of enrolled people, to verify --name in.
        name: Of the enrolled person who is claimed to speak.
        threshold: Cosine; by default that of the calibration, or the run's own.
        prior: How often pairs are one voice where it is asked, in (0, 1); by default
            0.5. It needs an encoder with a calibration.
        detector: Of voice activity, with --people; by default network. Two files are
            compared as they are.
    """
    odds = 0.5 if prior is None else prior
    if people is not None or name is not None:
        if people is None or name is None or len(paths) != 1:
            raise ValueError(
                "One file is verified against one person: --people and --name need "
                f"each other. Received: {people}, {name}, {len(paths)} files"
            )
        if calibration is not None:
            raise ValueError(
                "--calibration is of two files; enrolled people have their own, by "
                f"`people --calibrate`. Received: {calibration}"
            )
        *_, store = io.load(run, detector or "network", people)
        found = store.verify(paths[0], name, prior=odds, threshold=threshold)
        print(f"cosine {found.score:.4f}{io.format_probability(found.probability)}")
        print(f"{'the voice of' if found.same else 'not the voice of'} {name}")
        return
    if len(paths) != 2:
        raise ValueError(
            "Two files are compared, or one with somebody enrolled, by --people and "
            f"--name. Received: {len(paths)} files"
        )
    if detector is not None:
        raise ValueError(
            "--detector needs --people and --name: two files are compared as they "
            f"are. Received: {detector}"
        )
    encoder = io.load_encoder(run, calibration)
    known = encoder.calibration
    if prior is not None and known is None:
        raise ValueError(
            "--prior needs an encoder with a calibration; give a --threshold. "
            f"Received: {run}, which has none"
        )
    limit, source = threshold, "as asked"
    likeliest = None if known is None else known.threshold(prior=odds)
    cosine = encoder.similarity(*map(encoder.embed_utterance, paths))
    print(f"cosine {cosine:.4f}")
    if known is not None:
        probability = float(known.probability(cosine, prior=odds))
        print(f"probability of one voice {probability:.4f} (prior {odds:g})")
        if limit is None:
            limit, source = likeliest, f"probability 0.5 at prior {odds:g}"
    elif limit is None:
        limit, source = _threshold(_folder(encoder, run))
    if limit is None:
        print("no threshold is known for this encoder; give one with --threshold")
    else:
        answer = "the same voice" if cosine >= limit else "two voices"
        print(f"{answer} (threshold {limit:.4f}, {source})")


def evaluate(
    *,
    corpus: io.Sources,
    out: Path | None = None,
    protocol: Protocol = None,
    leave_out_trained: bool = False,
    trials: Path | None = None,
    deep_speaker: bool = False,
    normalise: Literal["none", "centre", "as-norm"] = "none",
    cohort: Path | None = None,
    top: int = 200,
    calibration: io.Calibration = None,
    run: io.Run = io.SMALL,
):
    """Measure error rates on speakers that an encoder has not been trained on.

    Args:
        corpus: Each gives its own rows.
        out: Folder for figures and trials; by default RUN/evaluation.
        leave_out_trained: Leave out speakers whose name the run was trained on.
        trials: Lines `label enrol test` instead of all pairs.
        deep_speaker: Also by 1 anchor, 1 positive and 99 negatives a speaker.
        normalise: Rows of normalised scores beside those of cosines: centre subtracts
            the mean of the corpus itself, as-norm normalises by an impostor cohort.
        cohort: Corpus of impostors for --normalise as-norm.
        top: Nearest impostors that count for as-norm.
    """
    from timbre.metrics import trials as trial_lists
    from timbre.metrics import verification
    from voiceemb import figures, report

    if (normalise == "as-norm") != (cohort is not None):
        raise ValueError("--normalise as-norm and --cohort need each other")
    encoder, open_corpora, settings = _load_measured(
        run, protocol, leave_out_trained, calibration
    )
    name = encoder.about["extractor"]
    extractors = {name: encoder.embed_utterances}
    if encoder.model is not None:
        untrained = report.build_untrained(_folder(encoder, run))
        extractors["untrained network"] = untrained.embed_utterances
    extractors[evaluation.BASELINE] = evaluation.mfcc_extractor(encoder.sample_rate)
    lists = [trials and trial_lists.read_trials(trials)]
    if trials is None:
        lists = ["all-pairs", "deep-speaker"] if deep_speaker else ["all-pairs"]
    normalisations = _normalisations(encoder, normalise, cohort, top)
    out, rows = _results_folder(out, run, "evaluation"), []
    for part in open_corpora(corpus):
        options = {"trial_lists": lists, "normalisations": normalisations(part)}
        one = evaluation.evaluate(part, extractors, **options, **settings)
        folder = out / part.name
        if encoder.calibration is not None:
            one = evaluation.add_calibration(one, name, encoder.calibration)
            figures.plot_reliability(one, encoder.calibration, folder, extractor=name)
        rows += one.rows
        report.save_trials(one, folder)
        figures.plot_evaluation(one, folder, extractor=name)
    report.write_rows(out / "metrics.json", rows)
    print(verification.table(rows))
    for row in rows:
        if "calibration" in row:
            print(_format_calibration(row))
    cli.warn(f"figures and trials: {out}")


def robustness(
    *,
    corpus: io.Sources,
    out: Path | None = None,
    protocol: Protocol = None,
    leave_out_trained: bool = False,
    noises: Path | None = None,
    noisy: Literal["both", "test"] = "both",
    run: io.Run = io.SMALL,
):
    """Measure error rates of short and of noisy utterances.

    Args:
        corpus: Each gives its own rows.
        out: Folder for figures and rows; by default RUN/robustness.
        leave_out_trained: Leave out speakers whose name the run was trained on.
        noises: File or folder of recordings of noise; by default pink noise.
        noisy: Which side of a trial is noisy; both have noises of their own.
    """
    from voiceemb import figures, report
    from voiceemb.evaluation import robustness as measures

    encoder, open_corpora, settings = _load_measured(run, protocol, leave_out_trained)
    extractors = {
        encoder.about["extractor"]: encoder.embed_utterances,
        evaluation.BASELINE: evaluation.mfcc_extractor(encoder.sample_rate),
    }
    out, rows = _results_folder(out, run, "robustness"), []
    for part in open_corpora(corpus):
        measured = measures.Robustness(part, extractors, **settings)
        found = measured.over_durations()
        found += measured.over_noise(noises=noises, noisy=noisy)
        figures.plot_robustness(found, out / part.name)
        rows += found
    report.write_rows(out / "robustness.json", rows)
    print(measures.table(rows))
    cli.warn(f"figures: {out}")


def calibrate(
    *,
    corpus: io.Sources,
    out: Path | None = None,
    protocol: Protocol = None,
    leave_out_trained: bool = False,
    kind: Literal["logistic", "isotonic"] = "logistic",
    other_corpora: Annotated[tuple[Path, ...], arg(metavar="[PATH ...]")] = (),
    run: io.Run = io.SMALL,
):
    """Fit a calibration, which turns cosines into probabilities, on your recordings.

    Args:
        corpus: Recordings of known speakers.
        out: The file to write; by default RUN/calibration.json.
        leave_out_trained: Leave out speakers whose name the run was trained on.
        other_corpora: These are not fitted, but tell a store of people how cosines vary
            from place to place.
    """
    encoder, open_corpora, settings = _load_measured(run, protocol, leave_out_trained)
    name, weights = encoder.about["extractor"], encoder.about["sha256"]
    if out is None:
        if not (run / "config.json").is_file():
            raise ValueError(
                "--out must name the file to write where --run is no run folder. "
                f"Received: {run}"
            )
        out = run / calibrations.FILE
    cli.check_output(out)

    def measure(part):
        extractors = {name: encoder.embed_utterances}
        return evaluation.evaluate(part, extractors, resamples=0, **settings)

    found = [measure(part) for part in open_corpora(corpus)]
    others = [measure(part) for part in open_corpora(other_corpora)]
    calibration, about = calibrations.fit(found, name, kind=kind, other_corpora=others)
    calibrations.write(out, calibration, sha256=weights, about=about)
    for one in found:
        for row in evaluation.add_calibration(one, name, calibration).rows:
            print(_format_calibration(row))
    print(f"{out}: one voice is as likely as two at {calibration.threshold():.4f}")


def pack(*, out: Path, run: io.Run = io.SMALL):
    """Copy what a user of a trained encoder needs, and no more.

    Args:
        out: A new folder.
    """
    cli.import_keras()
    from voiceemb import bundle

    print(bundle.pack(run, out))


def fuse(*, runs: io.Sources, out: Path, centred: bool = False):
    """Make one encoder of several: an ensemble of their networks.

    Args:
        runs: Run folders.
        out: A new folder.
        centred: Subtract from each network's embeddings their mean over the speakers
            that it was trained on.
    """
    cli.import_keras()
    from voiceemb import bundle

    print(bundle.fuse(runs, out, centred=centred))


def train(arguments, prog):
    """Train a speaker encoder: softmax, triplet or contrastive stages."""
    from timbre.training import script

    script.run("voiceemb", arguments, program=prog)


def train_ensemble(arguments, prog):
    """Train the ensemble of encoders that comes with the package."""
    from voiceemb import train_ensemble as ensemble

    ensemble.run(arguments, program=prog)


def _load_measured(run, protocol, leave_out, calibration=None):
    """The encoder to measure, its corpora by their sources, and settings of measures.

    Corpora are without speakers of the training if that is to be.
    """
    from voiceemb import report

    encoder = io.load_encoder(run, calibration)
    trained = report.trained_speakers(_folder(encoder, run))
    if trained is None and protocol is None:
        raise ValueError(
            "An export does not know whom it was trained on: name the run folder, or "
            f"say --protocol yourself. Received: {run}"
        )

    def open_corpora(sources):
        for corpus in (io.open_corpus([source]) for source in sources):
            if protocol == "closed-set" or trained is None:
                yield corpus
            else:
                yield evaluation.exclude_trained(corpus, trained, leave_out=leave_out)

    settings = {"protocol": protocol or "open-set", "sample_rate": encoder.sample_rate}
    return encoder, open_corpora, settings


def _normalisations(encoder, normalise, cohort, top):
    """A function from a corpus to the `ScoreNormalisation`s of --normalise."""
    name = encoder.about["extractor"]
    if normalise == "none":
        return lambda corpus: {}
    if normalise == "centre":
        return lambda corpus: score_normalisation.centre_scores(name)
    impostors = io.open_corpus([cohort])
    means = evaluation.speaker_means(
        impostors, _embedding(encoder, len(impostors)), sample_rate=encoder.sample_rate
    )

    def normalised(corpus):
        tested = {bare(speaker) for speaker in corpus.speakers}
        left = [mean for who, mean in sorted(means.items()) if bare(who) not in tested]
        if len(left) < len(means):
            cli.warn(
                f"{len(means) - len(left)} of {len(means)} speakers of the cohort have "
                f"names of {corpus.name!r} and are left out"
            )
        return score_normalisation.as_norm_scores(
            name, left, name=impostors.name, top=top
        )

    return normalised


def _embedding(encoder, total):
    """The encoder as an extractor, with a bar."""

    def embed(waveforms):
        with ProgressBar("embedding", total, unit=" utterances") as bar:
            return encoder.embed_utterances(waveforms, progress=lambda _: bar.update())

    return embed


def _format_calibration(row):
    """One line of how well probabilities are calibrated on a trial list."""
    found = row["calibration"]
    return (
        f"{row['name']}, {row['trial_list']}, {row['protocol']}: probabilities at "
        f"prior {found['prior']:g} have expected calibration error {found['ece']:.4f}, "
        f"Cllr {found['cllr']:.4f} (least possible {found['min_cllr']:.4f})"
    )


def _folder(encoder, run):
    """Where the files of an encoder lie: shipped weights know it themselves."""
    return run if encoder.folder is None else encoder.folder


def _results_folder(out, run, name):
    """Where results go: into the run, if a run folder was named, else to `name`."""
    return out or (run if (run / "config.json").is_file() else Path()) / name


def _threshold(run):
    """The threshold that training found, and where; or `(None, "")`."""
    path = run / "metrics.json"
    if not path.is_file():
        return None, ""
    try:
        limit = cli.read_json(path, "threshold")["threshold"]
        if limit is None:
            return None, ""
        return limit["value"], f"equal errors on {limit['corpus']}"
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"A threshold must be in {path}; give one with --threshold. "
            f"Received: {type(error).__name__}, {error}"
        ) from error
