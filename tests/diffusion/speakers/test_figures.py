"""Figures of generated embeddings show what is there."""

import numpy as np
import pytest

from diffusion.speakers import figures, model, preprocessing
from diffusion.speakers.generator import SpeakerGenerator
from timbre.corpora.synthetic import embeddings


@pytest.fixture(scope="module")
def known():
    return preprocessing.split_by_speaker(embeddings.sample_speakers(150, dim=8), 0.4)


@pytest.fixture(scope="module")
def generator(known):
    """An untrained model that knows the scale."""
    made = model.create(
        dim=8,
        network={"network": "resmlp", "width": 8, "num_blocks": 1},
        schedule={"steps": 40},
        unit=True,
    )
    made.scaler.fit(known[0].embeddings)
    return SpeakerGenerator(made, sampler="ddim", steps=20)


@pytest.mark.slow
def test_a_run_gets_its_figures(generator, known, tmp_path):
    history = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5, "held_loss": 0.6}]
    paths = figures.save_figures(
        generator, *known, tmp_path / "figures", history=history
    )
    assert [path.name for path in paths] == [
        *("map.png", "distances.png", "noising.png", "training.png")
    ]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


@pytest.mark.slow
def test_one_held_out_voice_leaves_the_figures_that_need_no_more(
    generator, known, tmp_path
):
    train, held = known
    paths = figures.save_figures(generator, train, held.subset([0]), tmp_path)
    assert [path.name for path in paths] == ["noising.png"]


def test_one_fit_places_all_kinds_in_equal_numbers_and_other_markers(rng):
    kinds = [rng.normal(size=(n, 4)) for n in (30, 12, 20)]
    figure = figures.tsne_figure(*kinds, most=10)
    scatters = figure.axes[0].collections
    assert [len(each.get_offsets()) for each in scatters] == [10, 10, 10]
    shapes = {each.get_paths()[0].vertices.tobytes() for each in scatters}
    assert len(shapes) == 3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["real, learned from", "real, unseen", "generated"]


def test_copies_stand_out_among_the_distances(rng):
    train, held = rng.normal(size=(2, 50, 16))
    figure = figures.distance_figure(train, held, train)  # all are copies
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-1] == "generated to learned from: 1.000"
    assert len(names) == 4
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    peaks = [line.get_xdata()[np.argmax(line.get_ydata())] for line in lines]
    assert peaks[-1] == pytest.approx(1, abs=0.01) and max(peaks[:-1]) < 0.9


def test_a_density_integrates_to_one_and_finds_a_normal(rng):
    grid = np.linspace(-5, 5, figures.NUM_POINTS)
    edges = np.append(grid, 2 * grid[-1] - grid[-2]) - (grid[1] - grid[0]) / 2
    counts, _ = np.histogram(rng.normal(size=50_000), edges)
    found = figures.density(counts, grid)
    assert found.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-3)
    exact = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found, exact, atol=0.02)
    lonely = figures.density((grid == grid[100]).astype(float), grid)  # one value
    assert np.isfinite(lonely).all() and np.argmax(lonely) == 100


def test_ten_panels_show_noising_and_denoising(generator, known):
    figure = figures.noising_figure(generator, known[0].embeddings, most=30)
    titles = [axes.get_title("left") for axes in figure.axes]
    t = [int(title.split(",")[0].removeprefix("t = ")) for title in titles]
    assert t == [0, 10, 20, 30, 40, 40, 30, 20, 10, 0]
    first, last = (figure.axes[i].collections for i in (0, 4))
    known, clean = (each.get_offsets() for each in first)
    np.testing.assert_allclose(known, clean, atol=1e-5)
    noise = np.asarray(last[1].get_offsets())
    assert noise.std() == pytest.approx(1, abs=0.3)


def test_ddim_states_end_where_the_sampler_ends(generator):
    """In pieces or at one go, DDIM goes one way."""
    times = generator.build_sampler()[0].numpy()
    way = figures.ddim_states(generator, times, np.array([0, 5, 20]), count=4, seed=3)
    assert [*way] == [times[0], times[5], 0]
    end = np.asarray(generator.model.scaler.unscale(way[0]))
    np.testing.assert_allclose(end, generator.generate(4, seed=3), atol=1e-5)


def test_a_schedule_of_few_steps_has_few_panels(known):
    made = model.create(dim=8, network={"width": 8}, schedule={"steps": 2})
    made.scaler.fit(known[0].embeddings)
    figure = figures.noising_figure(
        SpeakerGenerator(made), known[0].embeddings, most=10
    )
    assert len(figure.axes) == 6


def test_the_training_curve_has_both_losses():
    history = [{"step": 10, "loss": 1.0, "held_loss": ""}, {"step": 20, "loss": 0.5}]
    history.append({"step": 30, "loss": 0.4, "held_loss": 0.6})
    lines = figures.loss_figure(history).axes[0].lines
    assert [line.get_xydata().tolist() for line in lines] == [
        [[10, 1.0], [20, 0.5], [30, 0.4]],
        [[30, 0.6]],
    ]
