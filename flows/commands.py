"""Normalizing flows of speech: manipulation of what is said and of who says it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import arg, create_mutex_group

from flows import data
from flows.config import SpeechFlowConfig
from timbre import cli
from timbre.audio import wave
from timbre.corpora.corpus import some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import verify_sha256, write_json
from timbre.training.config import from_dict

COMMANDS = {
    name: f"flows.commands:{name}"
    for name in ("evaluate", "manipulate", "figure", "train")
}
UNIT = ("l2", "unit length", "length 1")  # what sets say of rows of length 1
Run = Annotated[Path, arg(help="Folder of a run of `train`.")]
TARGET = create_mutex_group(required=True, title="what to change it to")
INPUT = create_mutex_group(required=True, title="what to change")


def evaluate(
    *,
    run: Run,
    out: Path | None = None,
    pairs: int | None = None,
    seed: int | None = None,
):
    """Measure the models of a run again, on the run's own data.

    Args:
        out: Also a .json file of all figures.
        pairs: Of a row and a wrong class, for each factor; by default as in the run.
        seed: By default the run's.
    """
    cli.check_min("--pairs", pairs, 1)
    cli.check_min("--seed", seed, 0)
    if out is not None:
        cli.check_output(out, (".json",))
    from flows.evaluate import evaluate as evaluate_models
    from flows.evaluation import summary

    models, config = load_models(run), _config(run)
    found = evaluate_models(
        models,
        _data(run, config),
        pairs=pairs or config["pairs"],
        seed=config["seed"] if seed is None else seed,
    )
    if out is not None:
        write_json(out, found)
    print(summary.summarise(found))


def figure(*, run: Run, out: Path | None = None):
    """Draw the figures of a finished run again.

    Args:
        out: Folder; by default that of the run.
    """
    folder = out or run / "figures"
    results = _read_run(run, "metrics.json", "models", "factors")
    cli.check_folder(folder)
    models, config = load_models(run), _config(run)
    from flows import figures
    from flows.evaluation import summary
    from timbre.training import history

    if {*models} != {*results["models"]}:
        raise ValueError(
            f"metrics.json must be of the models that are in the run, {some([*models])}"
            f". Received: {some([*results['models']])}"
        )
    rows = run / "history.csv"
    for path in figures.save_figures(
        models,
        _data(run, config),
        folder,
        results=results,
        published=summary.select_published(results),
        history=history.read(rows) if rows.is_file() else (),
        seed=config["seed"],
    ):
        print(path)


def manipulate(
    *,
    run: Run,
    factor: str,
    out: Path,
    to: Annotated[str | None, TARGET, arg(metavar="NAME")] = None,
    to_sound: Annotated[Path | None, TARGET, arg(metavar="SOUND")] = None,
    embeddings: Annotated[Path | None, INPUT, arg(name="set", metavar="SET")] = None,
    sound: Annotated[Path | None, INPUT, arg(metavar="SOUND")] = None,
    segments: Path | None = None,
    model: str = "fdnf",
    alpha: float = 1.0,
):
    """Change one factor of embeddings or of a recording.

    Args:
        factor: What to change, as speaker.
        out: The .npz or sound file to write.
        to: Class that all is to become.
        to_sound: A recording to become like: of a speaker, say, not in the run's data.
        embeddings: An embedding set (.npz).
        sound: A recording.
        segments: Table of the recording's phones (path,start,end,phone,speaker):
            change these; by default all of it is changed.
        model: Of the run.
        alpha: How far to go: 0 is nowhere, 1 all the way.
    """
    cli.check_finite("--alpha", alpha)
    cli.check_output(out, (".npz",) if sound is None else tuple(wave.WRITABLE))
    for path in (embeddings, sound, to_sound, segments):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"There must be a file. Received: {path}")
    if sound is None and (to_sound or segments):
        raise ValueError("`--to-sound` and `--segments` go with `--sound`, not `--set`")
    latent_model = load_models(run, model)[model]
    _check_class(latent_model, model, factor, to)
    if sound is None:
        change = {"factor": factor, "to": to, "alpha": alpha}
        _change_set(latent_model, embeddings, out, change, run, model)
        return
    front_end = _front_end(latent_model, run)
    from flows import voice_conversion

    waveform = voice_conversion.read_sound(sound, front_end)
    times = source = None
    if segments is not None:
        times, source = voice_conversion.read_segments(
            segments, sound, factor, latent_model.vocabulary[factor]
        )
    if to is None:
        to = voice_conversion.read_sound(to_sound, front_end)
    made = voice_conversion.convert(
        latent_model,
        waveform,
        front_end,
        factor,
        to,
        times=times,
        source=source,
        alpha=alpha,
    )
    wave.write(out, made.waveform, sample_rate=front_end.sample_rate)
    print(
        f"{out}: {len(waveform) / front_end.sample_rate:.2f} s, {made.num_segments} "
        f"segments, changed by {made.change_db:.1f} dB on average"
    )
    cli.warn("a changed speaker is not an anonymous one")


def train(arguments, prog):
    """Train a VAE and flows on speech: what is said apart from who says it."""
    from timbre.training import script

    script.run("flows", arguments, program=prog)


def load_models(run, kind=None):
    """Models of a run folder by their kinds, all or one; what is wrong is one error."""
    _read_run(run, data.FACTS)
    with cli.loading(run):
        from flows.models import registry

        kinds = registry.list_kinds(run)
        if kinds and kind in (None, *kinds):
            chosen = kinds if kind is None else [kind]
            return {each: registry.load(run, each) for each in chosen}
    raise ValueError(
        f"A model must be in the run {run}, which has {some(kinds) or 'none'}. "
        f"Received: {kind or 'none'}"
    )


def _change_set(model, path, out, change, run, kind):
    """Moves every row of an embedding set, and writes the set."""
    from flows.batching import map_batches
    from flows.voice_conversion import check_finite

    given = EmbeddingSet.load(path)
    shape = tuple(model.shape)
    if not len(given) or given.embeddings.shape[1:] != shape:
        raise ValueError(
            f"This run takes rows {['n', *shape]}, at least one. "
            f"Received: {path}, {list(given.embeddings.shape)}"
        )
    ours = _read_run(run, data.FACTS, "about")["about"].get("set", {}).get("extractor")
    theirs = given.about.get("extractor")
    if None not in (ours, theirs) and ours != theirs:
        cli.warn(
            f"{path} is by the extractor {theirs}, and the run has learned from "
            f"{ours}: of another extractor it knows nothing"
        )
    x = np.asarray(given.embeddings, np.float32)
    new = map_batches(lambda x: model.manipulate(x, **change), x)
    about = {**given.about, "changed": change | _provenance(run, kind)}
    if about.pop("normalisation", None) in UNIT:
        new = new / np.linalg.norm(new, axis=1, keepdims=True)
        about["normalisation"] = given.about["normalisation"]  # and so it stays
    check_finite(new)
    all_one, labels = np.full(len(given), change["to"]), {**given.labels}
    if change["factor"] == "speaker":
        labels.setdefault("source_speaker", given.speaker)
    if change["factor"] in labels:
        labels[change["factor"]] = all_one
    speaker = all_one if change["factor"] == "speaker" else given.speaker
    dataclasses.replace(
        given, embeddings=new, about=about, labels=labels, speaker=speaker
    ).save(out)
    moved = np.linalg.norm(new - x, axis=1) / np.linalg.norm(x, axis=1)
    print(f"{out}: {len(x)} rows, moved by {moved.mean():.0%} of their length")


def _front_end(model, run):
    """The front end of a run, if its model takes segments of unchanged length."""
    if len(model.shape) != 2:
        raise ValueError(
            f"A sound needs a model of segments [frames, bands]. Received: the run "
            f"{run}, whose inputs are {list(model.shape)}"
        )
    if _config(run)["segment"].get("fit") == "stretch":
        raise ValueError(
            "A sound needs a model of segments as long as they were. "
            f"Received: the run {run}, of segments stretched to one length"
        )
    return data.front_end(_read_run(run, data.FACTS, "about")["about"])


def _check_class(model, name, factor, to):
    """Refuses a factor or a class that the model does not have."""
    if factor not in model.factors:
        raise ValueError(
            f"{name} has the factors {some([*model.factors], 20)}. Received: {factor!r}"
        )
    classes = model.vocabulary[factor]
    if to is not None and to not in classes:
        raise ValueError(
            f"{factor} must be one of {some(classes, 40)}. Received: {to!r}"
        )


def _data(run, config):
    """The data of a run, read again."""
    parts = data.prepare(from_dict(SpeechFlowConfig, config))
    if parts.facts["sha256"] != _read_run(run, data.FACTS, "sha256")["sha256"]:
        raise ValueError(
            "The data must be what the run has learned from. Received: other rows from "
            f"{config['data']['path'] or config['data']['source']}"
        )
    return parts


def _config(run):
    return _read_run(run, "config.json", "config")["config"]


def _provenance(run, kind):
    """What a file that was made must say of how."""
    from flows.models.registry import weights_file

    return {
        "run": run.name,
        "model": kind,
        "sha256": verify_sha256(run / weights_file(kind)),
        "date": datetime.date.today().isoformat(),
    }


def _read_run(run, name, *keys):
    """A JSON object of a run, which must have some keys."""
    if not (run / name).is_file():
        raise FileNotFoundError(f"Expected a finished run: {run} has no {name}")
    return cli.read_json(run / name, *keys)
