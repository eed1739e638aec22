"""Commands: what is asked for is done, and what goes wrong is one line."""

import importlib
import inspect
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from tyro.conf import Positional, arg, create_mutex_group

from tests.conftest import ROOT
from timbre import cli
from timbre.files import write_json

ALL = {
    package: importlib.import_module(f"{name}.commands").COMMANDS
    for package, name in cli.PACKAGES.items()
}
PLAIN = {"seed", "sampling", "kind", "method", "num_speakers"}  # need no words
EVERY = [(package, name) for package, names in ALL.items() for name in names]


@pytest.fixture
def hall(monkeypatch):
    """A package of the commands that it is called with."""

    def run(command, *arguments, **options):
        module = ModuleType("hall.commands", "A hall.")
        module.greet = command
        module.COMMANDS = {"greet": "hall.commands:greet"}
        monkeypatch.setitem(sys.modules, "hall", ModuleType("hall"))
        monkeypatch.setitem(sys.modules, "hall.commands", module)
        return cli.run("hall", [*arguments], **options)

    return run


def test_a_command_gets_its_options_and_gives_its_status(hall):
    def greet(names: Positional[tuple[Path, ...]], *, loud: bool = False, n: int = 1):
        """Say hello."""
        assert names == (Path("anna"), Path("ben")) and loud and n == 1
        return 3

    assert hall(greet, "greet", "anna", "ben", "--loud") == 3


def test_help_says_what_the_docstring_says_and_what_is_the_default(hall, capsys):
    def greet(*, name: Annotated[str, arg(metavar="NAME")] = "you", out: Path):
        """Say hello.

        Args:
            name: Who is greeted, whether here or
                Away.
            out: Where to write.
        """

    with pytest.raises(SystemExit) as end:
        hall(greet, "greet", "--help")
    raw = capsys.readouterr().out
    assert "whether here or Away" in raw  # lines of the source are joined
    said = " ".join(raw.replace("│", "").split())
    assert end.value.code == 0
    assert said.startswith("usage: python -m hall greet [-h]") and "Say hello." in said
    assert "--name NAME Who is greeted, whether here or Away. (default: you)" in said
    assert "Where to write. (required)" in said
    with pytest.raises(SystemExit) as end:
        hall(greet, "--help", prog="timbre hall")
    said = capsys.readouterr().out
    assert end.value.code == 0 and said.startswith("usage: timbre hall COMMAND")
    assert "A hall." in said and "  greet  Say hello\n" in said


def test_a_command_of_words_gets_them_and_its_name(hall):
    def greet(arguments, prog):
        """Say hello."""
        assert arguments == ["--help", "x"] and prog == "timbre hall greet"

    assert hall(greet, "greet", "--help", "x", prog="timbre hall") == 0


@pytest.mark.parametrize(
    "words, rule",
    [
        ([], "COMMAND must be one of greet"),
        (["walk"], "COMMAND must be one of greet. Received: walk"),
        (["greet", "--to", "b"], "at least one of names"),
        (["greet", "a", "--to", "b", "--not", "c"], "not allowed together"),
        (["greet", "a", "--to", "b", "--n", "x"], "--n"),
        (["greet", "a", "--to", "b", "--n", "-1"], "--n must be at least 0"),
        (["greet", "a"], "--to, --not"),
        (["greet", "a", "--to", "b", "--nobody"], "--nobody"),
    ],
)
def test_options_of_the_wrong_form_end_with_status_2(hall, capsys, words, rule):
    group = create_mutex_group(required=True)

    def greet(
        names: Positional[tuple[str, ...]],
        *,
        to: Annotated[str | None, group] = None,
        not_: Annotated[str | None, group, arg(name="not")] = None,
        n: int = 0,
    ):
        """Say hello."""
        cli.check_min("--n", n, 0)
        pytest.fail("the options are wrong")

    with pytest.raises(SystemExit) as end:
        hall(greet, *words)
    said = capsys.readouterr()
    assert end.value.code == 2 and rule in said.err and not said.out


def test_what_a_user_can_mend_is_one_line_and_status_1(hall):
    def greet():
        """Say hello."""
        raise ValueError("A name must\n  be said.")

    with pytest.raises(SystemExit) as end:
        hall(greet, "greet")
    assert end.value.code == "error: A name must be said."


def test_a_missing_extra_is_one_line_and_a_bug_is_loud(hall):
    def greet():
        """Say hello."""
        raise ImportError("The hall is\n an extra: pip install hall")

    with pytest.raises(SystemExit) as end:
        hall(greet, "greet")
    assert end.value.code == "error: The hall is an extra: pip install hall"

    def absent():
        """Say hello."""
        import timbre.training.no_such_module  # noqa: F401

    def misspelt():
        """Say hello."""
        from timbre.cli import walk  # noqa: F401

    for bug in (absent, misspelt):
        with pytest.raises(ImportError):
            hall(bug, "greet")


