"""Progress: a bar on a terminal, a line now and then elsewhere, all on stderr."""

import sys

from corpora.progress import Progress


def test_a_log_gets_few_lines_and_the_last_count(capsys):
    progress = Progress("caching", 1000)
    for _ in range(1000):
        progress.step()
    progress.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("caching: 1000/1000 utterances")


def test_a_terminal_gets_a_bar_that_ends_full(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress("fetching", 4, unit="MiB")
    progress.step(4)
    progress.close()
    assert f"[{'#' * 30}] fetching: 4/4 MiB" in capsys.readouterr().err


def test_nothing_done_is_nothing_said(capsys):
    Progress("caching", 5).close()
    assert capsys.readouterr().err == ""
