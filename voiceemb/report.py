"""The end of a run: what it reached, in numbers, pictures and a card."""

import json
from pathlib import Path

import keras
import numpy as np

from metrics import figures, verification
from training.run import replacing
from voiceemb import encoders, evaluation
from voiceemb import figures as drawing
from voiceemb.encoder import Encoder, crop_samples

CARD = """# Speaker encoder `{name}`

A network that maps speech to unit vectors, near for one speaker and far for two.

| | |
| --- | --- |
| network | {network}, {parameters:,} parameters, {dim} dimensions |
| hears | {sample_rate} Hz, {bands} mel bands, log {log}, norm {norm} |
| learned from | {corpus}: {train} speakers, {utterances} utterances |
| phases | {phases} |
| weights | `model.weights.h5`, sha256 `{sha256}` |
| threshold | {threshold} |

## Figures

```
{table}
```

Intervals are 95 % bootstraps over speakers. *Open-set* speakers were never trained on
nor used to choose the weights; *closed-set* utterances are new but their speakers are
not. The threshold is the one at the EER of the first line that scores this network: it
says where errors balance on that set, and no more.

## Limits

Made to compare voices in recordings like those it learned from. Other languages,
microphones, rooms and ages can be much worse: measure before you rely on it
(`python -m voiceemb evaluate --corpus YOURS --run {folder}`). A voice can be imitated
and replayed; this is no proof of identity.
"""


def finish(run, parts, results):
    """Evaluates, prints the table, draws the figures and writes the card.

    Args:
        run: A `training.run.Run`.
        parts: `voiceemb.data.Parts`.
        results: Phase name to `training.loop.Result`.

    Returns:
        The trained `voiceemb.Encoder`, as a user would load it.
    """
    trained = Encoder.load(run.folder)
    extractors = {
        run.folder.name: trained.embed_utterances,
        "untrained network": untrained(run.folder).embed_utterances,
        evaluation.BASELINE: evaluation.cepstra(trained.sample_rate),
    }
    evaluations = {}
    for name, protocol in (("test", "open-set"), ("closed", "closed-set")):
        part = getattr(parts, name)
        if part is not None:
            evaluations[name] = evaluation.evaluate(
                part,
                extractors,
                protocol=protocol,
                trial_lists=("all-pairs", "deep-speaker"),
                sample_rate=trained.sample_rate,
            )
    rows = [row for one in evaluations.values() for row in one.rows]
    table = verification.table(rows) if rows else "No speakers could be held out."
    print(table)
    write_rows(run.path("metrics.json"), rows)
    for name, one in evaluations.items():
        save_trials(one, run.path(f"trials/{name}"))
        drawing.draw_evaluation(
            one, run.path("figures"), extractor=run.folder.name, prefix=f"{name}_"
        )
    history = [
        {**row, "phase": phase} for phase, r in results.items() for row in r.history
    ]
    if history:
        figures.save(figures.history_figure(history), run.path("figures/training.png"))
    drawing.draw_utterance(parts.train.utterances[0], trained, run.path("figures"))
    run.write_card(_card(run, trained, parts, results, rows, table))
    return trained


def untrained(run):
    """The network of a run as it was before training, a `voiceemb.Encoder`.

    Args:
        run: Folder of the run.
    """
    config = json.loads((Path(run) / "config.json").read_text("utf-8"))["config"]
    keras.utils.set_random_seed(config["seed"])
    model = encoders.build(**config["encoder"])
    return Encoder.of(
        model, window=crop_samples(model.filterbank, config["crop_frames"])
    )


def trained_speakers(run):
    """Names of all speakers that training or choosing saw; none for an export."""
    path = Path(run) / "speakers.json"
    if not path.is_file():
        return set()
    parts = json.loads(path.read_text("utf-8"))
    return {*parts["train"], *parts.get("validation", ())}


def write_rows(path, rows):
    """Writes reports and the threshold of the first as JSON, whole or not at all."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"table": rows, "threshold": threshold(rows)}, indent=2)
    with replacing(Path(path)) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def threshold(rows):
    """The threshold at the EER of the first row, and where it was found; or `None`."""
    if not rows:
        return None
    keys = ("name", "protocol", "trial_list", "trials_sha256", "eer")
    return {"value": rows[0]["eer_threshold"], **{k: rows[0][k] for k in keys}}


def save_trials(one, folder):
    """Writes an evaluation's trial lists and, beside them, each extractor's scores."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, trials in one.trials.items():
        verification.write_trials(folder / f"{kind}.txt", trials)
        scores = {name: s for (k, name), s in one.scores.items() if k == kind}
        np.savez_compressed(folder / f"{kind}.scores.npz", **scores)


def _card(run, trained, parts, results, rows, table):
    config = run.config
    front_end, encoder = config["encoder"]["front_end"], config["encoder"]
    limit = threshold(rows)
    return CARD.format(
        name=run.folder.name,
        folder=run.folder.as_posix(),
        network=f"{encoder['network']}",
        parameters=trained.about["parameters"],
        dim=trained.dim,
        sample_rate=trained.sample_rate,
        bands=front_end["num_bands"],
        log="on" if encoder["log"] else "off",
        norm=encoder["norm"],
        corpus=parts.train.name,
        train=len(parts.train.speakers),
        utterances=len(parts.train),
        phases="; ".join(
            _phase(name, result, parts.protocol) for name, result in results.items()
        ),
        sha256=trained.about["sha256"],
        threshold=f"cosine {limit['value']:.3f} ({limit['name']}, {limit['protocol']})"
        if limit
        else "none",
        table=table,
    )


def _phase(name, result, protocol):
    text = f"{name}: {result.step} steps ({result.skipped} skipped)"
    if result.best is None:
        return f"{text}, no validation"
    return (
        f"{text}, best validation EER {100 * result.best:.2f} % ({protocol}) at step "
        f"{result.best_step}"
    )
