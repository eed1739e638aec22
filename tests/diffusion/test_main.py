import json
from typing import get_args

import numpy as np
import pytest

from diffusion import __main__ as cli
from diffusion.speakers import attacks, commands
from diffusion.speakers.generator import SpeakerGenerator
from tests.diffusion.speakers.runs import DIM, make_run, make_set
from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("main") / "run")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "set.npz"
    make_set(num_speakers=30, each=4, seed=1).save(path)
    return path


def call(*arguments):
    cli.main([str(argument) for argument in arguments])


def test_attackers_are_those_of_the_report():
    assert get_args(commands.Attacker) == attacks.ATTACKERS


def test_sample_writes_the_voices_of_a_seed_and_their_provenance(run, tmp_path, capsys):
    out = tmp_path / "new" / "voices.npz"
    command = ["sample", "--run", run, "--out", out, "--count", 7, "--seed", 3]
    call(*command, "--label", "mode=low", "--weight", 1, "--sampler", "ddim")
    assert "7 voices of 8 dimensions" in capsys.readouterr().out
    new = EmbeddingSet.load(out)
    options = {"labels": {"mode": "low"}, "weight": 1.0}
    expected = SpeakerGenerator.load(run).generate(7, 3, sampler="ddim", **options)
    np.testing.assert_array_equal(new.embeddings, expected)
    assert new.speaker[[0, 6]].tolist() == ["new000001", "new000007"]
    assert {*new.labels["mode"]} == {"low"}
    about = {**options, "generator": "run", "seed": 3, "sampler": "ddim", "steps": 4}
    assert about.items() <= new.about.items() and len(new.about["sha256"]) == 64
    call(*command)
    assert EmbeddingSet.load(out).labels == {}  # replaced


def test_sample_for_an_engine_has_its_form_or_none(run, tmp_path, monkeypatch):
    from diffusion.speakers.tts_export import FORMATS, TTSFormat

    out = tmp_path / "voices.npz"
    command = ["sample", "--run", run, "--out", out, "--engine", "speecht5"]
    with pytest.raises(SystemExit, match="error: speecht5 takes embeddings"):
        call(*command)
    assert not out.exists()
    monkeypatch.setitem(FORMATS, "speecht5", TTSFormat(DIM, unit=True))
    call(*command, "--count", 3)
    with np.load(out) as file:
        assert file["vectors"].shape == (3, DIM) and file["engine"] == "speecht5"
        assert file["extractor"] == "synthetic points"


def test_interpolate_goes_from_one_speaker_to_another(run, given, tmp_path, capsys):
    out, held = tmp_path / "path.npz", EmbeddingSet.load(given)
    ends = ["--from", held.speaker[0], "--to", held.segment[-1]]
    call("interpolate", "--run", run, "--set", given, *ends, "--num", 5, "--out", out)
    way = EmbeddingSet.load(out)
    assert way.speaker[0] == "between000" and len(way) == 5
    mean = held.embeddings[:4].mean(axis=0)
    both = [mean / np.linalg.norm(mean), held.embeddings[-1]]
    np.testing.assert_allclose(way.embeddings[[0, -1]], both, atol=0.1)
    assert way.about["interpolation"] == ends[1::2]
    assert len(capsys.readouterr().out.splitlines()) == 6
    with pytest.raises(SystemExit, match="a speaker or one segment 'nobody'"):
        call("interpolate", "--run", run, "--set", given, "--from", "nobody",
             "--to", held.speaker[0], "--out", out)  # fmt: skip


def test_edit_changes_the_label_and_keeps_who_it_was(run, given, tmp_path):
    out, before = tmp_path / "low.npz", EmbeddingSet.load(given)
    command = ["edit", "--run", run, "--set", given, "--out", out, "--steps", 20]
    call(*command, "--label", "mode=low")
    after = EmbeddingSet.load(out)
    assert {*after.labels["mode"]} == {"low"}
    np.testing.assert_array_equal(after.speaker, before.speaker)
    moved = np.linalg.norm(after.embeddings - before.embeddings, axis=1)
    already = before.labels["mode"] == "low"
    assert moved[already].mean() < moved[~already].mean()


