"""The commands on runs as a training leaves them, from end to end."""

import json

import numpy as np
import pytest

from flows import config, data
from flows.models import registry
from tests.flows import runs, stand_ins
from tests.flows.stand_ins import PLAN, call, leave, refused
from timbre.audio import wave
from timbre.corpora.embeddings import EmbeddingSet
from timbre.training.config import from_dict


@pytest.fixture
def known(monkeypatch):
    """The models that a folder stands for."""
    made = dict.fromkeys(("nf", "fdnf"), stand_ins.Model())
    monkeypatch.setattr(registry, "load", lambda run, kind="fdnf": made[kind])
    return made


@pytest.fixture
def run(tmp_path, known):
    return leave(tmp_path / "run", {"source": "spectra"})


@pytest.fixture
def same(monkeypatch):
    """The data that a run finds again."""
    parts = stand_ins.parts()
    parts.facts = {"sha256": {"train": "0"}}
    asked = {}
    monkeypatch.setattr(
        data, "prepare", lambda given: asked.update(given=given) or parts
    )
    parts.asked = asked
    return parts


def test_evaluate_measures_all_models_on_the_runs_own_data(
    run, tmp_path, same, known, monkeypatch, capsys
):
    from flows import evaluate as room
    from flows.evaluation import summary

    asked = {}

    def evaluate(models, parts, **told):
        asked.update(told, models=models, parts=parts)
        return stand_ins.results()

    monkeypatch.setattr(room, "evaluate", evaluate)
    out = tmp_path / "found.json"
    call("evaluate", "--run", run, "--out", out)
    assert asked["models"] == known and asked["parts"] is same
    assert (asked["pairs"], asked["seed"]) == (50, 4)  # as the run has it
    assert same.asked["given"] == from_dict(config.SpeechFlowConfig, PLAN)
    assert json.loads(out.read_text()) == stand_ins.results()
    assert summary.summarise(stand_ins.results()) in capsys.readouterr().out
    call("evaluate", "--run", run, "--pairs", 7, "--seed", 0)
    assert (asked["pairs"], asked["seed"]) == (7, 0)
    same.facts["sha256"] = {"train": "1"}
    assert "must be what the run has learned from" in refused("evaluate", "--run", run)
    assert "must end in .json" in refused(
        "evaluate", "--run", run, "--out", run / "a.npz"
    )


def test_figure_draws_what_the_run_has_found_again(
    run, tmp_path, same, monkeypatch, capsys
):
    from flows import figures

    asked = {}

    def draw(models, parts, folder, **told):
        asked.update(told, folder=folder)
        return [folder / "encoding.png"]

    monkeypatch.setattr(figures, "save_figures", draw)
    assert "has no metrics.json" in refused("figure", "--run", run)
    assert "has no metrics.json" in refused("figure", "--run", tmp_path / "typo")
    assert not (run / "figures").exists() and not (tmp_path / "typo").exists()
    (run / "metrics.json").write_text("{}")
    assert "must have models and factors" in refused("figure", "--run", run)
    found = stand_ins.results()
    (run / "metrics.json").write_text(json.dumps(found))
    assert "must be of the models" in refused("figure", "--run", run)
    found["models"] = {kind: found["models"][kind] for kind in ("nf", "fdnf")}
    (run / "metrics.json").write_text(json.dumps(found))
    (run / "history.csv").write_text("phase,step,loss\nnf,5,0.5\n")
    call("figure", "--run", run)
    assert asked["folder"] == run / "figures" and asked["seed"] == 4
    assert asked["history"] == [{"phase": "nf", "step": 5, "loss": 0.5}]
    assert capsys.readouterr().out.split() == [str(run / "figures" / "encoding.png")]
    call("figure", "--run", run, "--out", tmp_path / "elsewhere")
    assert asked["folder"] == tmp_path / "elsewhere"
    (tmp_path / "taken").write_text("")
    assert "taken" in refused("figure", "--run", run, "--out", tmp_path / "taken")


