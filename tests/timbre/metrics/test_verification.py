"""Reports: intervals by speaker, protocols by name, one call."""

import json

import numpy as np
import pytest
import scipy.stats

from timbre.metrics import rates, verification
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import all_pairs, read_trials, write_trials


def population(rng, num_speakers=20, each=6, spread=0.8, dim=8):
    speakers = np.repeat([f"s{i:02d}" for i in range(num_speakers)], each)
    centres = rng.normal(size=(num_speakers, dim)).repeat(each, axis=0)
    return centres + spread * rng.normal(size=(len(speakers), dim)), speakers


def scored(rng, **options):
    embeddings, speakers = population(rng, **options)
    trials = all_pairs(speakers)
    scores = cosine_scores(embeddings, trials)
    return trials, scores, speakers[trials.enrol], speakers[trials.test]


def test_a_resample_holds_the_trials_it_says(rng):
    """Weights must equal a list in which every trial is really written out."""
    trials, scores, enrol, test = scored(rng, num_speakers=5, each=3)
    counts = dict(zip([f"s{i:02d}" for i in range(5)], [2, 0, 1, 1, 1], strict=True))
    labels, written = [], []
    for label, score, a, b in zip(trials.label, scores, enrol, test, strict=True):
        times = counts[a] if a == b else counts[a] * counts[b]
        labels += [label] * times
        written += [score] * times
    order, ends, _ = rates.sort_trials(trials.label, scores)
    rows = [np.array([int(s[1:]) for s in side[order]]) for side in (enrol, test)]
    weigh = verification._weighted_rates(trials.label[order], *rows, ends)
    fpr, fnr = weigh(np.array(list(counts.values())))
    assert rates.equal_error_point(fpr, fnr)[0] == pytest.approx(
        rates.eer(labels, written)
    )
    assert rates.detection_cost(fpr, fnr, p_target=0.05) == pytest.approx(
        rates.min_dcf(labels, written, p_target=0.05)
    )


def test_every_speaker_once_is_the_list_itself(rng):
    trials, scores, enrol, test = scored(rng)
    order, ends, _ = rates.sort_trials(trials.label, scores)
    rows = [np.array([int(s[1:]) for s in side[order]]) for side in (enrol, test)]
    weigh = verification._weighted_rates(trials.label[order], *rows, ends)
    found = weigh(np.ones(20, int))
    points = rates.det_curve(trials.label, scores)[:2]
    for ours, expected in zip(found, points, strict=True):
        np.testing.assert_allclose(ours, expected)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """Of 40 worlds of 20 speakers, about 95 % of intervals hold the true EER."""
    truth, held = [], []
    for seed in range(40):
        trials, scores, enrol, test = scored(np.random.default_rng(seed), each=4)
        truth.append(rates.eer(trials.label, scores))
        bounds = verification.bootstrap_by_speaker(
            trials.label, scores, enrol, test, resamples=100, seed=seed
        )
        held.append(bounds["eer"])
    mean = np.mean(truth)
    inside = [low <= mean <= high for low, high in held]
    assert 0.8 <= np.mean(inside) <= 1


def test_speakers_are_drawn_not_trials(rng):
    """More utterances of the same few speakers must not narrow the interval away."""
    widths = []
    for each in (4, 16):
        trials, scores, enrol, test = scored(rng, num_speakers=8, each=each)
        low, high = verification.bootstrap_by_speaker(
            trials.label, scores, enrol, test, resamples=200
        )["eer"]
        widths.append(high - low)
    assert widths[1] > 0.4 * widths[0]  # by trials it would be a quarter or less


def test_intervals_come_from_the_seed_and_for_costs_too(rng):
    trials, scores, enrol, test = scored(rng)
    draw = [
        verification.bootstrap_by_speaker(
            trials.label, scores, enrol, test, resamples=50, seed=seed, costs=(0.01,)
        )
        for seed in (0, 0, 1)
    ]
    assert draw[0] == draw[1] != draw[2]
    low, high = draw[0][0.01]
    assert low <= rates.min_dcf(trials.label, scores, p_target=0.01) <= high


def test_two_speakers_give_an_interval_and_one_an_error(rng):
    trials, scores, enrol, test = scored(rng, num_speakers=2)
    bounds = verification.bootstrap_by_speaker(trials.label, scores, enrol, test)
    assert 0 <= bounds["eer"][0] <= bounds["eer"][1] <= 1
    with pytest.raises(ValueError, match="only there"):
        verification.bootstrap_by_speaker([1, 0], [0.9, 0.1], ["a", "a"], ["a", "a"])


