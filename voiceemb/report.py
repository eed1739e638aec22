"""Report of a trained speaker encoder: evaluation, calibration, figures and card."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np

from timbre import plotting
from timbre.files import atomic_write, write_json
from timbre.metrics import verification
from timbre.metrics.trials import write_trials
from voiceemb import calibration, evaluate
from voiceemb import figures as drawing
from voiceemb.encoder import Encoder
from voiceemb.inference import crop_samples
from voiceemb.networks import speaker_encoder
from voiceemb.signatures import signatures

CARD = """# Speaker encoder `{name}`

A network that maps speech to unit vectors, near for one speaker and far for two.

| | |
| --- | --- |
| network | {network}, {parameters:,} parameters, {dim} dimensions |
| front end | {sample_rate} Hz, {bands} mel bands, log {log}, norm {norm} |
| trained on | {corpus}: {train} speakers, {utterances} utterances |
| training stages | {stages} |
| weights | `model.weights.h5`, sha256 `{sha256}` |
| config | `config.json`, sha256 of its numbers `{config}` |
| data | sha256 of names `{names}`, of sounds `{sounds}` |
| threshold | {threshold} |

## Figures

```
{table}
```

Intervals are 95 % bootstraps over speakers. *Open-set* speakers were never trained on
nor used to choose the weights; *closed-set* utterances are new but their speakers are
not. The threshold is where both errors were equal on the validation split, and no more.

## Limits

Made to compare voices in recordings like those it learned from. Other languages,
microphones, rooms and ages can be much worse: measure before you rely on it
(`python -m voiceemb evaluate --corpus YOURS --run {folder}`). A voice can be imitated
and replayed; this is no proof of identity.
"""


def finish(config, model, data, results, *, run):
    """Evaluate, print the table, draw the figures and write the card.

    Args:
        config, model, data, run: As for `voiceemb.train.fit`; the weights are loaded
            from the run, as a user would.
        results: Stage name to `timbre.training.loop.Result`.

    Returns:
        The SavedModel signatures to publish, and what describes them.
    """
    keras.config.set_dtype_policy("float32")  # for who serves it
    parts = data.splits
    run.path(calibration.FILE).unlink(missing_ok=True)  # it was of other weights
    trained = Encoder.load(run.folder)
    extractors = {
        run.folder.name: trained.embed_utterances,
        "untrained network": build_untrained(run.folder).embed_utterances,
        evaluate.BASELINE: evaluate.mfcc_extractor(trained.sample_rate),
    }
    evaluations = {}
    for name, part, protocol in (
        ("test", parts.test, "open-set"),
        ("closed", parts.closed_set, "closed-set"),
    ):
        if part is not None:
            evaluations[name] = evaluate.evaluate(
                part,
                extractors,
                protocol=protocol,
                trial_lists=("all-pairs", "deep-speaker"),
                sample_rate=trained.sample_rate,
            )
    rows = [row for one in evaluations.values() for row in one.rows]
    table = verification.table(rows) if rows else "No speakers could be held out."
    print(table)
    limit = calibrate(trained, parts, run)
    write_rows(run.path("metrics.json"), rows, threshold=limit)
    for name, one in evaluations.items():
        save_trials(one, run.path(f"trials/{name}"))
        drawing.plot_evaluation(
            one, run.path("figures"), extractor=run.folder.name, prefix=f"{name}_"
        )
    history = [
        {**row, "phase": phase} for phase, r in results.items() for row in r.history
    ]
    if history:
        plotting.save(
            plotting.history_figure(history), run.path("figures/training.png")
        )
    drawing.plot_utterance(parts.train.utterances[0], trained, run.path("figures"))
    run.write_card(_card(run, config, trained, data, results, limit, table))
    return signatures(trained.model, window=trained.window), trained.about


def build_untrained(run):
    """The network in a run's folder before training, a `voiceemb.Encoder`."""
    config = json.loads((Path(run) / "config.json").read_text("utf-8"))["config"]
    keras.utils.set_random_seed(config["seed"])
    model = speaker_encoder.build(**config["encoder"])
    return Encoder.from_model(
        model, window=crop_samples(model.filterbank, config["crop_frames"])
    )


