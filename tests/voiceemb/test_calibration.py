"""A calibration lies beside the weights it is for, and is refused beside others."""

import json

import numpy as np
import pytest

from timbre.metrics.calibration import IsotonicCalibration
from timbre.metrics.trials import all_pairs
from voiceemb import calibration
from voiceemb.evaluate import Evaluation

SHA = "a" * 64


def evaluation(rng, name, speakers=12, shift=0.0):
    """All pairs of 4 utterances a speaker; cosines are normal, equally spread."""
    trials = all_pairs(np.repeat(np.arange(speakers), 4))
    scores = rng.normal(np.where(trials.label, 0.3, 0.1) + shift, 0.1)
    return Evaluation(
        corpus=name,
        protocol="open-set",
        sets={},
        trials={"all-pairs": trials},
        scores={("all-pairs", "net"): scores},
        rows=[],
        skipped={},
    )


def test_equal_spreads_give_the_line_of_theory(rng):
    """llr = (m1 - m0) / s**2 * (x - (m1 + m0) / 2) of two normals: 20 x - 4."""
    one = evaluation(rng, "one", speakers=80)
    line, about = calibration.fit([one], "net")
    assert np.isclose(line.slope, 20, rtol=0.1)
    assert np.isclose(line.threshold(), 0.2, atol=0.02)
    assert about["corpora"]["one"]["trials"] == len(one.trials["all-pairs"])
    assert about["protocol"] == "open-set"


def test_each_corpus_counts_alike_however_many_trials_it_has(rng):
    small, large = evaluation(rng, "s", 12), evaluation(rng, "l", 60, shift=0.2)
    middle = calibration.fit([small, large], "net")[0].threshold()
    assert np.isclose(middle, 0.3, atol=0.03)  # between 0.2 and 0.4


def test_what_is_written_is_read_beside_its_weights_alone(rng, tmp_path):
    path = tmp_path / calibration.FILE
    one, far = evaluation(rng, "one"), evaluation(rng, "far")
    found, about = calibration.fit([one], "net", kind="isotonic", other_corpora=[far])
    assert isinstance(found, IsotonicCalibration)
    calibration.write(path, found, sha256=SHA, about=about)
    kept = calibration.read(path, sha256=SHA)
    again = kept.calibration
    scores = np.linspace(-1, 1, 41)
    np.testing.assert_array_equal(again.llr(scores), found.llr(scores))
    with pytest.raises(ValueError, match="holds for the weights it was fitted on"):
        calibration.read(path, sha256="b" * 64)
    assert [p.name for p in tmp_path.iterdir()] == [calibration.FILE]
    assert kept.about == {k: v for k, v in about.items() if k != "places"}
    assert calibration.scores_to_json(kept.corpus_scores) == about["places"]


def test_what_scores_are_like_is_kept_of_each_corpus_fitted_or_not(rng):
    """Cosines of one voice are drawn around 0.3, of two around 0.1, both within 0.1."""
    one, far = evaluation(rng, "one", 40), evaluation(rng, "far", 40, shift=0.2)
    line, about = calibration.fit([one], "net", other_corpora=[far])
    assert line == calibration.fit([one], "net")[0] and [*about["corpora"]] == ["one"]
    for name, shift in (("one", 0.0), ("far", 0.2)):
        same, different = (about["places"][name][k] for k in ("same", "different"))
        np.testing.assert_allclose(same, [0.3 + shift, 0.1], atol=0.02)
        np.testing.assert_allclose(different, [0.1 + shift, 0.1], atol=0.01)
    far.scores["all-pairs", "net"] *= -1
    with pytest.raises(ValueError, match="must be higher in 'far'"):
        calibration.fit([one], "net", other_corpora=[far])


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "7", '{"calibration": {}}', "[" * 100_000),
        json.dumps({"calibration": {"kind": "logistic"}, "weights": SHA}),
        json.dumps({"calibration": {"kind": "os.system"}, "weights": SHA}),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match="[Cc]alibration"):
        calibration.read(tmp_path / "c.json", sha256=SHA)


def test_a_kind_nobody_knows_is_refused(rng):
    with pytest.raises(ValueError, match="`kind` must be one of"):
        calibration.fit([evaluation(rng, "one")], "net", kind="oracle")
