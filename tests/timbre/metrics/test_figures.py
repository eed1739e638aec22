"""Figures of verification: exact curves, whole histograms, every named error."""

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.stats import norm

from timbre import plotting
from timbre.metrics import figures
from timbre.metrics.rates import det_curve
from timbre.metrics.reliability import expected_calibration_error, reliability


def scored(rng, distance=2.0, count=2000):
    labels = np.arange(count) % 4 == 0
    return labels, rng.normal(size=count) + distance * labels


def test_det_of_two_gaussians_is_a_straight_line():
    """On normal-deviate axes `norm.ppf(fnr) = -distance - norm.ppf(fpr)`."""
    fpr = np.linspace(0.001, 0.999, 500)
    fnr = norm.cdf(-2.0 - norm.ppf(fpr))
    axes = figures.det_figure({"exact": (fpr, fnr)}).axes[0]
    x, y = axes.lines[1].get_data()
    inside = y > axes.get_ylim()[0] + 1e-6
    np.testing.assert_allclose(y[inside], -2.0 - x[inside], atol=1e-9)
    assert [t.get_text() for t in axes.get_xticklabels()][2] == "1"
    assert axes.lines[1].get_label() == "exact: EER 15.9 %"  # Phi(-1)


def test_a_perfect_curve_can_be_drawn(tmp_path):
    curve = det_curve([1, 1, 0, 0], [4, 3, 2, 1])
    figure = figures.det_figure({"perfect": curve})
    plotting.save(figure, tmp_path / "a.png", dpi=30)
    assert figure.axes[0].lines[1].get_label() == "perfect: EER 0.0 %"


def test_histograms_hold_every_pair_once(rng):
    labels, scores = scored(rng)
    axes = figures.score_figure(labels, scores, threshold=0.7).axes[0]
    for patch in axes.patches:
        corners = patch.get_xy()
        x, y = corners[:, 0], corners[:, 1]
        area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
        assert area == pytest.approx(1) or not patch.get_fill()
    assert 0.7 in [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())]


def drawn(rng, count=200_000, prior=0.5, distance=2.0):
    """Trials and their exact ratios: Gaussians `distance` apart."""
    label = rng.random(count) < prior
    return label, distance * (rng.normal(size=count) + distance * (label - 0.5))


def chance(llr, prior=0.5):
    return 1 / (1 + np.exp(-llr) * (1 - prior) / prior)


@pytest.mark.slow
def test_every_figure_is_saved_whole_and_is_not_blank(rng, tmp_path):
    labels, scores = scored(rng)
    for name, figure in {
        "det": figures.det_figure({"a": det_curve(labels, scores)}),
        "scores": figures.score_figure(labels, scores, threshold=1.0),
    }.items():
        path = plotting.save(figure, tmp_path / "new" / f"{name}.png", dpi=60)
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 120 and pixels[..., :3].std() > 0.02
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_dots_and_dollars_and_hangul_in_names_are_only_text(tmp_path):
    curve = det_curve([1, 0], [1, 0])
    names = {"a$b_{": curve, "홍길동": curve}
    path = plotting.save(figures.det_figure(names), tmp_path / "a.png", dpi=30)
    assert path.is_file()


def test_the_figure_shows_every_answer_and_its_error(rng, tmp_path):
    label, llr = drawn(rng, 2000)
    predictions = {"exact": (label, chance(llr)), "too sure": (label, chance(4 * llr))}
    figure = figures.reliability_figure(predictions, title="of Gaussians")
    axes, below = figure.axes
    said, so, weight = reliability(*predictions["too sure"])
    np.testing.assert_array_equal(axes.lines[2].get_xydata().T, [said, so])
    np.testing.assert_allclose(below.lines[1].get_ydata(), 100 * weight)
    error = expected_calibration_error(*predictions["too sure"])
    assert axes.lines[2].get_label() == f"too sure: ECE {error:.3f}"
    path = plotting.save(figure, tmp_path / "reliability.png", dpi=40)
    assert imread(path)[..., :3].std() > 0.02
