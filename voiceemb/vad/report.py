"""Report of a trained voice activity network: frame errors and card."""

import json

from timbre.files import verify_sha256
from voiceemb.vad.evaluate import evaluate
from voiceemb.vad.network import ABOUT, WEIGHTS

CARD = """# Voice activity detector `{name}`

A small network that says every 10 ms how probable speech is; it looks {ahead} ms ahead.

| | |
| --- | --- |
| network | log-mel of {bands} bands, two convolutions of {filters} filters, a GRU of \
{units} units: {parameters:,} parameters |
| trained on | {corpus}: {speakers} speakers, {utterances} utterances, in \
synthetic noise |
| steps | {steps}, {skipped} skipped; the best weights are those of step {best_step} |
| weights | `{weights}`, sha256 `{sha256}` |

Frame errors in mixtures of held-out speakers and other synthetic noises, of them \
missed speech and false alarms: {error:.1%}, {missed:.1%}, {false_alarms:.1%}.

## Limits

Noise was synthetic: measure on your own before you rely on it. Singing, \
crying, laughter and far voices are neither clearly speech nor clearly noise to it.
"""


def finish(config, model, data, results, *, run):
    """Write what a detector is built from, its metrics and its card.

    Args:
        config: Unused: all is in the data and the network.
        model: The trained `ActivityNetwork`.
        data: The `voiceemb.vad.data.VadData`.
        results: The `timbre.training.loop.Result`.
        run: The `timbre.training.run.Run`, with the network's weights.
    """
    found = evaluate(model, data.waveforms, data.active)
    sha256 = verify_sha256(run.folder / WEIGHTS)
    shape = {name: getattr(model, name) for name in model.arguments()}
    run.write_json(ABOUT, {"network": shape, "sha256": sha256, "run": run.folder.name})
    trained = {"steps": results.step, "skipped": results.skipped}
    trained["best_step"] = results.best_step
    run.write_json("metrics.json", {"validation": found, "training": trained})
    print(json.dumps({name: round(value, 4) for name, value in found.items()}))
    card = CARD.format(
        name=run.folder.name,
        corpus=data.facts["corpus"],
        speakers=len(data.facts["speakers"]["train"]),
        utterances=data.facts["utterances"]["train"],
        parameters=model.count_params(),
        weights=WEIGHTS,
        sha256=sha256,
        **shape | {"ahead": shape["ahead"] * 10},
        **trained,
        **found,
    )
    run.write_card(card)
