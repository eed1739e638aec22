"""Teaching a network when there is speech, and what is left of the lesson."""

import hashlib
import json

import keras
import numpy as np

from timbre.corpora import splits
from timbre.files import verify_sha256
from timbre.training import loop, optimisers
from timbre.training.distribution import is_chief, wait_for_all
from voiceemb.vad import labels
from voiceemb.vad.network import ABOUT, WEIGHTS, ActivityNetwork
from voiceemb.vad.simulation import MixtureSimulator

AT_ONCE = 32  # scenes judged at a time
HELD_OUT = 1 << 30  # a seed's distance: held-out noises are other ones
CARD = """# Detector of speech `{name}`

A small network that says every 10 ms how probable speech is; it looks {ahead} ms ahead.

| | |
| --- | --- |
| network | log-mel of {bands} bands, two convolutions of {filters} filters, a GRU of \
{units} units: {parameters:,} parameters |
| learned from | {corpus}: {speakers} speakers, {utterances} utterances, in \
made-up noise |
| steps | {steps}, {skipped} skipped; the best weights are those of step {best_step} |
| weights | `{weights}`, sha256 `{sha256}` |

Frames judged wrongly in scenes of held-out speakers and other made-up noises, speech \
taken for noise, noise for speech: {error:.1%}, {missed:.1%}, {false_alarms:.1%}.

## Limits

Noise was made up from numbers: measure on your own before you rely on it. Singing, \
crying, laughter and far voices are neither clearly speech nor clearly noise to it.
"""


def prepare(
    corpus, *, exclude_speakers, validation_speakers, validation_scenes, scenes, seed
):
    """The scenes to learn from, and those that choose the weights.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus` of clean speech.
        exclude_speakers: Names of those to leave out, see `timbre.corpora.splits.without`.
        validation_speakers: How many are held out, at most a fifth of all.
        validation_scenes: How many scenes are made of them.
        scenes: Dict of arguments of `MixtureSimulator`.
        seed: Of everything drawn.

    Returns:
        `MixtureSimulator`, held-out `(waveforms, active)` and facts for `Run.remember`.
    """
    corpus = splits.without(corpus, exclude_speakers)
    count = min(validation_speakers, max(len(corpus.speakers) // 5, 1))
    train, held = splits.split_by_speaker(corpus, counts=[None, count], seed=seed)
    lessons = MixtureSimulator(labels.label_corpus(train), **scenes, seed=seed)
    others = scenes | {"noises": max(scenes["noises"] // 5, 1)}
    exam = MixtureSimulator(labels.label_corpus(held), **others, seed=seed + HELD_OUT)
    pairs = exam.batches(batch=min(AT_ONCE, validation_scenes), ahead=0)(0)
    found = list(pairs.take(-(-validation_scenes // AT_ONCE)))
    waveforms, active = (
        np.concatenate([part[side] for part in found])[:validation_scenes]
        for side in (0, 1)
    )
    parts = {"train": train, "validation": held}
    facts = {
        "corpus": corpus.name,
        "speakers": {name: list(part.speakers) for name, part in parts.items()},
        "utterances": {name: len(part) for name, part in parts.items()},
        "sha256": {name: part.digest() for name, part in parts.items()}
        | {"sounds": _digest(lessons.utterances)},
    }
    return lessons, (waveforms, active), facts


def fit(network, lessons, exam, *, run, devices, steps, batch, optimiser, **settings):
    """Trains a network and leaves it with the weights that held-out scenes liked best.

    Args:
        network: An `ActivityNetwork`, made in the scope of `devices`.
        lessons: The `MixtureSimulator` to learn from.
        exam: Held-out waveforms and when there is speech in them, see `prepare`.
        run: The run, a `timbre.training.run.Run`.
        devices: A `tf.distribute.Strategy`.
        steps, batch, optimiser: See `activity_settings.ActivityDetector`.
        **settings: For `timbre.training.loop.fit`.

    Returns:
        The `timbre.training.loop.Result`.
    """
    with devices.scope():
        network.compile(
            optimizer=optimisers.build(steps=steps, **optimiser),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
    result = loop.fit(
        network,
        lessons.batches(batch=batch, ahead=network.ahead),
        run=run,
        phase="activity",
        steps=steps,
        strategy=devices,
        validate=lambda: errors(network, *exam),
        monitor="loss",
        **settings,
    )
    wait_for_all(devices)  # one process has written what all read
    if result.best_weights:
        run.load_weights(network, result.best_weights)
    if is_chief(devices):
        run.save_weights(network, WEIGHTS)
    return result


def errors(network, waveforms, active):
    """How wrong a network is about scenes.

    Args:
        network: An `ActivityNetwork`.
        waveforms: Float32 `[scenes, samples]`.
        active: Which frames are speech, 0 or 1, `[scenes, frames]`.

    Returns:
        Dict of `loss`, the mean cross-entropy in nats; `error`, the share of frames
        that are judged wrongly at 0.5; and of speech `missed` and `false_alarms` among
        the rest.
    """
    parts = range(0, len(waveforms), AT_ONCE)
    logits = [network(waveforms[at : at + AT_ONCE], training=False) for at in parts]
    logits = np.concatenate([keras.ops.convert_to_numpy(part) for part in logits])
    spoken = active[:, : logits.shape[1]] > 0.5
    wrong = (logits > 0) != spoken
    return {
        "loss": float(np.mean(np.logaddexp(0, np.where(spoken, -logits, logits)))),
        "error": float(wrong.mean()),
        "missed": float(wrong[spoken].mean()) if spoken.any() else 0.0,
        "false_alarms": float(wrong[~spoken].mean()) if not spoken.all() else 0.0,
    }


def finish(run, network, exam, facts, result):
    """Writes what a detector is built from, its figures and its card.

    Args:
        run: The `timbre.training.run.Run`, with the network's weights.
        network: The trained `ActivityNetwork`.
        exam, facts: See `prepare`.
        result: What `fit` gave.
    """
    found = errors(network, *exam)
    sha256 = verify_sha256(run.folder / WEIGHTS)
    shape = {name: getattr(network, name) for name in ActivityNetwork.ARGUMENTS}
    run.write_json(ABOUT, {"network": shape, "sha256": sha256, "run": run.folder.name})
    trained = {"steps": result.step, "skipped": result.skipped}
    trained["best_step"] = result.best_step
    run.write_json("metrics.json", {"validation": found, "training": trained})
    print(json.dumps({name: round(value, 4) for name, value in found.items()}))
    card = CARD.format(
        name=run.folder.name,
        corpus=facts["corpus"],
        speakers=len(facts["speakers"]["train"]),
        utterances=facts["utterances"]["train"],
        parameters=network.count_params(),
        weights=WEIGHTS,
        sha256=sha256,
        **shape | {"ahead": shape["ahead"] * 10},
        **trained,
        **found,
    )
    run.write_card(card)


def _digest(found):
    """Of all that is learned from: sounds and when there is speech in them."""
    sha = hashlib.sha256()
    for reading in found:
        sha.update(np.ascontiguousarray(reading.waveform))
        sha.update(np.packbits(reading.active))
    return sha.hexdigest()
