"""A bundle embeds as what was trained, alone or fused, and knows no place."""

import json

import keras
import numpy as np
import pytest

from tests.voiceemb.runs import make, record
from voiceemb import Encoder, bundle, report
from voiceemb import __main__ as cli
from voiceemb.networks import speaker_encoder
from voiceemb.networks.ensemble import Fusion


@pytest.fixture
def runs(tmp_path):
    one = make(tmp_path / "one", ["anna", "bert"])
    return [one, make(tmp_path / "third", ["bert", "carl"], embedding_dim=4)]


@pytest.fixture
def sounds(rng):
    noise = rng.normal(scale=0.1, size=(3, 20_000)).astype("float32")
    return [noise[0], np.convolve(noise[1], np.hanning(60), "same"), noise[2, :7000]]


@pytest.mark.slow
def test_a_packed_run_embeds_alike_and_knows_no_place(runs, tmp_path, sounds):
    packed = bundle.pack(runs[0], tmp_path / "deep" / "packed")
    one, two = (Encoder.load(folder) for folder in (runs[0], packed))
    expected = one.embed_utterances(sounds)
    np.testing.assert_array_equal(two.embed_utterances(sounds), expected)
    assert report.trained_speakers(packed) == {"anna", "bert", "eve"}
    assert not (packed / "checkpoints").exists()
    config = json.loads((packed / "config.json").read_text("utf-8"))["config"]
    assert (config["corpus"], config["runs"]) == (["voices"], "runs")
    with pytest.raises(ValueError, match="is a new folder"):
        bundle.pack(runs[0], packed)


def test_what_is_no_run_is_not_packed(tmp_path):
    with pytest.raises(FileNotFoundError):
        bundle.pack(tmp_path, tmp_path / "packed")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_fused_cosines_are_the_mean_of_the_members(runs, tmp_path, sounds):
    """Of one window each, so that no mean over windows comes between."""
    windows = [sound[:7000] for sound in sounds]
    fused = Encoder.load(bundle.fuse(runs, tmp_path / "fused"))
    members = [Encoder.load(run) for run in runs]
    assert fused.dim == 12
    points = fused.embed_utterances(windows)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-6)
    each = [m.embed_utterances(windows) for m in members]
    expected = np.mean([Encoder.similarity(x, x) for x in each], axis=0)
    np.testing.assert_allclose(Encoder.similarity(points, points), expected, atol=1e-5)
    assert expected.std() > 1e-3


@pytest.mark.slow
def test_a_fused_encoder_knows_the_speakers_of_all_members(runs, tmp_path, capsys):
    names = [str(run) for run in runs]
    cli.main(["fuse", "--runs", *names, "--out", str(tmp_path / "fused")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "fused")
    speakers = report.trained_speakers(tmp_path / "fused")
    assert speakers == {"anna", "bert", "carl", "eve"}
    card = (tmp_path / "fused" / "card.md").read_text("utf-8")
    assert "# one" in card and "# third" in card
    untrained = report.build_untrained(tmp_path / "fused")
    assert isinstance(untrained.model.network, Fusion)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change, rule",
    [
        ({"norm": "mean"}, "one `norm`"),
        ({"crop_frames": 60}, "one `crop_frames`"),
        ({"front_end": {"num_bands": 40}}, "one `front_end`"),
    ],
)
def test_encoders_that_hear_differently_are_not_fused(runs, tmp_path, change, rule):
    other = make(tmp_path / "other", ["dora"], **change)
    with pytest.raises(ValueError, match=rule):
        bundle.fuse([runs[0], other], tmp_path / "fused")
    with pytest.raises(ValueError, match="at least two networks"):
        bundle.fuse(runs[:1], tmp_path / "fused")
    assert not (tmp_path / "fused").exists()


class Loudness(keras.layers.Layer):
    """A network whose embeddings have any length."""

    embedding_dim = 3

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, features, mask=None, training=None):
        return self.factor * features[:, 0, :3]


def test_a_loud_member_weighs_no_more_than_a_quiet_one(rng):
    """`unit(x) / sqrt(2)` of each: squares sum to 1, so cosines are their mean."""
    x = rng.normal(size=(4, 5, 3)).astype("float32")
    points = np.asarray(Fusion([Loudness(0.1), Loudness(-30.0)])(x))
    one = x[:, 0] / np.linalg.norm(x[:, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(points * 2**0.5, np.hstack([one, -one]), atol=1e-6)


def test_a_fusion_is_rebuilt_from_its_config_and_from_names():
    member = {"network": "rescnn", "stages": (4,), "num_blocks": 1, "embedding_dim": 4}
    model = speaker_encoder.build(
        "fusion", members=[member, {**member, "embedding_dim": 2}]
    )
    assert model.embedding_dim == 6
    again = Fusion.from_config(model.network.get_config())
    assert again.get_config() == model.network.get_config()
    for members in ([], [member], [member, {"network": "fusion"}]):
        with pytest.raises(ValueError):
            speaker_encoder.build("fusion", members=members)
    with pytest.raises(ValueError, match="`network` must be one of"):
        speaker_encoder.build("fusion", members=[member, {}])


def test_a_centre_is_taken_away_before_unit_length(rng):
    shape = {"network": "rescnn", "stages": (4,), "num_blocks": 1, "embedding_dim": 6}
    fused = speaker_encoder.build(
        network="fusion", members=[shape, shape], front_end={}
    )
    features = rng.normal(size=(3, 20, 64)).astype("float32")
    points = [np.array(m(features)) for m in fused.network.members]
    points = [p / np.linalg.norm(p, axis=1, keepdims=True) for p in points]
    centre = 0.3 * rng.normal(size=6).astype("float32")
    fused.network.centres[1].assign(centre)
    points[1] -= centre
    points[1] /= np.linalg.norm(points[1], axis=1, keepdims=True)
    expected = np.concatenate(points, axis=1) / np.sqrt(2)
    np.testing.assert_allclose(fused.network(features), expected, atol=1e-5)


def test_the_centre_of_a_run_is_the_mean_of_the_speakers_it_learned_from(tmp_path):
    corpus = record(tmp_path / "voices", ["anna", "bert", "carl"])
    run = make(tmp_path / "one", ["anna", "carl"], corpus=corpus)
    encoder = Encoder.load(run)
    said = [
        encoder.embed_speaker([corpus / name / f"{i}.wav" for i in range(3)])
        for name in ("anna", "carl")
    ]
    found = bundle.centre(run, encoder)
    np.testing.assert_allclose(found, np.mean(said, axis=0), atol=1e-5)
    with pytest.raises(ValueError, match="does not keep synthetic"):
        bundle.centre(make(tmp_path / "two", ["anna"], corpus=None), encoder)


@pytest.mark.slow
def test_a_centred_fusion_keeps_the_centres_of_its_members(tmp_path):
    corpus = record(tmp_path / "voices", ["anna", "bert"])
    runs = [
        make(tmp_path / name, ["anna", "bert"], corpus=corpus)
        for name in ("one", "six")
    ]
    cli.main(
        [
            "fuse",
            "--centred",
            "--out",
            str(tmp_path / "both"),
            "--runs",
            *map(str, runs),
        ]
    )
    centres = Encoder.load(tmp_path / "both").model.network.centres
    for run, centre in zip(runs, centres, strict=True):
        expected = bundle.centre(run, Encoder.load(run))
        np.testing.assert_allclose(centre, expected, atol=1e-6)