def test_a_model_of_whole_utterances_is_not_for_sliding_windows(tmp_path, known):
    known["fdnf"] = stand_ins.Model((20, 40))
    run = leave(tmp_path / "run", {"source": "manifest", "sample_rate": 16000})
    plan = PLAN | {"segment": {"fit": "stretch"}}
    (run / "config.json").write_text(json.dumps({"config": plan}))
    wave.write(tmp_path / "in.wav", np.zeros(8000))
    said = refused("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
                   "--sound", tmp_path / "in.wav",
                   "--out", tmp_path / "out.wav")  # fmt: skip
    assert "stretched to one length" in said and not (tmp_path / "out.wav").exists()


@pytest.mark.slow
def test_a_flow_of_embeddings_moves_rows_and_keeps_their_other_parts(tmp_path):
    rng = np.random.default_rng(0)
    who = np.array([f"F{i % 4}" for i in range(120)])
    made = EmbeddingSet(
        rng.normal(size=(120, 8)),
        who,
        np.full(120, ""),
        {},
        {"mood": np.array([*"ab"] * 60)},
    )
    made.save(tmp_path / "set.npz")
    told = {"source": "embeddings", "path": str(tmp_path / "set.npz"), "unseen": 0.0}
    plan = config.FlowDataConfig(**told, factors=("mood", "speaker"), min_rows=2)
    run = runs.make(tmp_path / "run", ("fdnf",), data=plan)
    command = ["manipulate", "--run", run, "--factor", "speaker", "--to", "F2"]
    out = tmp_path / "out.npz"
    call(*command, "--set", tmp_path / "set.npz", "--out", out)
    model, new = registry.load(run, "fdnf"), EmbeddingSet.load(out)
    x = np.asarray(made.embeddings, np.float32)
    expected = model.manipulate(x, "speaker", "F2")
    np.testing.assert_allclose(new.embeddings, expected, atol=1e-4)
    parts = [
        model.split_latents(model.encode(rows))["mood"] for rows in (x, new.embeddings)
    ]
    np.testing.assert_allclose(*parts, atol=1e-3)
    call(*command, "--set", tmp_path / "set.npz", "--out", out, "--alpha", 0)
    np.testing.assert_allclose(EmbeddingSet.load(out).embeddings, x, atol=1e-4)


@pytest.mark.slow
def test_a_flow_of_segments_changes_a_sound(tmp_path):
    """Out of a table of sounds; the way of length 0 leaves the spectrogram alone."""
    rng = np.random.default_rng(0)
    rows = ["path,start,end,phone,speaker"]
    for i in range(20):
        wave.write(tmp_path / f"{i}.wav", (0.1 * rng.normal(size=8000)).clip(-1, 1))
        rows += [
            f"{i}.wav,{t},{t + 0.1:.2f},{p},F{i % 2}"
            for t, p in ((0.1, "a"), (0.3, "s"))
        ]
    (tmp_path / "segments.csv").write_text("\n".join(rows))
    told = {"path": str(tmp_path / "segments.csv"), "cache": str(tmp_path / "cache")}
    plan = config.FlowDataConfig(source="segments", **told, unseen=0.0, min_rows=2)
    run = runs.make(tmp_path / "run", ("fdnf",), data=plan)
    front = data.front_end(json.loads((run / "flow.json").read_text())["about"])
    given, out = tmp_path / "0.wav", tmp_path / "out.wav"
    command = ["manipulate", "--run", run, "--factor", "speaker", "--out", out]
    command += ["--sound", given, "--alpha"]

    def moved():
        energy = [np.asarray(front(wave.read(path)[None])) for path in (given, out)]
        return np.abs(energy[1] - energy[0]).mean()

    call(*command, 0, "--to", "F1")
    assert moved() < 1.0 and len(wave.read(out)) == 8000
    before = moved()
    call(*command, 1, "--to", "F1", "--segments", tmp_path / "segments.csv")
    call(*command, 1, "--to-sound", tmp_path / "1.wav")
    assert np.isfinite(wave.read(out)).all() and before < moved()
