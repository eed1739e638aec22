"""What the commands of `python -m diffusion` do: results to stdout, remarks to stderr.

Every function takes the parsed options of its command and raises `OSError` or
`ValueError` with one line for the user.
"""

import dataclasses
import datetime
import json
import secrets
import sys
import tempfile
from pathlib import Path

import numpy as np

from diffusion.speakers import anonymisation, attacks, data, preprocessing, tts_export
from diffusion.speakers.config import SpeakerDiffusionConfig
from diffusion.speakers.generator import FACTS, SpeakerGenerator
from diffusion.speakers.sampling import check_limit
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import atomic_write
from timbre.progress import ProgressBar
from timbre.training.config import from_dict

BATCH = 8192  # voices that are replaced at once
DRAWING = ("sampler", "steps", "spacing", "eta")


def sample(options):
    """Draws voices, as an embedding set or for an engine."""
    _check_out(options.out)
    voices, labels = loaded(options.run), dict(options.label)
    told = {"seed": options.seed, "labels": labels, "weight": options.weight}
    if options.engine:  # whether it takes any such vector, before they are drawn
        tts_export.adapt(np.ones((1, voices.dim)), options.engine)
    points = voices.generate(options.count, **told, **_drawing(options))
    if options.engine:
        tts_export.export(
            options.out,
            points,
            engine=options.engine,
            scaler=voices.model.scaler,
            extractor=voices.about.get("extractor", "unknown"),
        )
        print(f"{options.out}: {len(points)} voices for {options.engine}")
        return
    names = np.array([f"new{number:06d}" for number in range(1, len(points) + 1)])
    columns = {name: np.full(len(points), value) for name, value in labels.items()}
    about = _about(voices, options, **told)
    _save(options.out, points, names, about, columns)
    print(f"{options.out}: {len(points)} voices of {voices.dim} dimensions")


def evaluate(options):
    """Measures drawn voices beside real ones and baselines."""
    if options.out is not None:
        _check_out(options.out, ".json")
    from diffusion.speakers import report  # which also draws

    voices = loaded(options.run)
    train, held = _parts(options, voices)
    told = {"count": options.count, "seed": options.seed} | _drawing(options)
    found = report.evaluate(voices, train, held, labels=dict(options.label), **told)
    if options.out is not None:
        _write_json(options.out, found)
    print(report.text(found))


def interpolate(options):
    """Draws the voices between two voices of a set."""
    _check_out(options.out)
    voices = loaded(options.run)
    given = opened(options.set, voices)
    ends = [_voice(given, name, voices) for name in (options.from_, options.to_)]
    points = voices.interpolate(*ends, options.num, **_drawing(options))
    names = np.array([f"between{number:03d}" for number in range(len(points))])
    about = _about(voices, options, interpolation=[options.from_, options.to_])
    _save(options.out, points, names, about)
    print(f"{'voice':<12} cosine to {options.from_} and to {options.to_}")
    for name, *row in zip(names, *(_cosines(points, end) for end in ends), strict=True):
        print(f"{name:<12} {row[0]:.3f} {row[1]:.3f}")


def edit(options):
    """Gives the voices of a set another label."""
    _check_out(options.out)
    voices, labels = loaded(options.run), dict(options.label)
    given = opened(options.set, voices)
    before = preprocessing.class_indices(given, voices.model.vocabulary)
    points = voices.edit(
        given.embeddings,
        labels,
        before=before,
        weight=options.weight,
        **_drawing(options),
    )
    about = _about(voices, options, labels=labels, weight=options.weight)
    columns = {name: np.full(len(points), value) for name, value in labels.items()}
    dataclasses.replace(
        given, embeddings=points, about=about, labels=given.labels | columns
    ).save(options.out)
    cosines = _cosines(points, given.embeddings)
    print(
        f"{options.out}: {len(points)} voices, cosine to what they were "
        f"{cosines.mean():.3f} on average"
    )


def anonymise(options):
    """Replaces the voices of a set, writes them, and reports what attackers find.

    The set is written before attackers are tried, which takes longer. One who was
    asked for and can not be tried is an error before any work.
    """
    _check_out(options.out)
    if options.report is not None:
        _check_out(options.report, ".json")
    check_limit(options.limit)
    voices = loaded(options.run)
    given = opened(options.set, voices)
    seed = secrets.randbits(62) if options.seed is None else options.seed
    attackers = options.attacker or list(attacks.ATTACKERS)
    split = attacks.split_speakers(given.speaker, attackers, seed)
    if options.attacker and split.missing:
        who, why = next(iter(split.missing.items()))
        raise ValueError(f"{who} can not be tried: {why}")
    protect = _protection(voices, options)
    told = {"level": options.level, "blocks": voices.model.scaler.blocks}
    new = anonymisation.anonymise(given, protect, seed, **told)
    about = _about(voices, options, level=options.level, limit=options.limit)
    anonymisation.anonymised_set(
        given, new, seed, about=about, keep_names=options.keep_names
    ).save(options.out)
    print(f"{options.out}: {len(given)} rows, each {options.level} with a new voice")
    _remark(options, given, new)
    found = attacks.measure(
        given, new, protect, split, attackers=attackers, seed=seed, **told
    )
    if options.report is not None:
        _write_json(options.report, found)
    print(attacks.format_report(found))


