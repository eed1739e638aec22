"""What a run leaves for its users: a calibration, and a folder to hand on."""

import json
from types import SimpleNamespace

import pytest

from tests.voiceemb.runs import make
from timbre.corpora import folders
from timbre.metrics.calibration import LogisticCalibration
from timbre.training.run import Run
from voiceemb import Encoder, calibration, evaluate, report
from voiceemb import __main__ as cli
from voiceemb.training.splits import SpeakerSplits


@pytest.fixture
def run(trained_run):
    return trained_run / "runs" / "smoke"


class Cepstra:
    """Stands for an encoder that has learned something."""

    about, sample_rate = {"sha256": "a" * 64}, 16000

    def embed_utterances(self, waveforms):
        return evaluate.mfcc_extractor()(waveforms)


@pytest.mark.slow
def test_a_run_is_calibrated_by_the_voices_that_chose_its_weights(
    trained_run, tmp_path
):
    corpus = folders.open_corpus(trained_run / "corpus" / "smoke")
    parts = SpeakerSplits(corpus, corpus, None, None, "open-set")
    run = Run.open(tmp_path / "run", {})
    limit = report.calibrate(Cepstra(), parts, run)
    kept = calibration.read(run.path(calibration.FILE), sha256="a" * 64)
    assert (
        limit["eer"] < 0.4 and not kept.corpus_scores
    )  # of one corpus, believed as it is
    assert (
        abs(kept.calibration.threshold() - limit["value"]) < 0.15
    )  # both balance the errors
    held = json.loads(run.path(calibration.FILE).read_text("utf-8"))
    assert list(held["corpora"]) == ["smoke, validation"]


@pytest.mark.slow
def test_a_run_that_can_not_be_calibrated_says_so_and_has_its_threshold(
    trained_run, tmp_path, monkeypatch, capsys
):
    def refuse(*_):
        raise ValueError("same pairs do not score higher")

    monkeypatch.setattr(calibration, "fit", refuse)
    corpus = folders.open_corpus(trained_run / "corpus" / "smoke")
    parts, run = (
        SpeakerSplits(corpus, corpus, None, None, "open-set"),
        Run.open(tmp_path, {}),
    )
    assert -1 < report.calibrate(Cepstra(), parts, run)["value"] < 1
    assert "No calibration: same pairs do not" in capsys.readouterr().err
    assert not run.path(calibration.FILE).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("networks_loaded_once")
def test_users_calibrate_on_recordings_of_their_own(run, trained_run, tmp_path, capsys):
    out = tmp_path / "mine.json"
    corpus = str(trained_run / "corpus" / "smoke")
    command = ["calibrate", "--corpus", corpus, "--run", str(run), "--out", str(out)]
    cli.main([*command, "--protocol", "closed-set"])
    assert "expected calibration error" in capsys.readouterr().out
    held = json.loads(out.read_text("utf-8"))
    assert held["protocol"] == "closed-set" and "smoke" in held["corpora"]
    sounds = [str(u.path) for u in folders.open_corpus(corpus).utterances[:2]]
    cli.main(["verify", *sounds, "--run", str(run), "--calibration", str(out)])
    assert "probability of one voice" in capsys.readouterr().out
    held["weights"] = "0" * 64
    out.write_text(json.dumps(held))
    with pytest.raises(SystemExit, match="holds for the weights it was fitted on"):
        cli.main(["verify", *sounds, "--run", str(run), "--calibration", str(out)])


def test_a_calibration_of_earlier_weights_does_not_outlive_them(tmp_path, monkeypatch):
    """It would be refused beside the new ones, and the run could not be finished."""

    class Later(Exception):
        pass

    def untrained(folder):
        raise Later

    run = Run(make(tmp_path / "run", ["anna"]), {})
    line = LogisticCalibration(slope=4.0, offset=-2.0)
    calibration.write(run.path(calibration.FILE), line, sha256="a" * 64, about={})
    with pytest.raises(ValueError, match="holds for the weights it was fitted on"):
        Encoder.load(run.folder)
    monkeypatch.setattr(
        report, "build_untrained", untrained
    )  # what comes next takes long
    with pytest.raises(Later):
        report.finish(None, None, SimpleNamespace(splits=None), {}, run=run)
    assert Encoder.load(run.folder).calibration is None


def test_a_name_of_no_shipped_weights_names_those_there_are():
    with pytest.raises(ValueError, match="`name` must be one of .*Received: 'huge'"):
        Encoder.pretrained("huge")
    for path in ("..", "../pretrained/small", ""):
        with pytest.raises(ValueError, match="`name` must be one of"):
            Encoder.pretrained(path)
