"""Commands: what is asked for is done, and what goes wrong is one line."""

from types import SimpleNamespace

import pytest

from timbre import cli


def _greet(command):
    command.add_argument("--name", default="you")


ABOUT = {_greet: "say hello"}


def run(greet, *arguments):
    loaded = SimpleNamespace(greet=greet)
    cli.run("hall", "A hall.", ABOUT, lambda command: loaded, ["greet", *arguments])


def test_a_command_gets_its_options():
    heard = []
    run(lambda options: heard.append(options.name), "--name", "anna")
    assert heard == ["anna"]


def test_what_a_user_can_mend_is_one_line_and_status_1():
    def greet(options):
        raise ValueError("A name must\n  be said.")

    with pytest.raises(SystemExit) as end:
        run(greet)
    assert end.value.code == "error: A name must be said."


def test_a_missing_extra_is_one_line_and_a_bug_is_loud():
    def greet(options):
        raise ImportError("The hall is\n an extra: pip install hall")

    with pytest.raises(SystemExit) as end:
        run(greet)
    assert end.value.code == "error: The hall is an extra: pip install hall"

    def absent(options):
        import timbre.training.no_such_module  # noqa: F401

    def misspelt(options):
        from timbre.cli import walk  # noqa: F401

    for bug in (absent, misspelt):
        with pytest.raises(ImportError):
            run(bug)


def test_an_interrupt_ends_with_status_130(capsys):
    def greet(options):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run(greet)
    assert end.value.code == 130 and "Interrupted" in capsys.readouterr().err


def test_each_command_is_answered_by_a_module_of_its_own():
    heard = []
    modules = {"greet": SimpleNamespace(greet=heard.append)}
    cli.run("hall", "A hall.", ABOUT, modules.__getitem__, ["greet"])
    assert [options.command for options in heard] == ["greet"]


def test_help_loads_nothing_that_answers(capsys):
    def load(command):
        raise AssertionError("not for help")

    with pytest.raises(SystemExit) as end:
        cli.run("hall", "A hall.", ABOUT, load, ["greet", "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and "python -m hall greet" in said and "--name" in said
