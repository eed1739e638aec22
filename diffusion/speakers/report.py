"""Report of a trained speaker generator: evaluation, figures and card."""

import json

from diffusion.speakers import figures
from diffusion.speakers.evaluate import evaluate, ignore_schedule_warning
from diffusion.speakers.generator import SpeakerGenerator
from diffusion.speakers.memorisation import summarise
from diffusion.speakers.signatures import signatures
from timbre.metrics import generation

CARD = """# Voices that never existed: `{name}`

A diffusion over speaker embeddings: it draws points where an extractor would put
voices that nobody has.

| | |
| --- | --- |
| learned from | {set}: {train}; held out: {held} |
| data learned from | sha256 of its rows `{sha256_train}` |
| data held out | sha256 of its rows `{sha256_held}` |
| voices | {dim} dimensions, {length}; a voice is one {level}; scaling: {scaling} |
| labels | {labels} |
| network | {network}, {parameters:,} parameters |
| predicts | {prediction}, loss weighted {weighting} |
| schedule | {schedule}, T = {steps}, alpha_bar[T] = {alpha_bar:.3g} |
| training | {taken} steps of {batch} rows, {skipped} skipped |
| sampler | {sampler}, {calls} steps, {spacing} |
| weights | `model.weights.h5`, sha256 `{weights}` |

## Figures

```
{text}
```

The table compares each set of voices with real ones that nobody has learned from;
`unseen real` are other such voices, the floor that no generator can do better than.
FD, MMD2, SW: distances, 0 is ideal. p: chance of such an MMD2 between equal sets.
C2ST: accuracy of a classifier of the two sets, .5 is ideal. dens., cov.: near what
`unseen real` has. to train, to real, to fake: mean cosine to the nearest one.

## Intended use

New voices for speech synthesis, for tests of verifiers, and voices to put in the place
of others. They mean something to the extractor above and to engines that take its
vectors, and to nothing else.

## Limits

However the figures look, never call these anonymous: a voice drawn here can be near to
a real person's, among those it learned from or elsewhere, and so can the voice that
replaces another. Measure with the attacker you fear. What the data lacked, in
languages, ages or ways to speak, these voices lack too.
"""


def finish(config, model, data, results, *, run):
    """Evaluate, print the report, draw the figures and write the card.

    Args:
        config: A `diffusion.speakers.config.SpeakerDiffusionConfig`.
        model: Unused: the weights are loaded from the run, as a user would.
        data: The `diffusion.speakers.data.EmbeddingSplits`.
        results: The `timbre.training.loop.Result`.
        run: The `timbre.training.run.Run` whose weights are written.

    Returns:
        The SavedModel signatures to publish, and their description.
    """
    with ignore_schedule_warning():
        voices = SpeakerGenerator.load(run.folder)
        found = evaluate(voices, data.train, data.held_out, seed=config.seed)
        print(text(found))
        steps = {"steps": results.step, "skipped": results.skipped}
        run.write_json("metrics.json", {**found, "training": steps})
        figures.save_figures(
            voices,
            data.train,
            data.held_out,
            run.path("figures"),
            history=results.history,
            seed=config.seed,
        )
        run.write_card(_card(run, config, voices, data, found, results))
    return signatures(voices), voices.about


def text(results) -> str:
    """The results of `evaluate` as text: table, memorisation, collisions, notes."""
    rows, sizes = results["rows"], results["sizes"]
    lines = []
    if rows:
        num = next(iter(rows.values()))["rows"]
        lines += [f"{num} voices each, against {num} unseen real ones:", ""]
        lines += [generation.table(rows), ""]
    if results["privacy"]:
        lines += [summarise(results["privacy"]), ""]
    lines += [*_collisions(results["collisions"]), ""]
    lines += [f"Note: {note}" for note in results["notes"]]
    if results["schedule"]["warning"]:
        lines.append(f"Warning: {results['schedule']['warning']}.")
    lines.append(
        f"Learned from {_count(sizes['train'])}, held out {_count(sizes['held'])}, "
        f"{sizes['generated']} voices drawn."
    )
    return "\n".join(lines)


def _collisions(found):
    """Lines that say how often two voices are one."""
    limit = found["threshold"]
    lines = [f"Two voices are one from cosine {limit['value']:.3f} ({limit['rule']}):"]
    kinds = [name for name in ("generated", "real") if found[name]]
    if kinds:
        head = "".join(f"{name + ' pairs':>17}  doubles  nearest" for name in kinds)
        lines += ["", f"{'voices':>6}{head}"]
    for row in found["generated"]:
        line = f"{row['voices']:6d}"
        for same in (r for name in kinds for r in found[name]):
            if same["voices"] == row["voices"]:
                line += f"{same['pairs']:17.4%}{same['doubles']:9.2%}"
                line += f"{same['nearest']:9.3f}"
        lines.append(line)
    return lines


def _count(size):
    return f"{size['rows']} rows of {size['speakers']} speakers"


def _card(run, config, voices, data, found, result):
    facts, sizes = data.facts, found["sizes"]
    length = f"length {'1' if data.unit else 'free'}"
    if config.blocks:
        parts_of = ", ".join(map(str, config.blocks))
        length = f"in parts of {parts_of}, each of {length}"
    return CARD.format(
        name=run.folder.name,
        set=_plain(facts["about"].get("extractor") or "unknown extractor"),
        train=_count(sizes["train"]),
        held=_count(sizes["held"]),
        sha256_train=facts["sha256"]["train"],
        sha256_held=facts["sha256"]["held"],
        dim=facts["dim"],
        length=length,
        level=config.level,
        scaling=config.scaling,
        labels=_plain(json.dumps(facts["vocabulary"], ensure_ascii=False))
        if facts["vocabulary"]
        else "none",
        network=config.network.network,
        parameters=voices.model.denoiser.network.count_params(),
        prediction=config.prediction,
        weighting=config.weighting,
        schedule=config.schedule.name,
        steps=found["schedule"]["steps"],
        alpha_bar=found["schedule"]["alpha_bar"],
        taken=result.step,
        skipped=result.skipped,
        batch=config.batch,
        sampler=config.sampling.sampler,
        calls=config.sampling.steps,
        spacing=config.sampling.spacing,
        weights=voices.about["sha256"],
        text=text(found),
    )


def _plain(words):
    """Words of a file, in one cell of a table."""
    return " ".join(str(words).replace("|", "/").replace("`", "'").split())[:200]
