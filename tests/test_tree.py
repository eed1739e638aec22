"""The tree keeps its laws: who imports whom, what is light, what names are."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("voiceemb", "flows", "diffusion")  # in order: workers collect alike
# Modules of the root that every package may import, and what they may.
LEAVES = {"files": set(), "progress": {"tqdm"}}
ALLOWED = {
    "audio": set(),
    "metrics": set(),
    "training": set(),
    "corpora": {"audio"},
    **{system: {"audio", "corpora", "metrics", "training"} for system in SYSTEMS},
    "serving": {"audio", "corpora", "metrics", "training", *SYSTEMS},
}
NUMPY_ONLY = (
    "audio.wave",
    "corpora.folders",
    "corpora.folding",
    "corpora.librispeech",
    "corpora.manifest",
    "corpora.phones",
    "corpora.synthetic.spectra",
    "corpora.voxceleb",
    "diffusion.schedules",
    "flows.settings",
    "metrics.*",
    "serving.publish",
    "training.commands",
    "training.run",
    "training.settings",
    "voiceemb.activity_settings",
    "voiceemb.admission",
    "voiceemb.bystanders",
    "voiceemb.comparisons",
    "voiceemb.enrolment",
    "voiceemb.hearing",
    "voiceemb.listening",
    "voiceemb.names",
    "voiceemb.page",
    "voiceemb.quality",
    "voiceemb.recognition",
    "voiceemb.rings",
    "voiceemb.roster",
    "voiceemb.settings",
    "voiceemb.slices",
    "voiceemb.sources",
    "voiceemb.talk_options",
    "voiceemb.timeline",
    "voiceemb.timeline_figures",
    "voiceemb.transcript",
    "voiceemb.vad",
    "voiceemb.worth",
)
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc"}
PACKAGES = [name for name in ALLOWED if (ROOT / name).is_dir()]
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
SCRIPTS = sorted(ROOT.glob("*.py"))
TOPS = {"configs", "train_triplet", "tests", "examples", "benchmarks"}
OURS = set(ALLOWED) | TOPS | {path.stem for path in SCRIPTS}


def short(path):
    return path.relative_to(ROOT).as_posix()


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=short(path))


def imports(tree):
    """Every module a file names in an import, wherever it stands, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value, node.lineno


def breaches(package, tree):
    """Imports that the law does not allow to a file of `package`."""
    for name, line in imports(tree):
        top = name.partition(".")[0]
        if name.startswith("."):
            yield line, f"{name} is relative: name the package"
        elif top in OURS - {package} - ALLOWED[package] - set(LEAVES):
            yield line, f"{package} may not import {top}"


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_the_import_law_holds(path):
    package = path.relative_to(ROOT).parts[0]
    found = [
        f"{short(path)}:{line}: {why}" for line, why in breaches(package, parse(path))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "package, code, lawful",
    [
        ("audio", "import numpy", True),
        ("audio", "from metrics import rates", False),
        ("audio", "import files, progress", True),
        ("metrics", "def f():\n    import corpora.manifest", False),
        ("training", "import configs", False),
        ("corpora", "from audio import wave", True),
        ("corpora", "from metrics import rates", False),
        ("voiceemb", "from corpora import manifest", True),
        ("voiceemb", "from flows import coupling", False),
        ("diffusion", "import voiceemb", False),
        ("diffusion", "import importlib\nimportlib.import_module('flows')", False),
        ("flows", "from serving import publish", False),
        ("serving", "import voiceemb, diffusion.samplers", True),
        ("serving", "from . import publish", False),
        ("voiceemb", "import train_triplet", False),
    ],
)
def test_the_law_itself_is_what_the_design_says(package, code, lawful):
    assert (not list(breaches(package, ast.parse(code)))) is lawful


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_a_leaf_imports_nothing_of_ours_and_nothing_heavy(name):
    """It ends every chain of imports, so no circle can pass through it."""
    tops = {n.partition(".")[0] for n, _ in imports(parse(ROOT / f"{name}.py"))}
    assert tops <= (sys.stdlib_module_names | LEAVES[name]) - OURS


def test_arrows_never_run_back():
    """Some order of the packages has every import pointing to an earlier one."""
    left = dict(ALLOWED)
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def test_a_package_file_says_what_the_package_is_and_loads_nothing_of_ours():
    for path in (path for path in MODULES if path.name == "__init__.py"):
        tree = parse(path)
        assert ast.get_docstring(tree), short(path)
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                ours = {name.partition(".")[0] for name, _ in imports(node)} & OURS
                assert not ours, f"{short(path)} loads {ours}: import where it is used"


def test_every_package_and_module_is_installed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for path in MODULES:
        if path.name == "__init__.py":
            assert f'"{short(path.parent).replace("/", ".")}"' in text, short(path)
    for path in SCRIPTS:
        assert f'"{path.stem}"' in text, short(path)


def test_files_are_named_for_what_they_are():
    names = {path.stem for path in MODULES + SCRIPTS} | {p.parent.name for p in MODULES}
    assert not names & FORBIDDEN_NAMES


def documented(tree):
    """Public names of a module, and whether each has a docstring."""
    yield "module", ast.get_docstring(tree)
    for node in tree.body:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node)


@pytest.mark.parametrize("path", MODULES + SCRIPTS, ids=short)
def test_every_public_name_has_a_docstring(path):
    bare = [name for name, text in documented(parse(path)) if not text]
    assert not bare, f"{short(path)}: {bare}"


def dotted(path):
    return short(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def light_modules():
    """Modules that must load without TensorFlow, and all package files."""
    for path in MODULES:
        name = dotted(path)
        package = f"{name.rpartition('.')[0]}.*"
        if path.name == "__init__.py" or name in NUMPY_ONLY or package in NUMPY_ONLY:
            yield name


@pytest.mark.slow
def test_light_modules_load_without_tensorflow():
    written = set(map(dotted, MODULES))
    missing = {n for n in NUMPY_ONLY if not n.endswith("*")} - written
    assert not missing, f"{sorted(missing)} moved: say where to"
    names = sorted({*light_modules(), *(p.stem for p in ROOT.glob("configs.py"))})
    code = """
import importlib, json, sys
heavy = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    found = {"tensorflow", "keras", "jax", "torch"} & set(sys.modules)
    if found and not heavy:
        heavy[name] = sorted(found)
print(json.dumps(heavy))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(names)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(result.stdout.splitlines()[-1]) == {}, "names the first at fault"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [f"{name}/__main__.py", "-m", name]
        for name in PACKAGES
        if (ROOT / name / "__main__.py").is_file()
    ]
    + [[path.name, path.name] for path in SCRIPTS if path.name.startswith("train_")],
    ids=lambda command: command[0],
)
def test_help_answers_without_tensorflow(command):
    """`--help` is instant: it must not even import TensorFlow."""
    code = """
import runpy, sys
mode, sys.argv = sys.argv[1], sys.argv[2:] + ["--help"]
try:
    if mode == "module":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    mode = "module" if "-m" in command else "script"
    result = subprocess.run(
        [sys.executable, "-c", code, mode, command[-1]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "usage" in result.stdout.lower()
