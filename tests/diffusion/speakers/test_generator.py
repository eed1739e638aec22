import json

import h5py
import numpy as np
import pytest

from diffusion.speakers import sampling
from diffusion.speakers.generator import (
    SpeakerGenerator,
    labels_to_indices,
    stateless_seed,
)
from tests.diffusion.speakers.runs import DIM, load_tiny, make_run, make_set
from tests.references import unit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("voices") / "run")


@pytest.fixture(scope="module")
def generator(folder):
    return SpeakerGenerator.load(folder)


def test_a_seed_determines_the_embeddings_to_the_bit(folder, generator):
    new = generator.generate(5, seed=1)
    assert new.shape == (5, DIM) and new.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(new, generator.generate(5, seed=1))
    np.testing.assert_array_equal(
        new, SpeakerGenerator.load(folder).generate(5, seed=1)
    )
    assert np.abs(new - generator.generate(5, seed=2)).max() > 0.1
    assert np.abs(new - generator.generate(5, seed=1 + 2**31)).max() > 0.1


@pytest.mark.parametrize("sampler", ["dpm_solver", "ddpm"])
def test_the_first_embeddings_do_not_depend_on_their_number(generator, sampler):
    few, many = (generator.generate(n, seed=3, sampler=sampler) for n in (3, 10))
    np.testing.assert_allclose(few, many[:3], atol=1e-6)


def test_labels_are_given_by_name_or_by_class_index(generator):
    free, high, low = (
        generator.generate(4, labels=labels)
        for labels in (None, {"mode": "high"}, {"mode": "low"})
    )
    assert np.abs(high - low).max() > 1e-3 and np.abs(high - free).max() > 1e-3
    np.testing.assert_array_equal(high, generator.generate(4, labels=[[0]] * 4))
    np.testing.assert_array_equal(free, generator.generate(4, labels={}))
    np.testing.assert_array_equal(free, generator.generate(4, labels=[[-1]] * 4))
    both = generator.generate(4, labels=[[0], [1], [-1], [0]])
    np.testing.assert_allclose(both[:3], [high[0], low[1], free[2]], atol=1e-6)


def test_guidance_weighs_labels(generator):
    labels = {"mode": "high"}
    given = generator.generate(4, labels=labels)
    guided = generator.generate(4, labels=labels, weight=2.0)
    assert np.abs(given - guided).max() > 1e-3
    free = generator.generate(4, labels=labels, weight=-1.0)  # -1 takes them away
    np.testing.assert_allclose(free, generator.generate(4), atol=1e-5)


def test_unknown_labels_are_refused_with_the_known_ones(generator):
    for labels in ({"mode": "loud"}, {"gender": "f"}):
        with pytest.raises(ValueError, match="'high', 'low'.*Received: "):
            generator.generate(2, labels=labels)
    with pytest.raises(ValueError, match=r"must be \[2, 1\]"):
        generator.generate(2, labels=[[0]])
    for codes in ([[0], [2]], [[0], [-2]]):
        with pytest.raises(ValueError, match=r"below \[2\]"):
            generator.generate(2, labels=codes)
    assert labels_to_indices({"a": ("x", "y"), "b": ("z",)}, {"a": "y"}) == [1, -1]


def test_at_least_one_embedding_is_generated(generator):
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        generator.generate(0)


def test_embeddings_are_encoded_to_noise_and_decoded(generator):
    given = make_set(4, 1, seed=5).embeddings
    options = {"sampler": "ddim", "steps": 50}
    errors = []
    for labels in (None, {"mode": "low"}):
        noise = generator.encode(given, labels=labels, **options)
        assert noise.shape == given.shape
        back = generator.decode(noise, labels=labels, **options)
        errors.append(np.abs(back - given).max())
    assert max(errors) < 0.1
    coarse = generator.decode(
        generator.encode(given, sampler="ddim", steps=5), sampler="ddim", steps=5
    )
    assert errors[0] < np.abs(coarse - given).max()


def test_an_interpolation_begins_and_ends_with_its_ends(generator):
    a, b = make_set(2, 1, seed=6).embeddings
    way = generator.interpolate(a, b, num=7, steps=50)
    assert way.shape == (7, DIM)
    np.testing.assert_allclose(way[[0, -1]], [a, b], atol=0.1)
    steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    assert steps.max() < np.linalg.norm(a - b)  # there is no jump
    back = generator.interpolate(b, a, num=7, steps=50)
    np.testing.assert_allclose(back[::-1], way, atol=1e-4)
    assert generator.interpolate(a, b, num=2, steps=5).shape == (2, DIM)
    with pytest.raises(ValueError, match="`num` must be at least 2"):
        generator.interpolate(a, b, num=1)