def test_an_interrupt_ends_with_status_130(hall, capsys):
    def greet():
        """Say hello."""
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        hall(greet, "greet")
    assert end.value.code == 130 and "Interrupted" in capsys.readouterr().err


def test_timbre_lists_all_packages_and_runs_their_commands(capsys):
    assert cli.main([]) == 0
    listed = capsys.readouterr().out
    for package, names in ALL.items():
        assert f"\n{package}\n" in listed
        assert all(re.search(rf"^  {name}  +\w", listed, re.M) for name in names)
    with pytest.raises(SystemExit) as end:
        cli.main(["voiceemb", "score", "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: timbre voiceemb score ")
    with pytest.raises(SystemExit) as end:
        cli.main(["voices"])
    assert end.value.code == 2
    assert "PACKAGE must be one of voiceemb, flows" in capsys.readouterr().err


@pytest.mark.parametrize("package, name", EVERY)
def test_every_command_says_what_it_does_and_what_it_takes(package, name, capsys):
    command = cli.load_command(ALL[package][name])
    words = ["speakers"] if (package, name) == ("diffusion", "train") else []
    with pytest.raises(SystemExit) as end:
        cli.main([package, name, *words, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and f"usage: timbre {package} {name}" in said
    if "prog" in command.__annotations__ or not command.__annotations__:
        return
    summary, text = inspect.getdoc(command).partition("\n")[::2]
    assert summary.replace(" ", "") in "".join(said.split())
    for option, kind in command.__annotations__.items():
        explained = f"    {option}: " in text or re.search(r"help=['\"]", repr(kind))
        assert explained or option in PLAIN, option


@pytest.mark.parametrize("package", cli.PACKAGES)
def test_help_of_no_command_loads_a_heavy_library(package):
    """So it answers at once: loading these takes most of a second and more."""
    heavy = ("tensorflow", "keras", "scipy", "sklearn", "matplotlib")
    code = (
        "import json, sys\nfrom timbre import cli\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try: cli.main(words)\n"
        f"    except SystemExit: pass\nassert not set({heavy}) & set(sys.modules)"
    )
    helps = [[package, name, "--help"] for name in ALL[package]]
    command = [sys.executable, "-c", code, json.dumps(helps)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_a_file_that_can_not_be_used_does_not_end_the_others(capsys):
    done = []

    def work(path):
        if path == "bad":
            raise ValueError("not a\nsound")
        done.append(path)

    with pytest.raises(ValueError, match="1 of 3 files could not be used"):
        cli.for_each_file(["a", "bad", "c"], work)
    assert done == ["a", "c"]
    assert capsys.readouterr().err == "error: bad: not a sound\n"


def test_an_output_is_checked_and_its_folder_made(tmp_path):
    cli.check_output(tmp_path / "deep" / "A.NPZ", (".npz",))
    assert not [*(tmp_path / "deep").iterdir()]
    (tmp_path / "file").write_text("")
    for path, error, rule in (
        (tmp_path / "a.txt", ValueError, "--out must end in .npz or .wav. Received"),
        (tmp_path / "deep", IsADirectoryError, "--out must name a file"),
        (tmp_path / "file" / "a.npz", OSError, "file"),
    ):
        suffixes = () if path.name == "deep" else (".npz", ".wav")
        with pytest.raises(error, match=rule):
            cli.check_output(path, suffixes)


def test_json_is_written_whole_and_must_have_its_keys(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    assert cli.read_json(path, "a") == {"a": 1}
    with pytest.raises(ValueError, match="must have b and c"):
        cli.read_json(path, "a", "b", "c")
    path.write_text("[1")
    with pytest.raises(ValueError, match="must be a JSON object. Received"):
        cli.read_json(path)


def test_whatever_is_wrong_with_a_model_is_one_error():
    for error in (KeyError("torn"), RuntimeError("torn\nfile"), OSError("torn")):
        with pytest.raises(ValueError, match="run can not be loaded. Received: .*torn"):
            with cli.loading("run"):
                raise error
    with pytest.raises(FileNotFoundError), cli.loading("run"):
        raise FileNotFoundError("nothing there")


@pytest.mark.slow
def test_keras_is_imported_without_what_is_not_used_and_that_can_be_imported_later():
    code = """
import gc, sys
from timbre import cli
cli.import_keras()
assert "keras" in sys.modules and not {"sklearn", "jax"} & set(sys.modules)
assert gc.isenabled()
import sklearn.cluster
cli.import_keras()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_source_ends_after_the_block_that_ctrl_c_met():
    def source():
        yield 1
        signal.raise_signal(signal.SIGINT)
        yield 2
        pytest.fail("it was interrupted")

    before = signal.getsignal(signal.SIGINT)
    with cli.until_interrupted(source()) as blocks:
        assert [*blocks] == [1, 2]
    assert signal.getsignal(signal.SIGINT) is before
