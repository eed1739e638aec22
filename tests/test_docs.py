"""What the documents say is so: their code runs and their links lead somewhere."""

import importlib
import inspect
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests import programs
from tests.conftest import ROOT
from timbre import cli
from timbre.training import script

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
PACKAGES = ("voiceemb", "flows", "diffusion", "timbre.corpora")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
NAMED = re.compile(
    r"`((?:diffusion|docs|flows|tests|timbre|voiceemb)/"
    r"[\w/.]*)`"
)

# Hosts that packages are fetched from: each installation has its own, so none is named.
HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|npmjs\.(com|org)|"
    r"anaconda\.(com|org)|index[-_]url\s*=?\s*http",
    re.IGNORECASE,
)
SOURCES = {*".cff .css .js .md .py .rst .toml .txt .yaml .yml".split()}
GENERATED = {"__pycache__", "build", "cache", "corpus", "dist", "people", "runs"}


def blocks():
    for path in DOCUMENTS:
        for number, code in enumerate(BLOCK.findall(path.read_text("utf-8"))):
            yield pytest.param(code, id=f"{path.name}-{number}")


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks())
def test_the_code_in_a_document_runs_as_it_stands(code, trained_run):
    for tiny, smoke in (
        ("runs/tiny", "runs/smoke"),
        ("corpus/synthetic", "corpus/smoke"),
    ):
        code = code.replace(tiny, smoke)
    done = programs.run(
        [sys.executable, "-c", code],
        cwd=trained_run,
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_of_a_document_lead_somewhere(path):
    text = BLOCK.sub("", path.read_text("utf-8"))
    for target in LINK.findall(text):
        assert (path.parent / target).exists(), target
    for target in NAMED.findall(text):
        assert (ROOT / target).exists(), target


def commands():
    """The command lines of the documents: package, command and its arguments."""
    for path in DOCUMENTS:
        for block in SHELL.findall(path.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:2] == ["python", "-m"] and words[2] in PACKAGES:
                    case = (words[2], words[3], words[4:])
                    yield pytest.param(*case, id=f"{path.name}-{' '.join(words[2:])}")


@pytest.mark.parametrize("package, name, arguments", commands())
def test_a_command_of_a_document_has_the_options_it_is_given(
    package, name, arguments, monkeypatch
):
    """Its options are parsed as the command line does; nothing is run."""

    def parse_only(system, arguments, *, program=None):
        presets = importlib.import_module(f"{system}.presets")
        default = presets.DEFAULT
        script.parse(presets.PRESETS, default=default, about="", arguments=arguments)

    monkeypatch.setattr(script, "run", parse_only)
    commands = importlib.import_module(f"{package}.commands").COMMANDS
    command = cli.load_command(commands[name])
    if "prog" in inspect.signature(command).parameters:  # training
        command(arguments, name)
    else:
        cli.parse_command(command, arguments, name)


def test_the_readme_prints_two_commands_that_need_python_only():
    text = (ROOT / "README.md").read_text("utf-8")
    commands = [
        line for line in text.splitlines() if line.startswith("python3 -m venv")
    ]
    assert len(commands) == 2
    main, tests = (command.split(" && ")[-1].split() for command in commands)
    assert main == [".venv/bin/python", "train_triplet.py"]
    assert tests[:3] == [".venv/bin/python", "-m", "pytest"]


def sources():
    """Text files of the repository, but not what git ignores beside them."""
    for place, folders, names in os.walk(ROOT):
        folder = Path(place)
        if folder == ROOT:
            folders[:] = {*folders} - GENERATED
        folders[:] = [f for f in folders if f == ".ci" or not f.startswith((".", "__"))]
        for path in map(folder.joinpath, names):
            if path.suffix in SOURCES or folder.name == ".ci":
                yield path


def test_no_file_names_the_host_of_a_package_index():
    paths = list(sources())
    assert ROOT / "README.md" in paths and ROOT / ".ci" / "run" in paths
    found = {path: HOSTS.search(path.read_text("utf-8")) for path in paths}
    assert not {str(path): match.group() for path, match in found.items() if match}


def test_a_host_of_a_package_index_is_found():
    for host in ("files.python" + "hosted.org", "https://PyPI" + ".org/simple"):
        assert HOSTS.search(f"see {host} for more")
    assert HOSTS.search("PIP_EXTRA_INDEX" + "_URL=https://somewhere/simple")
