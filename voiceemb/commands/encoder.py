"""What the commands of `python -m voiceemb` do: results to stdout, remarks to stderr.

Every function takes the parsed options of its command and raises `OSError` or
`ValueError` with one line for the user.
"""

import datetime
import json
import sys
from pathlib import Path

from timbre.corpora.corpus import bare
from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics import verification
from timbre.metrics.trials import read_trials
from timbre.progress import ProgressBar
from voiceemb import calibration as calibrations
from voiceemb import evaluate as evaluation
from voiceemb.commands.io import check_writable, loaded, opened
from voiceemb.evaluation import score_normalisation
from voiceemb.evaluation.readable import split_readable, utterance_names


def embed(options):
    """Writes an embedding set of files, folders and manifests."""
    if options.out.suffix != ".npz":
        raise ValueError(f"--out names a .npz file. Received: {options.out}")
    corpus = opened(options.paths)
    encoder = loaded(options.run)
    good, skipped = split_readable(corpus, sample_rate=encoder.sample_rate)
    for reason in skipped.values():
        print(f"left out: {reason}", file=sys.stderr)
    if not good:
        raise ValueError(f"No file could be used. Received: {len(corpus)} files")
    check_writable(options.out)
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
    voices.save(options.out)
    print(f"{options.out}: {len(voices)} embeddings of {encoder.dim} dimensions")


def verify(options):
    """Says whether two files hold one voice, and how sure that is if it is known."""
    if options.people is not None or options.name is not None:
        from voiceemb.commands import speech

        speech.verify(options)
        return
    if len(options.paths) != 2:
        raise ValueError(
            "Two files are compared, or one with somebody enrolled, by --people and "
            f"--name. Received: {len(options.paths)} files"
        )
    if options.detector is not None:
        raise ValueError(
            "--detector needs --people and --name: two files are compared as they "
            f"are. Received: {options.detector}"
        )
    encoder = loaded(options.run, options.calibration)
    calibration = encoder.calibration
    if options.prior is not None and calibration is None:
        raise ValueError(
            "--prior needs an encoder with a calibration; give a --threshold. "
            f"Received: {options.run}, which has none"
        )
    prior = 0.5 if options.prior is None else options.prior
    chance = None if calibration is None else calibration.threshold(prior=prior)
    a, b = (encoder.embed_utterance(path) for path in options.paths)
    cosine = encoder.similarity(a, b)
    print(f"cosine {cosine:.4f}")
    limit, source = options.threshold, "as asked"
    if calibration is not None:
        probability = float(calibration.probability(cosine, prior=prior))
        print(f"probability of one voice {probability:.4f} (prior {prior:g})")
        if limit is None:
            limit, source = chance, f"probability 0.5 at prior {prior:g}"
    elif limit is None:
        limit, source = _threshold(_folder(encoder, options.run))
    if limit is None:
        print("no threshold is known for this encoder; give one with --threshold")
    else:
        answer = "the same voice" if cosine >= limit else "two voices"
        print(f"{answer} (threshold {limit:.4f}, {source})")


def evaluate(options):
    """Error rates on speakers an encoder has never heard, with figures and trials."""
    from voiceemb import figures, report

    if (options.normalise == "as-norm") != (options.cohort is not None):
        raise ValueError("--normalise as-norm and --cohort need each other")
    encoder, known = _examined(options)
    name = encoder.about["extractor"]
    extractors = {name: encoder.embed_utterances}
    if encoder.model is not None:
        untrained = report.build_untrained(_folder(encoder, options.run))
        extractors["untrained network"] = untrained.embed_utterances
    extractors[evaluation.BASELINE] = evaluation.mfcc_extractor(encoder.sample_rate)
    lists = [options.trials and read_trials(options.trials)]
    if options.trials is None:
        lists = ("all-pairs", "deep-speaker")[: 1 + options.deep_speaker]
    ways = _scorings(options, encoder)
    calibration = encoder.calibration
    out, rows = _out(options, "evaluation"), []
    for corpus in _unheard(options, known):
        one = evaluation.evaluate(
            corpus,
            extractors,
            protocol=options.protocol or "open-set",
            trial_lists=lists,
            normalisations=ways(corpus),
            sample_rate=encoder.sample_rate,
        )
        folder = out / corpus.name
        if calibration is not None:
            one = evaluation.add_calibration(one, name, calibration)
            figures.draw_reliability(one, calibration, folder, extractor=name)
        rows += one.rows
        report.save_trials(one, folder)
        figures.draw_evaluation(one, folder, extractor=name)
    report.write_rows(out / "metrics.json", rows)
    print(verification.table(rows))
    for row in rows:
        if "calibration" in row:
            print(_reliable(row))
    print(f"figures and trials: {out}", file=sys.stderr)


