"""The tree keeps its laws: who imports whom, what is light, what names are."""

import ast
import json
import subprocess
import sys
import tomllib

import pytest

from tests import imports
from tests.imports import ROOT, parse

SHARED = "timbre"
SYSTEMS = ("voiceemb", "flows", "diffusion")  # in order: workers collect alike
PACKAGES = (SHARED, *SYSTEMS)
# Inside a package, a part (a module or a folder) imports parts of its own line or of
# lines above it, without circles.
INSIDE = {
    "timbre": (
        ("files", "progress"),
        ("audio", "plotting", "turns", "serving", "training", "cli"),
        ("corpora", "metrics"),
    ),
    "voiceemb": (
        ("networks", "losses", "vad", "config", "names", "calibration", "inference"),
        ("encoder", "signatures", "presets"),
        ("evaluate", "evaluation", "figures", "streaming"),
        (
            "data",
            "model",
            "train",
            "train_ensemble",
            "training",
            "report",
            "enrolment",
            "bundle",
        ),
        ("diarization",),
        ("page",),
        ("commands", "__main__"),
    ),
    "flows": (
        ("config", "segments", "data", "validation", "gaussian", "batching"),
        ("bijectors", "presets"),
        ("models", "model"),
        ("evaluate", "evaluation", "figures", "train", "signatures"),
        ("report", "voice_conversion"),
        ("commands", "__main__"),
    ),
    "diffusion": (
        ("schedules", "spacing", "noising", "denoising", "guidance"),
        ("linear_sde", "sde", "integrators"),
        ("networks",),
        ("sampler_steps", "multistep_samplers", "samplers"),
        ("speakers",),
        ("commands", "__main__"),
    ),
}
ALONE = {"timbre.serving": {"timbre.files"}}  # parts that may import these only
NUMPY_ONLY = (
    "timbre.audio.wave",
    "timbre.corpora.folders",
    "timbre.corpora.phone_sets",
    "timbre.corpora.librispeech",
    "timbre.corpora.manifest",
    "timbre.corpora.phones",
    "timbre.corpora.synthetic.spectra",
    "timbre.corpora.voxceleb",
    "diffusion.schedules",
    "flows.config",
    "timbre.metrics.*",
    "timbre.serving.publish",
    "timbre.cli",
    "timbre.training.run",
    "timbre.training.config",
    "voiceemb.vad.config",
    "voiceemb.enrolment.admission",
    "voiceemb.enrolment.cohort_calibration",
    "voiceemb.enrolment.figures",
    "voiceemb.enrolment.people",
    "voiceemb.enrolment.speech_embedding",
    "voiceemb.streaming.listener",
    "voiceemb.names",
    "voiceemb.page",
    "voiceemb.enrolment.quality",
    "voiceemb.enrolment.identification",
    "voiceemb.streaming.buffers",
    "voiceemb.enrolment.store",
    "voiceemb.config",
    "voiceemb.streaming.events",
    "voiceemb.streaming.sources",
    "voiceemb.commands.*",
    "flows.commands",
    "diffusion.commands",
    "diffusion.speakers.commands",
    "timbre.corpora.commands",
    "voiceemb.streaming.timeline",
    "voiceemb.streaming.figures",
    "voiceemb.diarization.formats",
    "voiceemb.vad.detection",
    "voiceemb.enrolment.store_calibration",
)
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc"}
PATHS = imports.modules(ROOT, PACKAGES)
MODULES = sorted(PATHS.values())
SCRIPTS = sorted(ROOT.glob("*.py"))
DOORS = {"tests", "examples", "benchmarks", *(path.stem for path in SCRIPTS)}
GRAPH = imports.arrows(PATHS)


def short(path):
    return path.relative_to(ROOT).as_posix()


def breaches(package, tree):
    """Imports that the law does not allow to a file of `package`."""
    others = {*PACKAGES, *DOORS} - {package}
    if package != SHARED:
        others -= {SHARED}
    for name, line in imports.imports(tree):
        top = name.partition(".")[0]
        if name.startswith("."):
            yield line, f"{name} is relative: name the package"
        elif top in others:
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
        ("timbre", "import numpy", True),
        ("timbre", "from timbre.metrics import rates", True),
        ("timbre", "def f():\n    import voiceemb.encoder", False),
        ("timbre", "import configs", False),
        ("voiceemb", "from timbre.corpora import manifest", True),
        ("voiceemb", "from flows.bijectors import coupling", False),
        ("diffusion", "import voiceemb", False),
        ("diffusion", "import importlib\nimportlib.import_module('flows')", False),
        ("flows", "from . import model", False),
        ("voiceemb", "import train_triplet", False),
    ],
)
def test_the_law_itself_is_what_the_design_says(package, code, lawful):
    assert (not list(breaches(package, ast.parse(code)))) is lawful


def backward(package, graph):
    """Arrows among the parts of a package that run against its lines in `INSIDE`."""
    line = {part: i for i, parts in enumerate(INSIDE[package]) for part in parts}
    for part, targets in imports.parts(graph, package).items():
        assert part in line, f"{package}.{part} has no line in INSIDE: give it one"
        for target in sorted(targets):
            if line[target] > line[part]:
                yield f"{package}.{part} -> {package}.{target}"


@pytest.mark.parametrize("package", sorted(INSIDE))
def test_arrows_inside_a_package_never_run_back(package):
    assert not list(backward(package, GRAPH))
    assert not imports.circles(imports.parts(GRAPH, package))


def test_an_arrow_that_runs_back_is_found():
    graph = {"flows.models.flow": {"flows.report"}, "flows.report": set()}
    assert list(backward("flows", graph)) == ["flows.models -> flows.report"]


@pytest.mark.parametrize("part", sorted(ALONE))
def test_some_parts_stand_alone(part):
    for name, targets in GRAPH.items():
        if name.startswith(part):
            inside = {target for target in targets if target.startswith(part)}
            assert targets - inside <= ALONE[part], name


def test_no_file_imports_itself_through_others():
    assert not imports.circles(GRAPH)
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert imports.circles(graph) == [["a", "b", "c"]]  # and one would be found


def test_a_package_file_says_what_the_package_is_and_loads_nothing_of_ours():
    for path in (path for path in MODULES if path.name == "__init__.py"):
        tree = parse(path)
        assert ast.get_docstring(tree), short(path)
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                named = {name.partition(".")[0] for name, _ in imports.imports(node)}
                ours = named & {*PACKAGES, *DOORS}
                assert not ours, f"{short(path)} loads {ours}: import where it is used"


def test_a_wheel_installs_the_packages_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found = project["tool"]["setuptools"]["packages"]["find"]
    assert set(found["include"]) == {f"{name}*" for name in PACKAGES}
    folders = {path.parent for path in MODULES}
    assert all((folder / "__init__.py").is_file() for folder in folders)


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
