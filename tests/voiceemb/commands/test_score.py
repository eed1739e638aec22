"""`python -m voiceemb score`: the error rates of RTTM files."""

import json

import pytest

from timbre.turns import Turn, write_rttm
from voiceemb import __main__ as cli

WHOLE = [Turn(0, 10, "anna")]
HALVES = [Turn(0, 5, "x"), Turn(5, 10, "y")]  # half of the time confused
BOTH = {"talk": WHOLE, "news": WHOLE}


@pytest.fixture
def files(tmp_path):
    """A reference of two recordings and a hypothesis of both, one of them perfect."""
    write_rttm(tmp_path / "ref.rttm", BOTH)
    write_rttm(tmp_path / "hyp.rttm", {"talk": HALVES, "news": [Turn(0, 10, "z")]})
    return [str(tmp_path / "ref.rttm"), str(tmp_path / "hyp.rttm")]


def test_a_table_has_each_recording_and_all_pooled(files, tmp_path, capsys):
    out = tmp_path / "new" / "rates.json"
    cli.main(["score", *files, "--out", str(out)])
    header, news, talk, pooled = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["file", "speakers", "DER"]
    assert news.split()[:3] == ["news", "1/1", "0.00"]
    assert talk.split()[:3] == ["talk", "1/2", "50.00"]
    assert pooled.split()[:3] == ["all", "2/3", "25.00"]
    found = json.loads(out.read_text())
    assert [*found] == ["news", "talk", "all"]
    assert found["talk"]["der"] == found["talk"]["jer"] == 0.5
    assert found["talk"]["mapping"] == {"x": "anna"}
    assert found["all"]["der"] == found["all"]["jer"] == 0.25
    assert found["all"]["confusion"] == 5 and found["all"]["total"] == 20


def test_folders_give_what_their_files_give(files, tmp_path, capsys):
    cli.main(["score", *files])
    expected = capsys.readouterr().out
    for name, turns in (("talk", HALVES), ("news", [Turn(0, 10, "z")])):
        (tmp_path / "hyp").mkdir(exist_ok=True)
        write_rttm(tmp_path / "hyp" / f"{name}.rttm", {name: turns})
    cli.main(["score", files[0], str(tmp_path / "hyp")])
    assert capsys.readouterr().out == expected
    write_rttm(tmp_path / "hyp" / "again.rttm", {"talk": WHOLE})
    with pytest.raises(SystemExit, match="one file of .*: talk in talk.rttm"):
        cli.main(["score", files[0], str(tmp_path / "hyp")])


def test_a_collar_and_overlaps_are_left_out_if_asked(tmp_path, capsys):
    """Of 10 s with an overlap of 2 s at the end; the collar takes 1 s at each bound."""
    paths = [str(tmp_path / name) for name in ("ref.rttm", "hyp.rttm")]
    write_rttm(paths[0], {"talk": [*WHOLE, Turn(8, 10, "ben")]})
    write_rttm(paths[1], {"talk": [Turn(0.5, 10, "x")]})
    rates = []
    for more in ([], ["--skip-overlap"], ["--collar", "1"]):
        cli.main(["score", *paths, *more])
        rates.append(capsys.readouterr().out.splitlines()[1].split()[2])
    assert rates == ["20.83", "6.25", "0.00"]  # 2.5 s of 12, 0.5 s of 8, none of 6


def test_only_what_a_uem_names_is_scored(files, tmp_path, capsys):
    uem = tmp_path / "a.uem"
    uem.write_text("talk 1 0 5\n")
    cli.main(["score", *files, "--uem", str(uem)])
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["talk", "all"]
    assert said.out.splitlines()[1].split()[2] == "0.00"
    assert "not scored, as nothing says how: news" in said.err


def test_what_one_side_lacks_is_said_and_counts(files, tmp_path, capsys):
    write_rttm(tmp_path / "hyp.rttm", {"talk": WHOLE, "other": WHOLE})
    cli.main(["score", *files])
    said = capsys.readouterr()
    assert "no turns in a hypothesis of news" in said.err and "other" in said.err
    assert said.out.splitlines()[1].split()[:3] == ["news", "1/0", "100.00"]


def test_what_can_not_be_scored_is_one_line(files, tmp_path):
    empty = tmp_path / "empty.rttm"
    empty.write_text("")
    for words, rule in (
        ([str(empty), files[1]], "must name a recording. Received: none"),
        ([files[0], str(tmp_path / "none.rttm")], "none.rttm"),
        ([*files, "--out", str(tmp_path / "a.txt")], "--out must end in .json"),
        ([*files, "--collar", "-1"], "collar"),
    ):
        with pytest.raises(SystemExit, match=f"error: .*{rule}"):
            cli.main(["score", *words])