def test_slerp_keeps_angles_even_and_goes_from_length_to_length(rng):
    a, b = 2 * unit(rng, 1, 5)[0], 3 * unit(rng, 1, 5)[0]
    shares = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
    way = sampling.slerp(a, b, shares).numpy()
    np.testing.assert_allclose(way[[0, -1]], [a, b], atol=1e-6)
    lengths = np.linalg.norm(way, axis=1)
    np.testing.assert_allclose(lengths, np.linspace(2, 3, 5), atol=1e-6)
    directions = way / lengths[:, None]
    angles = np.arccos(np.sum(directions[1:] * directions[:-1], axis=1))
    np.testing.assert_allclose(angles, angles[0], atol=1e-4)
    np.testing.assert_allclose(sampling.slerp(a, a, shares), [a] * 5, atol=1e-5)


def test_an_edit_to_what_a_voice_is_changes_nothing(generator):
    given = make_set(4, 1, seed=7).embeddings
    high, low = {"mode": "high"}, {"mode": "low"}
    same = generator.edit(given, high, before=high, steps=50)
    other = generator.edit(given, low, before=high, steps=50)
    np.testing.assert_allclose(same, given, atol=0.1)
    assert np.abs(other - same).max() > 1e-3
    by_code = generator.edit(given, [[1]] * 4, before=[[0]] * 4, steps=50)
    np.testing.assert_array_equal(by_code, other)


@pytest.mark.parametrize("limit", [0.7, -0.2])
def test_an_anonymised_embedding_stays_below_the_limit(generator, limit):
    given = make_set(40, 1, seed=8).embeddings
    new, cosines = generator.anonymise(given, seed=1, limit=limit)
    assert new.shape == given.shape and cosines.shape == (40,)
    np.testing.assert_allclose(cosines, np.sum(new * given, axis=1), atol=1e-5)
    assert (cosines < limit + 1e-4).all()
    again, _ = generator.anonymise(given, seed=1, limit=limit)
    other, _ = generator.anonymise(given, seed=2, limit=limit)
    np.testing.assert_array_equal(new, again)
    assert np.abs(new - other).max() > 0.1


def test_an_embedding_far_enough_gets_a_plain_sample(generator):
    given = make_set(3, 1, seed=9).embeddings
    one, cosine = generator.anonymise(given[:1], seed=4)
    assert one.shape == (1, DIM) and cosine.shape == (1,)
    plain, _ = generator.anonymise(given, seed=4, weight=0.0, limit=0.999)
    elsewhere, _ = generator.anonymise(-given, seed=4, weight=0.0, limit=0.999)
    np.testing.assert_array_equal(plain, elsewhere)  # the source counts when near only


@pytest.mark.parametrize("limit", [1.0, -1.0, 2.0, np.nan])
def test_a_limit_is_a_cosine(generator, limit):
    with pytest.raises(ValueError, match="`limit` is a cosine"):
        generator.anonymise(np.ones((1, DIM)), limit=limit)


@pytest.mark.parametrize("method", ["encode", "decode", "anonymise"])
def test_rows_of_other_dimensions_and_of_no_numbers_are_refused(generator, method):
    call = getattr(generator, method)
    for shape in ((2, DIM + 1), (DIM,), (0, DIM)):
        with pytest.raises(ValueError, match=rf"\[n, {DIM}\]"):
            call(np.ones(shape))
    for bad in (np.nan, np.inf):
        rows = np.ones((2, DIM))
        rows[1, 3] = bad
        with pytest.raises(ValueError, match="must be finite"):
            call(rows)


def test_a_generator_states_its_provenance(tmp_path, folder, generator):
    stated = (folder / "model.weights.h5.sha256").read_text().split()[0]
    assert generator.about["generator"] == "run" and generator.about["sha256"] == stated
    assert generator.about["extractor"] == "synthetic points"
    facts = json.loads((folder / "voices.json").read_text())
    facts["about"]["sha256"] = "of the extractor"
    other = make_run(tmp_path / "run")
    (other / "voices.json").write_text(json.dumps(facts))
    about = SpeakerGenerator.load(other).about
    assert about["sha256"] != about["extractor_sha256"] == "of the extractor"


