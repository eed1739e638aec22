"""t-SNE projections: what is placed, how it looks, what is written beside it."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from flows.evaluation import projections
from flows.evaluation.projections import projection_figure
from timbre import plotting


@pytest.fixture(scope="module")
def clusters():
    """60 latents of three classes far apart, and a factor that they do not show."""
    rng = np.random.default_rng(0)
    code = np.arange(60) % 3
    z = 20 * np.eye(3, 5)[code] + rng.normal(size=(60, 5))
    return z, np.array([*"abc"])[code], np.array([*"wxyz"])[rng.integers(4, size=60)]


@pytest.fixture(scope="module")
def drawn(clusters):
    z, own, other = clusters
    found = {"two": {"own": {"knn": 0.987}}}
    columns = {"one": np.random.default_rng(1).normal(size=z.shape), "two": z}
    return projection_figure(columns, {"own": own, "other": other}, found=found)


def placed(axes):
    """Dict of each class to its places on a plane."""
    return {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}


def test_panels_are_lettered_row_by_row_and_say_what_neighbours_know(drawn):
    titles = [axes.get_title("left") for axes in drawn.axes]
    assert titles == ["(a) one", "(b) two", "(c) one", "(d) two"]
    assert [axes.get_xlabel() for axes in drawn.axes] == ["", "kNN 99%", "", ""]
    assert drawn.axes[2].get_ylabel() == "coloured by other"


@pytest.mark.slow
def test_letters_go_on_after_z_and_four_factors_are_drawn(monkeypatch, rng):
    monkeypatch.setattr(plotting, "tsne", lambda z, seed: z[:, :2])
    z, names = rng.normal(size=(4, 2)), np.array([*"abab"])
    columns = {str(i): z for i in range(14)}
    labels = {factor: names for factor in ("one", "two", "three", "four", "five")}
    drawn = projection_figure(columns, labels)
    titles = [axes.get_title("left").split()[0] for axes in drawn.axes]
    assert len(titles) == 56 and len({*titles}) == 56
    assert titles[25:28] + titles[51:54] == [*"(z) (aa) (ab) (az) (ba) (bb)".split()]
    assert drawn.axes[-14].get_ylabel() == "coloured by four"
    assert projections._letter(26 * 27) == "aaa"


def test_one_fit_serves_all_rows_of_panels(drawn):
    first, second = (np.concatenate([*placed(drawn.axes[i]).values()]) for i in (1, 3))
    assert len(first) == 60
    np.testing.assert_array_equal(np.unique(first, axis=0), np.unique(second, axis=0))


def test_classes_that_are_apart_stay_apart(drawn):
    """The plane keeps neighbours: a row's nearest row is of its class."""
    places = placed(drawn.axes[1])
    points = np.concatenate([*places.values()])
    names = np.repeat([*places], [len(each) for each in places.values()])
    distance = cdist(points, points) + 1e9 * np.eye(len(points))
    assert (names[distance.argmin(axis=1)] == names).mean() == 1


def test_the_same_seed_draws_the_same(clusters):
    z, own, _ = clusters
    told = {"max_rows": 20, "seed": 3}
    twice = [projection_figure({"z": z}, {"own": own}, **told) for _ in range(2)]
    one, two = (placed(figure.axes[0]) for figure in twice)
    assert sum(map(len, one.values())) == 20
    for name, places in one.items():
        np.testing.assert_array_equal(places, two[name])


def test_rows_without_a_class_are_grey_and_many_names_stand_in_columns(clusters):
    z, own, _ = clusters
    many = np.array([f"class {i % 30}" for i in range(60)])
    some = np.where(np.arange(60) < 6, "", own)
    figure = projection_figure({"z": z}, {"some": some, "many": many})
    grey = figure.axes[0].collections[0]
    assert grey.get_label() == "?" and len(grey.get_offsets()) == 6
    assert np.ptp(grey.get_facecolor()[0][:3]) == 0
    legends = [axes.get_legend() for axes in figure.axes]
    assert [legend._ncols for legend in legends] == [1, 3]


def test_equal_latents_and_latents_of_one_dimension_can_be_projected(clusters):
    _, own, _ = clusters
    columns = {"equal": np.ones((60, 4)), "narrow": np.arange(60.0)[:, None]}
    figure = projection_figure(columns, {"own": own})
    for axes in figure.axes:
        assert np.isfinite(np.concatenate([*placed(axes).values()])).all()


def test_rows_that_do_not_match_are_refused(clusters):
    z, own, _ = clusters
    with pytest.raises(ValueError, match=r"Received: \[59, 60\] rows"):
        projection_figure({"z": z}, {"own": own[1:]})
    with pytest.raises(ValueError, match="four or more"):
        projection_figure({"z": z[:3]}, {"own": own[:3]})
