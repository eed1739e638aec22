import numpy as np
import pytest

from diffusion.speakers import preprocessing
from diffusion.speakers.scaling import has_unit_norm
from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings


def some(rng, num_speakers=20, each=5, dim=8, labels=None):
    speaker = np.repeat([f"s{i:02d}" for i in range(num_speakers)], each)
    rows = unit(rng, len(speaker), dim)
    segment = np.array([f"{i}" for i in range(len(speaker))])
    return EmbeddingSet(rows, speaker, segment, {"extractor": "x"}, labels or {})


@pytest.mark.parametrize("level, each", [("utterance", 5), ("speaker", 1)])
def test_no_speaker_is_on_both_sides_and_none_is_lost(rng, level, each):
    train, held = preprocessing.split_by_speaker(some(rng), 0.25, level=level)
    assert not {*train.speaker} & {*held.speaker}
    assert len({*train.speaker}) == 15 and len(train) == 15 * each
    assert len({*held.speaker}) == 5 and len(held) == 5 * each


def test_who_is_held_out_depends_on_names_and_seed_alone(rng):
    dataset = some(rng)
    shuffled = dataset.subset(rng.permutation(len(dataset)))
    held = [
        {*preprocessing.split_by_speaker(v, seed=seed, level=level)[1].speaker}
        for v, seed, level in (
            (dataset, 0, "utterance"),
            (shuffled, 0, "utterance"),
            (dataset, 0, "speaker"),
            (dataset, 1, "utterance"),
        )
    ]
    assert held[0] == held[1] == held[2] != held[3]


@pytest.mark.parametrize("held", [0.01, 0.5, 0.99])
def test_both_sides_have_somebody(rng, held):
    train, rest = preprocessing.split_by_speaker(
        some(rng, num_speakers=2, each=8), held
    )
    assert len(train) == len(rest) == 8


def test_rows_keep_what_belongs_to_them(rng):
    dataset = some(rng, labels={"id": [f"{i}" for i in range(100)]})
    for part in preprocessing.split_by_speaker(dataset):
        rows = part.segment.astype(int)
        np.testing.assert_array_equal(part.embeddings, dataset.embeddings[rows])
        np.testing.assert_array_equal(part.labels["id"], part.segment)


def test_a_speaker_is_the_mean_of_its_rows_on_the_sphere_if_they_are_on_it(rng):
    on = some(rng)
    off = EmbeddingSet(3 * on.embeddings, on.speaker, on.segment, on.about)
    means = on.embeddings.reshape(20, 5, 8).mean(axis=1)
    np.testing.assert_allclose(
        preprocessing.mean_per_speaker(off).embeddings, 3 * means, atol=1e-6
    )
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    pooled = preprocessing.mean_per_speaker(on)
    np.testing.assert_allclose(pooled.embeddings, means / lengths, atol=1e-6)
    assert pooled.speaker.tolist() == sorted({*on.speaker})
    assert pooled.segment[0] == "mean of 5"
    assert pooled.about == {"extractor": "x", "level": "speaker"}


def test_the_parts_of_a_concatenation_have_spheres_of_their_own(rng):
    rows = np.hstack([unit(rng, 12, 3), unit(rng, 12, 5)])
    names = np.repeat(["a", "b", "c"], 4)
    pooled = preprocessing.mean_per_speaker(
        EmbeddingSet(rows, names, names, {}), (3, 5)
    )
    assert has_unit_norm(pooled.embeddings, (3, 5))


def test_a_speaker_keeps_the_labels_that_its_rows_agree_on(rng):
    gender = ["f", "", "f", "m", "f", "", ""]
    names = np.array(["a", "a", "a", "b", "b", "c", "c"])
    dataset = EmbeddingSet(unit(rng, 7, 8), names, names, {}, {"gender": gender})
    assert preprocessing.mean_per_speaker(dataset).labels["gender"].tolist() == [
        "f",
        "",
        "",
    ]


def test_labels_become_class_indices_and_unknown_ones_minus_one(rng):
    labels = {
        "language": ["ko", "en", "", "en"] * 5,
        "gender": ["m", "f", "", "m"] * 5,
        "room": [""] * 20,
    }
    dataset = some(rng, num_speakers=4, labels=labels)
    vocabulary = preprocessing.build_vocabularies(dataset, ("language", "gender"))
    assert vocabulary == {"language": ("en", "ko"), "gender": ("f", "m")}
    found = preprocessing.class_indices(dataset, vocabulary)
    assert found.dtype == np.int32 and found.shape == (20, 2)
    assert found[:4].tolist() == [[1, 1], [0, 0], [-1, -1], [0, 1]]
    assert (
        preprocessing.class_indices(dataset, {"accent": ("x",)}).tolist() == [[-1]] * 20
    )
    assert preprocessing.class_indices(dataset, {"language": ("ko",)})[:2].tolist() == [
        [0],
        [-1],
    ]
    assert preprocessing.class_indices(dataset, {}).shape == (20, 0)
    for name in ("accent", "room"):
        with pytest.raises(ValueError, match=f"Received: '{name}'"):
            preprocessing.build_vocabularies(dataset, (name,))


def test_synthetic_embeddings_are_split_without_a_warning():
    train, held = preprocessing.split_by_speaker(
        embeddings.sample_utterances(50, 4), seed=1
    )
    assert (len(train), len(held)) == (160, 40)
    codes = preprocessing.class_indices(
        held, preprocessing.build_vocabularies(train, ("mode",))
    )
    assert {*codes.ravel().tolist()} == {0, 1}


def test_fewer_rows_than_dimensions_give_a_warning(rng):
    with pytest.warns(UserWarning, match="4 rows .* fewer than 8 dimensions"):
        preprocessing.split_by_speaker(some(rng, num_speakers=5, each=1))


@pytest.mark.real_data
def test_real_sets_of_few_speakers_are_split_with_a_warning(real_data):
    place = real_data / "speaker_embeddings"
    xvectors = EmbeddingSet.load(place / "xvector512.npz")
    with pytest.warns(UserWarning, match="fewer than 512 dimensions"):
        train, held = preprocessing.split_by_speaker(xvectors, level="speaker")
    assert (len(train), len(held)) == (398, 99)


def test_sets_that_can_not_be_split_by_speaker_are_refused(rng):
    dataset = some(rng, num_speakers=4)
    with pytest.raises(ValueError, match="needs two or more"):
        preprocessing.split_by_speaker(dataset.subset(slice(0, 5)))
    with pytest.raises(ValueError, match="needs two or more"):
        preprocessing.split_by_speaker(dataset.subset([]))
    unnamed = EmbeddingSet(dataset.embeddings, [""] * 20, dataset.segment, {})
    with pytest.raises(ValueError, match="20 of 20 rows without"):
        preprocessing.split_by_speaker(unnamed)
    dataset.embeddings[3] = 0.5
    with pytest.raises(ValueError, match="1 constant rows, the first is row 3"):
        preprocessing.split_by_speaker(dataset)
    for arguments, rule in (
        ({"held_out": 0.0}, "`held_out` must be"),
        ({"held_out": 1.0}, "`held_out` must be"),
        ({"level": "row"}, "`level` must be"),
    ):
        with pytest.raises(ValueError, match=rule):
            preprocessing.split_by_speaker(some(rng), **arguments)
    two = EmbeddingSet(np.array([[1.0, 0], [-1, 0]]), ["a", "a"], ["", ""], {})
    with pytest.raises(ValueError, match="must not cancel out"):
        preprocessing.mean_per_speaker(two)
