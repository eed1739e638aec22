"""The script for flows from end to end: spectra of numbers, and data that is broken."""

import json
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from flows.models import registry
from tests import programs
from tests.flows.runs import KINDS, command, smoke
from tests.sessions import run_sessions
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings
from timbre.files import verify_sha256

pytestmark = pytest.mark.slow


def train(folder, *arguments):
    """Runs the smoke preset; returns the process."""
    return programs.run(command(*arguments), cwd=folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and what the script printed."""
    return smoke(tmp_path_factory)


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


def texts(run):
    """What must not change when nothing was left to do."""
    names = ["metrics.json", "history.csv", "card.md", "flow.json"]
    names += [f"{registry.weights_file(kind)}.sha256" for kind in KINDS]
    names += [f"export/{path.name}" for path in (run / "export").iterdir()]
    return {
        name: (run / name).read_text() if (run / name).is_file() else None
        for name in names
    }


def test_the_same_command_again_takes_no_step_and_changes_nothing(trained):
    run, said = trained
    before = texts(run)
    done = train(run.parents[1])
    assert done.returncode == 0 and done.stdout == said
    assert texts(run) == before
    assert "steps/s" not in done.stderr and "Resuming" not in done.stderr


def test_a_run_of_another_config_is_refused(trained):
    done = train(trained[0].parents[1], "--backbone.steps", "3")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "backbone.steps: 2 there, 3 here" in done.stderr


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


def test_a_run_stopped_in_each_model_ends_as_one_left_alone_to_the_bit(tmp_path):
    longer = ("--models", "vae", "fdnf", "--steps", "300", "--validate-every", "100")
    longer += ("--save-every", "20", "--log-every", "20", "--pairs", "50")
    whole, broken = (tmp_path / name / "flow-smoke" for name in ("whole", "broken"))
    stopped = train(tmp_path, *longer, "--runs", "broken", "--stop-after", "130")
    assert stopped.returncode == 130 and "Saved step 130 of vae." in stopped.stderr
    killed = programs.Program(command(*longer, "--runs", "broken"), cwd=tmp_path)
    while killed.poll() is None and newest(broken, "fdnf") < 120:
        time.sleep(0.002)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert (broken / "vae.weights.h5").exists()
    assert not (broken / "fdnf.weights.h5").exists()
    again = command(*longer, "--runs")[2:]
    both = ((*again, name) for name in ("broken", "whole"))  # goes on in a new process
    left, said = run_sessions(tmp_path, "train_flow", *both)
    assert left == [0, 0] and said.count("Resuming fdnf after step") == 1
    for name in (
        *("vae.weights.h5.sha256", "fdnf.weights.h5.sha256"),
        *("history.csv", "metrics.json", "flow.json", "card.md"),
    ):
        assert (whole / name).read_text() == (broken / name).read_text(), name


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
def refused(tmp_path_factory):
    """A folder of bad data, and how the script left for each."""
    folder, tried = tmp_path_factory.mktemp("bad"), {}
    for name, (write, changes, _) in BAD.items():
        write(folder / f"{name}.npz")
        given = ("--preset", "embeddings", "--name", name)
        tried[name] = [*given, "--data.path", f"{name}.npz", *SMALL, *changes]
    left, _ = run_sessions(folder, "train_flow", *tried.values())
    return folder, dict(zip(tried, left, strict=True))


@pytest.mark.parametrize("name", BAD)
def test_what_can_not_be_learned_from_leaves_a_sentence_and_no_folder(name, refused):
    folder, left = refused
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
