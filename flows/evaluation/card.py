"""The card of a run of flows: what it is, what it is for and what it is not."""

import json

from flows.figures import name
from timbre.files import verify_sha256

CARD = """# What is said, apart from who says it: `{name}`

Reversible maps of speech onto codes in which classes have places: move a code from one
class to another, go back, and what it was made of changes there.

| | |
| --- | --- |
| learned from | {data} |
| factors | {factors} |
| rows | {rows} |
| an input | {shape}, {dim} numbers |
| flows | {backbone} |
{models}

## Figures

```
{text}
```

`figures/encoding.png` shows the codes, `manipulation.png` and `segments.png` what
changing a factor does.

## Intended use

To study what speech is made of, to change a factor of a segment or of an embedding, and
to prepare embeddings for comparison. A model means something to features by the front
end that is written above, scaled as it has learned, and to nothing else.

## Limits

Changing a speaker is not anonymisation: what is changed keeps what no factor holds, the
map of a flow is reversible, and whoever has it can go back. Never make a person say
what they did not without asking them. What a model makes of speakers and rooms it never
met is not measured here, but where the figures say "unseen". Posteriors are those of
networks trained on the same data, not of listeners. What the data lacked, in languages,
ages, or ways to speak, the models lack too.
"""


def text(run, models, parts, results, result_by_kind, report):
    """What a reader needs to know of a run before using a model of it.

    Args:
        run: A `timbre.training.run.Run` in which each model's `<kind>.weights.h5` is written.
        models: Dict, kind to a trained `flows.models.latent_model.LatentModel`.
        parts: The `flows.data.Parts` they learned from.
        results: What `flows.evaluate.evaluate` has found.
        result_by_kind: Dict, kind to its `timbre.training.loop.Result`.
        report: What `flows.report.text` says of the results.

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
    return f"| {name(kind)} | {size}, {skipped}; `{file}`, sha256 `{digest}` |"


def _plain(words):
    """Words of a file, in one cell of a table."""
    return " ".join(str(words).replace("|", "/").replace("`", "'").split())[:400]
