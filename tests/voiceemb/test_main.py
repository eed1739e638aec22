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
    assert "open-set" in said
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