def loaded(run):
    """The voices of a run folder; whatever is wrong with its files is one error."""
    try:
        return SpeakerGenerator.load(run)
    except FileNotFoundError:
        raise
    except Exception as error:  # h5py, Keras and TensorFlow each raise their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{run} can not be loaded. Received: {reason}") from error


def opened(path, voices):
    """An embedding set that a run can work on.

    Raises:
        ValueError: If it has no rows, or not the run's dimensions.
    """
    given = EmbeddingSet.load(path)
    if not len(given) or given.embeddings.shape[1] != voices.dim:
        raise ValueError(
            f"This run takes voices [n, {voices.dim}], at least one. "
            f"Received: {path}, {list(given.embeddings.shape)}"
        )
    ours, theirs = (about.get("extractor") for about in (voices.about, given.about))
    if None not in (ours, theirs) and ours != theirs:
        print(
            f"{path} is by the extractor {theirs}, and the run has learned voices by "
            f"{ours}: of another extractor it knows nothing",
            file=sys.stderr,
        )
    return given


def _parts(options, voices):
    """The speakers a run has learned from, and others."""
    config = _read(options.run / "config.json")["config"]
    facts = _read(options.run / FACTS)
    if options.set is None:
        if config["set"] and not Path(config["set"]).is_file():
            gone = config["set"]
            raise FileNotFoundError(f"{gone} is gone: name a set by --set")
        parts = data.prepare(from_dict(SpeakerDiffusionConfig, config))
        if parts.facts["sha256"] != facts["sha256"]:
            raise ValueError(
                f"{config['set']} is not what it was when the run has learned from it: "
                "name a set by --set"
            )
        return parts.train, parts.held_out
    given = opened(options.set, voices)
    if config["level"] == "speaker":
        given = preprocessing.mean_per_speaker(given, config["blocks"])
    ours = np.isin(given.speaker, facts["speakers"]["train"])
    if ours.all() or not ours.any():
        raise ValueError(
            "--set needs speakers that the run has learned from, and others. "
            f"Received: {ours.sum()} of {len(ours)} rows of such speakers"
        )
    return given.subset(ours), given.subset(~ours)


def _voice(given, name, voices):
    """The voice of a speaker of a set, or of a segment."""
    rows = np.flatnonzero(given.speaker == name)
    if len(rows):
        return preprocessing.mean_per_speaker(
            given.subset(rows), voices.model.scaler.blocks
        ).embeddings[0]
    rows = np.flatnonzero(given.segment == name)
    if len(rows) != 1:
        raise ValueError(
            f"There must be a speaker or one segment {name!r} in the set. "
            f"Received: {len(rows)}, where speakers are as {given.speaker[:3].tolist()}"
        )
    return given.embeddings[rows[0]]


def _protection(voices, options):
    """What replaces voices, some at a time, with a bar."""
    drawing = _drawing(options) | {"limit": options.limit}

    def protect(embeddings, seed):
        found = []
        with ProgressBar("voices", len(embeddings), unit=" voices") as bar:
            for start in range(0, len(embeddings), BATCH):
                some = embeddings[start : start + BATCH]
                own = anonymisation.derive_seed(seed, start) if start else seed
                found.append(voices.anonymise(some, own, **drawing))
                bar.update(len(some))
        return tuple(np.concatenate(column) for column in zip(*found, strict=True))

    return protect


def _remark(options, given, new):
    """Says on stderr what a user must know of new voices."""
    near = int((new.cosines >= options.limit).sum())
    if near:
        print(
            f"{near} of {len(new.embeddings)} new voices are not below the limit "
            f"{options.limit}: no draw was",
            file=sys.stderr,
        )
    known = np.unique(given.speaker)
    met = np.isin(known, _read(options.run / FACTS)["speakers"]["train"]).sum()
    if met:
        print(
            f"the run has learned from speakers of these names: {met} of {len(known)}",
            file=sys.stderr,
        )
    if options.seed is not None:
        print(
            "whoever knows the seed can draw these voices again: keep it to yourself",
            file=sys.stderr,
        )


def _drawing(options):
    """How voices are drawn, as far as it was said."""
    named = {name: getattr(options, name) for name in DRAWING}
    return {name: value for name, value in named.items() if value is not None}


def _about(voices, options, **told):
    """What made a set of new voices."""
    learned = {name: v for name, v in voices.about.items() if name != "seed"}
    drawing = voices.sampling | _drawing(options)
    date = datetime.date.today().isoformat()
    return {**learned, **drawing, **told, "date": date}


def _save(path, points, names, about, labels=None):
    segments = np.full(len(points), "")
    EmbeddingSet(points, names, segments, about, labels or {}).save(path)


def _cosines(points, others):
    """Cosine of each of `points` `[n, dim]` to the one, or to its own, of `others`."""
    lengths = np.linalg.norm(points, axis=-1) * np.linalg.norm(others, axis=-1)
    return np.sum(points * others, axis=-1) / lengths


def _read(path):
    return json.loads(path.read_text("utf-8"))


def _write_json(path, value):
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _check_out(path, suffix=".npz"):
    """Refuses, before any work, a file that can not be written later."""
    if path.suffix != suffix:
        raise ValueError(f"What is written is a {suffix} file. Received: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"A file is to be written, but {path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass
