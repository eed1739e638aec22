import json

import numpy as np
import pytest

from diffusion.speakers import tts_export
from diffusion.speakers.scaling import Scaler
from diffusion.speakers.tts_export import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gets_vectors_of_its_form(rng, engine):
    form = ENGINES[engine]
    given = np.abs(rng.normal(size=(5, form.dim)))
    given[:, 0] = -0.1
    found = tts_export.adapt(given, engine)
    assert found.shape == (5, form.dim) and found.dtype == np.float32
    assert (found >= 0).all() or not form.nonnegative
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(lengths, 1, atol=1e-6) is form.unit
    assert sum(form.blocks) in (0, form.dim)
    np.testing.assert_allclose(tts_export.adapt(found, engine), found, atol=1e-6)


def test_a_vector_below_zero_is_cut_before_it_gets_its_length():
    given = np.zeros((1, 256))
    given[0, :3] = [3, 4, -1]
    found = tts_export.adapt(given, "sv2tts")
    np.testing.assert_allclose(found[0, :4], [0.6, 0.8, 0, 0], atol=1e-7)


def test_engines_without_a_rule_get_what_was_given(rng):
    given = rng.normal(size=(3, 704)).astype("float32")
    np.testing.assert_array_equal(tts_export.adapt(given, "toucan704"), given)


def test_vectors_of_another_extractor_are_remarked(rng):
    with pytest.warns(UserWarning, match="another extractor made them"):
        tts_export.adapt(rng.normal(size=(5, 256)), "sv2tts")


def test_what_does_not_fit_is_refused_with_what_would(rng):
    with pytest.raises(ValueError, match="`engine` must be one of sv2tts"):
        tts_export.adapt(np.ones((1, 256)), "festival")
    with pytest.raises(ValueError, match=r"which fits sv2tts, styletts2"):
        tts_export.adapt(np.ones((1, 256)), "speecht5")
    with pytest.raises(ValueError, match=r"which fits no engine known"):
        tts_export.adapt(np.ones((1, 7)), "speecht5")
    with pytest.raises(ValueError, match=r"takes vectors \[n, 512\]"):
        tts_export.adapt(np.ones(512), "speecht5")
    with pytest.raises(ValueError, match="must be finite"):
        tts_export.adapt(np.full((1, 512), np.inf), "speecht5")
    given = np.ones((3, 512))
    given[2] = 0
    with pytest.raises(ValueError, match="row 2, of which nothing is above 0"):
        tts_export.adapt(given, "yourtts")


@pytest.mark.parametrize("kind", ["standardise", "whiten"])
def test_a_file_holds_vectors_and_where_they_are_from(rng, tmp_path, kind):
    points = rng.normal(loc=2.0, size=(400, 192)).astype("float32")
    scaler, path = Scaler(kind).fit(points), tmp_path / "deep" / "voices.npz"
    told = {"engine": "espnet_ecapa", "scaler": scaler, "extractor": "내 ECAPA"}
    written = tts_export.export(path, points[:7], **told)
    with np.load(path, allow_pickle=False) as file:
        assert {*file} == {
            *("vectors", "mean", "scale", "extractor", "engine", "norm", "form")
        }
        np.testing.assert_array_equal(file["vectors"], written)
        np.testing.assert_allclose(file["mean"], points.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(file["scale"], points.std(axis=0), rtol=1e-4)
        assert str(file["extractor"]) == "내 ECAPA"
        assert str(file["norm"]) == "free" and str(file["engine"]) == "espnet_ecapa"
        assert json.loads(str(file["form"]))["dim"] == 192
    assert [p.name for p in path.parent.iterdir()] == ["voices.npz"]
    with pytest.raises(ValueError, match="go to a .npz file"):
        tts_export.export(tmp_path / "voices.json", points, **told)
