"""What the commands of `python -m flows` do: results to stdout, remarks to stderr.

Every function takes the parsed options of its command and raises `OSError` or
`ValueError` with one line for the user.
"""

import dataclasses
import datetime
import json
import sys
import tempfile

import numpy as np

from flows import data
from flows.config import SpeechFlowConfig
from timbre.audio import wave
from timbre.corpora.corpus import some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import atomic_write, verify_sha256
from timbre.training.config import from_dict

UNIT = ("l2", "unit length", "length 1")  # what sets say of rows of length 1


def evaluate(options):
    """Measures the models of a run again, on the run's own data."""
    if options.out is not None:
        _check_out(options.out, (".json",))
    from flows import report  # which also draws

    models, plan = loaded(options.run), _plan(options.run)
    parts = _parts(options.run, plan)
    found = report.evaluate(
        models,
        parts,
        pairs=options.pairs or plan["pairs"],
        seed=plan["seed"] if options.seed is None else options.seed,
    )
    if options.out is not None:
        _write_json(options.out, found)
    print(report.text(found))


def figure(options):
    """Draws the figures of a finished run again."""
    folder = options.out or options.run / "figures"
    results = _read(options.run, "metrics.json", "models", "factors")
    _check_folder(folder)
    from flows import figures, report
    from timbre.training import history

    models, plan = loaded(options.run), _plan(options.run)
    if {*models} != {*results["models"]}:
        raise ValueError(
            f"metrics.json must be of the models that are in the run, {some([*models])}"
            f". Received: {some([*results['models']])}"
        )
    rows = options.run / "history.csv"
    for path in figures.save_figures(
        models,
        _parts(options.run, plan),
        folder,
        results=results,
        published=report.select_published(results),
        history=history.read(rows) if rows.is_file() else (),
        seed=plan["seed"],
    ):
        print(path)


def manipulate(options):
    """Changes one factor of embeddings or of a sound."""
    of_sound = options.sound is not None
    _check_out(options.out, tuple(wave.WRITABLE) if of_sound else (".npz",))
    for path in (options.set, options.sound, options.to_sound, options.segments):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"There must be a file. Received: {path}")
    if not of_sound and (options.to_sound or options.segments):
        raise ValueError("`--to-sound` and `--segments` go with `--sound`, not `--set`")
    model = loaded(options.run, options.model)[options.model]
    _check_class(model, options)
    (_change_sound if of_sound else _change_set)(model, options)


def loaded(run, kind=None):
    """Models of a run folder by their kinds; whatever is wrong with them is one error.

    Args:
        run: The folder.
        kind: The one to load. Defaults to all that the run has.
    """
    from flows.models import registry

    _read(run, data.FACTS)
    kinds = registry.list_kinds(run)
    if not kinds or kind not in (None, *kinds):
        raise ValueError(
            f"A model must be in the run {run}, which has {some(kinds) or 'none'}. "
            f"Received: {kind or 'none'}"
        )
    try:
        return {
            each: registry.load(run, each) for each in kinds if kind in (None, each)
        }
    except Exception as error:  # h5py, Keras and TensorFlow each raise their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{run} can not be loaded. Received: {reason}") from error


def _change_set(model, options):
    """Moves every row of an embedding set."""
    from flows.batching import map_batches

    given = EmbeddingSet.load(options.set)
    shape = tuple(model.shape)
    if not len(given) or given.embeddings.shape[1:] != shape:
        raise ValueError(
            f"This run takes rows {['n', *shape]}, at least one. "
            f"Received: {options.set}, {list(given.embeddings.shape)}"
        )
    about = _about(options.run).get("set", {})
    ours, theirs = (each.get("extractor") for each in (about, given.about))
    if None not in (ours, theirs) and ours != theirs:
        _remark(
            f"{options.set} is by the extractor {theirs}, and the run has learned from "
            f"{ours}: of another extractor it knows nothing"
        )
    to = {"factor": options.factor, "to": options.to, "alpha": options.alpha}
    x = np.asarray(given.embeddings, np.float32)
    new = map_batches(lambda x: model.manipulate(x, **to), x)
    about = {**given.about, "changed": to | _made_by(options)}
    if about.pop("normalisation", None) in UNIT:
        new = new / np.linalg.norm(new, axis=1, keepdims=True)
        about["normalisation"] = given.about["normalisation"]  # and so it stays
    _check_finite(new)
    told = _relabelled(given, options.factor, options.to)
    dataclasses.replace(given, embeddings=new, about=about, **told).save(options.out)
    far = np.linalg.norm(new - x, axis=1) / np.linalg.norm(x, axis=1)
    print(f"{options.out}: {len(x)} rows, moved by {far.mean():.0%} of their length")


