"""Packing: what a user of a trained encoder needs, and no more; data, no program.

A packed folder is a run folder without what only training needs: `Encoder.load` takes
it, and whom the encoder has heard is still known. Several runs can be fused into one.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from timbre.corpora import folders
from timbre.files import atomic_folder, sha256
from voiceemb.calibration import FILE
from voiceemb.encoder import Encoder

OF_EACH = 3  # utterances of a speaker that say where the speaker lies

PACKED = (
    *("metrics.json", "speakers.json", "history.csv", "card.md", FILE),
    *("model.weights.h5", "model.weights.h5.sha256"),
)
FUSED_CARD = """# Speaker encoder `{name}`

{count} encoders that listen together: a cosine is the mean of theirs.
{parameters:,} parameters, {dim} dimensions, weights of sha256 `{sha256}`.

{cards}
"""


def pack(run, folder):
    """Copies a run without what only training needs.

    Places of the machine that trained it become names; weights, numbers, the card and,
    if there is one, the calibration stay as they are.

    Args:
        run: Folder of the run.
        folder: Where to; made anew, it must not exist.

    Returns:
        `folder`, which `Encoder.load` takes as it takes a run.
    """
    run = Path(run)
    Encoder.load(run)  # whole, or an error before anything is written
    whole = _read(run, "config.json")
    config = whole["config"]
    config["corpus"] = [Path(source).name for source in config.get("corpus", ())]
    for place in {"runs", "cache"} & config.keys():
        config[place] = Path(config[place]).name
    with _anew(folder) as unfinished:
        _write(unfinished, "config.json", whole)
        for name in PACKED:
            if (run / name).is_file():
                shutil.copyfile(run / name, unfinished / name)
    return Path(folder)


def fuse(runs, folder, *, centred=False):
    """Makes one encoder of several, see `voiceemb.networks.ensemble`.

    Args:
        runs: Folders of runs, at least two, of one filterbank, one normalisation and
            one window; their networks may differ, and whom they have heard.
        folder: Where to; made anew, it must not exist.
        centred: Whether each network's centre is set, from recordings of those it
            has learned from; their corpora must lie where they lay in training.

    Returns:
        `folder`, a packed one. It has no calibration: fit it one of its own.

    Raises:
        ValueError: If the runs can not listen together.
    """
    from voiceemb.networks import speaker_encoder

    runs = [Path(run) for run in runs]
    members = [Encoder.load(run) for run in runs]
    configs = [_read(run, "config.json")["config"] for run in runs]
    shared = _shared(configs, runs)
    networks = [
        {k: v for k, v in config["encoder"].items() if k not in shared["encoder"]}
        for config in configs
    ]
    encoder = {"network": "fusion", "members": networks, **shared["encoder"]}
    fused = speaker_encoder.build(**encoder)
    for i, (run, member) in enumerate(zip(runs, members, strict=True)):
        fused.network.members[i].set_weights(member.model.network.get_weights())
        if centred:
            fused.network.centres[i].assign(centre(run, member))
    with _anew(folder) as unfinished:
        weights = unfinished / "model.weights.h5"
        fused.save_weights(weights)
        digest = sha256(weights)
        beside = unfinished / f"{weights.name}.sha256"
        beside.write_text(f"{digest}  {weights.name}\n", encoding="utf-8")
        config = {**shared, "encoder": encoder, "members": [run.name for run in runs]}
        _write(unfinished, "config.json", {"config": config})
        _write(unfinished, "speakers.json", _heard(runs))
        cards = [run / "card.md" for run in runs]
        text = FUSED_CARD.format(
            name=Path(folder).name,
            count=len(runs),
            parameters=fused.count_params(),
            dim=fused.embedding_dim,
            sha256=digest,
            cards="\n".join(c.read_text("utf-8") for c in cards if c.is_file()),
        )
        (unfinished / "card.md").write_text(text, encoding="utf-8")
    return Path(folder)


def centre(run, encoder):
    """The mean embedding of the speakers a run has learned from, each counted once.

    Args:
        run: Folder of the run; its corpora must lie where they lay in training.
        encoder: The `voiceemb.Encoder` in it.

    Returns:
        float32 `[dim]`.
    """
    config = _read(run, "config.json")["config"]
    learned = _read(run, "speakers.json")["speakers"]["train"]
    if not config["corpus"]:
        raise ValueError(
            "A centre is found in recordings, and synthetic voices are not kept by "
            f"their run. Received: {run}"
        )
    groups = folders.open_corpus(config["corpus"]).subset(learned).by_speaker()
    rate = encoder.sample_rate
    means = [
        encoder.embed_speaker(u.read(sample_rate=rate) for u in some)
        for some in (group[:OF_EACH] for group in groups.values())
    ]
    return np.mean(means, axis=0)


def _shared(configs, runs):
    """What members must have in common, or an error that says what they have not."""
    same = {}
    for name in ("log", "norm", "front_end"):
        same[name] = [config["encoder"][name] for config in configs]
    same["crop_frames"] = [config["crop_frames"] for config in configs]
    for name, values in same.items():
        if any(value != values[0] for value in values):
            raise ValueError(
                f"Encoders that are fused must have one `{name}`. Received: "
                + ", ".join(f"{run}: {v}" for run, v in zip(runs, values, strict=True))
            )
    first = {name: values[0] for name, values in same.items()}
    window = first.pop("crop_frames")
    return {"encoder": first, "crop_frames": window, "seed": configs[0]["seed"]}


def _heard(runs):
    """Who was trained on, and who chose weights, by any of the runs."""
    told = {run.name: _read(run, "speakers.json") for run in runs}
    parts = [one["speakers"] for one in told.values()]
    speakers = {
        name: sorted({speaker for part in parts for speaker in part.get(name, ())})
        for name in ("train", "validation")
    }
    return {"speakers": speakers, "members": told}


def _anew(folder):
    """A new folder, see `files.atomic_folder`, or an error before any work."""
    if Path(folder).exists():
        raise ValueError(f"A folder is packed anew. Received: {folder}, which exists")
    return atomic_folder(folder)


def _read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def _write(folder, name, content):
    text = json.dumps(content, indent=2)
    (folder / name).write_text(text + "\n", encoding="utf-8")