def test_weights_on_disk_keep_their_names(folder):
    """Of attributes, and of classes in lists and after `layers`: old runs have them."""
    with h5py.File(folder / "model.weights.h5") as file:
        paths = set()
        file.visit(paths.add)
    network = "denoiser/layers/res_mlp"
    for path in (
        f"{network}/blocks/residual_block/film/affine/vars/1",
        f"{network}/conditioning/label/tables/embedding/vars/0",
        f"{network}/enter/vars/1",
        f"{network}/layers/layer_normalization/vars/1",
        "layers/scaler/vars/1",
    ):
        assert path in paths, sorted(paths)


def test_other_weights_and_missing_files_are_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    weights = folder / "model.weights.h5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="not those the run has written"):
        SpeakerGenerator.load(folder)
    weights.write_bytes(whole)
    for name in ("voices.json", "model.weights.h5.sha256", "model.weights.h5"):
        (folder / name).rename(tmp_path / "aside")
        with pytest.raises(FileNotFoundError, match=f"without {name}"):
            SpeakerGenerator.load(folder)
        (tmp_path / "aside").rename(folder / name)
    with pytest.raises(FileNotFoundError, match="Expected a finished run"):
        SpeakerGenerator.load(tmp_path / "nowhere")


def test_a_model_without_labels_generates(tmp_path):
    generator = load_tiny(tmp_path / "run", labels=())
    assert generator.generate(2).shape == (2, DIM)
    with pytest.raises(ValueError, match="has learned, none"):
        generator.generate(2, labels={"mode": "low"})


def test_a_seed_is_two_numbers_of_31_bits():
    assert stateless_seed(0).tolist() == [0, 0] and stateless_seed(5).tolist() == [5, 0]
    assert stateless_seed(2**31 + 7).tolist() == [7, 1]


def test_retries_replace_what_is_above_the_limit_and_never_come_nearer(
    tmp_path, monkeypatch
):
    generator = load_tiny(tmp_path / "run")
    rows, limit = make_set().embeddings[:64], 0.1
    monkeypatch.setattr(sampling, "MAX_TRIES", 1)
    _, once = generator.anonymise(rows, 1, limit=limit, weight=0.0)
    monkeypatch.undo()
    again = SpeakerGenerator(generator.model, **generator.sampling)
    _, often = again.anonymise(rows, 1, limit=limit, weight=0.0)
    near = once >= limit
    assert near.any() and (often[near] < once[near]).any()
    assert (often <= once + 1e-6).all()
    np.testing.assert_allclose(often[~near], once[~near], atol=1e-6)


def test_no_changed_value_uses_a_stale_graph(folder):
    """Each result is that of a generator that has never made another graph."""
    generator, rows = SpeakerGenerator.load(folder), make_set(5, 1, seed=8).embeddings

    def fresh():
        return SpeakerGenerator(generator.model, **generator.sampling)

    def check(ask):
        result = ask(generator)
        np.testing.assert_array_equal(result, ask(fresh()))
        return result

    results = [
        check(lambda g, options=options: g.generate(5, 1, **options))
        for options in (
            {},
            {"sampler": "ddim"},
            {"sampler": "ddim", "eta": 0.5},
            {"sampler": "ddpm"},
            {"sampler": "ddpm", "variance": "beta"},
            {"clip": 0.5},
            {"steps": 7},
            {"labels": {"mode": "low"}},
            {"labels": {"mode": "low"}, "weight": 2.0},
        )
    ]
    results += [
        check(lambda g, limit=limit: g.anonymise(rows, 1, limit=limit)[0])
        for limit in (0.2, -0.6)
    ]
    for i, result in enumerate(results):
        for j, other in enumerate(results[:i]):
            assert np.abs(result - other).max() > 1e-5, (i, j)
    other = SpeakerGenerator.load(folder).model
    for weight in other.denoiser.trainable_variables:
        weight.assign(2 * weight)
    before, generator.model = results[0], other
    assert np.abs(check(lambda g: g.generate(5, 1)) - before).max() > 1e-3


def test_limits_and_weights_share_a_graph(folder):
    generator, rows = SpeakerGenerator.load(folder), make_set(5, 1).embeddings
    for limit in (0.7, 0.5, 0.1):
        generator.anonymise(rows, limit=limit, weight=1 - limit)
    assert [g.experimental_get_tracing_count() for g in generator._graphs.values()] == [
        1
    ]


def test_an_unknown_option_of_sampling_is_refused(generator):
    with pytest.raises(TypeError, match=r"Sampling is described by .*'stepz'"):
        generator.generate(2, stepz=3)
