"""Bundles: run folders without what only training needs, and ensembles of runs.

`Encoder.load` takes a bundle as it takes a run. It is data and holds no program.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from timbre.corpora import folders
from timbre.files import atomic_folder, sha256, write_json
from voiceemb.calibration import FILE
from voiceemb.encoder import Encoder

NUM_UTTERANCES = 3  # of each speaker, in the centre of a network
FILES = (
    "metrics.json",
    "speakers.json",
    "history.csv",
    "card.md",
    FILE,
    "model.weights.h5",
    "model.weights.h5.sha256",
)
FUSED_CARD = """# Speaker encoder `{name}`

An ensemble of {count} encoders: a cosine is the mean of theirs.
{parameters:,} parameters, {dim} dimensions, weights of sha256 `{sha256}`.

{cards}
"""


def pack(run, folder):
    """Copies a run without what only training needs; paths in its config become names.

    Args:
        run: Folder of the run.
        folder: The bundle, which is returned; it must not exist.
    """
    run = Path(run)
    Encoder.load(run)  # whole, or an error before anything is written
    document = _read(run, "config.json")
    config = document["config"]
    config["corpus"] = [Path(source).name for source in config.get("corpus", ())]
    for name in {"runs", "cache"} & config.keys():
        config[name] = Path(config[name]).name
    with _new_folder(folder) as unfinished:
        write_json(unfinished / "config.json", document)
        for name in FILES:
            if (run / name).is_file():
                shutil.copyfile(run / name, unfinished / name)
    return Path(folder)


def fuse(runs, folder, *, centred=False):
    """Makes one encoder of several, see `voiceemb.networks.ensemble`.

    Args:
        runs: Folders of runs, at least two, of one filterbank, one normalisation and
            one window; their networks and training speakers may differ.
        folder: The bundle, which is returned; it must not exist. It has no calibration:
            fit one to it.
        centred: Whether the centre of each network is set to `centre`.

    Raises:
        ValueError: If the runs do not fit together.
    """
    from voiceemb.networks import speaker_encoder

    runs = [Path(run) for run in runs]
    members = [Encoder.load(run) for run in runs]
    configs = [_read(run, "config.json")["config"] for run in runs]
    shared = _shared_config(configs, runs)
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
    with _new_folder(folder) as unfinished:
        weights = unfinished / "model.weights.h5"
        fused.save_weights(weights)
        digest = sha256(weights)
        beside = unfinished / f"{weights.name}.sha256"
        beside.write_text(f"{digest}  {weights.name}\n", encoding="utf-8")
        config = {**shared, "encoder": encoder, "members": [run.name for run in runs]}
        write_json(unfinished / "config.json", {"config": config})
        write_json(unfinished / "speakers.json", _speakers(runs))
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
    """The mean embedding of a run's training speakers, each counted once, `[dim]`.

    Args:
        run: Folder of the run; its corpora must be where they were in training.
        encoder: The `voiceemb.Encoder` in it.
    """
    config = _read(run, "config.json")["config"]
    trained = _read(run, "speakers.json")["speakers"]["train"]
    if not config["corpus"]:
        raise ValueError(
            "A centre is the mean of recordings, and a run does not keep synthetic "
            f"ones. Received: {run}"
        )
    groups = folders.open_corpus(config["corpus"]).subset(trained).by_speaker()
    rate = encoder.sample_rate
    means = [
        encoder.embed_speaker(u.read(sample_rate=rate) for u in own[:NUM_UTTERANCES])
        for own in groups.values()
    ]
    return np.mean(means, axis=0)


def _shared_config(configs, runs):
    """The config that all members must have in common."""
    same = {
        name: [config["encoder"][name] for config in configs]
        for name in ("log", "norm", "front_end")
    }
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


def _speakers(runs):
    """Training and validation speakers of any of the runs."""
    members = {run.name: _read(run, "speakers.json") for run in runs}
    speakers = {
        name: sorted(
            {s for one in members.values() for s in one["speakers"].get(name, ())}
        )
        for name in ("train", "validation")
    }
    return {"speakers": speakers, "members": members}


def _new_folder(folder):
    """A new folder, see `files.atomic_folder`, or an error before any work."""
    if Path(folder).exists():
        raise ValueError(f"A bundle is a new folder. Received: {folder}, which exists")
    return atomic_folder(folder)


def _read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))
