"""Commands of the speaker diffusion: sample, evaluate, interpolate, edit, anonymise."""

import dataclasses
import datetime
import itertools
import secrets
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import numpy as np
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from diffusion.speakers import tts_export
from diffusion.speakers.config import SamplingConfig, SpeakerDiffusionConfig
from timbre import cli
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import write_json
from timbre.progress import ProgressBar
from timbre.training.config import from_dict

COMMANDS = {
    name: f"diffusion.speakers.commands:{name}"
    for name in ("sample", "evaluate", "interpolate", "edit", "anonymise")
}
BATCH = 8192  # voices that are replaced at once
SAMPLING = get_type_hints(SamplingConfig)
Attacker = Literal["ignorant", "lazy", "semi-informed"]
Run = Annotated[Path, arg(help="Folder of a run of `train speakers`.")]
SetFile = Annotated[Path, arg(name="set", help="An embedding set.")]
Output = Annotated[Path, arg(help="The .npz to write.")]
Labels = UseAppendAction[
    Annotated[tuple[tuple[str, ...], ...], arg(metavar="NAME=VALUE [NAME=VALUE ...]")]
]
Weight = Annotated[float, arg(help="How much more than learned labels count.")]


@dataclasses.dataclass(frozen=True)
class SamplingOptions:
    """How voices are sampled; what is left out is as the run's config says.

    Args:
        sampler: By default the run's.
        steps: Of the sampler.
        spacing: Of the sampler's times.
        eta: Of ddim, from 0 to 1.
    """

    sampler: SAMPLING["sampler"] | None = None
    steps: int | None = None
    spacing: SAMPLING["spacing"] | None = None
    eta: float | None = None

    def to_dict(self):
        """Dict of those that are not left out."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}


Sampling = OmitArgPrefixes[SamplingOptions]
AS_THE_RUN = SamplingOptions()


def sample(
    *,
    run: Run,
    out: Output,
    count: int = 1000,
    seed: int = 0,
    label: Labels = (),
    weight: Weight = 0.0,
    engine: Literal["sv2tts", "speecht5"] | None = None,
    sampling: Sampling = AS_THE_RUN,
):
    """Sample voices that never existed.

    Args:
        count: Of voices.
        label: Sample voices of this label.
        engine: Write what this speech synthesiser takes, instead of an embedding set.
    """
    cli.check_min("--seed", seed, 0)
    labels = _labels(label)
    cli.check_output(out, (".npz",))
    generator = load_generator(run)
    if engine:  # whether it takes any such vector, before they are sampled
        tts_export.adapt(np.ones((1, generator.dim)), engine)
    embeddings = generator.generate(
        count, seed=seed, labels=labels, weight=weight, **sampling.to_dict()
    )
    if engine:
        tts_export.export(
            out,
            embeddings,
            engine=engine,
            scaler=generator.model.scaler,
            extractor=generator.about.get("extractor", "unknown"),
        )
        print(f"{out}: {len(embeddings)} voices for {engine}")
        return
    names = np.array([f"new{number:06d}" for number in range(1, len(embeddings) + 1)])
    columns = {name: np.full(len(embeddings), value) for name, value in labels.items()}
    about = _about(generator, sampling, seed=seed, labels=labels, weight=weight)
    _save(out, embeddings, names, about, columns)
    print(f"{out}: {len(embeddings)} voices of {generator.dim} dimensions")


def evaluate(
    *,
    run: Run,
    set_path: Annotated[Path | None, arg(name="set")] = None,
    out: Path | None = None,
    count: int | None = None,
    seed: int = 0,
    label: Labels = (),
    sampling: Sampling = AS_THE_RUN,
):
    """Measure sampled voices beside real ones and baselines.

    Args:
        set_path: Embedding set to compare with: of speakers the run has learned
            from, and others; by default the run's own.
        out: Also a .json file of all figures.
        count: Voices sampled; by default 10,000.
        label: Measure voices of this label.
    """
    cli.check_min("--seed", seed, 0)
    labels = _labels(label)
    if out is not None:
        cli.check_output(out, (".json",))
    generator = load_generator(run)
    from diffusion.speakers import report  # which also draws

    train, held = _speakers(run, set_path, generator)
    own = sampling.to_dict()
    found = report.evaluate(
        generator, train, held, labels=labels, count=count, seed=seed, **own
    )
    if out is not None:
        write_json(out, found)
    print(report.text(found))


def interpolate(
    *,
    run: Run,
    set_path: SetFile,
    from_: Annotated[str, arg(name="from", metavar="NAME")],
    to: Annotated[str, arg(metavar="NAME")],
    out: Output,
    num: int = 9,
    sampling: Sampling = AS_THE_RUN,
):
    """Make the voices between two voices of a set.

    Args:
        from_: A speaker of the set, whose rows are averaged, or a segment.
        to: Another one.
        num: Of voices, ends included.
    """
    cli.check_output(out, (".npz",))
    generator = load_generator(run)
    given = open_set(set_path, generator)
    start, end = _voice(given, from_, generator), _voice(given, to, generator)
    embeddings = generator.interpolate(start, end, num, **sampling.to_dict())
    names = np.array([f"between{number:03d}" for number in range(len(embeddings))])
    about = _about(generator, sampling, interpolation=[from_, to])
    _save(out, embeddings, names, about)
    print(f"{'voice':<12} cosine to {from_} and to {to}")
    cosines = _cosines(embeddings, start), _cosines(embeddings, end)
    for name, to_start, to_end in zip(names, *cosines, strict=True):
        print(f"{name:<12} {to_start:.3f} {to_end:.3f}")


def edit(
    *,
    run: Run,
    set_path: SetFile,
    label: Labels,
    out: Output,
    weight: Weight = 0.0,
    sampling: Sampling = AS_THE_RUN,
):
    """Give the voices of a set another label and keep the rest.

    Args:
        label: What all voices of the set are to become.
    """
    labels = _labels(label)
    cli.check_output(out, (".npz",))
    generator = load_generator(run)
    from diffusion.speakers import preprocessing

    given = open_set(set_path, generator)
    embeddings = generator.edit(
        given.embeddings,
        labels,
        before=preprocessing.class_indices(given, generator.model.vocabulary),
        weight=weight,
        **sampling.to_dict(),
    )
    columns = {name: np.full(len(embeddings), value) for name, value in labels.items()}
    dataclasses.replace(
        given,
        embeddings=embeddings,
        about=_about(generator, sampling, labels=labels, weight=weight),
        labels=given.labels | columns,
    ).save(out)
    cosines = _cosines(embeddings, given.embeddings)
    print(
        f"{out}: {len(embeddings)} voices, cosine to what they were "
        f"{cosines.mean():.3f} on average"
    )


def anonymise(
    set_path: Positional[Annotated[Path, arg(name="set")]],
    *,
    run: Run,
    out: Output,
    attacker: UseAppendAction[tuple[tuple[Attacker, ...], ...]] = (),
    level: Literal["speaker", "utterance"] = "speaker",
    limit: float = 0.7,
    seed: int | None = None,
    keep_names: bool = False,
    report: Path | None = None,
    sampling: Sampling = AS_THE_RUN,
):
    """Replace the voices of a set, and report what attackers still find.

    Args:
        set_path: Embedding set of the speakers.
        attacker: One or more, whose error rates are reported; by default all that the
            set has speakers enough for.
        level: What gets a voice of its own.
        limit: Cosine to the old voice that a new one stays below.
        seed: Whoever knows it samples the same voices again; by default a random one
            that is kept nowhere.
        keep_names: Keep speakers, segments and labels, which say whose voice it was.
        report: Also a .json file of all figures.
    """
    cli.check_min("--seed", seed, 0)
    cli.check_output(out, (".npz",))
    if report is not None:
        cli.check_output(report, (".json",), option="--report")
    from diffusion.speakers.sampling import check_limit

    check_limit(limit)
    generator = load_generator(run)
    from diffusion.speakers import anonymisation, attacks

    given = open_set(set_path, generator)
    asked = [*itertools.chain(*attacker)]
    secret = secrets.randbits(62) if seed is None else seed
    attackers = asked or list(attacks.ATTACKERS)
    split = attacks.split_speakers(given.speaker, attackers, secret)
    if asked and split.missing:
        who, why = next(iter(split.missing.items()))
        raise ValueError(f"{who} can not be tried: {why}")
    protect = _protection(generator, limit, sampling)
    blocks = generator.model.scaler.blocks
    new = anonymisation.anonymise(given, protect, secret, level=level, blocks=blocks)
    about = _about(generator, sampling, level=level, limit=limit)
    anonymisation.anonymised_set(
        given, new, secret, about=about, keep_names=keep_names
    ).save(out)  # before attackers are tried, which takes longer
    print(f"{out}: {len(given)} rows, each {level} with a new voice")
    near = int((new.cosines >= limit).sum())
    if near:
        cli.warn(
            f"{near} of {len(new.embeddings)} new voices are not below the limit "
            f"{limit}: no sample was"
        )
    _warn_of_known(run, given.speaker)
    if seed is not None:
        cli.warn("whoever knows the seed can sample these voices again: keep it secret")
    found = attacks.measure(
        given,
        new,
        protect,
        split,
        attackers=attackers,
        seed=secret,
        level=level,
        blocks=blocks,
    )
    if report is not None:
        write_json(report, found)
    print(attacks.format_report(found))


def load_generator(run):
    """The generator of a run folder; whatever is wrong with its files is one error."""
    with cli.loading(run):
        from diffusion.speakers.generator import SpeakerGenerator

        return SpeakerGenerator.load(run)


def open_set(path, generator):
    """An embedding set that a run can work on: of its dimensions, at least one row."""
    given = EmbeddingSet.load(path)
    if not len(given) or given.embeddings.shape[1] != generator.dim:
        raise ValueError(
            f"This run takes voices [n, {generator.dim}], at least one. "
            f"Received: {path}, {list(given.embeddings.shape)}"
        )
    ours, theirs = generator.about.get("extractor"), given.about.get("extractor")
    if None not in (ours, theirs) and ours != theirs:
        cli.warn(
            f"{path} is by the extractor {theirs}, and the run has learned voices by "
            f"{ours}: of another extractor it knows nothing"
        )
    return given


def _labels(given):
    """Dict of what `--label NAME=VALUE ...` gave."""
    labels = {}
    for text in itertools.chain(*given):
        name, _, labels[name] = text.partition("=")
        if not (name and labels[name]):
            raise cli.UsageError(f"--label must be NAME=VALUE. Received: {text!r}")
    return labels


def _speakers(run, path, generator):
    """The speakers a run has learned from, and others."""
    from diffusion.speakers import data, preprocessing
    from diffusion.speakers.generator import FACTS

    config = cli.read_json(run / "config.json", "config")["config"]
    facts = cli.read_json(run / FACTS, "sha256", "speakers")
    if path is None:
        if config["set"] and not Path(config["set"]).is_file():
            raise FileNotFoundError(f"{config['set']} is gone: name a set by --set")
        parts = data.prepare(from_dict(SpeakerDiffusionConfig, config))
        if parts.facts["sha256"] != facts["sha256"]:
            raise ValueError(
                f"{config['set']} is not what it was when the run has learned from it: "
                "name a set by --set"
            )
        return parts.train, parts.held_out
    given = open_set(path, generator)
    if config["level"] == "speaker":
        given = preprocessing.mean_per_speaker(given, config["blocks"])
    ours = np.isin(given.speaker, facts["speakers"]["train"])
    if ours.all() or not ours.any():
        raise ValueError(
            "--set needs speakers that the run has learned from, and others. "
            f"Received: {ours.sum()} of {len(ours)} rows of such speakers"
        )
    return given.subset(ours), given.subset(~ours)


def _voice(given, name, generator):
    """The voice of a speaker of a set, or of a segment."""
    from diffusion.speakers import preprocessing

    rows = np.flatnonzero(given.speaker == name)
    if len(rows):
        return preprocessing.mean_per_speaker(
            given.subset(rows), generator.model.scaler.blocks
        ).embeddings[0]
    rows = np.flatnonzero(given.segment == name)
    if len(rows) != 1:
        raise ValueError(
            f"There must be a speaker or one segment {name!r} in the set. "
            f"Received: {len(rows)}, where speakers are as {given.speaker[:3].tolist()}"
        )
    return given.embeddings[rows[0]]


def _protection(generator, limit, sampling):
    """What replaces voices, some at a time, with a bar."""
    from diffusion.speakers import anonymisation

    def protect(embeddings, seed):
        found = []
        with ProgressBar("voices", len(embeddings), unit=" voices") as bar:
            for start in range(0, len(embeddings), BATCH):
                some = embeddings[start : start + BATCH]
                own = anonymisation.derive_seed(seed, start) if start else seed
                found.append(
                    generator.anonymise(some, own, limit=limit, **sampling.to_dict())
                )
                bar.update(len(some))
        return tuple(np.concatenate(column) for column in zip(*found, strict=True))

    return protect


def _warn_of_known(run, speakers):
    """Says on stderr how many speakers have names that a run has learned from."""
    from diffusion.speakers.generator import FACTS

    names = {*speakers.tolist()}
    trained = cli.read_json(run / FACTS, "speakers")["speakers"]["train"]
    if known := names & {*trained}:
        cli.warn(
            "the run has learned from speakers of these names: "
            f"{len(known)} of {len(names)}"
        )


def _about(generator, sampling, **facts):
    """What made a set of new voices."""
    learned = {name: v for name, v in generator.about.items() if name != "seed"}
    own = generator.sampling | sampling.to_dict() | facts
    return learned | own | {"date": datetime.date.today().isoformat()}


def _save(path, embeddings, names, about, labels=None):
    segments = np.full(len(embeddings), "")
    EmbeddingSet(embeddings, names, segments, about, labels or {}).save(path)


def _cosines(embeddings, others):
    """Cosine of each embedding `[n, dim]` to the one, or to its own, of `others`."""
    lengths = np.linalg.norm(embeddings, axis=-1) * np.linalg.norm(others, axis=-1)
    return np.sum(embeddings * others, axis=-1) / lengths