def trained_speakers(run):
    """Names of all speakers that training or choosing saw; `None` if not known."""
    path = Path(run) / "speakers.json"
    if not path.is_file():
        return None
    parts = json.loads(path.read_text("utf-8"))["speakers"]
    return {*parts["train"], *parts.get("validation", ())}


def write_rows(path, rows, **more):
    """Writes reports as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"table": rows, **more})


def calibrate(trained, parts, run):
    """Fits the calibration beside the weights, on the speakers that chose them.

    Args:
        trained: A `voiceemb.Encoder`.
        parts: `voiceemb.training.splits.SpeakerSplits`.
        run: The run, a `timbre.training.run.Run`.

    Returns:
        The cosine at which errors balance, a dict of `value`, `eer`, `protocol` and
        `corpus`, or `None` without a validation part.
    """
    if parts.validation is None:
        return None
    one = evaluate.evaluate(
        parts.validation,
        {"trained": trained.embed_utterances},
        protocol=parts.protocol,
        sample_rate=trained.sample_rate,
        resamples=0,
    )
    row, sha = one.row("trained"), trained.about["sha256"]
    corpus = f"{parts.validation.name}, validation"
    try:
        one = dataclasses.replace(one, corpus=corpus)
        found, about = calibration.fit([one], "trained")
    except ValueError as error:  # too few trials, or none that part voices
        print(f"No calibration: {error}", file=sys.stderr)
    else:
        path = run.path(calibration.FILE)
        calibration.write(path, found, sha256=sha, about=about)
    errors = {"value": row["eer_threshold"], "eer": row["eer"]}
    return errors | {"protocol": row["protocol"], "corpus": corpus}


def save_trials(one, folder):
    """Writes an evaluation's trial lists and, beside them, each extractor's scores."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, trials in one.trials.items():
        write_trials(folder / f"{kind}.txt", trials)
        scores = {name: s for (k, name), s in one.scores.items() if k == kind}
        path = folder / f"{kind}.scores.npz"
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **scores)


def _card(run, config, trained, data, results, limit, table):
    numbers = dataclasses.asdict(config)
    for name in config.MAY_CHANGE:  # where and when, not what
        del numbers[name]
    numbers = json.dumps(numbers, sort_keys=True).encode()
    splits, sha256 = data.splits, data.facts["sha256"]
    encoder = config.encoder
    return CARD.format(
        name=run.folder.name,
        folder=run.folder.as_posix(),
        network=encoder.network,
        parameters=trained.about["parameters"],
        dim=trained.dim,
        sample_rate=trained.sample_rate,
        bands=encoder.front_end.num_bands,
        log="on" if encoder.log else "off",
        norm=encoder.norm,
        corpus=splits.train.name,
        train=len(splits.train.speakers),
        utterances=len(splits.train),
        stages="; ".join(
            _stage(name, result, splits.protocol) for name, result in results.items()
        ),
        sha256=trained.about["sha256"],
        config=hashlib.sha256(numbers).hexdigest(),
        names=sha256["train"],
        sounds=sha256["sounds"],
        threshold=f"cosine {limit['value']:.3f}, where errors balance on "
        f"{limit['corpus']} ({limit['protocol']})"
        if limit
        else "none",
        table=table,
    )


def _stage(name, result, protocol):
    steps = f"{result.step} steps ({result.skipped} skipped)"
    text = f"{name.replace('_', ' ')}: {steps}"
    if result.best is None:
        return f"{text}, no validation"
    best = f"best validation EER {100 * result.best:.2f} % ({protocol})"
    return f"{text}, {best} at step {result.best_step}"
