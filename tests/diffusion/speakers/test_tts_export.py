import json

import numpy as np
import pytest

from diffusion.speakers import tts_export
from diffusion.speakers.scaling import Scaler
from diffusion.speakers.tts_export import FORMATS, TTSFormat


@pytest.mark.parametrize("engine", FORMATS)
def test_embeddings_get_the_format_of_the_synthesiser(rng, engine):
    form = FORMATS[engine]
    given = np.abs(rng.normal(size=(5, form.dim)))
    given[:, 0] = -0.1
    found = tts_export.adapt(given, engine)
    assert found.shape == (5, form.dim) and found.dtype == np.float32
    assert (found >= 0).all() or not form.nonnegative
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(lengths, 1, atol=1e-6) is form.unit
    np.testing.assert_allclose(tts_export.adapt(found, engine), found, atol=1e-6)


def test_negative_numbers_become_zero_before_the_length_becomes_one():
    given = np.zeros((1, 256))
    given[0, :3] = [3, 4, -1]
    found = tts_export.adapt(given, "sv2tts")
    np.testing.assert_allclose(found[0, :4], [0.6, 0.8, 0, 0], atol=1e-7)


def test_a_format_without_rules_leaves_embeddings_as_they_are(rng, monkeypatch):
    monkeypatch.setitem(FORMATS, "free", TTSFormat(192))
    given = rng.normal(size=(3, 192)).astype("float32")
    np.testing.assert_array_equal(tts_export.adapt(given, "free"), given)


def test_embeddings_of_another_extractor_give_a_warning(rng):
    with pytest.warns(UserWarning, match="another extractor made them"):
        tts_export.adapt(rng.normal(size=(5, 256)), "sv2tts")


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(ValueError, match="`engine` must be one of .*sv2tts"):
        tts_export.adapt(np.ones((1, 256)), "festival")
    for shape in ((1, 256), (512,)):
        with pytest.raises(ValueError, match=r"takes embeddings \[n, 512\]"):
            tts_export.adapt(np.ones(shape), "speecht5")
    with pytest.raises(ValueError, match="must be finite"):
        tts_export.adapt(np.full((1, 512), np.inf), "speecht5")
    given = np.ones((3, 512))
    given[2] = 0
    with pytest.raises(ValueError, match="row 2, of which nothing is above 0"):
        tts_export.adapt(given, "speecht5")


@pytest.mark.parametrize("kind", ["standardise", "whiten"])
def test_a_file_holds_embeddings_and_their_origin(rng, tmp_path, kind, monkeypatch):
    monkeypatch.setitem(FORMATS, "free", TTSFormat(192))
    embeddings = rng.normal(loc=2.0, size=(400, 192)).astype("float32")
    scaler, path = Scaler(kind).fit(embeddings), tmp_path / "deep" / "new.npz"
    options = {"engine": "free", "scaler": scaler, "extractor": "내 ECAPA"}
    written = tts_export.export(path, embeddings[:7], **options)
    with np.load(path, allow_pickle=False) as file:
        assert {*file} == {
            *("vectors", "mean", "scale", "extractor", "engine", "norm", "form")
        }
        np.testing.assert_array_equal(file["vectors"], written)
        np.testing.assert_allclose(file["mean"], embeddings.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(file["scale"], embeddings.std(axis=0), rtol=1e-4)
        assert str(file["extractor"]) == "내 ECAPA"
        assert str(file["norm"]) == "free" and str(file["engine"]) == "free"
        assert json.loads(str(file["form"]))["dim"] == 192
    assert [p.name for p in path.parent.iterdir()] == ["new.npz"]
    with pytest.raises(ValueError, match="go to a .npz file"):
        tts_export.export(tmp_path / "new.json", embeddings, **options)
