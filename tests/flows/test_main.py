import numpy as np
import pytest

from flows import data
from flows.models import registry
from tests.flows import stand_ins
from tests.flows.stand_ins import call, embeddings, leave, refused
from timbre.audio import wave
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import sha256

FRONT = {"sample_rate": 16000, "window": 512, "hop": 160, "bands": 40, "high_hz": None}
SOUND = {"source": "synthetic", **FRONT, "spectrum": "mel"}


@pytest.fixture
def stands_for(monkeypatch):
    """Gives each kind of model of each run a stand-in."""
    known = {}
    monkeypatch.setattr(
        registry, "load", lambda run, kind="fdnf": known[run.name][kind]
    )
    return known


@pytest.fixture
def run(tmp_path, stands_for):
    """A run of embeddings with 6 dimensions."""
    stands_for["run"] = dict.fromkeys(("nf", "fdnf"), stand_ins.Model(shape=(6,)))
    about = {"source": "embeddings", "set": {"extractor": "ours"}}
    return leave(tmp_path / "run", about)


@pytest.fixture
def heard(tmp_path, stands_for):
    """A run of segments, 20 frames of 40 bands, and a sound."""
    stands_for["heard"] = dict.fromkeys(("nf", "fdnf"), stand_ins.Model((20, 40)))
    rng = np.random.default_rng(0)
    wave.write(tmp_path / "in.wav", 0.1 * rng.normal(size=8000).clip(-3, 3))
    return leave(tmp_path / "heard", SOUND)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--to", "F01", "--to-sound", "b.wav"],
        ["--to", "F01", "--set", "a.npz", "--sound", "a.wav"],
        ["--to", "F01", "--set", "a.npz", "--alpha", "nan"],
    ],
)
def test_one_aim_and_one_input_must_be_given(wrong):
    with pytest.raises(SystemExit) as end:
        call("manipulate", "--run", "r", "--factor", "speaker", "--out", "o", *wrong)
    assert end.value.code == 2


def test_every_row_of_a_set_is_moved_and_says_so(run, tmp_path, capsys):
    given = embeddings(tmp_path / "in.npz", extractor="theirs", note="kept")
    out = tmp_path / "new" / "out.npz"
    call("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
         "--alpha", 0.5, "--set", given, "--out", out)  # fmt: skip
    old, new = EmbeddingSet.load(given), EmbeddingSet.load(out)
    expected = old.embeddings + 5 * np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(new.embeddings, expected, atol=1e-6)
    assert new.about["note"] == "kept"  # what was said of them stays said
    done = new.about["changed"]
    told = {
        "factor": "speaker",
        "to": "M02",
        "alpha": 0.5,
        "model": "fdnf",
        "run": "run",
    }
    assert told.items() <= done.items()
    assert done["sha256"] == sha256(run / "fdnf.weights.h5")
    assert {*new.labels["speaker"]} == {"M02"} and {*new.labels["phone"]} == {"a"}
    assert {*new.speaker} == {"M02"}  # who compares voices goes by this column
    np.testing.assert_array_equal(new.labels["source_speaker"], old.speaker)
    said = capsys.readouterr()
    assert "5 rows" in said.out and "extractor theirs" in said.err


def test_a_set_of_another_factor_keeps_its_speakers(run, tmp_path):
    given, out = embeddings(tmp_path / "in.npz"), tmp_path / "out.npz"
    command = ["manipulate", "--run", run, "--out", out]
    call(*command, "--set", given, "--factor", "phone", "--to", "s")
    new = EmbeddingSet.load(out)
    np.testing.assert_array_equal(new.speaker, EmbeddingSet.load(given).speaker)
    assert {*new.labels["phone"]} == {"s"} and "source_speaker" not in new.labels
    call(*command, "--set", out, "--factor", "speaker", "--to", "M02")
    call(*command, "--set", out, "--factor", "speaker", "--to", "F01")
    new, old = EmbeddingSet.load(out), EmbeddingSet.load(given)
    assert {*new.speaker} == {"F01"}
    np.testing.assert_array_equal(new.labels["source_speaker"], old.speaker)