def test_anonymise_writes_first_and_reports_its_attackers(run, given, tmp_path, capsys):
    out, report = tmp_path / "anon.npz", tmp_path / "report.json"
    command = ["anonymise", given, "--run", run, "--out", out, "--report", report]
    call(*command, "--seed", 0)
    printed = capsys.readouterr()
    for attacker in attacks.ATTACKERS:
        assert attacker in printed.out
    assert "do not call the result anonymous" in printed.out
    assert "keep it secret" in printed.err  # the seed
    assert "learned from speakers of these names" in printed.err
    new, old = EmbeddingSet.load(out), EmbeddingSet.load(given)
    assert len({*new.speaker}) == 30 and not {*new.speaker} & {*old.speaker}
    assert new.labels == {} and "seed" not in new.about and new.about["limit"] == 0.7
    means = unit_rows(old.embeddings.reshape(30, 4, DIM).mean(axis=1))
    cosines = np.sum(new.embeddings[::4] * means, axis=1)
    assert (cosines < 0.7 + 1e-4).all()
    np.testing.assert_array_equal(new.embeddings, new.embeddings[::4].repeat(4, axis=0))
    found = json.loads(report.read_text())
    assert [row["attacker"] for row in found["attackers"]] == [*attacks.ATTACKERS]
    assert found["labels"].keys() == {"mode"}


@pytest.mark.slow
def test_anonymise_by_utterance_keeps_names_if_asked_and_draws_anew(
    run, given, tmp_path, capsys
):
    outs = [tmp_path / f"{i}.npz" for i in range(2)]
    for out in outs:
        call("anonymise", given, "--run", run, "--out", out, "--level", "utterance",
             "--keep-names", "--attacker", "lazy")  # fmt: skip
    printed = capsys.readouterr()
    assert "lazy" in printed.out and "ignorant" not in printed.out
    assert "keep it secret" not in printed.err
    one, two = map(EmbeddingSet.load, outs)
    np.testing.assert_array_equal(one.speaker, EmbeddingSet.load(given).speaker)
    assert {*one.labels} == {"mode"}
    assert np.abs(one.embeddings - two.embeddings).max() > 0.1  # no seed, other voices
    assert len(np.unique(one.embeddings, axis=0)) == len(one)


def test_one_utterance_a_speaker_is_replaced_but_not_attacked(run, tmp_path, capsys):
    alone, out = tmp_path / "alone.npz", tmp_path / "anon.npz"
    make_set(num_speakers=12, each=1).save(alone)
    command = ["anonymise", alone, "--run", run, "--out", out]
    with pytest.raises(SystemExit, match="lazy can not be tried: it needs 2 speakers"):
        call(*command, "--attacker", "lazy")
    assert not out.exists()
    call(*command)
    assert len(EmbeddingSet.load(out)) == 12
    assert "ignorant: not measured" in capsys.readouterr().out


@pytest.mark.slow
def test_batches_of_anonymise_have_seeds_of_their_own(
    run, given, tmp_path, monkeypatch
):
    monkeypatch.setattr(commands, "BATCH", 50)
    monkeypatch.setattr(attacks, "measure", lambda *_, **__: None)
    monkeypatch.setattr(attacks, "format_report", lambda _: "")
    out = tmp_path / "anon.npz"
    call("anonymise", given, "--run", run, "--out", out, "--seed", 4,
         "--level", "utterance", "--keep-names")  # fmt: skip
    old, new = EmbeddingSet.load(given), EmbeddingSet.load(out).embeddings
    first, _ = SpeakerGenerator.load(run).anonymise(old.embeddings[:50], 4)
    np.testing.assert_array_equal(new[:50], first)
    assert len(new) == 120 and len(np.unique(new, axis=0)) == 120


