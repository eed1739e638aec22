import json
import shutil

import numpy as np
import pytest

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.calibration import LogisticCalibration
from voiceemb import __main__ as cli
from voiceemb import calibration as calibrations
from voiceemb.commands import io
from voiceemb.encoder import Encoder

pytestmark = pytest.mark.usefixtures("networks_loaded_once")


@pytest.fixture(scope="module")
def places(trained_run):
    return trained_run / "runs" / "smoke", trained_run / "corpus" / "smoke"


@pytest.fixture
def calibrated(places, tmp_path):
    """The run, with another calibration."""
    trained, _ = places
    run = shutil.copytree(trained, tmp_path / "smoke")
    calibration = LogisticCalibration(slope=4.0, offset=-2.0)
    weights = Encoder.load(trained).about["sha256"]
    calibrations.write(run / calibrations.FILE, calibration, sha256=weights, about={})
    return run


@pytest.mark.slow
def test_embed_writes_a_set_of_all_that_can_be_read(places, tmp_path, capsys):
    run, corpus = places
    file = next(corpus.glob("*/*.flac"))
    bad = tmp_path / "bad.wav"
    bad.write_text("this is no sound")
    out = tmp_path / "set.npz"
    cli.main(
        ["embed", str(file), str(bad), str(corpus), "--run", str(run)]
        + ["--out", str(out)]
    )
    voices = EmbeddingSet.load(out)
    assert len(voices) == 61 and voices.speaker[0] == ""
    assert len(set(voices.speaker)) == 13
    assert voices.about["extractor"] == "smoke" and voices.about["dim"] == 32
    gender = voices.labels["gender"]  # a column of the manifest; the file has none
    assert gender[0] == "" and {*gender[1:]} == {"f", "m"}
    np.testing.assert_allclose(np.linalg.norm(voices.embeddings, axis=1), 1, atol=1e-5)
    said = capsys.readouterr()
    assert "61 embeddings of 32 dimensions" in said.out and "bad.wav" in said.err


@pytest.mark.slow
def test_verify_tells_score_answer_and_where_the_threshold_is_from(places, capsys):
    run, corpus = places
    file = str(next(corpus.glob("*/*.flac")))
    cli.main(["verify", file, file, "--run", str(run)])
    said = capsys.readouterr().out
    assert "cosine 1.0000" in said and "the same voice" in said
    assert "validation" in said
    cli.main(["verify", file, file, "--run", str(run), "--threshold", "1.1"])
    assert "two voices (threshold 1.1000, as asked)" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluate_refuses_speakers_it_was_trained_on(places, calibrated, capsys):
    """Of others it prints the errors, and of a calibration too."""
    corpus = places[1]
    command = ["evaluate", "--corpus", str(corpus), "--run", str(calibrated)]
    with pytest.raises(SystemExit, match="have names that were trained on"):
        cli.main(command)
    cli.main([*command, "--leave-out-trained"])
    table = capsys.readouterr().out
    for name in ("smoke: smoke", "smoke: untrained network", "smoke: MFCC statistics"):
        assert name in table
    last = table.splitlines()[-1]
    assert last.startswith("smoke: smoke, all-pairs, open-set, unseen speakers: ")
    assert "expected calibration error" in last and "Cllr" in last
    out = calibrated / "evaluation"
    rows = json.loads((out / "metrics.json").read_text())["table"]
    assert len(rows) == 3 and rows[0]["num_speakers"] == 2
    assert ["calibration" in row for row in rows] == [True, False, False]
    assert (out / "smoke" / "det.png").is_file()
    assert (out / "smoke" / "reliability.png").is_file()
    assert (out / "smoke" / "all-pairs.txt").is_file()


@pytest.mark.slow
def test_embed_takes_a_folder_of_recordings_of_nobody_in_particular(
    places, tmp_path, capsys
):
    run, corpus = places
    loose = tmp_path / "meeting"
    loose.mkdir()
    for i, file in enumerate(sorted(corpus.glob("*/*.flac"))[:3]):
        (loose / f"{i}.flac").write_bytes(file.read_bytes())
    out = tmp_path / "set.npz"
    cli.main(["embed", str(loose), "--run", str(run), "--out", str(out)])
    voices = EmbeddingSet.load(out)
    assert len(voices) == 3 and set(voices.speaker) == {""}


@pytest.mark.slow
def test_an_export_is_evaluated_only_under_a_protocol_that_is_said(
    places, tmp_path, capsys
):
    run, corpus = places
    for speaker in sorted(path for path in corpus.iterdir() if path.is_dir())[:2]:
        shutil.copytree(speaker, tmp_path / "few" / speaker.name)
    few = str(tmp_path / "few")
    command = ["evaluate", "--corpus", few, "--run", str(run / "export")]
    with pytest.raises(SystemExit, match="does not know whom it was trained on"):
        cli.main(command)
    cli.main([*command, "--protocol", "closed-set", "--out", str(tmp_path)])
    assert "closed-set" in capsys.readouterr().out
    assert not (run / "export" / "evaluation").exists()


