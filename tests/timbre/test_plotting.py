"""Figures: what they show, how they are saved, and that they disturb nothing."""

import subprocess
import sys

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.image import imread

from timbre import plotting


def history():
    """As a CSV reader gives it: text, empty where nothing was measured."""
    for step in range(40):
        yield {
            "step": str(step),
            "phase": "softmax" if step < 20 else "triplet",
            "loss": str(1 / (1 + step)),
            "val_eer": "0.2" if step % 10 == 0 else "",
            "bad": "nan",
        }


def every_figure(rng):
    yield plotting.matrix_figure(rng.random((6, 6)), labels=list("aabbcc"))
    yield plotting.matrix_figure(rng.random((3, 5)))
    yield plotting.scatter_figure(rng.normal(size=(12, 4)), list("aabb") * 3)
    yield plotting.history_figure(list(history()))


@pytest.mark.slow
def test_every_figure_is_saved_whole_and_is_not_blank(rng, tmp_path):
    for number, figure in enumerate(every_figure(rng)):
        path = plotting.save(figure, tmp_path / "new" / f"{number}.png", dpi=60)
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 120 and pixels[..., :3].std() > 0.02
    assert len(list((tmp_path / "new").iterdir())) == 4


def test_rows_of_one_speaker_share_a_tick(rng):
    axes = plotting.matrix_figure(rng.random((5, 5)), labels=list("aabbb")).axes[0]
    assert axes.get_yticks().tolist() == [0.5, 3.0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="name every row"):
        plotting.matrix_figure(np.eye(3), labels=["a"])


@pytest.mark.slow
def test_scatter_is_the_same_each_time_and_says_how_much_it_shows(rng):
    data, labels = rng.normal(size=(30, 4)), np.repeat(["a", "b", "c"], 10)
    drawn = [plotting.scatter_figure(data, labels, max_points=20) for _ in range(2)]
    places = [
        np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
        for figure in drawn
    ]
    np.testing.assert_array_equal(*places)
    assert drawn[0].axes[0].get_xlabel() == "20 utterances of 3 speakers"
    with pytest.raises(ValueError, match="four rows"):
        plotting.scatter_figure(data[:3], labels[:3])


@pytest.mark.slow
def test_zero_and_equal_embeddings_can_be_drawn():
    axes = plotting.scatter_figure(np.zeros((6, 3)), list("aabbcc")).axes[0]
    points = np.concatenate([dots.get_offsets() for dots in axes.collections])
    assert len(points) == 6 and np.isfinite(points).all()


def test_every_class_of_forty_has_a_look_of_its_own():
    for count in (5, 12, 40):
        looks = [plotting.class_style(i, count) for i in range(count)]
        assert len({(str(k["color"]), k["marker"]) for k in looks}) == count
        beside = [
            a["marker"] != b["marker"] for a, b in zip(looks, looks[1:], strict=False)
        ]
        assert all(beside)  # what is alike in colour is not in shape


def test_a_history_draws_what_was_measured():
    figure = plotting.history_figure(list(history()))
    drawn = {axes.get_title("left"): axes for axes in figure.axes if axes.axison}
    assert set(drawn) == {"loss", "val_eer"}
    lines = [line.get_xydata() for line in drawn["val_eer"].lines]
    assert lines[0].tolist() == [[0, 0.2], [10, 0.2]]  # phase softmax
    assert list(plotting._numbers(list(history()), ["val_eer"])) == ["val_eer"]
    with pytest.raises(ValueError, match="numbers"):
        plotting.history_figure([{"step": 0, "loss": ""}])


def test_an_unfinished_figure_is_never_seen(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError):
        plotting.save(plotting.new_figure()[0], path, dpi=-1)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_one_figure_one_file(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        plotting.save(plotting.matrix_figure(np.eye(3)), path, dpi=40)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_look_is_ours_and_the_users_look_is_kept():
    with matplotlib.style.context(["classic", {"axes.facecolor": "red"}]):
        before = dict(matplotlib.rcParams)
        figure, axes = plotting.new_figure()
        assert dict(matplotlib.rcParams) == before
    white = (1, 1, 1, 1)  # the classic figure is grey
    assert axes.get_facecolor() == figure.get_facecolor() == white


def test_drawing_touches_no_backend_and_no_tensorflow():
    code = """
import sys, numpy, matplotlib
before = matplotlib.rcParams._get_backend_or_none()
from timbre import plotting
from timbre.metrics import figures, verification
plotting.matrix_figure(numpy.eye(2))
assert matplotlib.rcParams._get_backend_or_none() == before
assert not {"matplotlib.pyplot", "tensorflow", "keras"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