def _relabelled(given, factor, to):
    """Columns of a set whose rows have all become one class of a factor."""
    whole, labels = np.full(len(given), to), {**given.labels}
    if factor == "speaker":
        labels.setdefault("source_speaker", given.speaker)
    if factor in labels:
        labels[factor] = whole
    return {"labels": labels} | ({"speaker": whole} if factor == "speaker" else {})


def _change_sound(model, options):
    """Changes a factor of a sound and writes it."""
    if len(model.shape) != 2:
        raise ValueError(
            f"A sound needs a model of segments [frames, bands]. Received: the run "
            f"{options.run}, whose inputs are {list(model.shape)}"
        )
    fit = _plan(options.run)["segment"].get("fit")
    if fit == "stretch":
        raise ValueError(
            "A sound needs a model of segments as long as they were. "
            f"Received: the run {options.run}, of segments stretched to one length"
        )
    from flows import voice_conversion

    front, (frames, _) = data.front_end(_about(options.run)), model.shape
    hop_s = front.hop / front.sample_rate
    sound = voice_conversion.heard(options.sound, front)
    features, source = voice_conversion.spectrogram(sound, front), None
    if options.segments is None:
        cut, starts = voice_conversion.cover(features, frames)
    else:
        classes = options.factor, model.vocabulary[options.factor]
        times, source = voice_conversion.listed(
            options.segments, options.sound, *classes
        )
        cut, starts = voice_conversion.around(features, times, frames, hop_s)
    to = options.to
    if to is None:  # like another speaker, whom nobody has learned
        other = voice_conversion.spectrogram(
            voice_conversion.heard(options.to_sound, front), front
        )
        to = np.asarray(
            model.enrol(voice_conversion.cover(other, frames)[0], options.factor)
        )
        if source is None:  # what both averages share cancels
            source = np.asarray(model.enrol(cut, options.factor))
    told = {"source": source, "alpha": options.alpha}
    new = voice_conversion.change(
        model, features, cut, starts, options.factor, to, **told
    )
    _check_finite(new)
    made = voice_conversion.waveform(new, front, num_samples=len(sound))
    wave.write(options.out, made, sample_rate=front.sample_rate)
    moved = np.abs(new - features).mean()
    print(
        f"{options.out}: {len(sound) / front.sample_rate:.2f} s, {len(cut)} segments, "
        f"changed by {moved * 10 / np.log(10):.1f} dB on average"
    )
    _remark("a changed speaker is not an anonymous one")


def _check_class(model, options):
    """Refuses a factor or a class that the model does not have."""
    if options.factor not in model.factors:
        raise ValueError(
            f"{options.model} has the factors {some([*model.factors], 20)}. "
            f"Received: {options.factor!r}"
        )
    classes = model.vocabulary[options.factor]
    if options.to is not None and options.to not in classes:
        raise ValueError(
            f"{options.factor} must be one of {some(classes, 40)}. "
            f"Received: {options.to!r}"
        )


def _check_finite(x):
    if not np.isfinite(x).all():
        raise ValueError(
            "What is made must be finite: take a smaller `--alpha`, or what is more "
            "like the data the run has learned from. Received: NaN or infinity"
        )


def _parts(run, plan):
    """The data of a run, read again."""
    parts = data.prepare(from_dict(SpeechFlowConfig, plan))
    if parts.facts["sha256"] != _read(run, data.FACTS, "sha256")["sha256"]:
        raise ValueError(
            "The data must be what the run has learned from. Received: other rows from "
            f"{plan['data']['path'] or plan['data']['source']}"
        )
    return parts


def _plan(run):
    return _read(run, "config.json", "config")["config"]


def _about(run):
    return _read(run, data.FACTS, "about")["about"]


def _made_by(options):
    """What a file that was made must say of how."""
    from flows.models.registry import weights_file

    digest = verify_sha256(options.run / weights_file(options.model))
    date = datetime.date.today().isoformat()
    told = {"run": options.run.name, "model": options.model}
    return {**told, "sha256": digest, "date": date}


def _read(run, name, *needed):
    """A JSON object of a run, which must have some keys."""
    path = run / name
    if not path.is_file():
        raise FileNotFoundError(f"Expected a finished run: {run} has no {name}")
    try:
        found = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} must be a JSON object. Received: {error}") from error
    if not {*needed} <= found.keys():
        raise ValueError(
            f"{path} must have {' and '.join(needed)}. "
            f"Received: {some([*found]) or 'an empty object'}"
        )
    return found


def _remark(words):
    print(words, file=sys.stderr)


def _write_json(path, value):
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _check_out(path, suffixes):
    """Refuses, before any work, a file that can not be written later."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"What is written ends in {some(suffixes)}. Received: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"A file is to be written, but {path} is a folder")
    _check_folder(path.parent)


def _check_folder(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
