"""Text summary: tables beside published numbers, and an honest comparison."""

import math

import pytest

from flows.evaluation import summary
from tests.flows import stand_ins


def line(said, *starts):
    """The first line after each of `starts` in turn that begins with it."""
    lines = iter(said.splitlines())
    for start in starts:
        found = next(each for each in lines if each.strip().startswith(start))
    return found


def test_published_changes_are_differences():
    """The paper's own columns agree, and so were copied right."""
    for factor, rows in summary.PUBLISHED.items():
        assert [*rows] == ["vae", "nf", f"dnf-{factor}", "fdnf"]
        for row in rows.values():
            for each in (row["target"], *row["others"].values()):
                change = each["after"] - each["before"]
                assert math.isclose(change, each["change"], abs_tol=1e-9)
        targets = {row["target"]["before"] for row in rows.values()}
        assert len(targets) == 1  # all models see the same segments


def test_tables_show_here_beside_published():
    said = summary.summarise(stand_ins.results())
    numbers = line(said, "phone changed", "target phone", "f-DNF").split()[1:]
    assert numbers == ["0.010", "0.700", "+0.690", "0.013", "0.636", "+0.623"]
    numbers = line(said, "phone changed", "own speaker", "phone-DNF").split()[1:]
    assert numbers == ["0.600", "0.300", "-0.300", "0.612", "0.335", "-0.277"]
    numbers = line(said, "speaker changed", "own phone", "VAE").split()[1:]
    assert numbers == ["0.600", "0.400", "-0.200", "0.520", "0.509", "-0.011"]
    assert "1,000 pairs" in said and "Sun et al." in said


def test_other_factors_have_no_published_figures():
    said = summary.summarise(stand_ins.results(factors=("digit", "speaker")))
    assert "published" not in said
    assert len(line(said, "digit changed", "target digit", "f-DNF").split()) == 4


def test_of_three_factors_two_are_side_effects():
    said = summary.summarise(stand_ins.results(factors=("phone", "speaker", "gender")))
    for other in ("phone", "speaker"):
        assert line(said, "gender changed", f"own {other}", "gender-DNF")
    assert "a side effect on phone of 0.050, the smallest (NF: 0.150)" in said


def test_everything_found_is_in_the_text():
    results = stand_ins.results()
    results["verification"] = {"before": 0.125, "fdnf/speaker": 0.0625}
    said = summary.summarise(results)
    assert line(said, "phone: 90.0% (chance 30.0%)")
    whole = line(said, "Class structure", "f-DNF").split()
    assert whole == "f-DNF latent phone 3.000 0.750 0.100 0.800 0.250".split()
    assert "f-DNF         speaker     phone             0.000      0.250" in said
    bits = line(said, "Bits per dimension of the features", "NF").split()
    assert bits == ["NF", "1.250", "-", "1.125", "-", "2.0e-06", "0.875", "0.875"]
    heads = line(said, "bits without labels").split("bits ")
    assert [head.strip() for head in heads] == ["", "without labels", "given labels"]
    ks = line(said, "Latents around", "f-DNF").split()
    assert ks == ["f-DNF", "phone", "0.050", "0.500"]
    rates = [
        line(said, "Equal error rate", name).split() for name in ("before", "f-DNF")
    ]
    assert rates == [["before", "12.50%"], ["f-DNF,", "speaker", "6.25%"]]
    assert "Note: a note" in said and "20 test" in said


def test_what_was_not_measured_is_not_said():
    results = stand_ins.results()
    for model in results["models"].values():
        model |= {"bits": None, "gaussianity": {}, "parts": {}}
    results["manipulation"] = {"phone": {}, "speaker": {}}
    said = summary.summarise(results)
    assert "changed" not in said and "Changing" not in said
    assert "Equal error" not in said and "Latents around" not in said
    assert line(said, "Bits", "VAE").split()[1:5] == ["-"] * 4


@pytest.mark.parametrize(
    "after, harm, reach, effect",
    [
        (
            {},
            {},
            "0.700, the highest (X-DNF: 0.600)",
            "0.050, the smallest (NF: 0.150)",
        ),
        (
            *({"dnf": 0.9}, {"vae": 0.01}),
            "0.700, not the highest (X-DNF: 0.900)",
            "0.050, not the smallest (VAE: 0.010)",
        ),
        (  # what is printed alike is called so
            *({"nf": 0.7002}, {"dnf": 0.0498}),
            "0.700, level with the highest of the others (NF: 0.700)",
            "0.050, level with the smallest of the others (X-DNF: 0.050)",
        ),
        (  # a gain of another factor is a side effect too
            *({}, {"fdnf": -0.3}),
            "0.700, the highest (X-DNF: 0.600)",
            "0.300, not the smallest (NF: 0.150)",
        ),
    ],
)
def test_the_sentence_is_honest_either_way(after, harm, reach, effect):
    said = summary.compare(stand_ins.results(after, harm))
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        words = (
            f"Changing {factor}, f-DNF has a target posterior of {reach}, and a side "
            f"effect on {other} of {effect} and "
        )
        assert words.replace("X-DNF", f"{factor}-DNF") in said


@pytest.mark.parametrize(
    "ours, theirs, words",
    [
        (0.05, 0.3, "below half of the 0.300"),
        (-0.05, 0.3, "below half of the 0.300"),  # a gain of the other is one too
        (0.149, 0.3, "below half of the 0.300"),
        (0.1499, 0.3, "below the 0.300"),  # 0.150 is what will be printed
        (0.2, 0.3, "below the 0.300"),
        (0.2998, 0.3, "level with the 0.300"),
        (0.0001, 0.0004, "level with the 0.000"),
        (0.4, 0.3, "above the 0.300"),
        (0.4, -0.3, "above the 0.300"),
    ],
)
@pytest.mark.parametrize("factors", [("phone", "speaker"), ("a", "b", "c", "d")])
def test_the_sentence_says_whether_side_effects_are_below_half_of_the_dnf(
    ours, theirs, words, factors
):
    results = stand_ins.results(harm={"fdnf": ours, "dnf": theirs}, factors=factors)
    said = summary.compare(results).splitlines()
    for factor, told in zip(factors, said, strict=True):
        assert told.startswith(f"Changing {factor}, f-DNF has")
        assert told.count(f" and {words} of {factor}-DNF") == len(factors) - 1
        for other in {*factors} - {factor}:
            assert f"a side effect on {other} of {abs(ours):.3f}, " in told


def test_without_a_dnf_the_best_of_the_others_is_all_that_is_compared_to():
    results = stand_ins.results()
    for factor, rows in results["manipulation"].items():
        del rows[f"dnf-{factor}"]
    words = (
        "Changing phone, f-DNF has a target posterior of 0.700, the highest (NF: "
        "0.400), and a side effect on speaker of 0.050, the smallest (NF: 0.150)."
    )
    assert summary.compare(results).splitlines()[0] == words
    for rows in results["manipulation"].values():
        del rows["fdnf"]
    assert summary.compare(results) == ""


def test_alone_or_absent_the_factorial_flow_is_compared_to_nothing():
    results = stand_ins.results()
    results["manipulation"] = {
        factor: {"fdnf": rows["fdnf"]}
        for factor, rows in results["manipulation"].items()
    }
    assert summary.compare(results) == ""
    assert "Changing" not in summary.summarise(results)
