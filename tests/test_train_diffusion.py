"""The script for voices from end to end: made-up points, and sets that are broken."""

import json
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from diffusion.speakers.generator import SpeakerGenerator
from tests import programs
from tests.conftest import ROOT
from tests.sessions import run_sessions
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings

pytestmark = pytest.mark.slow


def command(*arguments):
    """`train_diffusion.py speakers --preset smoke` and what is added to it."""
    return [
        *(sys.executable, str(ROOT / "train_diffusion.py"), "speakers"),
        *("--preset", "smoke", "--synthetic.speakers", "200", *arguments),
    ]


def speakers(folder, *arguments):
    """Runs the command; returns the process."""
    return programs.run(command(*arguments), cwd=folder)


def text_of(path):
    """The text of a file."""
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and what the script printed."""
    folder = tmp_path_factory.mktemp("voices")
    done = speakers(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs" / "voices-smoke", done.stdout


def test_a_run_leaves_all_it_promises(trained):
    run, printed = trained
    for name in (
        *("config.json", "voices.json", "metrics.json", "history.csv", "card.md"),
        *("model.weights.h5", "model.weights.h5.sha256"),
        *(f"figures/{n}.png" for n in ("map", "distances", "noising", "training")),
        *("export/1/saved_model.pb", "export/1/assets.extra/about.json"),
    ):
        assert (run / name).is_file(), name
    facts = json.loads((run / "voices.json").read_text())
    assert not set(facts["speakers"]["train"]) & set(facts["speakers"]["held"])
    results = json.loads((run / "metrics.json").read_text())
    names = ("generated", "unseen real", "training voices")
    assert [*results["rows"]] == [*names, "Gaussian", "GMM(10)", "white noise"]
    assert results["training"] == {"steps": 20, "skipped": 0}
    assert results["sizes"]["generated"] == 10_000
    assert [row["voices"] for row in results["collisions"]["generated"]] == [
        *(10, 100, 1000, 10_000)
    ]
    assert "The model generates new speakers" in printed


def test_the_card_says_what_was_learned_and_never_calls_voices_anonymous(trained):
    run, printed = trained
    card = (run / "card.md").read_text()
    facts = json.loads((run / "voices.json").read_text())
    for fact in (
        *facts["sha256"].values(),
        *(run / "model.weights.h5.sha256").read_text().split()[:1],
        *("160 rows of 160 speakers", "resmlp", "velocity", "cosine, T = 1000"),
        *("alpha_bar[T] = 2.43e-09", "dpm_solver, 20 steps", "synthetic points"),
        *("never call these anonymous", "## Intended use", "## Limits", "white noise"),
    ):
        assert fact in card, fact
    assert printed.strip() in card


def test_the_same_command_again_ends_at_once_with_the_same_table(trained):
    run, printed = trained
    weights = (run / "model.weights.h5.sha256").read_text()
    before = (run / "metrics.json").read_text()
    done = speakers(run.parents[1])
    assert done.returncode == 0 and done.stdout == printed
    assert (run / "model.weights.h5.sha256").read_text() == weights
    assert (run / "metrics.json").read_text() == before
    assert "steps/s" not in done.stderr  # nothing was left to do


def test_the_served_model_generates_what_the_run_does(trained):
    run, _ = trained
    exported = sorted((run / "export").iterdir())[0]
    served = tf.saved_model.load(str(exported)).signatures["generate"]
    request = {"count": tf.constant(3), "steps": tf.constant(20)}
    result = served(**request, seed=tf.constant([5, 0]))["embedding"]
    voices = SpeakerGenerator.load(run)
    np.testing.assert_allclose(result, voices.generate(3, seed=5), atol=1e-5)
    about = json.loads((exported / "assets.extra/about.json").read_text())
    assert about["sha256"] == voices.about["sha256"]


def test_a_run_that_is_killed_ends_as_one_left_alone_to_the_bit(tmp_path):
    longer = ("--steps", "600", "--save-every", "20", "--validate-every", "300")
    whole, broken = (tmp_path / name / "voices-smoke" for name in ("whole", "broken"))
    index = broken / "checkpoints" / "voices" / "checkpoint"
    killed = programs.Program(command(*longer, "--runs", "broken"), cwd=tmp_path)
    while killed.poll() is None and not (index.exists() and "last-4" in text_of(index)):
        time.sleep(0.002)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert not (broken / "model.weights.h5").exists()
    again = command(*longer, "--runs")[2:]
    both = ((*again, name) for name in ("broken", "whole"))  # goes on in a new process
    left, printed = run_sessions(tmp_path, "train_diffusion", *both)
    assert left == [0, 0] and printed.count("Resuming voices after step") == 1
    names = ("model.weights.h5.sha256", "history.csv", "metrics.json")
    for name in names:
        assert text_of(whole / name) == text_of(broken / name), name


def test_a_run_goes_on_with_its_own_set_only(trained, tmp_path):
    run, _ = trained
    embeddings.sample_speakers(200, seed=7).save(tmp_path / "other.npz")
    done = speakers(run.parents[1], "--set", str(tmp_path / "other.npz"))
    assert done.returncode == 1
    assert "A run goes on with the rows it began with: start afresh (--fresh)" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_run_of_another_config_is_refused(trained):
    done = speakers(trained[0].parents[1], "--prediction", "noise")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "prediction: velocity there, noise here" in done.stderr


def missing(path):
    """Nobody has written this one."""


def truncated(path):
    embeddings.sample_speakers(50).save(path)
    path.write_bytes(path.read_bytes()[:500])


def pickled(path):
    path.write_bytes(pickle.dumps({"embeddings": [[1.0]], "speaker": ["a"]}))


def objects(path):
    np.savez(path, embeddings=np.array([None, 1.0]), speaker=np.array(["a", "b"]))


def not_finite(path):
    rows = np.ones((20, 4), np.float32)
    rows[7, 2] = np.nan
    np.savez(path, embeddings=rows, speaker=np.arange(20).astype(str))


def one_speaker(path):
    rows = embeddings.sample_speakers(20).embeddings
    EmbeddingSet(rows, np.full(20, "anna"), np.full(20, ""), {}).save(path)


def one_number(path):
    rows = embeddings.sample_speakers(20, dim=8).embeddings
    rows[3] = 0.5
    np.savez(path, embeddings=rows, speaker=np.arange(20).astype(str))


BAD = {
    missing: "No such file",
    truncated: "Not an embedding set",
    pickled: "Not an embedding set",
    objects: "Not an embedding set",
    not_finite: "NaN or infinity in 1 of 20 rows, the first is row 7",
    one_speaker: "needs two or more. Received: 20 rows of 1 speaker",
    one_number: "1 constant rows, the first is row 3",
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A folder of bad sets, and how the script left for each."""
    folder = tmp_path_factory.mktemp("bad")
    for write in BAD:
        write(folder / f"{write.__name__}.npz")
    names = [write.__name__ for write in BAD]
    smoke = ("speakers", "--preset", "smoke")
    tried = [(*smoke, "--name", name, "--set", f"{name}.npz") for name in names]
    left, _ = run_sessions(folder, "train_diffusion", *tried)
    return folder, dict(zip(names, left, strict=True))


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_a_set_that_can_not_be_learned_from_leaves_one_line_and_no_folder(
    write, refused
):
    folder, left = refused
    line = left[write.__name__]
    assert line.startswith("error: ") and "\n" not in line and BAD[write] in line
    assert not (folder / "runs" / write.__name__).exists()


def test_help_needs_no_tensorflow():
    code = (
        "import sys, train_diffusion\n"
        "try:\n    train_diffusion.main(['speakers', '--help'])\n"
        "except SystemExit:\n    print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "--network.width" in done.stdout
    assert done.stdout.rstrip().endswith("False")