@pytest.mark.slow
def test_evaluate_takes_a_list_of_trials_and_centres_scores(places, tmp_path, capsys):
    run, corpus = places
    trials = run / "trials" / "test" / "all-pairs.txt"
    lines = trials.read_text().splitlines()[:30:3]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines) + "\n")
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run)]
    command += ["--trials", str(listed), "--out", str(tmp_path), "--leave-out-trained"]
    cli.main([*command, "--normalise", "centre"])
    assert "smoke: smoke, centred on this corpus (unsuper" in capsys.readouterr().out
    rows = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert {row["num_trials"] for row in rows} == {len(lines)}
    assert {row["trial_list"] for row in rows} == {"list"}


class Calibrated:
    """An encoder that finds the cosine of any two files to be 0.25."""

    calibration = LogisticCalibration(slope=4.0, offset=-2.0)

    def embed_utterance(self, path):
        return path

    def similarity(self, a, b):
        return 0.25


@pytest.mark.parametrize(
    "more, expected",
    [
        # llr = 4 * 0.25 - 2 = -1; probability = 1 / (1 + e) = 0.2689
        ([], ["probability of one voice 0.2689 (prior 0.5)", "two voices (threshold"]),
        # odds e**-1 * 4; the threshold is where 4 * s - 2 = -log(4)
        (
            ["--prior", "0.8"],
            ["0.5954 (prior 0.8)", "the same voice (threshold 0.1534, probability 0.5"],
        ),
        (
            ["--threshold", "0.2"],
            ["0.2689", "the same voice (threshold 0.2000, as ask"],
        ),
    ],
)
def test_verify_says_a_probability_and_decides_by_it(
    monkeypatch, capsys, more, expected
):
    monkeypatch.setattr(io, "load_encoder", lambda *_: Calibrated())
    cli.main(["verify", "a.wav", "b.wav", "--run", "small", *more])
    said = capsys.readouterr().out
    assert all(text in said for text in ["cosine 0.2500", *expected])


def test_a_prior_is_a_probability_and_needs_a_calibration(monkeypatch):
    monkeypatch.setattr(io, "load_encoder", lambda *_: Calibrated())
    command = ["verify", "a.wav", "b.wav", "--run", "small", "--prior"]
    with pytest.raises(SystemExit, match=r"`prior` must be in \(0, 1\)"):
        cli.main([*command, "1"])
    monkeypatch.setattr(Calibrated, "calibration", None)
    with pytest.raises(SystemExit, match="--prior needs an encoder with a calibration"):
        cli.main([*command, "0.5"])


def test_a_run_that_is_no_path_is_the_name_of_shipped_weights(monkeypatch, tmp_path):
    asked = []

    def pretrained(name="small", *, calibration_file=None):
        asked.append(name)
        raise ValueError("Shipped weights are ['small']")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Encoder, "pretrained", pretrained, raising=False)
    command = ["verify", "a.wav", "b.wav", "--run"]
    with pytest.raises(SystemExit, match=r"no smal here. Shipped weights are \['small"):
        cli.main([*command, "smal"])
    (tmp_path / "small").mkdir()
    for path in ("small", "runs/small"):
        with pytest.raises(SystemExit, match="Expected a run folder"):
            cli.main([*command, path])
    assert asked == ["smal"]


@pytest.mark.slow
def test_evaluate_normalises_scores_and_names_what_it_did(places, tmp_path, capsys):
    run, corpus = places
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run)]
    command += ["--out", str(tmp_path), "--leave-out-trained", "--normalise"]
    cli.main([*command, "as-norm", "--cohort", str(corpus), "--top", "5"])
    said = capsys.readouterr()
    assert "smoke: smoke, AS-norm by smoke (top 5 of 10)" in said.out
    assert "2 of 12 speakers of the cohort have names of 'smoke'" in said.err
    rows = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert [row["normalise"] for row in rows] == ["none", "as-norm", "none", "none"]
    for wrong in (["as-norm"], ["centre", "--cohort", str(corpus)]):
        with pytest.raises(SystemExit, match="--cohort need each other"):
            cli.main([*command, *wrong])


@pytest.mark.slow
def test_robustness_writes_rows_and_figures_of_unseen_speakers(
    places, tmp_path, capsys
):
    run, corpus = places
    command = ["robustness", "--corpus", str(corpus), "--run", str(run)]
    with pytest.raises(SystemExit, match="have names that were trained on"):
        cli.main(command)
    command += ["--out", str(tmp_path), "--leave-out-trained", "--noisy", "test"]
    cli.main(command)
    said = capsys.readouterr().out
    for name in ("smoke: smoke, 0.5 s", "smoke: MFCC statistics, 0 dB"):
        assert name in said
    rows = json.loads((tmp_path / "robustness.json").read_text())["table"]
    assert len(rows) == 2 * (5 + 5)
    assert {row["noisy"] for row in rows if row["kind"] == "noise"} == {
        "test side only"
    }
    for name in ("duration", "noise"):
        assert (tmp_path / "smoke" / f"{name}.png").is_file()
    with pytest.raises(SystemExit, match="There is no none"):
        cli.main([*command, "--noises", "none"])


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["verify", "none.wav", "none.wav"], "run folder"),
        (["embed", "none.wav", "--out", "x.npz"], "There is no none.wav"),
        (["embed", "none.wav", "--out", "x.txt"], "--out must end in .npz"),
    ],
)
def test_a_mistake_is_one_line(arguments, reason, tmp_path):
    with pytest.raises(SystemExit, match=reason):
        cli.main([*arguments, "--run", str(tmp_path)])