@pytest.mark.parametrize("said", ["unit length", "l2", "cepstral", None])
def test_what_a_set_says_of_its_length_stays_true(run, tmp_path, said):
    about = {} if said is None else {"normalisation": said}
    given, out = embeddings(tmp_path / "in.npz", **about), tmp_path / "out.npz"
    call("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
         "--set", given, "--out", out)  # fmt: skip
    new, old = EmbeddingSet.load(out), EmbeddingSet.load(given)
    moved = old.embeddings + 10 * np.array([0, 0, 0, 1, 1, 1])
    if said in ("unit length", "l2"):
        assert new.about["normalisation"] == said
        moved = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    else:
        assert "normalisation" not in new.about
    np.testing.assert_allclose(new.embeddings, moved, rtol=1e-5)


@pytest.mark.slow
def test_a_sound_is_changed_and_as_long_as_before(heard, tmp_path, capsys):
    given, out = tmp_path / "in.wav", tmp_path / "out.flac"
    call("manipulate", "--run", heard, "--factor", "phone", "--to", "s",
         "--model", "nf", "--alpha", 0.1, "--sound", given, "--out", out)  # fmt: skip
    before, after = wave.read(given), wave.read(out)
    assert after.shape == before.shape and np.abs(after).max() <= 1
    front = data.front_end(SOUND)
    energy = [np.asarray(front(x[None]))[0].mean(axis=0) for x in (before, after)]
    change = energy[1] - energy[0]  # by 20 * 0.1 in the lower half of the bands
    assert change[:18].mean() == pytest.approx(2, abs=0.4)
    assert change[22:].mean() == pytest.approx(0, abs=0.4)
    said = capsys.readouterr()
    assert "0.50 s" in said.out and "changed by 4.3 dB" in said.out
    assert "not an anonymous one" in said.err


@pytest.mark.slow
def test_a_sound_becomes_like_another_speakers(heard, tmp_path):
    """The other is 6 dB louder, and half of the bands belong to the speaker."""
    other, out = tmp_path / "other.wav", tmp_path / "out.wav"
    wave.write(other, 2 * wave.read(tmp_path / "in.wav"))
    call("manipulate", "--run", heard, "--factor", "speaker", "--to-sound", other,
         "--sound", tmp_path / "in.wav", "--out", out)  # fmt: skip
    front = data.front_end(SOUND)
    energy = [
        np.asarray(front(wave.read(path)[None]))[0].mean(axis=0)
        for path in (tmp_path / "in.wav", out)
    ]
    change = energy[1] - energy[0]
    assert change[22:].mean() == pytest.approx(np.log(4), abs=0.4)
    assert change[:18].mean() == pytest.approx(0, abs=0.4)


def test_only_listed_segments_of_a_sound_are_changed(heard, tmp_path, monkeypatch):
    from flows import voice_conversion

    table, out, asked = tmp_path / "segments.csv", tmp_path / "out.wav", {}
    lines = ["path,start,end,phone,speaker", "in.wav,0.11,0.12,i,F01"]
    lines += ["other.wav,0.2,0.3,s,F01", "in.wav,0.31,0.32,?,F01"]
    table.write_text("\n".join(lines))
    change = voice_conversion.change

    def watched(model, features, cut, starts, *told, **more):
        asked.update(more, starts=starts.tolist())
        asked["new"] = change(model, features, cut, starts, *told, **more)
        asked["moved"] = np.abs(asked["new"] - features).max(axis=1) > 1
        return asked["new"]

    monkeypatch.setattr(voice_conversion, "change", watched)
    silence = np.zeros(8000, np.float32)
    monkeypatch.setattr(voice_conversion, "synthesise", lambda *_, num_samples: silence)
    command = ["manipulate", "--run", heard, "--factor", "phone", "--to", "s"]
    command += ["--sound", tmp_path / "in.wav", "--out", out, "--segments", table]
    call(*command)
    assert asked["starts"] == [2, 22]  # 20 frames around 11.5 and 31.5
    assert asked["source"].tolist() == [1, -1]  # `i`, and a phone nobody has learned
    assert np.flatnonzero(~asked["moved"]).tolist() == [0, 1, *range(42, 51)]
    table.write_text("\n".join([lines[0], lines[2]]))
    assert "must have segments of" in refused(*command)


