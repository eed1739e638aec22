"""Comparisons against loops, and pictures that hold what they should."""

import numpy as np
import pytest

from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment import figures


def some(rng, speaker):
    rows = unit(rng, len(speaker), 8)
    return EmbeddingSet(rows, np.array(speaker), np.full(len(speaker), ""), {})


def test_values_are_those_of_a_plain_loop(rng):
    rows = 3 * unit(rng, 5, 8).astype(float)
    cosines = figures.compare(rows)
    distances = figures.compare(rows, measure="distance")
    for i in range(5):
        for j in range(5):
            a, b = (rows[k] / np.sqrt(sum(rows[k] ** 2)) for k in (i, j))
            assert np.isclose(cosines[i, j], sum(a * b))
            assert np.isclose(distances[i, j], np.sqrt(sum((a - b) ** 2)), atol=1e-7)


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 8)), np.full((2, 8), np.nan), np.ones(8)]
)
def test_what_has_no_direction_is_refused(rows):
    with pytest.raises(ValueError, match="`embeddings` must be"):
        figures.compare(rows)


def test_an_unknown_measure_is_refused(rng):
    with pytest.raises(ValueError, match="`measure` must be one of"):
        figures.compare(unit(rng, 2, 8), measure="plda")


def test_the_matrix_puts_samples_of_one_person_together(rng):
    samples = some(rng, ["ben", "anna", "ben", "anna"])
    figure = figures.matrix_figure(samples)
    drawn = figure.axes[0].images[0].get_array()
    order = [1, 3, 0, 2]
    expected = figures.compare(samples.embeddings[order])
    np.testing.assert_allclose(drawn, expected)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["anna", "ben"]


def test_the_line_parts_near_pairs_of_one_voice_from_far_ones_of_two():
    voices = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    samples = EmbeddingSet(voices, np.array([*"aabb"]), np.full(4, ""), {})
    for measure, between in (("distance", (0.1, 1.2)), ("cosine", (0.2, 0.99))):
        figure = figures.pairs_figure(samples, measure=measure)
        axes = figure.axes[0]
        (line,) = (x for x in axes.lines if x.get_linestyle() == ":")
        assert between[0] < line.get_xdata()[0] < between[1]
        assert axes.get_xlabel() == figures.MEASURES[measure]


class Enrolled:
    """As `People` answers."""

    def __init__(self, samples):
        self._samples = samples

    def samples(self):
        return self._samples

    def __len__(self):
        return len({*self._samples.speaker})


@pytest.mark.slow
def test_pictures_are_drawn_of_what_there_is(rng, tmp_path):
    paths = figures.save_figures(Enrolled(some(rng, ["anna", "anna", "ben"])), tmp_path)
    assert [p.name for p in paths] == ["comparison.png", "pairs.png"]
    assert all(p.stat().st_size > 1000 for p in paths)


def test_samples_without_a_pair_of_one_voice_have_no_histogram(rng, tmp_path):
    (only,) = figures.save_figures(Enrolled(some(rng, ["anna", "ben"])), tmp_path)
    assert only.name == "comparison.png"


def test_nobody_is_no_picture(rng, tmp_path):
    with pytest.raises(ValueError, match="needs enrolled people"):
        figures.save_figures(Enrolled(some(rng, [])), tmp_path)
