"""Figures of latents and changes: what is plotted is what was measured."""

import numpy as np
import pytest

from flows import figures
from flows.evaluation.projections import projection_figure
from flows.evaluation.summary import PUBLISHED, model_name
from tests.flows import stand_ins


def titles(figure):
    return [axes.get_title("left") for axes in figure.axes]


def heights(axes):
    return [round(float(bar.get_height()), 6) for bar in axes.patches]


@pytest.mark.slow
def test_a_run_gets_its_figures(tmp_path):
    results = stand_ins.results()
    models = {
        kind: stand_ins.Model(divided=kind == "fdnf") for kind in results["models"]
    }
    history = [{"step": i, "phase": "fdnf", "loss": 1.0 / i} for i in (1, 2)]
    told = {"results": results, "published": PUBLISHED, "history": history}
    paths = figures.save_figures(models, stand_ins.parts(), tmp_path / "new", **told)
    names = ("encoding", "parts", "leakage", "manipulation", "segments", "history")
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


@pytest.mark.slow
def test_there_is_no_figure_of_what_there_is_not(tmp_path):
    """One model, rows of one dimension, nothing changed, no history."""
    results = stand_ins.results()
    results["models"] = {"vae": results["models"]["vae"]}
    results["manipulation"] = {"phone": {}, "speaker": {}}
    models = {"vae": stand_ins.Model(shape=(24,), divided=False)}
    parts = stand_ins.parts(shape=(24,))
    paths = figures.save_figures(models, parts, tmp_path, results=results)
    assert [path.name for path in paths] == ["encoding.png"]
    parts.test = parts.test.subset(np.arange(3))  # too few for a plane
    assert figures.save_figures(models, parts, tmp_path, results=results) == []


@pytest.mark.slow
def test_models_have_the_names_of_the_paper(rng):
    kinds = ("vae", "nf", "dnf-phone", "dnf-speaker", "fdnf")
    latents = {kind: rng.normal(size=(12, 3)) for kind in kinds}
    labels = {"phone": np.array([*"abc"] * 4), "speaker": np.array([*"xy"] * 6)}
    found = {"fdnf": {"phone": {"knn": 0.5}, "speaker": {"knn": 0.25}}}
    named = {model_name(kind): z for kind, z in latents.items()}
    found = {model_name(kind): of for kind, of in found.items()}
    drawn = projection_figure(named, labels, found=found)
    names = ("VAE", "NF", "phone-DNF", "speaker-DNF", "f-DNF")
    assert titles(drawn) == [
        f"({letter}) {name}"
        for letter, name in zip("abcdefghij", names * 2, strict=True)
    ]
    below = [axes.get_xlabel() for axes in drawn.axes]
    assert below == [""] * 4 + ["kNN 50%"] + [""] * 4 + ["kNN 25%"]


def test_latents_and_each_part_of_them_are_projected(rng):
    models = {"nf": stand_ins.Model(divided=False), "fdnf": stand_ins.Model()}
    found = stand_ins.results()["models"]
    found = {kind: found[kind] for kind in models}
    drawn = figures._latent_figures(models, stand_ins.rows(8), found, 0)
    assert titles(drawn["encoding"])[:2] == ["(a) NF", "(b) f-DNF"]
    assert titles(drawn["parts"])[:2] == ["(a) part: phone", "(b) part: speaker"]
    below = [axes.get_xlabel() for axes in drawn["parts"].axes]
    assert below == ["kNN 75%", "kNN 25%", "kNN 25%", "kNN 75%"]


def test_leakage_shows_every_part_and_every_factor_and_chance():
    found = stand_ins.results()["models"]["fdnf"]["parts"]
    drawn = figures.leakage_figure({"fdnf": found})
    axes = drawn.axes[0]
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows == ["latent", "phone", "speaker", "chance\n(most frequent)"]
    cells = [float(text.get_text()) for text in axes.texts]
    assert cells == [0.75, 0.75, 0.75, 0.25, 0.25, 0.75, 0.25, 0.25]
    image = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(image.ravel(), cells)
    probe = figures.leakage_figure({"fdnf": found, "nf": found}, key="probe")
    assert probe.axes[1].texts[0].get_text() == "0.80"


def test_bars_are_changes_and_diamonds_are_published():
    found = stand_ins.results()["manipulation"]
    drawn = figures.manipulation_figure(found, published=PUBLISHED)
    target, _, side, _ = drawn.axes
    assert heights(target) == [0.29, 0.39, 0.59, 0.69]
    assert heights(side) == [-0.2, -0.15, -0.3, -0.05]
    diamonds = [line for line in target.lines if line.get_marker() == "D"][0]
    assert diamonds.get_ydata().tolist() == [0.299, 0.397, 0.606, 0.623]
    diamonds = [line for line in side.lines if line.get_marker() == "D"][0]
    assert diamonds.get_ydata().tolist() == [-0.158, -0.123, -0.277, -0.076]
    names = [tick.get_text() for tick in target.get_xticklabels()]
    assert names == ["VAE", "NF", "phone-DNF", "f-DNF"]


def test_other_factors_stand_side_by_side_and_nothing_is_published_of_them():
    factors = ("phone", "speaker", "gender")
    found = stand_ins.results(factors=factors)["manipulation"]
    drawn = figures.manipulation_figure(found)
    assert len(drawn.axes) == 6 and len(drawn.axes[3].patches) == 8
    edges = sorted(
        (b.get_x(), b.get_x() + b.get_width()) for b in drawn.axes[3].patches
    )
    assert all(a[1] <= b[0] for a, b in zip(edges, edges[1:], strict=False))
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts == ["phone", "speaker", "gender"]


def test_segments_are_shown_as_they_are_and_as_they_become():
    model, given = stand_ins.Model(), stand_ins.rows(3)
    drawn = figures.segments_figure(model, given.x, given.labels)
    panels = np.array(drawn.axes[:9]).reshape(3, 3)
    images = [
        [np.asarray(axes.images[0].get_array()).T for axes in row] for row in panels
    ]
    for i, (before, phone, speaker) in enumerate(images):
        np.testing.assert_array_equal(before, given.x[i])
        for factor, after in (("phone", phone), ("speaker", speaker)):
            title = panels[i, 1 + (factor == "speaker")].get_title("left")
            name = title.removeprefix(f"{factor}: ")
            own = given.labels[i, int(factor == "speaker")]
            to = stand_ins.VOCABULARY[factor].index(name)
            assert to != own  # it is changed indeed, to what is written above
            wanted = given.x[i] + 10 * (to - own) * model.half(factor)
            np.testing.assert_allclose(after, wanted, atol=1e-5)
    assert panels[0, 0].get_title("left") == "before: a, F01"


def test_a_model_of_one_factor_changes_that_only():
    given = stand_ins.rows(2)
    model = stand_ins.Model(factors=("speaker",))
    drawn = figures.segments_figure(model, given.x, given.labels)
    assert [t.split(":")[0] for t in titles(drawn)[:4]] == ["before", "speaker"] * 2