def robustness(options):
    """Error rates of short and of noisy utterances, with figures."""
    from voiceemb import figures, report
    from voiceemb.evaluation import robustness as measures

    encoder, known = _examined(options)
    extractors = {
        encoder.about["extractor"]: encoder.embed_utterances,
        evaluation.BASELINE: evaluation.mfcc_extractor(encoder.sample_rate),
    }
    told = {
        "protocol": options.protocol or "open-set",
        "sample_rate": encoder.sample_rate,
    }
    out, rows = _out(options, "robustness"), []
    for corpus in _unheard(options, known):
        found = measures.over_durations(corpus, extractors, **told)
        found += measures.over_noise(
            corpus, extractors, noises=options.noises, noisy=options.noisy, **told
        )
        figures.draw_robustness(found, out / corpus.name)
        rows += found
    report.write_rows(out / "robustness.json", rows)
    print(measures.table(rows))
    print(f"figures: {out}", file=sys.stderr)


def calibrate(options):
    """Fits a calibration on recordings of known speakers and keeps it."""
    encoder, known = _examined(options)
    name, weights = encoder.about["extractor"], encoder.about["sha256"]
    out = options.out
    if out is None:
        if not (options.run / "config.json").is_file():
            raise ValueError(
                "--out must name the file to write where --run is no run folder. "
                f"Received: {options.run}"
            )
        out = options.run / calibrations.FILE
    check_writable(out)
    found, elsewhere = (
        [
            evaluation.evaluate(
                corpus,
                {name: encoder.embed_utterances},
                protocol=options.protocol or "open-set",
                sample_rate=encoder.sample_rate,
                resamples=0,
            )
            for corpus in _unheard(options, known, sources)
        ]
        for sources in (options.corpus, options.elsewhere)
    )
    given = {"kind": options.kind, "other_corpora": elsewhere}
    calibration, about = calibrations.fit(found, name, **given)
    calibrations.write(out, calibration, sha256=weights, about=about)
    for one in found:
        for row in evaluation.add_calibration(one, name, calibration).rows:
            print(_reliable(row))
    print(f"{out}: one voice is as likely as two at {calibration.threshold():.4f}")


def pack(options):
    """Copies what a user of a trained encoder needs, and no more."""
    from voiceemb import bundle

    print(bundle.pack(options.run, options.out))


def fuse(options):
    """Makes one encoder of several."""
    from voiceemb import bundle

    print(bundle.fuse(options.runs, options.out, centred=options.centred))


def _examined(options):
    """The encoder to measure, and whom it was trained on if that is known."""
    from voiceemb import report

    encoder = loaded(options.run, getattr(options, "calibration", None))
    known = report.trained_speakers(_folder(encoder, options.run))
    if known is None and options.protocol is None:
        raise ValueError(
            "An export does not know whom it was trained on: name the run folder, or "
            f"say --protocol yourself. Received: {options.run}"
        )
    return encoder, known


def _unheard(options, known, sources=None):
    """Each corpus to measure, without speakers of the training if that is to be."""
    for source in options.corpus if sources is None else sources:
        corpus = opened([source])
        if options.protocol != "closed-set" and known is not None:
            corpus = evaluation.exclude_trained(
                corpus, known, leave_out=options.leave_out_trained
            )
        yield corpus


def _scorings(options, encoder):
    """A function from a corpus to the `ScoreNormalisation`s that --normalise asks for."""
    name = encoder.about["extractor"]
    if options.normalise == "none":
        return lambda corpus: {}
    if options.normalise == "centre":
        return lambda corpus: score_normalisation.centre_scores(name)
    cohort = opened([options.cohort])
    means = evaluation.speaker_means(
        cohort, _embedding(encoder, len(cohort)), sample_rate=encoder.sample_rate
    )

    def strangers(corpus):
        tested = {bare(speaker) for speaker in corpus.speakers}
        left = [mean for who, mean in sorted(means.items()) if bare(who) not in tested]
        if len(left) < len(means):
            print(
                f"{len(means) - len(left)} of {len(means)} speakers of the cohort have "
                f"names of {corpus.name!r} and are left out",
                file=sys.stderr,
            )
        return score_normalisation.as_norm_scores(
            name, left, name=cohort.name, top=options.top
        )

    return strangers


def _embedding(encoder, total):
    """The encoder as an extractor, with a bar."""

    def embed(waveforms):
        with ProgressBar("embedding", total, unit=" utterances") as bar:
            return encoder.embed_utterances(waveforms, progress=lambda _: bar.update())

    return embed


def _reliable(row):
    """One line of what the calibration is worth on a trial list."""
    found = row["calibration"]
    return (
        f"{row['name']}, {row['trial_list']}, {row['protocol']}: probabilities at "
        f"prior {found['prior']:g} have expected calibration error {found['ece']:.4f}, "
        f"Cllr {found['cllr']:.4f} (least possible {found['min_cllr']:.4f})"
    )


def _folder(encoder, run):
    """Where the files of an encoder lie: shipped weights know it themselves."""
    return run if encoder.folder is None else encoder.folder


def _out(options, name):
    """Where results go: into the run, if a run folder was named, else to `name`."""
    is_run = (options.run / "config.json").is_file()
    return options.out or (options.run if is_run else Path()) / name


def _threshold(run):
    """The threshold that training found, and where; or `(None, "")`."""
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
