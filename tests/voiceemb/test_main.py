import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from voiceemb import __main__ as cli
from voiceemb.embeddings import EmbeddingSet


@pytest.fixture(scope="module")
def places(trained_run):
    return trained_run / "runs" / "smoke", trained_run / "corpus" / "smoke"


def test_help_answers_without_tensorflow():
    code = (
        "import sys\nfrom voiceemb import __main__\n"
        "try:\n    __main__.main(['--help'])\n"
        "except SystemExit:\n    print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "evaluate" in done.stdout and done.stdout.rstrip().endswith("False")


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
def test_evaluate_refuses_speakers_it_was_trained_on(places, tmp_path, capsys):
    run, corpus = places
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run)]
    with pytest.raises(SystemExit, match="have names that were trained on"):
        cli.main(command)
    cli.main([*command, "--out", str(tmp_path), "--leave-out-trained"])
    table = capsys.readouterr().out
    for name in ("smoke: smoke", "smoke: untrained network", "smoke: MFCC statistics"):
        assert name in table
    rows = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert len(rows) == 3 and rows[0]["num_speakers"] == 2
    assert (tmp_path / "smoke" / "det.png").is_file()
    assert (tmp_path / "smoke" / "all-pairs.txt").is_file()


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
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run / "export")]
    with pytest.raises(SystemExit, match="does not know whom it was trained on"):
        cli.main(command)
    cli.main([*command, "--protocol", "closed-set", "--out", str(tmp_path)])
    assert "closed-set" in capsys.readouterr().out
    assert not (run / "export" / "evaluation").exists()


@pytest.mark.slow
def test_evaluate_takes_a_list_of_trials(places, tmp_path, capsys):
    run, corpus = places
    trials = run / "trials" / "test" / "all-pairs.txt"
    lines = trials.read_text().splitlines()[:30:3]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines) + "\n")
    command = ["evaluate", "--corpus", str(corpus), "--run", str(run)]
    command += ["--trials", str(listed), "--out", str(tmp_path), "--leave-out-trained"]
    cli.main(command)
    rows = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert {row["num_trials"] for row in rows} == {len(lines)}
    assert {row["trial_list"] for row in rows} == {"list"}


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["verify", "none.wav", "none.wav"], "run folder"),
        (["embed", "none.wav", "--out", "x.npz"], "There is no none.wav"),
        (["embed", "none.wav", "--out", "x.txt"], "--out names a .npz file"),
    ],
)
def test_a_mistake_is_one_line(arguments, reason, tmp_path):
    with pytest.raises(SystemExit, match=reason):
        cli.main([*arguments, "--run", str(tmp_path)])