@pytest.mark.slow
def test_evaluate_finds_the_speakers_of_the_run_again(run, tmp_path, capsys):
    out = tmp_path / "metrics.json"
    few = ["evaluate", "--run", run, "--count", 40, "--out", out]
    call(*few)
    own = json.loads(out.read_text())
    assert own["sizes"]["train"]["speakers"] == 48
    assert own["sizes"]["held"]["speakers"] == 12
    assert "Gaussian" in capsys.readouterr().out
    call(*few, "--set", run.parent / "learned.npz")
    assert json.loads(out.read_text())["sizes"] == own["sizes"]
    others = tmp_path / "others.npz"
    strangers = make_set()
    EmbeddingSet(strangers.embeddings, np.char.add("x", strangers.speaker),
                 strangers.segment, {}).save(others)  # fmt: skip
    with pytest.raises(SystemExit, match="0 of 60 rows of such speakers"):
        call(*few, "--set", others)


def test_evaluate_notices_a_set_that_has_changed_or_gone(tmp_path):
    run = make_run(tmp_path / "run")
    learned = tmp_path / "learned.npz"
    make_set(seed=5).save(learned)
    with pytest.raises(SystemExit, match="is not what it was"):
        call("evaluate", "--run", run)
    learned.unlink()
    with pytest.raises(SystemExit, match="is gone: name a set by --set"):
        call("evaluate", "--run", run)


@pytest.mark.parametrize("name", ["sample", "interpolate", "edit", "anonymise"])
def test_what_can_not_be_used_is_said_before_anything_is_written(
    run, given, tmp_path, name
):
    out = tmp_path / "out.npz"
    wide = tmp_path / "wide.npz"
    points = unit(np.random.default_rng(0), 4, DIM + 1)
    EmbeddingSet(points, np.array([*"aabb"]), np.array([""] * 4), {}).save(wide)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, embeddings=np.array([{}], object), speaker=np.array(["a"]))

    def command(run, given, out):
        options = {
            "interpolate": ["--from", "a", "--to", "b"],
            "edit": ["--label", "mode=low"],
        }
        sets = {"sample": [], "anonymise": [given]}.get(name, ["--set", given])
        return [name, "--run", run, "--out", out, *sets, *options.get(name, [])]

    (tmp_path / "empty").mkdir()
    bad = [
        (command(tmp_path / "nowhere", given, out), "Expected a finished run"),
        (command(tmp_path / "empty", given, out), "Expected a finished run"),
        (command(run, given, tmp_path / "out.txt"), "must end in .npz"),
        (command(run, given, tmp_path / "empty"), "must end in .npz"),
    ]
    if name != "sample":
        bad += [
            (command(run, wide, out), rf"takes voices \[n, {DIM}\].*\[4, {DIM + 1}\]"),
            (command(run, pickled, out), "Not an embedding set"),
            (command(run, tmp_path / "none.npz", out), "No such file"),
        ]
    for arguments, reason in bad:
        with pytest.raises(SystemExit, match=f"error: .*{reason}"):
            call(*arguments)
    assert not out.exists() and not [*tmp_path.glob(".*")]


def test_a_run_with_other_weights_is_one_error(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "model.weights.h5").write_bytes(b"poison")
    with pytest.raises(SystemExit, match="can not be loaded.*not those the run has"):
        call("sample", "--run", run, "--out", tmp_path / "voices.npz")
    (run / "config.json").write_text('{"config": {}}')
    with pytest.raises(SystemExit, match="can not be loaded"):
        call("sample", "--run", run, "--out", tmp_path / "voices.npz")


def test_what_stood_there_stays_when_sampling_fails(run, tmp_path, monkeypatch):
    out = tmp_path / "voices.npz"
    out.write_text("of yesterday")
    for wrong in (["--label", "mode=loud"], ["--count", "0"], ["--steps", "51"]):
        with pytest.raises(SystemExit, match="error: .*Received"):
            call("sample", "--run", run, "--out", out, *wrong)
    assert out.read_text() == "of yesterday"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpeakerGenerator, "generate", interrupt)
    with pytest.raises(SystemExit) as end:
        call("sample", "--run", run, "--out", out)
    assert end.value.code == 130 and out.read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["voices.npz"]


@pytest.mark.parametrize(
    "wrong", [["--label", "mode"], ["--seed", "-1"], ["--sampler", "euler"]]
)
def test_options_of_the_wrong_form_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        call("sample", "--run", "r", "--out", "o.npz", *wrong)
    assert end.value.code == 2 and wrong[0] in capsys.readouterr().err


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