@pytest.mark.slow
def test_a_thousand_resamples_of_a_hundred_thousand_trials_surround_the_rate(rng):
    speakers = np.repeat(np.arange(100), 20).astype(str)
    trials = all_pairs(speakers, max_trials=100_000)
    scores = rng.normal(size=len(trials)) + trials.label
    sides = [speakers[rows] for rows in (trials.enrol, trials.test)]
    low, high = verification.bootstrap_by_speaker(trials.label, scores, *sides)["eer"]
    expected = scipy.stats.norm.cdf(-0.5)  # targets and others lie 1 apart, deviation 1
    assert low < expected < high and high - low < 0.05


@pytest.mark.parametrize("protocol", ["open-set", "closed-set"])
@pytest.mark.parametrize("kind", ["all-pairs", "deep-speaker"])
def test_a_report_names_its_protocol_and_its_trials(rng, protocol, kind):
    embeddings, speakers = population(rng)
    row = verification.evaluate(
        embeddings, speakers, protocol=protocol, trials=kind, name="ours", resamples=20
    )
    assert json.loads(json.dumps(row)) == row
    line = verification.table([row]).splitlines()[1]
    assert verification.PROTOCOLS[protocol] in line and "ours" in line
    assert row["trials_sha256"][:12] in line and f"{row['num_trials']} {kind}" in line
    assert line.split(kind)[1].split()[0] == "20"  # speakers
    assert row["eer_interval"][0] <= row["eer"] <= row["eer_interval"][1]


def test_a_report_agrees_with_the_rates(rng):
    embeddings, speakers = population(rng)
    trials = all_pairs(speakers)
    scores = cosine_scores(embeddings, trials)
    row = verification.report(trials, scores, protocol="open-set", resamples=0)
    assert row["eer"] == rates.eer(trials.label, scores)
    assert row["min_dcf_p01"] == rates.min_dcf(trials.label, scores, p_target=0.01)
    assert row["min_dcf_p05"] == rates.min_dcf(trials.label, scores, p_target=0.05)
    assert row["eer_interval"] is None and "best_f" not in row


def test_deep_speaker_figures_come_with_their_warning(rng):
    embeddings, speakers = population(rng, num_speakers=100, each=2)
    row = verification.evaluate(
        embeddings, speakers, protocol="closed-set", trials="deep-speaker", resamples=0
    )
    assert set(row["best_f"]) >= {"f", "tpr", "acc"}
    assert "always answering no gives 0.990" in row["note"]
    text = verification.table([row])
    assert "always answering no" in text
    assert f"{row['best_f']['f']:.3f} {row['best_f']['tpr']:.3f}" in text


def test_a_list_from_a_file_is_scored_by_name(rng, tmp_path):
    embeddings, speakers = population(rng)
    names = [f"{s}/{i}.wav" for i, s in enumerate(speakers)]
    trials = all_pairs(speakers, segments=names)
    write_trials(tmp_path / "t", trials)
    order = rng.permutation(len(names))
    options = {"protocol": "open-set", "resamples": 0}
    row = verification.evaluate(
        embeddings[order],
        speakers[order],
        segments=np.array(names)[order],
        trials=read_trials(tmp_path / "t"),
        **options,
    )
    first = verification.evaluate(embeddings, speakers, segments=names, **options)
    assert row["trials_sha256"] == first["trials_sha256"]
    assert row["eer"] == pytest.approx(first["eer"], abs=1e-12)
    assert row["num_speakers"] == 20


def test_a_list_without_speakers_has_figures_but_no_interval(rng, tmp_path):
    (tmp_path / "t").write_text("1 a b\n0 a c\n0 b c\n")
    trials = read_trials(tmp_path / "t")
    row = verification.report(trials, [0.9, 0.1, 0.2], protocol="open-set")
    assert row["eer"] == 0 and row["eer_interval"] is None
    assert "unknown" in verification.table([row])


@pytest.mark.parametrize("protocol", ["open", "", None])
def test_a_protocol_must_be_named(rng, protocol):
    embeddings, speakers = population(rng)
    with pytest.raises(ValueError, match="open-set.*Received"):
        verification.evaluate(embeddings, speakers, protocol=protocol)


def test_an_unknown_list_is_refused(rng):
    embeddings, speakers = population(rng)
    with pytest.raises(ValueError, match="all-pairs.*Received"):
        verification.evaluate(embeddings, speakers, protocol="open-set", trials="all")