def test_what_can_not_be_used_is_refused_before_work(run, heard, tmp_path, monkeypatch):
    def work(*_, **__):
        raise AssertionError("nothing may be worked on")

    monkeypatch.setattr(stand_ins.Model, "manipulate", work)
    given, out = embeddings(tmp_path / "in.npz"), tmp_path / "out.npz"
    wide = embeddings(tmp_path / "wide.npz", dim=7)
    sound, empty = tmp_path / "in.wav", tmp_path / "empty"
    empty.mkdir()
    wave.write(tmp_path / "short.wav", np.zeros(200))
    blocked = tmp_path / "file" / "out.npz"
    blocked.parent.write_text("")

    def command(run=run, set=given, out=out, factor="speaker", to="M02", **more):
        told = {"run": run, "set": set, "out": out, "factor": factor, "to": to, **more}
        pairs = [(f"--{k}", v) for k, v in told.items() if v is not None]
        return ["manipulate", *(str(word) for pair in pairs for word in pair)]

    of_sound = {"run": heard, "set": None, "sound": sound, "out": tmp_path / "out.wav"}
    wrong = {
        "is not a finished run": (command(run=tmp_path / "none"), "has no flow.json"),
        "has no models": (command(run=empty), "Expected a finished run"),
        "has not that model": (command(model="vae"), "has nf, fdnf. Received: vae"),
        "factor": (command(factor="mood"), "factors phone, speaker. Received: 'mood'"),
        "class": (command(to="F09"), "one of F01, M02. Received: 'F09'"),
        "dims": (command(set=wide), r"rows ['n', 6], at least one. Received: "),
        "missing": (command(set=tmp_path / "no.npz"), "must be a file. Received: "),
        "not a set": (command(set=sound), "Not an embedding set"),
        "suffix": (command(out=tmp_path / "out.wav"), "must end in .npz. Received: "),
        "folder": (command(out=blocked), "file"),
        "set of segments": (command(run=heard), "takes rows ['n', 20, 40]"),
        "table of a set": (command(segments=sound), "go with `--sound`"),
        "sound of embeddings": (command(**of_sound | {"run": run}), "needs a model of"),
        "sound missing": (command(**of_sound | {"sound": empty}), "must be a file"),
        "sound suffix": (command(**of_sound | {"out": out}), "must end in .wav or "),
        "sound short": (
            command(**of_sound | {"sound": tmp_path / "short.wav"}),
            "two frames of 160 samples",
        ),
        "no sound": (command(**of_sound | {"sound": given}), "in.npz"),
    }
    for what, (arguments, reason) in wrong.items():
        said = refused(*arguments)
        assert said.startswith("error: ") and reason in said, (what, said)
    assert not out.exists() and not (tmp_path / "out.wav").exists()
    assert not [*tmp_path.glob(".*")]


def test_what_becomes_infinite_is_not_written(run, tmp_path, stands_for):
    class Far(stand_ins.Model):
        def manipulate(self, x, factor, to, **told):
            return x / 0.0

    stands_for["run"]["fdnf"] = Far(shape=(6,))
    given, out = embeddings(tmp_path / "in.npz"), tmp_path / "out.npz"
    said = refused("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
                   "--set", given, "--out", out)  # fmt: skip
    assert "use a smaller `--alpha`" in said and not out.exists()


def test_weights_that_can_not_be_loaded_are_one_line(run, tmp_path, monkeypatch):
    def load(run, kind):
        raise KeyError("torn\nfile")

    monkeypatch.setattr(registry, "load", load)
    said = refused("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
                   "--set", embeddings(tmp_path / "a.npz"),
                   "--out", tmp_path / "o.npz")  # fmt: skip
    assert "can not be loaded" in said
    (run / "flow.json").write_text("[1")
    assert "must be a JSON object" in refused("evaluate", "--run", run)


def test_interrupting_exits_130_and_leaves_what_was_there(run, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    given, out = embeddings(tmp_path / "in.npz"), tmp_path / "out.npz"
    out.write_text("of yesterday")
    monkeypatch.setattr(stand_ins.Model, "manipulate", interrupt)
    with pytest.raises(SystemExit) as end:
        call("manipulate", "--run", run, "--factor", "speaker", "--to", "M02",
             "--set", given, "--out", out)  # fmt: skip
    assert end.value.code == 130 and out.read_text() == "of yesterday"
