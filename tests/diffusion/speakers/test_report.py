"""What a report says of models whose virtues and faults are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from diffusion import schedules
from diffusion.speakers import evaluate, memorisation, preprocessing, report
from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings
from timbre.metrics import generation


class SpeakerGenerator:
    """Stands for a model: generates what a function gives."""

    def __init__(self, draw, *, schedule=None, is_unit=True, blocks=()):
        self.draw = draw
        self.model = SimpleNamespace(
            scaler=SimpleNamespace(unit=is_unit, blocks=blocks),
            schedule=schedule or schedules.cosine(100),
        )

    def generate(self, count, seed=0, **options):
        return self.draw(count, seed, **options)


def of_seed(seed):
    """Draws speakers nobody has met."""
    return lambda count, more, **_: (
        embeddings.sample_speakers(count, seed + more).embeddings
    )


def out_of(rows, noise=0.02):
    """Draws rows again and again, with a little noise."""

    def draw(count, seed, **_):
        rng = np.random.default_rng(seed)
        x = rows[rng.integers(len(rows), size=count)]
        x = x + noise * rng.normal(size=x.shape)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return draw


def white(count, seed, **_):
    return unit(np.random.default_rng([seed, 9]), count, 64)


@pytest.fixture(scope="module")
def known():
    """600 speakers to learn from and 200 that are held out."""
    return preprocessing.split_by_speaker(embeddings.sample_speakers(800), 0.25)


@pytest.fixture
def quick(monkeypatch):
    """The costly table is replaced by one of what it compares."""
    compared = {}

    def compare(real, fake, train, *, seed=0):
        names = ("generated", "unseen real", "training voices", *"GMW")
        name = names[len(compared) % len(names)]
        if len(compared) == len(names):
            compared.clear()
        compared[name] = (real, fake, train)
        row = dict.fromkeys((key for key, _ in generation.COLUMNS.values()), 0.0)
        return {**row, "rows": len(real)}

    monkeypatch.setattr(generation, "compare", compare)
    fast = lambda train, count, seed=0: generation.sample_gaussian(train, count, seed)  # noqa: E731
    monkeypatch.setitem(generation.BASELINES, "mixture", fast)
    return compared


@pytest.mark.slow
def test_the_whole_report_of_an_exact_model_reaches_the_floor(known):
    results = report.evaluate(SpeakerGenerator(of_seed(5555)), *known, count=1000)
    assert [*results["rows"]] == [
        *("generated", "unseen real", "training voices"),
        *("Gaussian", "GMM(10)", "white noise"),
    ]
    assert {row["rows"] for row in results["rows"].values()} == {100}
    made, floor, _, gaussian, _, noise = results["rows"].values()
    assert abs(made["frechet"] - floor["frechet"]) < 0.3 * floor["frechet"]
    assert made["coverage"] > 0.9 > 0.1 > noise["coverage"]
    assert floor["nearest_train"] > gaussian["nearest_train"] > noise["nearest_train"]
    assert results["rows"]["training voices"]["nearest_train"] == pytest.approx(1)
    json.dumps(results, allow_nan=False)
    text = report.text(results)
    assert "100 voices each, against 100 unseen real ones" in text
    assert "The model generates new speakers:" in text and "Warning" not in text
    assert "600 rows of 600 speakers, held out 200 rows of 200 speakers" in text


def test_rows_are_compared_with_one_half_and_the_floor_is_the_other(known, quick):
    train, held = known
    report.evaluate(SpeakerGenerator(of_seed(5555)), *known, count=300)
    floor = quick["unseen real"][1]
    for real, fake, learned in quick.values():
        np.testing.assert_array_equal(real, quick["generated"][0])
        assert len(fake) == len(real) == 100 and len(learned) == len(train)
    of = {row.tobytes(): name for row, name in zip(held.embeddings, held.speaker)}  # noqa: B905
    sides = [{of[row.tobytes()] for row in rows} for rows in (real, floor)]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 200
    for name in ("training voices", *"GMW"):  # baselines lie where voices lie
        np.testing.assert_allclose(np.linalg.norm(quick[name][1], axis=1), 1, atol=1e-5)


def test_halves_share_no_speaker_and_nearly_share_the_rows():
    voices = embeddings.sample_utterances(20, 6)
    uneven = voices.subset(np.random.default_rng(0).random(len(voices)) < 0.6)
    one, other = evaluate.split_in_halves(uneven, seed=3)
    assert not {*one.speaker} & {*other.speaker}
    assert abs(len(one) - len(other)) <= 6 and len(one) + len(other) == len(uneven)


def test_baselines_keep_each_part_of_a_concatenation_on_its_sphere(rng):
    rows = evaluate.normalise_blocks(rng.normal(size=(5, 12)), (4, 8))
    np.testing.assert_allclose(np.linalg.norm(rows[:, :4], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(rows[:, 4:], axis=1), 1)
    whole = evaluate.normalise_blocks(rows)
    np.testing.assert_allclose(whole, rows / np.sqrt(2))


def test_embeddings_without_unit_length_are_not_normalised(known, quick):
    report.evaluate(SpeakerGenerator(of_seed(5555), is_unit=False), *known, count=300)
    assert np.linalg.norm(quick["W"][1], axis=1).std() > 0.01


def verdict(draw, train, held):
    return memorisation.summarise(
        report.evaluate(SpeakerGenerator(draw), train, held, count=1000)["privacy"]
    )


def test_new_speakers_are_called_new_and_copies_memorised(known, quick):
    train, held = known
    assert verdict(of_seed(5555), *known).startswith(
        "The model generates new speakers:"
    )
    copies = verdict(out_of(train.embeddings), *known)
    assert copies.startswith("The model memorises training speakers:")
    assert "Authenticity 0.0%, of unseen real rows 48.0%" in copies


def test_a_third_of_copies_is_called_memorisation_in_part(known, quick):
    train, held = known

    def draw(count, seed, **_):
        fakes = of_seed(5555)(count, seed)
        fakes[::3] = out_of(train.embeddings)(len(fakes[::3]), seed)
        return fakes

    assert verdict(draw, *known).startswith(
        "The model memorises training speakers in part: 3"
    )


def test_one_speaker_repeated_is_memorisation_whether_or_not_subsampled(known, quick):
    train, held = known
    for row in (0, 1, 2, 3):
        text = verdict(out_of(train.embeddings[[row]]), *known)
        assert text.startswith("The model memorises training speakers: 100.0%")


def test_white_noise_memorises_nobody_and_is_hardly_a_speaker(known, quick):
    text = verdict(white, *known)
    assert text.startswith("The model generates new speakers:")
    assert "But they are hardly speakers" in text


@pytest.mark.parametrize("source", ["training speakers", "new speakers"])
def test_utterances_of_training_speakers_are_memorised_and_of_others_are_not(
    source, quick
):
    """Each utterance is new; what counts is whose it is."""
    train, held = preprocessing.split_by_speaker(
        embeddings.sample_utterances(100, 10), 0.3
    )
    if source == "training speakers":
        made = out_of(train.embeddings, embeddings.WITHIN)
    else:
        made = out_of(
            embeddings.sample_utterances(100, 10, seed=7).embeddings, embeddings.WITHIN
        )
    results = report.evaluate(SpeakerGenerator(made), train, held, count=600)
    assert ("memorises" in memorisation.summarise(results["privacy"])) == (
        source == "training speakers"
    )
    assert (
        "the equal error rate of real rows"
        in results["collisions"]["threshold"]["rule"]
    )


@pytest.mark.slow
def test_the_chance_interval_covers_nineteen_in_twenty_models_without_memory():
    """Who is held out is luck; a model that knows nobody is accused of it rarely."""
    fake = embeddings.sample_speakers(150, seed=99).embeddings
    accused = 0
    for seed in range(20):
        train, held = evaluate.split_in_halves(
            embeddings.sample_speakers(120, seed=seed), seed
        )
        found = memorisation.measure(fake, train, held, seed)
        within = found["chance_low"] <= found["nearer_train"] <= found["chance_high"]
        accused += np.array([not within, found["low_ratio"] > found["low_ratio_high"]])
    assert (accused <= [4, 3]).all()  # of Binomial(20, .05) and (20, .025) 99.7 %


def test_the_next_speaker_is_not_the_next_row():
    """Rows at 0, 10 and 50 degrees, of speakers a, a and b; voices at 5 and at 0."""
    degrees = np.radians([0, 10, 50, 5, 0])
    rows = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    names = np.array(["a", "a", "b"])
    train = EmbeddingSet(rows[:3], names, names, {})
    found = memorisation.distance_ratios(3 * rows[3:], train)
    expected = (1 - np.cos(np.radians(5))) / (1 - np.cos(np.radians(45)))
    np.testing.assert_allclose(found, [expected, 0], atol=1e-9)


def test_a_pair_in_a_thousand_exceeds_the_threshold_of_speakers_met_once(known):
    rows = known[0].embeddings
    limit = evaluate.verification_threshold(rows, known[0].speaker)
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    assert np.mean(pairs > limit["value"]) == pytest.approx(1e-3, abs=1e-5)
    assert "1 in 1000 pairs of real different speakers" in limit["rule"]


def test_one_voice_for_all_is_one_collision(known, quick):
    train, held = known
    made = SpeakerGenerator(
        lambda count, seed, **_: np.repeat(held.embeddings[:1], count, 0)
    )
    results = report.evaluate(made, *known, count=100)
    assert [row["voices"] for row in results["collisions"]["generated"]] == [10, 100]
    assert all(row["doubles"] == 1 for row in results["collisions"]["generated"])
    assert [row["voices"] for row in results["collisions"]["real"]] == [10, 100]
    assert results["collisions"]["real"][0]["doubles"] < 0.05
    assert "100.00%" in report.text(results)


@pytest.mark.parametrize(
    "held, rows, note",
    [
        (100, 6, None),
        (15, 5, "No floor: 15 held-out rows of 15 speakers"),
        (6, 0, "No table: that takes 10 rows of each split"),
        (1, 0, "Memorisation is not measured"),
    ],
)
def test_little_held_out_data_is_said_and_does_not_stop_the_report(
    known, quick, held, rows, note
):
    train, rest = known
    few = rest.subset(slice(held))
    results = report.evaluate(SpeakerGenerator(of_seed(5555)), train, few, count=50)
    assert len(results["rows"]) == rows
    text = report.text(results)
    assert "Two voices are one" in text
    assert (note in text) if note else not results["notes"]
    assert ("The model" in text) == (held > 1)


def test_a_schedule_that_never_reaches_noise_is_warned_of_once(known, quick):
    class Faulty:
        scaler = SimpleNamespace(unit=True, blocks=())

        @property
        def schedule(self):
            return schedules.sigmoid(100, 1e-5, 5e-3)

    voices = SpeakerGenerator(white)
    voices.model = Faulty()
    text = report.text(report.evaluate(voices, *known, count=50))
    assert text.count("alpha_bar[T] = 0.778") == 1
    assert "Warning: at its last time the schedule still keeps" in text


def test_arrays_say_the_same_as_sets(known, quick):
    train, held = known
    voices = SpeakerGenerator(of_seed(5555))
    one = report.evaluate(voices, train, held, count=100)
    quick.clear()
    other = report.evaluate(voices, train.embeddings, held.embeddings, count=100)
    assert one["sizes"] == other["sizes"]
    assert one["privacy"]["nearer_train"] == other["privacy"]["nearer_train"]


def test_asking_for_a_label_compares_with_real_rows_of_that_label(known, quick):
    train, held = known
    heard = []

    def draw(count, seed, labels=None, weight=0.0):
        heard.append((labels, weight))
        return of_seed(5555)(count, seed)

    options = {"labels": {"mode": "low"}, "weight": 2.0}
    results = report.evaluate(SpeakerGenerator(draw), train, held, count=50, **options)
    assert heard == [({"mode": "low"}, 2.0)]
    assert results["sizes"]["train"]["rows"] == np.sum(train.labels["mode"] == "low")
    with pytest.raises(ValueError, match="No real rows of `train`"):
        report.evaluate(
            SpeakerGenerator(draw), *known, labels={"mode": "none"}, count=50
        )


def test_rows_without_a_name_are_speakers_of_their_own(rng, quick):
    nameless = [
        EmbeddingSet(unit(rng, n, 64), np.full(n, ""), np.full(n, ""), {})
        for n in (60, 40)
    ]
    results = report.evaluate(SpeakerGenerator(white), *nameless, count=50)
    assert results["sizes"]["held"] == {"rows": 40, "speakers": 40}


def test_the_first_embeddings_do_not_depend_on_how_many_are_generated(monkeypatch):
    monkeypatch.setattr(evaluate, "BATCH", 20)
    voices = SpeakerGenerator(white)
    many, few = (evaluate.generate_batches(voices, count, 1) for count in (50, 30))
    assert many.shape == (50, 64)
    np.testing.assert_array_equal(many[:30], few)
    assert len(np.unique(many[:, 0])) == 50


def test_too_few_embeddings_are_refused(known):
    with pytest.raises(ValueError, match="`count` must be at least 10. Received: 3"):
        report.evaluate(SpeakerGenerator(white), *known, count=3)
