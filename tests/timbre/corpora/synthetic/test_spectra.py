"""Made-up spectra are their equation, and phones and speakers are tangled in them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from timbre.corpora.synthetic import spectra


def numbers(rows=1, **changes):
    """A phone of one formant of height 1 in the middle, and a speaker who adds none."""
    ones = np.ones((rows, 3))
    phone = {"centre": ones / 2, "gain": ones * [1, 0, 0], "slope": 0 * ones}
    voice = {name: np.zeros(rows) for name in ("tilt", "breath", "ripple", "harmonics")}
    voice |= {"warp": np.ones(rows), "turn": np.zeros(rows)}
    both = {"phone": phone | {"width": ones / 10}, "voice": voice}
    for name, value in changes.items():
        part = both["phone" if name in both["phone"] else "voice"]
        part[name] = part[name] * 0 + value
    return both


def spectrum(**changes):
    return spectra.compute_clean(**numbers(**changes), slots=5, bands=101)[0]


def test_rows_have_names_and_shapes():
    drawn = spectra.sample(500, num_phones=3, num_speakers=4, slots=2, bands=8, seed=1)
    assert drawn.x.shape == (500, 2, 8) and drawn.x.dtype == np.float32
    assert len(drawn) == len({*drawn.recording}) == 500
    assert {*drawn.phone} == {f"phone{i:02d}" for i in range(3)}
    assert {*drawn.speaker} == {f"speaker{i:02d}" for i in range(4)}
    assert spectra.sample(3, slots=1, bands=1).x.shape == (3, 1, 1)


def test_the_first_rows_of_more_are_those_of_fewer_and_a_seed_draws_others():
    few, many = spectra.sample(20, seed=3), spectra.sample(50, seed=3)
    np.testing.assert_array_equal(few.x, many.x[:20])
    for name in ("phone", "speaker", "recording"):
        assert (getattr(few, name) == getattr(many, name)[:20]).all()
    assert np.abs(spectra.sample(20, seed=4).x - few.x).max() > 0.1


def test_classes_are_equally_likely_and_independent():
    drawn = spectra.sample(12_000)
    pairs = np.char.add(drawn.phone, drawn.speaker)
    counts = np.unique(pairs, return_counts=True)[1]
    assert len(counts) == 120
    np.testing.assert_allclose(counts, 100, atol=5 * np.sqrt(100))  # Poisson


def test_formants_are_where_they_are_said_to_be():
    place = np.linspace(0, 1, 101)
    bell = np.exp(-np.square((place - 0.5) / 0.1) / 2)
    np.testing.assert_allclose(spectrum(), np.tile(bell, (5, 1)), atol=1e-12)
    # 0.3 below the middle, bent to 1.1 times as far
    bent = spectrum(centre=0.2, warp=1.1)
    assert (bent.argmax(axis=1) == 17).all()
    # from -.5 to .5 in time, .25 * .8 in place
    glides = spectrum(slope=0.8)
    np.testing.assert_array_equal(glides.argmax(axis=1), [40, 45, 50, 55, 60])


def test_a_voice_is_added():
    place = np.linspace(0, 1, 101)
    voice = {"tilt": 0.3, "breath": 0.2, "ripple": 0.5, "harmonics": 4, "turn": 1}
    added = spectrum(**voice) - spectrum()
    expected = 0.3 * (place - 0.5) + 0.2 * place**2
    expected += 0.5 * np.cos(8 * np.pi * place + 1)
    np.testing.assert_allclose(added, np.tile(expected, (5, 1)), atol=1e-12)


def test_noise_loudness_and_melody_have_their_sizes():
    """All rows of one phone by one speaker differ by these alone."""
    one = spectra.sample(4000, num_phones=1, num_speakers=1).x
    change = np.diff(one, axis=1)  # loudness and melody are those of all slots
    assert change.std(axis=0).mean() / np.sqrt(2) == pytest.approx(0.25, rel=0.02)
    ripple = spectra._voice(np.random.default_rng([spectra.WORLD, 1, 0]))["ripple"]
    # cos(a + 0.7 * z) of z ~ N(0, 1) keeps 1 - exp(-0.49) of its power as variance
    turning = ripple**2 / 2 * (1 - np.exp(-0.49))
    expected = 0.3**2 + 0.25**2 + turning
    assert one.var(axis=0).mean() == pytest.approx(expected, rel=0.05)


def test_more_speakers_and_phones_begin_with_the_same():
    voices = [
        spectra.sample(6000, num_phones=2, num_speakers=number, seed=5)
        for number in (2, 3)
    ]
    for phone in ("phone00", "phone01"):
        means = [
            v.x[(v.phone == phone) & (v.speaker == "speaker01")].mean(0) for v in voices
        ]
        np.testing.assert_allclose(*means, atol=0.06)  # .45 / sqrt(1000), 4 times
    other = spectra.sample(6000, num_phones=2, num_speakers=2, seed=5, world=1)
    assert np.abs(other.x.mean(axis=0) - voices[0].x.mean(axis=0)).max() > 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_classifies_speakers_better_than_neighbours_and_lines():
    train, test = spectra.sample(12_000), spectra.sample(2000, seed=1)
    flat = [part.x.reshape(len(part), -1) for part in (train, test)]
    mean, deviation = flat[0].mean(axis=0), flat[0].std(axis=0)
    known, unseen = ((x - mean) / deviation for x in flat)

    def accuracy(classifier, factor):
        with threadpool_limits(1):  # small products: threads would wait on each other
            classifier.fit(known, getattr(train, factor))
            return classifier.score(unseen, getattr(test, factor))

    network = {"hidden_layer_sizes": (128, 128), "max_iter": 20, "random_state": 0}
    assert accuracy(MLPClassifier(**network), "phone") > 0.995  # 1.000
    deep = accuracy(MLPClassifier(**network), "speaker")
    assert deep > 0.975  # .991
    near = accuracy(KNeighborsClassifier(5), "speaker")
    straight = accuracy(LogisticRegression(max_iter=200), "speaker")
    assert near < deep - 0.02  # .953
    assert straight < deep - 0.05  # .905


def test_nothing_to_draw_is_an_error():
    for wrong in ({"rows": 0}, {"rows": 3, "num_speakers": 0}, {"rows": 3, "bands": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            spectra.sample(wrong.pop("rows"), **wrong)
