"""The script for the detector of speech from end to end, on synthetic voices."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import train_activity
from tests import programs
from tests.conftest import ROOT
from timbre.files import verify_sha256
from timbre.training import interrupts
from voiceemb.vad.network import NetworkDetector

SCRIPT = str(ROOT / "train_activity.py")
SMALLEST = (
    *("--preset", "smoke", "--mixtures.seconds", "1", "--mixtures.equaliser", "0"),
    *("--mixtures.bandwidth", "0", "--mixtures.codec", "0", "--mixtures.room", "0"),
    *("--network.bands", "8", "--network.filters", "4"),
    *("--synthetic.num-speakers", "3", "--validate-every", "5", "--save-every", "5"),
)


def train(folder, *arguments):
    """Runs the smallest training there is; returns the process."""
    return programs.run([sys.executable, SCRIPT, *SMALLEST, *arguments], cwd=folder)


@pytest.fixture
def refused(monkeypatch, capsys):
    """The script in this process; returns the status it ends with, and what it said.

    Deterministic kernels stay off: they could not be turned off again.
    """
    monkeypatch.setattr(interrupts, "make_deterministic", keras.utils.set_random_seed)

    def run(folder, *arguments):
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            train_activity.main([*SMALLEST, *arguments])
        said, code = capsys.readouterr().err, end.value.code
        return (1, said + code) if isinstance(code, str) else (code, said)

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and what the script printed."""
    folder = tmp_path_factory.mktemp("activity")
    done = train(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs" / "activity-smoke", done.stdout


@pytest.mark.slow
def test_a_run_leaves_a_detector_and_its_card(trained):
    run, said = trained
    sha256 = verify_sha256(run / "model.weights.h5")
    found = json.loads((run / "metrics.json").read_text())
    assert found["training"]["steps"] == 10
    assert set(json.loads(said)) == {"loss", "error", "missed", "false_alarms"}
    assert sha256 in (run / "card.md").read_text()
    detector = NetworkDetector(run)
    assert detector.sha256 == sha256
    assert detector.probabilities(np.zeros(8000, "float32")).shape == (50,)


@pytest.mark.slow
def test_the_same_command_again_takes_no_step(trained):
    run, said = trained
    before = (run / "history.csv").read_text()
    done = train(run.parents[1])
    assert done.returncode == 0 and done.stdout == said
    assert (run / "history.csv").read_text() == before


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_left_alone_to_the_bit(trained):
    run, _ = trained
    folder = run.parents[1]
    stopped = train(folder, "--runs", "broken", "--stop-after", "4")
    assert stopped.returncode == 130 and "Saved step 4" in stopped.stderr
    done = train(folder, "--runs", "broken")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Resuming activity after step 4" in done.stderr
    for name in ("model.weights.h5.sha256", "history.csv", "metrics.json"):
        again = folder / "broken" / run.name / name
        assert again.read_text() == (run / name).read_text(), name


@pytest.mark.slow
def test_a_run_of_another_config_or_other_voices_is_refused(trained, refused):
    folder = trained[0].parents[1]
    done = train(folder, "--network.units", "9")
    assert done.returncode == 1 and "network.units: 8 there, 9 here" in done.stderr
    assert "Traceback" not in done.stderr
    whole = folder / "corpus" / "smoke-activity" / "manifest.csv"
    fewer = whole.with_name("fewer.csv")
    fewer.write_text("".join(whole.read_text().splitlines(keepends=True)[:-1]))
    code, said = refused(folder, "--corpus", str(fewer))
    assert code == 1 and "A run goes on with the rows it began with" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("--network.kernel", "1"),
            2,
            "`kernel` of VadNetworkConfig must be at least 2",
        ),
        (("--steps", "0"), 2, "`steps` of"),
        (("--mixtures.snr-db", "9", "3"), 2, "`snr_db`"),
        (("--corpus", "nowhere"), 1, "Received: nowhere"),
    ],
)
def test_a_command_that_can_not_be_leaves_a_sentence_and_no_folder(
    refused, tmp_path, arguments, code, said
):
    ended, line = refused(tmp_path, *arguments)
    assert ended == code and said in " ".join(line.split())
    assert not list(tmp_path.glob("runs/*"))


def test_help_answers_without_tensorflow():
    code = (
        "import sys, train_activity\n"
        "try:\n    train_activity.main(['--help'])\n"
        "except SystemExit:\n    print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "--mixtures.snr-db" in done.stdout and done.stdout.split()[-1] == "False"
