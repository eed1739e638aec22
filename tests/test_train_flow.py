"""The script for flows from end to end: spectra of numbers, and data that is broken."""

import csv
import json
import os
import signal
import sys

import h5py
import numpy as np
import pytest
import tensorflow as tf

from flows.models import registry
from tests import programs
from tests.conftest import ROOT
from tests.flows.stand_ins import call, refused
from tests.sessions import run_sessions
from timbre.audio import wave
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings
from timbre.files import verify_sha256

pytestmark = pytest.mark.slow


KINDS = ("vae", "nf", "dnf-phone", "dnf-speaker", "fdnf")
SMOKE = ("--preset", "smoke", "--backbone.steps", "1")
TWO = ("--models", "vae", "fdnf")
# Ends at once, as by a power cut, three steps after a checkpoint.
KILLED = """
import os, signal
from timbre.progress import ProgressBar
import train_flow

update = ProgressBar.update

def count(bar, *given):
    update(bar, *given)
    if (bar.desc, bar.n) == ("fdnf", 13):
        os.kill(os.getpid(), signal.SIGKILL)

ProgressBar.update = count
train_flow.main()
"""


def train(folder, *arguments, script=(str(ROOT / "train_flow.py"),)):
    """Runs the smoke preset, of one step of the backbone; returns the process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *script, *SMOKE, *arguments]
    return programs.run(command, cwd=folder, env=env)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was left alone, of all models, and what the script printed."""
    folder = tmp_path_factory.mktemp("whole")
    done = train(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs" / "flow-smoke", done.stdout


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run of two models, interrupted in one and killed in the other, and as above."""
    folder = tmp_path_factory.mktemp("broken")
    run = folder / "runs" / "flow-smoke"
    stopped = train(folder, *TWO, "--stop-after", "7")
    assert stopped.returncode == 130 and "Saved step 7 of vae." in stopped.stderr
    killed = train(folder, *TWO, script=("-c", KILLED))
    assert killed.returncode == -signal.SIGKILL
    assert "Resuming vae after step 7." in killed.stderr
    assert (run / "vae.weights.h5").exists() and newest(run, "fdnf") == 10
    assert not (run / "fdnf.weights.h5").exists()
    done = train(folder, *TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Resuming fdnf after step 10." in done.stderr
    return run, done.stdout


def test_a_run_leaves_all_it_promises(trained):
    run, said = trained
    weights = [registry.weights_file(kind) for kind in KINDS]
    for name in (
        *("config.json", "flow.json", "metrics.json", "history.csv", "card.md"),
        *(*weights, *(f"{name}.sha256" for name in weights)),
        *(f"figures/{name}.png" for name in ("encoding", "manipulation", "segments")),
        *("export/1/saved_model.pb", "export/1/assets.extra/about.json"),
    ):
        assert (run / name).is_file(), name
    facts = json.loads((run / "flow.json").read_text())
    assert facts["shape"] == [4, 8]
    assert {k: len(v) for k, v in facts["vocabulary"].items()} == {
        "phone": 10,
        "speaker": 5,
    }
    results = json.loads((run / "metrics.json").read_text())
    assert list(results["models"]) == list(KINDS)
    assert [*results["manipulation"]["phone"]] == ["vae", "nf", "dnf-phone", "fdnf"]
    assert all(took["steps"] == 20 for took in results["training"].values())
    assert said.strip() in (run / "card.md").read_text()


def test_the_models_of_a_run_can_be_loaded_and_give_back_what_they_get(trained):
    x = np.random.default_rng(0).normal(size=(3, 4, 8)).astype("float32")
    for kind in KINDS[1:]:
        model = registry.load(trained[0], kind)
        np.testing.assert_allclose(model.decode(model.encode(x)), x, atol=1e-4)


def test_the_served_model_is_the_factorial_one(trained):
    run, _ = trained
    served = tf.saved_model.load(str(run / "export" / "1"))
    x = np.random.default_rng(0).normal(size=(3, 4, 8)).astype("float32")
    answer = served.signatures["encode"](x=tf.constant(x))
    model = registry.load(run, "fdnf")
    np.testing.assert_allclose(answer["latent"], model.encode(x), atol=1e-5)
    assert "features" not in served.signatures  # there was no sound
    about = json.loads((run / "export/1/assets.extra/about.json").read_text())
    assert about["sha256"] == verify_sha256(run / "fdnf.weights.h5")
    assert about["model"] == "fdnf" and about["run"] == "flow-smoke"


def test_a_run_of_another_config_is_refused(trained):
    done = train(trained[0].parents[1], "--backbone.steps", "3")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "backbone.steps: 1 there, 3 here" in done.stderr


def test_a_run_goes_on_with_its_own_rows_only(tmp_path):
    make = ("--preset", "embeddings", "--models", "nf", "--data.path", "set.npz")
    short = ("--steps", "2", "--batch", "32", "--backbone.hidden", "8")
    small = (*make, *short, "--backbone.steps", "1", "--stop-after", "1")
    for seed, name in ((0, "set.npz"), (7, "other.npz")):
        embeddings.sample_utterances(20, 10, seed, dim=4).save(tmp_path / name)
    other = (*small, "--data.path", "other.npz")
    (code, line), _ = run_sessions(tmp_path, "train_flow", small, other)
    assert code == 130 and "\n" not in line
    assert "A run goes on with the rows it began with: start afresh" in line


def newest(run, kind):
    """Step of a model's newest checkpoint, -1 without one."""
    index = run / "checkpoints" / kind / "checkpoint"
    text = index.read_text("utf-8") if index.exists() else '"last--1'
    return int(text.split('"')[1].removeprefix("last-"))


def told(run, kind):
    """All that a run says of one of its models, and of its data.

    Names of layers, which Keras counts over all models of a run, are left out.
    """
    with (run / "history.csv").open(newline="") as file:
        history = [row for row in csv.DictReader(file) if row["phase"] == kind]
    found = json.loads((run / "metrics.json").read_text())
    digest = verify_sha256(run / registry.weights_file(kind))
    card = (run / "card.md").read_text().splitlines()
    changed = {factor: of[kind] for factor, of in found["manipulation"].items()}
    return {
        "history": history,
        "weights": weights(run / registry.weights_file(kind)),
        "facts": (run / "flow.json").read_text(),
        "measures": (found["models"][kind], changed, found["training"][kind]),
        "rows": (found["sizes"], found["probes"]),
        "card": [line.replace(digest, "") for line in card if digest in line],
    }


def weights(path):
    """The numbers of a file of weights, bytes by name."""
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.parametrize("kind", TWO[1:])
def test_a_run_stopped_in_each_model_ends_as_one_left_alone_to_the_bit(
    trained, resumed, kind
):
    whole, broken = (told(run, kind) for run, _ in (trained, resumed))
    assert [int(row["step"]) for row in whole["history"]][-1] == 20
    assert len(whole["card"]) == 1 and len(whole["weights"]) > 5
    assert broken == whole


def texts(run):
    """What must not change when nothing was left to do."""
    names = ["metrics.json", "history.csv", "card.md", "flow.json"]
    names += [f"{registry.weights_file(kind)}.sha256" for kind in TWO[1:]]
    names += [f"export/{path.name}" for path in (run / "export").iterdir()]
    return {
        name: (run / name).read_text() if (run / name).is_file() else None
        for name in names
    }


def test_the_same_command_again_takes_no_step_and_changes_nothing(resumed):
    run, said = resumed
    before = texts(run)
    done = train(run.parents[1], *TWO)
    assert done.returncode == 0 and done.stdout == said
    assert texts(run) == before
    assert "steps/s" not in done.stderr and "Resuming" not in done.stderr


def test_the_run_is_evaluated_to_the_same_figures(resumed, tmp_path, monkeypatch):
    run, _ = resumed
    monkeypatch.setattr(registry, "list_kinds", lambda run: ["fdnf"])  # one is enough
    out = tmp_path / "again.json"
    call("evaluate", "--run", run, "--out", out)
    found = json.loads((run / "metrics.json").read_text())
    again = json.loads(out.read_text())
    assert again["sizes"] == found["sizes"]
    for factor, rows in found["manipulation"].items():
        other = again["manipulation"][factor]["fdnf"]["target"]["after"]
        assert other == pytest.approx(rows["fdnf"]["target"]["after"], abs=1e-3)


def test_the_figures_of_the_run_are_drawn_again(resumed, tmp_path, capsys):
    run, _ = resumed
    call("figure", "--run", run, "--out", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in (run / "figures").iterdir()}
    parts = ("encoding", "parts", "leakage", "manipulation", "segments", "history")
    assert names == {f"{part}.png" for part in parts}
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_the_run_has_no_sound_and_says_so(resumed, tmp_path):
    run, _ = resumed
    wave.write(tmp_path / "in.wav", np.zeros(8000))
    to = json.loads((run / "flow.json").read_text())["vocabulary"]["speaker"][0]
    said = refused("manipulate", "--run", run, "--factor", "speaker", "--to", to,
                   "--sound", tmp_path / "in.wav",
                   "--out", tmp_path / "out.wav")  # fmt: skip
    assert "Only features of sound" in said and not (tmp_path / "out.wav").exists()


def missing(path):
    """Nobody has written this one."""


def truncated(path):
    embeddings.sample_utterances(20, 5).save(path)
    path.write_bytes(path.read_bytes()[:500])


def not_finite(path):
    given = embeddings.sample_utterances(20, 5, dim=8)
    given.embeddings[7, 2] = np.nan
    np.savez(path, embeddings=given.embeddings, speaker=given.speaker)


def one_class(path):
    rows = embeddings.sample_speakers(20, dim=8).embeddings
    EmbeddingSet(rows, np.full(20, "anna"), np.full(20, ""), {}).save(path)


def whole(path):
    embeddings.sample_utterances(20, 5, dim=8).save(path)


SMALL = ("--batch", "16", "--data.min-rows", "1")
BAD = {
    "missing": (missing, (), "No such file"),
    "truncated": (truncated, (), "Not an embedding set"),
    "not finite": (not_finite, (), "NaN or infinity in 1 of 100 rows"),
    "one class": (one_class, ("--data.unseen", "0"), "two classes or more. Received: "),
    "no column": (
        *(whole, ("--data.factors", "speaker", "mood")),
        "`factors` must name columns that the source has. Received: mood",
    ),
    "no path": (whole, ("--data.path", ""), "must say where 'embeddings' are"),
    "dims": (
        *(whole, ("--models", "fdnf", "--dims", "9")),
        "`dims` must be 1 numbers, 1 or more, that sum to 8",
    ),
    "batch": (whole, ("--batch", "5000"), "`batch` must be at most the number of rows"),
}


@pytest.fixture(scope="module")
def of_bad_data(tmp_path_factory):
    """A folder of bad data, and how the script left for each."""
    folder, tried = tmp_path_factory.mktemp("bad"), {}
    for name, (write, changes, _) in BAD.items():
        write(folder / f"{name}.npz")
        given = ("--preset", "embeddings", "--name", name)
        tried[name] = [*given, "--data.path", f"{name}.npz", *SMALL, *changes]
    left, _ = run_sessions(folder, "train_flow", *tried.values())
    return folder, dict(zip(tried, left, strict=True))


@pytest.mark.parametrize("name", BAD)
def test_what_can_not_be_learned_from_leaves_a_sentence_and_no_folder(
    name, of_bad_data
):
    folder, left = of_bad_data
    line = left[name]
    assert line.startswith("error: ") and "\n" not in line and BAD[name][2] in line
    assert not (folder / "runs" / name).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--preset", "huge"), "invalid choice: 'huge'"),
        (("--backbone.stepps", "3"), "stepps"),
        (("--backbone.name", "glow"), "glow"),
        (("--data.valid", "0"), "must be above 0"),
        (("--dims", "3"), "`dims` must have one number for each of"),
    ],
)
def test_a_command_that_can_not_be_leaves_a_sentence_and_no_folder(
    tmp_path, arguments, said
):
    done = train(tmp_path, *arguments)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())
