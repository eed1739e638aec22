"""The script for voices from end to end: made-up points, and sets that are broken."""

import hashlib
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
from tests.sessions import each_session
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings

pytestmark = pytest.mark.slow


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


SMOKE = ("speakers", "--preset", "smoke")
LONGER = (*SMOKE, "--synthetic.speakers", "200", "--steps", "300")
LONGER = (*LONGER, "--save-every", "20", "--validate-every", "150", "--runs")


def text_of(path):
    """The text of a file."""
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """A folder, and what each command of a user left there, by name, one by one.

    `killed` has a process of its own, all others one after it.
    """
    folder = tmp_path_factory.mktemp("voices")
    index = folder / "broken" / "voices-smoke" / "checkpoints" / "voices" / "checkpoint"
    script = ROOT / "train_diffusion.py"
    killed = programs.Program([sys.executable, script, *LONGER, "broken"], cwd=folder)
    while killed.poll() is None and not (index.exists() and "last-2" in text_of(index)):
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    weights = folder / "broken" / "voices-smoke" / "model.weights.h5"
    assert not weights.exists(), "training had ended before it was killed"
    embeddings.sample_speakers(200, seed=7).save(folder / "other.npz")
    for write in BAD:
        write(folder / f"{write.__name__}.npz")
    commands = {
        "resumed": (*LONGER, "broken"),
        "whole": (*LONGER, "whole"),
        "other set": (*LONGER, "whole", "--set", "other.npz"),
        "other config": (*LONGER, "whole", "--prediction", "noise"),
        "again": (*LONGER, "whole"),
        **{
            write: (*SMOKE, "--name", write.__name__, "--set", f"{write.__name__}.npz")
            for write in BAD
        },
    }
    ended = each_session(folder, "train_diffusion", *commands.values())
    return folder, {"killed": killed, **dict(zip(commands, ended, strict=True))}


@pytest.fixture(scope="module")
def trained(sessions):
    """A finished run, and what the script printed."""
    folder, ended = sessions
    assert ended["whole"].returncode == 0
    return folder / "whole" / "voices-smoke", ended["whole"].stdout


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
    assert results["training"] == {"steps": 300, "skipped": 0}
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


def test_the_same_command_again_ends_at_once_with_the_same_table(sessions, trained):
    run, printed = trained
    again = sessions[1]["again"]
    assert again.returncode == 0 and again.stdout == printed
    assert "steps/s" not in again.stderr  # nothing was left to do
    assert "steps/s" in sessions[1]["whole"].stderr
    stated = text_of(run / "model.weights.h5.sha256")
    weights = (run / "model.weights.h5").read_bytes()
    assert stated.split()[0] == hashlib.sha256(weights).hexdigest()


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


def test_a_run_that_is_killed_ends_as_one_left_alone_to_the_bit(sessions, trained):
    """The table too, of which `again` leaves the file it found: three reports agree."""
    folder, ended = sessions
    assert ended["killed"].returncode == -signal.SIGKILL
    resumed, (whole, printed) = ended["resumed"], trained
    assert resumed.returncode == 0 and resumed.stdout == printed
    assert resumed.stderr.count("Resuming voices after step") == 1
    assert "Resuming" not in ended["whole"].stderr
    for name in ("model.weights.h5.sha256", "history.csv", "metrics.json"):
        broken = folder / "broken" / "voices-smoke" / name
        assert text_of(whole / name) == text_of(broken), name


@pytest.mark.parametrize(
    "name, reason",
    [
        (
            "other set",
            "A run goes on with the rows it began with: start afresh (--fresh)",
        ),
        ("other config", "prediction: velocity there, noise here"),
    ],
)
def test_a_run_goes_on_with_its_own_set_and_config_only(sessions, name, reason):
    ended = sessions[1][name]
    assert ended.returncode.startswith("error: ") and reason in ended.returncode
    assert not ended.stdout and "Traceback" not in ended.stderr


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_a_set_that_can_not_be_learned_from_leaves_one_line_and_no_folder(
    write, sessions
):
    folder, ended = sessions
    line = ended[write].returncode
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
