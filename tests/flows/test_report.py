"""What a report says of models whose figures are known."""

import json
from types import SimpleNamespace

import pytest

from flows import figures, report
from flows.config import SpeechFlowConfig
from flows.evaluation import summary
from tests.flows import stand_ins
from timbre.files import sha256
from timbre.training.run import Run

CONFIG = SpeechFlowConfig(pairs=70, seed=3)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A run whose evaluation and figures are replaced by what they were asked for."""
    asked = {}

    def evaluate(models, parts, *, pairs, seed):
        asked["evaluate"] = (models, parts, pairs, seed)
        return stand_ins.results()

    def draw(models, parts, folder, **told):
        asked["draw"] = told | {"folder": folder}

    monkeypatch.setattr(report, "evaluate", evaluate)
    monkeypatch.setattr(figures, "save_figures", draw)
    monkeypatch.setattr(report, "signatures", lambda *of: of)
    run = Run.open(tmp_path / "flow", {"backbone": {"name": "realnvp", "steps": 4}})
    models = {kind: stand_ins.Model() for kind in ("nf", "fdnf")}
    for kind in models:
        path = run.folder / f"{kind}.weights.h5"
        path.write_bytes(kind.encode())
        run.write_text(f"{path.name}.sha256", f"{sha256(path)}  {path.name}\n")
    done = {
        kind: SimpleNamespace(
            step=500, skipped=2, best_step=400, history=[{"step": 5, "phase": kind}]
        )
        for kind in models
    }
    return run, models, stand_ins.parts(), done, asked


def test_a_run_ends_with_report_figures_numbers_and_card(finished, capsys):
    run, models, parts, done, asked = finished
    served, about = report.finish(CONFIG, models, parts, done, run=run)
    results = stand_ins.results()
    assert served == (models["fdnf"], None) and about["model"] == "fdnf"
    assert asked["evaluate"] == (models, parts, 70, 3)
    said = capsys.readouterr().out
    assert said.strip() == summary.summarise(results).strip()
    written = json.loads((run.folder / "metrics.json").read_text())
    assert written["training"]["fdnf"] == {"steps": 500, "skipped": 2, "best": 400}
    assert {k: v for k, v in written.items() if k != "training"} == results
    assert asked["draw"]["history"] == [*done["nf"].history, *done["fdnf"].history]
    assert asked["draw"]["folder"] == run.folder / "figures"
    assert asked["draw"]["published"] is summary.PUBLISHED


def test_the_card_says_what_what_of_what_for_and_what_not(finished):
    run, models, parts, done, _ = finished
    report.finish(CONFIG, models, parts, done, run=run)
    card = (run.folder / "card.md").read_text("utf-8")
    assert "Changing a speaker is not anonymisation" in card
    assert summary.summarise(stand_ins.results()) in card
    assert "a / name" in card and "phone: 3 classes" in card  # no cell is torn
    assert "| an input | 4 x 6, 24 numbers |" in card
    digest = sha256(run.folder / "fdnf.weights.h5")
    told = "1,234 numbers, 500 steps, 2 skipped; `fdnf.weights.h5`"
    assert f"| f-DNF | {told}, sha256 `{digest}` |" in card
    assert "100 train, 10 valid, 20 test, 0 unseen" in card
    table = [each for each in card.splitlines() if each.startswith("|")]
    assert {each.replace("\\|", "").count("|") for each in table} == {3}


def test_a_card_is_never_of_other_weights(finished):
    run, models, parts, done, _ = finished
    (run.folder / "nf.weights.h5").write_bytes(b"other")
    with pytest.raises(ValueError, match="not those the run has written"):
        report.finish(CONFIG, models, parts, done, run=run)
