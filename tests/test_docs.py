"""What the documents say is so: their code runs and their links lead somewhere."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
NAMED = re.compile(
    r"`((?:diffusion|docs|flows|tests|timbre|voiceemb)/"
    r"[\w/.]*)`"
)


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
    done = subprocess.run(
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


def test_the_readme_prints_two_commands_that_need_python_only():
    text = (ROOT / "README.md").read_text("utf-8")
    commands = [
        line for line in text.splitlines() if line.startswith("python3 -m venv")
    ]
    assert len(commands) == 2
    main, tests = (command.split(" && ")[-1].split() for command in commands)
    assert main == [".venv/bin/python", "train_triplet.py"]
    assert tests[:3] == [".venv/bin/python", "-m", "pytest"]
