"""Report of trained flows: evaluation, figures and card."""

import json

from flows import figures
from flows.evaluate import evaluate
from flows.evaluation.summary import model_name, select_published, summarise
from flows.models.registry import weights_file
from flows.segments import features
from flows.signatures import signatures
from timbre.files import verify_sha256

CARD = """# Flows of speech with factors in parts: `{name}`

Normalising flows from segments of speech to latents in which classes have means: shift
a latent from one class mean to another, invert the flow, and the segment changes class.

| | |
| --- | --- |
| trained on | {data} |
| factors | {factors} |
| rows | {rows} |
| an input | {shape}, {dim} numbers |
| flows | {backbone} |
{models}

## Figures

```
{text}
```

`figures/encoding.png` shows the latents, `manipulation.png` and `segments.png` the
effect of changing a factor.

## Intended use

To study factors of speech, to change a factor of a segment or of an embedding, and to
normalise embeddings for comparison. A model is valid for features of the front end
above only.

## Limits

Changing a speaker is not anonymisation: the residual is kept, the flow is invertible,
and whoever has it can undo the change. Never make a person say what they did not
without their consent. Speakers and rooms outside of the training data are not measured
here, but where the figures say "unseen". Posteriors are those of networks trained on
the same data, not of listeners. Languages, ages and speaking styles that the data
lacks, the models lack too.
"""


def finish(config, model, data, results, *, run):
    """Evaluate, print the report, draw the figures and write the card.

    Args:
        model: Dict, kind to a trained `flows.models.latent_model.LatentModel`.
        results: Dict, kind to its `timbre.training.loop.Result`.
        config, data, run: As for `flows.train.fit`, which has written all weights.

    Returns:
        The SavedModel signatures to publish, those of the factorial flow or of the last
        model, and what describes them.
    """
    found = evaluate(model, data, pairs=config.pairs, seed=config.seed)
    report = summarise(found)
    print(report)
    steps = {
        kind: {"steps": one.step, "skipped": one.skipped, "best": one.best_step}
        for kind, one in results.items()
    }
    run.write_json("metrics.json", {**found, "training": steps})
    figures.save_figures(
        model,
        data,
        run.path("figures"),
        results=found,
        published=select_published(found),
        history=[row for one in results.values() for row in one.history],
        seed=config.seed,
    )
    run.write_card(_card(run, model, data, found, results, report))
    kind = "fdnf" if "fdnf" in model else list(model)[-1]
    of_sound = "sample_rate" in data.about  # so that the model takes waveforms
    front_end = features.front_end(data.about) if of_sound else None
    return signatures(model[kind], front_end), describe(run, kind, data)


def describe(run, kind, data):
    """What a model of a run is, for those who meet only its export."""
    return {
        "run": run.folder.name,
        "model": kind,
        "vocabulary": data.facts["vocabulary"],
        "shape": data.facts["shape"],
        "about": data.facts["about"],
        "data_sha256": data.facts["sha256"],
        "sha256": verify_sha256(run.folder / weights_file(kind)),
    }


def _card(run, models, data, results, result_by_kind, report):
    """The model card, Markdown; refuses weights that differ from their sha256."""
    counts = (f"{factor}: {num} classes" for factor, num in results["factors"].items())
    sizes = (f"{num} {part}" for part, num in results["sizes"].items() if part != "dim")
    return CARD.format(
        name=run.folder.name,
        data=_plain(json.dumps(data.about, ensure_ascii=False)),
        factors=_plain(", ".join(counts)),
        rows=_plain(", ".join(sizes)),
        shape=" x ".join(map(str, next(iter(models.values())).shape)),
        dim=results["sizes"]["dim"],
        backbone=_plain(json.dumps(run.config["backbone"])),
        models="\n".join(
            _model_row(run, kind, model, result_by_kind[kind])
            for kind, model in models.items()
        ),
        text=report,
    )


def _model_row(run, kind, model, result):
    """The row of one model."""
    file = weights_file(kind)
    digest = verify_sha256(run.folder / file)
    size = f"{model.count_params():,} numbers, {result.step} steps"
    skipped = f"{result.skipped} skipped"
    return f"| {model_name(kind)} | {size}, {skipped}; `{file}`, sha256 `{digest}` |"


def _plain(words):
    """Text in one cell of a table."""
    return " ".join(str(words).replace("|", "/").replace("`", "'").split())[:400]
