"""Model card of a run of flows: contents, intended use and limits."""

import json

from flows.figures import model_name
from timbre.files import verify_sha256

CARD = """# What is said, apart from who says it: `{name}`

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


def text(run, models, parts, results, result_by_kind, report):
    """Writes the card of a run.

    Args:
        run: A `timbre.training.run.Run` with each model's `<kind>.weights.h5`.
        models: Dict, kind to a trained `flows.models.latent_model.LatentModel`.
        parts: The `flows.data.Parts` of their training.
        results: What `flows.evaluate.evaluate` returns.
        result_by_kind: Dict, kind to its `timbre.training.loop.Result`.
        report: What `flows.report.text` returns.

    Returns:
        Markdown.

    Raises:
        ValueError: If weights are not those whose sha256 is beside them.
    """
    counts = (f"{factor}: {num} classes" for factor, num in results["factors"].items())
    sizes = (f"{num} {part}" for part, num in results["sizes"].items() if part != "dim")
    return CARD.format(
        name=run.folder.name,
        data=_plain(json.dumps(parts.about, ensure_ascii=False)),
        factors=_plain(", ".join(counts)),
        rows=_plain(", ".join(sizes)),
        shape=" x ".join(map(str, next(iter(models.values())).shape)),
        dim=results["sizes"]["dim"],
        backbone=_plain(json.dumps(run.config["backbone"])),
        models="\n".join(
            _model(run, kind, model, result_by_kind[kind])
            for kind, model in models.items()
        ),
        text=report,
    )


def _model(run, kind, model, result):
    """The row of one model."""
    file = f"{kind}.weights.h5"
    digest = verify_sha256(run.folder / file)
    size = f"{model.count_params():,} numbers, {result.step} steps"
    skipped = f"{result.skipped} skipped"
    return f"| {model_name(kind)} | {size}, {skipped}; `{file}`, sha256 `{digest}` |"


def _plain(words):
    """Text in one cell of a table."""
    return " ".join(str(words).replace("|", "/").replace("`", "'").split())[:400]
